"""What the verbs that use a model share: texts from arguments, a file or a pipe, answers in order, line by line."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from transept.cli.common import meant, say
from transept.errors import InvalidData, UsageError, nearest

WINDOW = 256  # lines that are read before the first is answered, unless a person is typing

TextsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts, or search settings such as beam=8.")
]
PlainTextsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; else lines of stdin.")
]
PathsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[FILE]...", help="Files; else paths on the lines of stdin.")
]
FileOption = Annotated[Path | None, typer.Option("-f", "--file", help="Take the lines of a file.")]
WholeOption = Annotated[bool, typer.Option("--whole", help="Take the file, or stdin, as one text.")]
WindowOption = Annotated[int, typer.Option("--window", min=1, help="Lines answered together from a file.")]

Answer = TypeVar("Answer")

THEIRS = {  # what Hugging Face's `generate` calls what we call otherwise
    "num_beams": "It is called beam.",
    "max_new_tokens": "It is called --max-tokens for generate, max_extra for others.",
    "max_length": "It is called max_whole where the prompt counts, max_extra where it does not.",
    "do_sample": "It is called method=sample.",
    "num_return_sequences": "It is called --n-best.",
    "no_repeat_ngram_size": "It is called no_repeat_ngram.",
}


class Lines:
    """The texts that a command was given. Made before a model is read, and read while it answers."""

    def __init__(self, given: list[str], file: Path | None, window: int, whole: bool = False) -> None:
        if given and file:
            raise UsageError("texts and --file were both given", remedy="Leave one of them out.")
        if given and whole:
            raise UsageError("--whole takes a file or stdin as one text", remedy="Quote the text, and leave it out.")
        self.file, self.given, self.whole, self.window, self.count = file, given, whole, window, 0

    def __iter__(self) -> Iterator[str]:
        if self.given:
            return iter(self.given)
        found = self._read()
        return iter(["\n".join(found)]) if self.whole else iter(found)

    def _read(self) -> Iterable[str]:
        if self.file is not None:
            from transept.data.lines import read_lines

            return read_lines(self.file)
        if sys.stdin.isatty():
            say("reading lines from the keyboard; end with Ctrl-D")
            self.window = 1
        return read_stdin()

    def answered(self, ask: Callable[[list[str], int], Sequence[Answer]]) -> Iterator[tuple[int, str, Answer]]:
        """(number, line, answer) in the order of the lines. `ask` takes a window of lines and how many came before."""
        lines = iter(self)
        for batch in windows(lines, self.window):
            try:
                answers = ask(batch, self.count)
            except InvalidData as error:
                span = f"lines {self.count + 1} to {self.count + len(batch)}"
                raise InvalidData(error.what, where=error.where or span, remedy=error.remedy) from error
            for line, answer in zip(batch, answers, strict=True):
                self.count += 1
                yield self.count, line, answer
            sys.stdout.flush()


def split_settings(words: Sequence[str], known: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """Words such as beam=8 are settings of the search; all others are texts.

    A word of the same shape that is no setting is more likely a slip than a text: UsageError with the nearest one.
    """
    settings: dict[str, Any] = {}
    texts = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in known:
            settings[key] = meant(key, value)
        elif equals and re.fullmatch("[a-z][a-z_]*", key) and not re.search(r"\s", value):
            near = THEIRS.get(key) or nearest(key, known).strip() or f"There are: {', '.join(known)}."
            raise UsageError(
                f"there is no search setting {key!r}. {near}",
                remedy=f"If {word!r} is a text, give it in a file (-f) or through a pipe.",
            )
        else:
            texts.append(word)
    return settings, texts


def read_stdin() -> Iterator[str]:
    """Lines of stdin as they come, cut at newlines alone, refused where they are no UTF-8."""
    from transept.data.lines import split_lines

    for number, raw in enumerate(sys.stdin.buffer, 1):
        yield split_lines(raw, f"stdin, line {number}")[0]


def windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """The lines in groups; within one, texts of like length are answered together."""
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch


def parted(line: str, number: int, parts: str) -> tuple[str, str]:
    """The two texts of a line with a TAB between them; InvalidData names the line."""
    first, tab, second = line.partition("\t")
    if not tab:
        raise InvalidData(f"line {number} has no TAB between {parts}", remedy="Write both on a line, a TAB between.")
    return first, second
