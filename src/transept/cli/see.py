"""`transept see`: the class of a picture."""

from __future__ import annotations

import typer

from transept.cli.classify import TopOption, show
from transept.cli.common import DeviceOption, JsonOption, ModelArgument, note, verb
from transept.cli.lines import FileOption, Lines, PathsArgument

TOGETHER = 16  # pictures that are looked at together


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept see models/vit cat.png",
        "transept see models/vit *.jpg --top 3",
        "find pictures -name '*.png' | transept see models/vit --json",
    )(see)


def see(
    model: ModelArgument,
    pictures: PathsArgument = None,
    file: FileOption = None,
    top: TopOption = 1,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Classify pictures: the label of each file.

    A line for each: the label, a TAB, its probability.
    """
    from transept.use.loaded import load

    lines = Lines(pictures or [], file, TOGETHER, machine=as_json, paths=True)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("see")
    for number, path, label in lines.answered(lambda batch, first: loaded.see(list(batch))):
        show(number, path, label, top, as_json)
    lines.end()
