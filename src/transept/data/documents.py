"""Documents: running text from files, each text with the place where it begins."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from transept.data.columnar import is_columnar, spoken
from transept.data.config import Split, TextsData
from transept.data.files import find
from transept.data.lines import read_bytes, split_lines
from transept.data.tables import columns_of, kind_of, open_table, place, read_table
from transept.errors import InvalidConfig, InvalidData, Where

Sentences = Literal["none", "line", "stop"]

HEADING = re.compile(r"\s*= [^=].* =\s*")  # WikiText's of an article; those of its parts have more signs
# Behind a stop, and what closes with it, white space may begin a sentence.
STOP = re.compile(r"(?<=[.!?\u2026\u3002\uff01\uff1f])(?P<closed>[\"'\u201d\u2019)\]]*)(?=\s)")

PARTED = {
    "whole": "each file is one",
    "blank": "an empty line ends one",
    "line": "each line is one",
    "article": "a line = Title = begins one",
}


@dataclass(frozen=True)
class Documents:
    """Texts in order. `places[i]` are the file of text i, by its number in `files`, and the line where it begins.

    `kinds` tells what each file was found to be. `blank` counts the empty ones that were left out.
    """

    texts: list[str]
    files: tuple[Path, ...]
    places: list[tuple[int, int]]
    kinds: tuple[str, ...]
    blank: int = 0
    first_blank: str | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def names(self) -> str:
        """The files without their folders, in the order in which they were read."""
        return ", ".join(map(spoken, self.files))

    @property
    def characters(self) -> int:
        return sum(map(len, self.texts))

    def where(self, row: int) -> str:
        """File and line where a text begins, for messages."""
        file, line = self.places[row]
        return place(self.files[file], line)

    def place(self, row: int, at: int) -> str:
        """File and line of a character of a text; of one whose lines are not those of the file, where it begins."""
        file, line = self.places[row]
        if self.kinds[file] not in ASIS:
            return self.where(row)
        return Where.of_line(self.files[file], line + self.texts[row].count(chr(10), 0, at))

    def report(self) -> str:
        """How many, of what kind of file, and what was left out."""
        kinds = " and ".join(dict.fromkeys(self.kinds))
        left = f"; {self.blank:,} empty ones left out, the first at {self.first_blank}" if self.blank else ""
        return f"{len(self):,} document{'' if len(self) == 1 else 's'} of {self.names} ({kinds}){left}"

    def split(self, share: float) -> tuple["Documents", "Documents"]:
        """The first and the last part of them, the last a share: of the documents, or of the one that there is."""
        assert 0 < share < 1
        if len(self) == 1:
            (text,), ((file, line),) = self.texts, self.places
            cut = int(len(text) * (1 - share))
            texts = [text[:cut], text[cut:]]
            places = [(file, line), (file, line + text.count("\n", 0, cut))]
        else:
            cut = min(max(round(len(self) * (1 - share)), 1), len(self) - 1)
            texts, places = self.texts, self.places
        at = 1 if len(self) == 1 else cut
        first, last = (
            replace(self, texts=texts[part], places=places[part]) for part in (slice(0, at), slice(at, None))
        )
        if not all(text.strip() for text in (first.texts[0], last.texts[0])):
            raise InvalidData(f"{len(self.texts[0]):,} characters are too few to hold a part back", where=self.where(0))
        return first, replace(last, blank=0)


def read_documents(data: TextsData, split: Split) -> Documents:
    """The documents of a split. Raises `InvalidConfig` where it is not named, `InvalidData` with file and line."""
    entry = data.entry(split)
    if split != "test" and data.valid is None and data.hold_out:
        kept, held = _read(data, data.train, "data.train").split(data.hold_out)
        return kept if split == "train" else held
    if entry is None:
        more = ", or data.hold_out=0.1 to keep a part of the training text back" if split == "valid" else ""
        raise InvalidConfig(f"data.{split} is not set", remedy=f"Set it to a file: data.{split}=FILE{more}.")
    return _read(data, entry, f"data.{split}")


def read_files(data: TextsData, names: Sequence[str], key: str) -> Documents:
    """The documents of named files; `key` is what messages call them."""
    return _read(data, list(names), key)


def _read(data: TextsData, entry: str | list[str] | None, key: str) -> Documents:
    if entry is None:
        raise InvalidConfig(f"{key} is not set", remedy=f"Set it to a file: {key}=FILE.")
    files = tuple(find(data.dir, name, key) for name in (entry if isinstance(entry, list) else [entry]))
    texts, places, kinds, empty = list[str](), list[tuple[int, int]](), list[str](), list[str]()

    def keep(number: int, line: int, text: str) -> None:
        if text.strip():
            texts.append(text)
            places.append((number, line))
        else:
            empty.append(place(files[number], line))

    for number, path in enumerate(files):
        if is_columnar(path):
            table = open_table(path)
            kinds.append(table.kind)
            column = columns_of(table, [data.column])[data.column]
            for line, text in zip(column.lines, column.texts, strict=True):
                keep(number, line, text)
            continue
        raw = read_bytes(path)
        lines = split_lines(raw, path)
        if not any(line.strip() for line in lines):
            reason = "the file holds white space and no text" if raw else "the file is empty"
            raise InvalidData(reason, where=f"{path}:1", remedy="Check that the right file is named.")
        kind = kind_of(path, lines[0])
        kinds.append(kind if kind != "plain text" else f"{kind}, {PARTED[data.documents]}")
        if kind == "plain text":
            found = list(PARTS[data.documents](lines, raw.endswith(b"\n")))
        else:
            column = columns_of(read_table(lines, path), [data.column])[data.column]
            found = list(zip(column.lines, column.texts, strict=True))
        for line, text in found:
            keep(number, line, text)
    _demand_text(data, texts, files, empty)
    return Documents(texts, files, places, tuple(kinds), len(empty), empty[0] if empty else None)


def _demand_text(data: TextsData, texts: Sequence[str], files: Sequence[Path], empty: Sequence[str]) -> None:
    if not texts:
        raise InvalidData(
            f"no document holds a text (data.documents={data.documents})",
            where=empty[0] if empty else f"{files[0]}:1",
            remedy="Check that the right file and column are named.",
        )
    if empty and data.empty == "refuse":
        raise InvalidData(
            "the document is empty" + (f", the first of {len(empty):,}" if len(empty) > 1 else ""),
            where=empty[0],
            remedy="Mend the file, or leave empty documents out by data.empty=drop.",
        )


# ------------------------------------------------------------------ lines to documents: (line, text)

ASIS = [f"plain text, {PARTED[how]}" for how in ("whole", "blank", "line")]  # kinds whose texts are the file's lines
Found = Iterator[tuple[int, str]]


def _whole(lines: Sequence[str], ended: bool) -> Found:
    yield 1, "\n".join(lines) + ("\n" if ended else "")


def _blank(lines: Sequence[str], ended: bool) -> Found:
    begun = None
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            begun = number if begun is None else begun
        elif begun is not None:
            yield begun, "\n".join(lines[begun - 1 : number - 1])
            begun = None


def _line(lines: Sequence[str], ended: bool) -> Found:
    yield from enumerate(lines, 1)


def _article(lines: Sequence[str], ended: bool) -> Found:
    """An article is what follows its heading; a heading stands alone between empty lines."""
    heads = [i for i, line in enumerate(lines) if HEADING.fullmatch(line) and _alone(lines, i)]
    bounds = [*([0] if not heads or heads[0] else []), *heads, len(lines)]
    for first, last in pairwise(bounds):
        kept = [line for line in lines[first:last] if line.strip()]
        if kept:
            begin = next(i for i in range(first, last) if lines[i].strip())
            yield begin + 1, "\n".join(line.strip() for line in kept)


def _alone(lines: Sequence[str], i: int) -> bool:
    before, after = lines[i - 1] if i else "", lines[i + 1] if i + 1 < len(lines) else ""
    return not before.strip() and not after.strip()


PARTS: dict[str, Callable[[Sequence[str], bool], Found]] = {
    "whole": _whole,
    "blank": _blank,
    "line": _line,
    "article": _article,
}


# ------------------------------------------------------------------ documents to sentences


def sentences(text: str, how: Sentences) -> list[str]:
    """A text in parts that are the text again when put together: its lines, its lines cut after stops too, or itself.

    White space between two goes with the second, and none is white space alone.
    """
    if how == "none":
        return [text]
    cuts = {match.start() for match in re.finditer("\n", text)}
    if how == "stop":
        cuts |= {match.end() for match in STOP.finditer(text)}
    bounds = [0, *sorted(cuts - {0}), len(text)]
    parts = [text[a:b] for a, b in pairwise(bounds) if a < b]
    joined = list[str]()
    for part in parts:
        if part.strip() and joined and not joined[-1].strip():
            joined[-1] += part
        elif part.strip() or not joined:
            joined.append(part)
        else:
            joined[-1] += part
    return joined
