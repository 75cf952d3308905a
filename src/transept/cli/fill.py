"""`transept fill`: the likeliest tokens where a text has a mask."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, verb
from transept.cli.lines import WINDOW, FileOption, Lines, PlainTextsArgument, WindowOption


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept fill models/bert "The capital of France is [MASK]."',
        'transept fill models/roberta "I [MASK] to [MASK]." --count 3',
        "transept fill models/bert -f sentences.txt --json > filled.jsonl",
    )(fill)


def fill(
    model: ModelArgument,
    texts: PlainTextsArgument = None,
    file: FileOption = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="So many tokens for each mask.")] = 5,
    window: WindowOption = WINDOW,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Fill the masks of texts: the likeliest tokens.

    A line for each token: its probability, the word, the text with it; TABs between. Several masks of a text are filled
    each by itself, one after the other.
    """
    from transept.use.loaded import load

    lines = Lines(texts or [], file, window, machine=as_json)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("fill")
    for number, text, masks in lines.answered(lambda batch, first: loaded.fill(batch, count=count, first=first)):
        if as_json:
            emit({"line": number, "source": text, "masks": [[asdict(one) for one in found] for found in masks]})
            continue
        for one in (one for found in masks for one in found):
            print(f"{one.probability:.4f}\t{one.word}\t{one.text}")
    lines.end()
