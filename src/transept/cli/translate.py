"""`transept translate`: texts from arguments, a file or a pipe; translations in the same order, line by line."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, say, verb
from transept.cli.lines import WINDOW, FileOption, Lines, TextsArgument, WindowOption, split_settings
from transept.cli.searching import Searching

if TYPE_CHECKING:
    from transept.decode.hypothesis import Limit
    from transept.use.loaded import Loaded
    from transept.use.text import Text

NBestOption = Annotated[int | None, typer.Option("--n-best", min=1, help="So many answers to each text.")]
PrefixOption = Annotated[
    str | None, typer.Option("--prefix", help="What comes before every text; else what config.json says, '' for none.")
]
ScoresOption = Annotated[bool, typer.Option("--scores", help="Put the score and a tab before each answer.")]


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept translate runs/demo "<2de> 5 March 2026"',
        "transept translate runs/multi30k -f captions.en > captions.de",
        "cat captions.en | transept translate runs/multi30k beam=8 --n-best 3 --json",
        kind=Searching,
    )(translate)


def translate(
    model: ModelArgument,
    texts: TextsArgument = None,
    file: FileOption = None,
    prefix: PrefixOption = None,
    n_best: NBestOption = None,
    scores: ScoresOption = False,
    window: WindowOption = WINDOW,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Translate texts, a file, or stdin line by line.

    Answers come in the order of the lines. A blank line stays blank; nothing is ever cut.
    """
    from transept.decode.config import Search
    from transept.use.loaded import load

    settings, given = split_settings(texts or [], Search.model_fields)
    if n_best is not None:
        settings["n_best"] = n_best
    lines = Lines(given, file, window, machine=as_json)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("translate")
    loaded.translate([], prefix=prefix, **settings)  # a wrong setting is told before any line is read
    if prefix is None and (told := loaded.preface("translate").told()):
        note(told)
    cut: Counter[Limit | None] = Counter()
    for number, line, answer in lines.answered(
        lambda batch, first: loaded.translate(batch, prefix=prefix, first=first, **settings)
    ):
        cut[answer.limit] += 1
        show(number, line, answer, scores, as_json)
    tell_cut(cut, "translations", "max_ratio and max_extra set it", loaded)
    lines.end()


def show(number: int, source: str, answer: Text, scores: bool, as_json: bool) -> None:
    """One answer, and its rivals where they were asked for."""
    found = [answer, *answer.others]
    if as_json:
        each = [{"text": str(one), "score": one.score, "finish": one.finish, "tokens": one.tokens} for one in found]
        emit({"line": number, "source": source, **each[0]} | ({"others": each[1:]} if answer.others else {}))
        return
    for one in found:
        print(f"{one.score:.4f}\t{one}" if scores else one)


def tell_cut(found: Counter[Limit | None], what: str, extra: str, loaded: Loaded) -> None:
    """Say how many texts a maximal length ended, and which one; `extra` is what sets that of the search."""
    from transept.models import Seq2Seq

    positions, more = (
        loaded.spec.limit(),
        "" if isinstance(loaded.spec, Seq2Seq) else ", the prompt's among them",
    )
    reasons = {
        "extra": f"at the maximal length: {extra}",
        "whole": "at the maximal length of a prompt with its answer: max_whole sets it",
        "positions": f"where the model's own {positions} positions end{more}: no setting makes them longer",
    }
    for limit, reason in reasons.items():
        if count := found[limit]:  # type: ignore[index]
            say(f"{count} of {found.total()} {what} ended {reason}")
