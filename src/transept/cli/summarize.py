"""`transept summarize`: summaries of texts, by the search and the words that the model asks for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, note, verb
from transept.cli.lines import FileOption, Lines, TextsArgument, WholeOption, split_settings
from transept.cli.searching import Searching
from transept.cli.translate import NBestOption, PrefixOption, ScoresOption, show, tell_cut

if TYPE_CHECKING:
    from transept.decode.hypothesis import Limit

TOGETHER = 16  # texts that are summarised together


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept summarize models/bart-cnn -f article.txt --whole",
        "transept summarize models/t5-small -f articles.txt > summaries.txt",
        'transept summarize models/t5-small "A long text ..." beam=4 min_length=30 --json',
        kind=Searching,
    )(summarize)


def summarize(
    model: ModelArgument,
    texts: TextsArgument = None,
    file: FileOption = None,
    whole: WholeOption = False,
    prefix: PrefixOption = None,
    n_best: NBestOption = None,
    scores: ScoresOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Summarise texts, a file, or stdin line by line.

    Each line is a text, or the file is one with --whole. A blank line stays blank; nothing is ever cut.
    """
    from transept.decode.config import Search
    from transept.use.loaded import load

    settings, given = split_settings(texts or [], Search.model_fields)
    if n_best is not None:
        settings["n_best"] = n_best
    lines = Lines(given, file, TOGETHER, whole, machine=as_json)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("summarize")
    loaded.summarize([], prefix=prefix, **settings)  # what is wrong is told before any line is read
    if prefix is None and (told := loaded.preface("summarize").told()):
        note(told)
    cut: Counter[Limit | None] = Counter()
    for number, text, answer in lines.answered(
        lambda batch, first: loaded.summarize(batch, prefix=prefix, first=first, **settings)
    ):
        cut[answer.limit] += 1
        show(number, text, answer, scores, as_json)
    tell_cut(cut, "summaries", "max_ratio and max_extra set it", loaded)
    lines.end()
