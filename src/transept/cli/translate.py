"""`transept translate`: texts from arguments, a file or a pipe; translations in the same order, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, meant, say, verb
from transept.errors import InvalidData, UsageError

if TYPE_CHECKING:
    from transept.use.translate import Translation

WINDOW = 256  # lines that are read before the first is answered, unless a person is typing


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept translate runs/demo "<2de> 5 March 2026"',
        "transept translate runs/multi30k -f captions.en > captions.de",
        "cat captions.en | transept translate runs/multi30k beam=8 --n-best 3 --json",
    )(translate)


def translate(
    model: ModelArgument,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts, or search settings such as beam=8.")
    ] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Translate the lines of a file.")] = None,
    n_best: Annotated[int | None, typer.Option("--n-best", min=1, help="So many translations of each text.")] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Put the score and a tab before each translation.")] = False,
    window: Annotated[int, typer.Option("--window", min=1, help="Lines translated together from a file.")] = WINDOW,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Translate texts, a file, or stdin line by line.

    Answers come in the order of the lines. A blank line stays blank; nothing is ever cut.
    """
    from transept.decode.config import Search
    from transept.use.loaded import load

    settings, given = split_settings(texts or [], set(Search.model_fields))
    if n_best is not None:
        settings["n_best"] = n_best
    if given and file:
        raise UsageError("texts and --file were both given", remedy="Leave one of them out.")
    loaded = load(model, device=device)
    loaded.settings(**settings)  # a wrong setting is told before any line is read
    lines: Iterable[str] = given
    if file is not None:
        from transept.data.lines import read_lines

        lines = read_lines(file)
    elif not given:
        if sys.stdin.isatty():
            say("reading lines from the keyboard; end with Ctrl-D")
            window = 1
        lines = read_stdin()
    number, cut = 0, 0
    for batch in windows(lines, window):
        try:
            answers = loaded.translate(batch, first=number, **settings)
        except InvalidData as error:
            span = f"lines {number + 1} to {number + len(batch)}"
            raise InvalidData(error.what, where=error.where or span, remedy=error.remedy) from error
        for line, answer in zip(batch, answers, strict=True):
            number += 1
            cut += answer.finish == "length"
            show(number, line, answer, scores, as_json)
        sys.stdout.flush()
    if cut:
        say(f"{cut} of {number} translations ended at the maximal length: max_ratio and max_extra set it")


def split_settings(words: Sequence[str], known: set[str]) -> tuple[dict[str, Any], list[str]]:
    """Words such as beam=8 are settings of the search, where the search has such a key; all others are texts."""
    settings: dict[str, Any] = {}
    texts = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in known:
            settings[key] = meant(key, value)
        else:
            texts.append(word)
    return settings, texts


def read_stdin() -> Iterator[str]:
    """Lines of stdin as they come, cut at newlines alone, refused where they are no UTF-8."""
    from transept.data.lines import split_lines

    for number, raw in enumerate(sys.stdin.buffer, 1):
        yield split_lines(raw, f"stdin, line {number}")[0]


def windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """The lines in groups; within one, sentences of like length are translated together."""
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch


def show(number: int, source: str, answer: Translation, scores: bool, as_json: bool) -> None:
    """One answer, and its rivals where they were asked for."""
    found = [answer, *answer.others]
    if as_json:
        each = [{"text": str(one), "score": one.score, "finish": one.finish, "tokens": one.tokens} for one in found]
        emit({"line": number, "source": source, **each[0]} | ({"others": each[1:]} if answer.others else {}))
        return
    for one in found:
        print(f"{one.score:.4f}\t{one}" if scores else one)
