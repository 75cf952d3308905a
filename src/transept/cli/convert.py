"""`transept convert`: a trained model made into another shape of itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from transept.cli.common import JsonOption, ModelArgument, OverwriteOption, emit, note, verb
from transept.cli.hub import OutArgument


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept convert runs/multi30k models/grouped --kv-heads 2",
        "transept convert models/gpt2 models/multi-query --kv-heads 1",
    )(convert)


def convert(
    model: ModelArgument,
    out: OutArgument,
    kv_heads: Annotated[
        int, typer.Option("--kv-heads", metavar="N", help="Key/value heads of every attention: means of those it has.")
    ],
    encoder: Annotated[
        bool, typer.Option("--encoder", help="Those of an encoder before a decoder too, which no cache keeps.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give a model fewer key/value heads.

    Heads that stand together become their mean: a smaller cache, faster steps, and a model to be trained on.
    """
    from transept.hub.grouping import convert

    made = convert(str(model), out, kv_heads, encoder=encoder, overwrite=overwrite)
    if as_json:
        emit({"directory": str(out)} | asdict(made))
        return
    print(f"{out}: {made}")
    if set(made.before) != {kv_heads}:
        note("means of heads are a beginning: train it on before you judge it (transept train RECIPE --from MODEL)")
