"""`transept convert`: a trained model made into another shape of itself, or into itself with adapters merged."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from transept.cli.common import JsonOption, ModelArgument, OverwriteOption, emit, note, verb
from transept.cli.hub import OutArgument
from transept.errors import UsageError


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept convert runs/multi30k models/grouped --kv-heads 2",
        "transept convert models/gpt2 models/multi-query --kv-heads 1",
        "transept convert models/gpt2 models/tuned --adapters runs/tuned/model/adapters",
    )(convert)


def convert(
    model: ModelArgument,
    out: OutArgument,
    kv_heads: Annotated[
        int | None,
        typer.Option("--kv-heads", metavar="N", help="Key/value heads of every attention: means of those it has."),
    ] = None,
    adapters: Annotated[
        Path | None,
        typer.Option("--adapters", metavar="DIR", help="Merge these: of `train` or of Hugging Face's PEFT."),
    ] = None,
    encoder: Annotated[
        bool, typer.Option("--encoder", help="Heads of an encoder before a decoder too, which no cache keeps.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give a model fewer key/value heads, or merge adapters into it.

    Heads that stand together become their mean: a smaller cache, faster steps, and a model to be trained on. Adapters
    of low rank are added to the matrices that they stand beside.
    """
    if (kv_heads is None) == (adapters is None):
        raise UsageError("one of --kv-heads and --adapters says what is made of the model", remedy="Name one.")
    if adapters is not None:
        merge(model, out, adapters, overwrite, as_json)
        return
    assert kv_heads is not None
    from transept.hub.grouping import convert

    made = convert(model, out, kv_heads, encoder=encoder, overwrite=overwrite)
    if as_json:
        emit({"directory": str(out)} | asdict(made))
        return
    print(f"{out}: {made}")
    if set(made.before) != {kv_heads}:
        note("means of heads are a beginning: train it on before you judge it (transept train RECIPE --from MODEL)")


def merge(model: str, out: Path, adapters: Path, overwrite: bool, as_json: bool) -> None:
    """Write a model with adapters merged into it."""
    from transept.hub.merging import merge

    made = merge(model, out, adapters, overwrite=overwrite)
    if as_json:
        emit({"directory": str(out)} | asdict(made))
        return
    print(f"{out}: {made}")
