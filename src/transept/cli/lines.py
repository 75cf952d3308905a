"""What the verbs that use a model share: texts from arguments, a file or a pipe, answers in order, line by line."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from transept.cli.common import emit, meant, note, say
from transept.errors import InvalidData, TranseptError, UsageError, Where, nearest

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
Line = TypeVar("Line")


class Lines:
    """The inputs that a command was given. Made before a model is read, and read while it answers.

    An input that cannot be answered does not stop the others: `answered` names it on stderr and leaves its place empty,
    an empty line, or with `machine` an object with "error"; with `quiet` nothing is written there. `end` tells how many
    there were. `paths` says that the inputs are names of files.
    """

    def __init__(
        self,
        given: list[str],
        file: Path | None,
        window: int,
        whole: bool = False,
        *,
        machine: bool = False,
        quiet: bool = False,
        paths: bool = False,
    ) -> None:
        if given and file:
            raise UsageError("texts and --file were both given", remedy="Leave one of them out.")
        if given and whole:
            raise UsageError("--whole takes a file or stdin as one text", remedy="Quote the text, and leave it out.")
        self.file, self.given, self.whole, self.window, self.count = file, given, whole, window, 0
        self.machine, self.quiet, self.paths = machine, quiet, paths
        self.missed: list[TranseptError] = []
        self._said: set[str] = set()
        for text in () if paths else given:
            if _is_file(text):
                note(f"{text!r} is a file, and is read as a text here: -f {shlex.quote(text)} reads its lines")

    def answered(self, ask: Callable[[list[str], int], Sequence[Answer]]) -> Iterator[tuple[int, str, Answer]]:
        """(number, line, answer) in the order of the lines. `ask` takes a window of lines and how many came before."""
        for batch in windows(self._read(), self.window):
            for line, answer in zip(batch, self._asked(batch, self.count, ask), strict=True):
                self.count += 1
                if isinstance(answer, TranseptError):
                    self._miss(line, answer)
                else:
                    yield self.count, str(line), answer
            sys.stdout.flush()

    def end(self) -> None:
        """Raise InvalidData with how many inputs were not answered, where there were any."""
        if self.missed:
            was = "was" if len(self.missed) == 1 else "were"
            raise InvalidData(f"{len(self.missed)} of {self.count} {was} not answered") from self.missed[0]

    def _asked(
        self, batch: Sequence[str | InvalidData], first: int, ask: Callable[[list[str], int], Sequence[Answer]]
    ) -> Sequence[Answer | TranseptError]:
        """The answer to each line of a window, or why there is none: halves are asked until what is wrong is alone."""
        from transept.decode.hypothesis import Undecodable

        try:
            good = [self._demanded(line) for line in batch]
            return ask(good, first)
        except (InvalidData, Undecodable) as error:
            if len(batch) == 1:
                return [error]
        half = len(batch) // 2
        return [*self._asked(batch[:half], first, ask), *self._asked(batch[half:], first + half, ask)]

    def _demanded(self, line: str | InvalidData) -> str:
        if isinstance(line, InvalidData):
            raise line
        if self.paths and not line.strip():
            raise InvalidData("an empty line names no file")
        return line

    def _miss(self, line: str | InvalidData, error: TranseptError) -> None:
        self.missed.append(error)
        reason = error.reason(placed=True)
        reason = f"{error.where}: {reason}" if error.where else reason
        remedy = error.way_out("command")
        new = remedy and remedy not in self._said  # what is to be done is told once
        self._said.add(remedy)
        say(f"error: {self.place(self.count)}: {reason}" + (f"\n  {remedy}" if new else ""))
        if self.machine:
            emit({"line": self.count, "source": None if isinstance(line, InvalidData) else line, "error": reason})
        elif not self.quiet:
            print()

    def place(self, number: int) -> str:
        """Where an input stands, counted from 1."""
        if self.given:
            return f"argument {number}"
        source = "stdin" if self.file is None else str(self.file)
        return source if self.whole else f"{source}, line {number}" if self.file is None else f"{source}:{number}"

    def _read(self) -> Iterator[str | InvalidData]:
        """The inputs; in place of a line that is no text, why it is none."""
        found: Iterable[str | InvalidData] = self.given
        if not self.given and self.file is not None:
            from transept.data.lines import read_bytes

            raw = read_bytes(self.file).split(b"\n")
            found = texts_of(raw if raw[-1] else raw[:-1], self.file)  # behind the last line end there is no line
        elif not self.given:
            if sys.stdin.isatty():
                say("reading lines from the keyboard; end with Ctrl-D")
                self.window = 1
            found = texts_of(sys.stdin.buffer, "stdin")
        if not self.whole:
            return iter(found)
        texts = []
        for number, line in enumerate(found, 1):
            if isinstance(line, InvalidData):
                raise InvalidData(**line.fields(where=Where.of_line(self.file or "stdin", number)))
            texts.append(line)
        return iter(["\n".join(texts)])


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name can be, or with a sign that none has
        return False


def texts_of(raw: Iterable[bytes], where: str | Path) -> Iterator[str | InvalidData]:
    """Lines of bytes as texts, as they come; in place of one that is no UTF-8 the error that says so.

    Raises InvalidData where all of it is another encoding.
    """
    from transept.data.lines import WIDE, split_lines

    for number, line in enumerate(raw, 1):
        try:
            yield next(iter(split_lines(line, where)), "")
        except InvalidData as error:
            if number == 1 and line.startswith(tuple(WIDE)):
                raise
            yield InvalidData(**error.fields(where=None))


def split_settings(words: Sequence[str], known: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """Words such as beam=8 are settings of the search; all others are texts.

    A word of the same shape that is no setting is more likely a slip than a text: UsageError with the nearest one.
    """
    from transept.decode.config import THEIRS

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


def windows(lines: Iterable[Line], size: int) -> Iterator[list[Line]]:
    """The lines in groups; within one, texts of like length are answered together."""
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch


def parted(line: str, parts: str) -> tuple[str, str]:
    """The two texts of a line with a TAB between them; InvalidData where there is none, or more than one."""
    pieces = line.split("\t")
    if len(pieces) != 2:
        count = f"{len(pieces) - 1} TABs, and one stands" if len(pieces) > 2 else "no TAB"
        raise InvalidData(f"{count} between {parts}", remedy="Write both on a line, a TAB between.")
    return pieces[0], pieces[1]
