"""`transept caption`: texts that describe pictures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, note, verb
from transept.cli.lines import FileOption, Lines, PathsArgument, split_settings
from transept.cli.searching import Searching
from transept.cli.see import TOGETHER
from transept.cli.translate import NBestOption, ScoresOption, show, tell_cut

if TYPE_CHECKING:
    from transept.decode.hypothesis import Limit


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept caption runs/show-attend-tell picture.png",
        "transept caption runs/show-attend-tell *.png beam=5 --n-best 3",
        "find pictures -name '*.png' | transept caption runs/show-attend-tell --json",
        kind=Searching,
    )(caption)


def caption(
    model: ModelArgument,
    pictures: PathsArgument = None,
    file: FileOption = None,
    n_best: NBestOption = None,
    scores: ScoresOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Describe pictures: a text for each file.

    Words such as beam=5 are settings of the search. A picture is scaled to the size that the model takes.
    """
    from transept.decode.config import Search
    from transept.use.loaded import load

    settings, given = split_settings(pictures or [], Search.model_fields)
    if n_best is not None:
        settings["n_best"] = n_best
    lines = Lines(given, file, TOGETHER, machine=as_json, paths=True)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("caption")
    loaded.settings(**settings)  # a wrong setting is told before any picture is read
    cut: Counter[Limit | None] = Counter()
    for number, path, text in lines.answered(lambda batch, first: loaded.caption(list(batch), first=first, **settings)):
        cut[text.limit] += 1
        show(number, path, text, scores, as_json)
    tell_cut(cut, "texts", "max_extra sets it", loaded)
    lines.end()
