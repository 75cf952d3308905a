"""Pairs of texts from two aligned files, a TSV, or JSON lines."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from math import log
from pathlib import Path
from typing import Any, Literal

from transept.data.columnar import is_columnar, spoken
from transept.data.config import PairsData, Split
from transept.data.files import is_json, is_tsv, locate
from transept.data.lines import read_lines
from transept.data.tables import open_table, place
from transept.errors import InvalidConfig, InvalidData, Where

Row = tuple[str, str]


@dataclass(frozen=True)
class Pairs:
    """Texts side by side. `lines[i]` is the line of pair i in `files`, from 1; `blank` counts the pairs left out
    because a side was empty, `first_blank` is the line of the first of them."""

    source: list[str]
    target: list[str]
    files: tuple[Path, ...]
    lines: list[int]
    blank: int = 0
    first_blank: int | None = None

    def __len__(self) -> int:
        return len(self.source)

    def where(self, row: int) -> str:
        """File and line of a pair, for messages."""
        return place(self.files[0], self.lines[row])

    def report(self) -> str | None:
        """One line on what was left out, or nothing."""
        if not self.blank:
            return None
        names = ", ".join(map(spoken, self.files))
        return f"{names}: {self.blank:,} pairs with an empty side left out, the first on line {self.first_blank:,}"


def read_pairs(data: PairsData, split: Split) -> Pairs:
    """The pairs of a split. Raises `InvalidConfig` where it is not named, `InvalidData` with file and line."""
    entry = data.entry(split)
    if entry is None:
        raise InvalidConfig(f"data.{split} is not set", remedy=f"Set data.{split} to the files: data.{split}=PREFIX.")
    return read_entry(data, entry, f"data.{split}")


def read_entry(data: PairsData, entry: str | list[str], key: str = "data") -> Pairs:
    """The pairs of files named as a recipe names them; `key` is what messages call the entry."""
    files = locate(data, entry, key)
    if len(files) == 2:
        source, target = (read_lines(path) for path in files)
        if len(source) != len(target):
            raise _unequal(source, target, files)
        return _without_blank(source, target, files, range(1, len(source) + 1), data.empty)
    (path,) = files
    if is_columnar(path):
        table = open_table(path)
        found = [_languages(row, data, table.where(number)) for number, row in table.rows]
        mine, theirs = ([row[side] for row in found] for side in (0, 1))
        return _without_blank(mine, theirs, files, range(1, len(found) + 1), data.empty)
    lines = read_lines(path)
    parse, first = _format(path, lines, data)
    rows = [
        parse(line, data, Where.of_line(path, number)) if line.strip() else ("", "")
        for number, line in enumerate(lines[first:], first + 1)
    ]
    numbers = range(first + 1, len(lines) + 1)
    return _without_blank([row[0] for row in rows], [row[1] for row in rows], files, numbers, data.empty)


def _format(path: Path, lines: list[str], data: PairsData) -> tuple[Callable[[str, PairsData, str], Row], int]:
    """How a file of rows is read, and where its rows begin: by its name, else by its first line."""
    first = lines[0] if lines else ""
    if is_json(path) or (not is_tsv(path) and first.startswith("{")):
        return _json_row, 0
    if not is_tsv(path) and "\t" not in first:
        raise InvalidData(
            "one file, and neither tab-separated nor JSON lines",
            where=f"{path}:1",
            remedy="Name two aligned files, [SOURCE, TARGET], or a file with a tab between the two sides.",
        )
    cells = first.split("\t")
    if data.source and cells == [data.source, data.target]:
        return _tsv_row, 1
    if data.source and cells == [data.target, data.source]:
        return _tsv_row_turned, 1
    return _tsv_row, 0


def _tsv_row(line: str, data: PairsData, where: str) -> Row:
    cells = line.split("\t")
    if len(cells) != 2:
        raise InvalidData(
            f"{len(cells)} columns, where a pair has two",
            where=where,
            remedy="Each line is SOURCE<tab>TARGET, without quoting; `cut -f 1,2 FILE` takes the first two columns.",
        )
    return cells[0], cells[1]


def _tsv_row_turned(line: str, data: PairsData, where: str) -> Row:
    target, source = _tsv_row(line, data, where)
    return source, target


def _json_row(line: str, data: PairsData, where: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidData(
            f"not JSON: {error}", where=where, remedy='Each line is an object: {"translation": {"en": ..., "de": ...}}.'
        ) from error
    return _languages(row, data, where)


def _languages(row: Any, data: PairsData, where: str) -> Row:
    """The two texts of a row by the names of their languages, which may stand below "translation"."""
    if isinstance(row, dict) and isinstance(row.get("translation"), dict):
        row = row["translation"]
    if not isinstance(row, dict):
        raise InvalidData("not an object with the two languages as keys", where=where)
    if not (data.source and data.target):
        keys = ", ".join(map(str, row)) or "none"
        raise InvalidConfig(
            f"the keys are {keys}, and data.source and data.target do not say which to read",
            where=where,
            remedy="Set them: data.source=en data.target=de.",
        )
    return _json_text(row, data.source, where), _json_text(row, data.target, where)


def _json_text(row: dict[str, object], key: str, where: str) -> str:
    text = row.get(key)
    if not isinstance(text, str):
        found = ", ".join(f"'{name}'" for name in row) or "none"
        reason = f"'{key}' is not text" if key in row else f"no key '{key}'; the keys are {found}"
        raise InvalidData(reason, where=where)
    for sign, name in (("\n", "a line break"), ("\x00", "a NUL character")):
        if sign in text:
            raise InvalidData(f"'{key}' holds {name}", where=where, remedy="A text is one line; put a space there.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidData(
            f"'{key}' holds half of a surrogate pair at character {error.start + 1}", where=where
        ) from error
    return text


def _without_blank(
    source: list[str], target: list[str], files: tuple[Path, ...], numbers: range, empty: Literal["refuse", "drop"]
) -> Pairs:
    rows = [row for row, pair in enumerate(zip(source, target, strict=True)) if pair[0].strip() and pair[1].strip()]
    blank = len(source) - len(rows)
    if not rows:
        reason = "every pair has an empty side" if blank else "the file is empty"
        raise InvalidData(reason, where=files[0], remedy="Check that the right files are named.")
    first = None
    if blank:
        gap = next((at for at, row in enumerate(rows) if at != row), len(rows))
        first = numbers[gap]
        if empty == "refuse":
            bare = [path for path, side in zip(files, (source, target), strict=False) if not side[gap].strip()]
            raise InvalidData(
                "the line is empty" + (f", the first of {blank:,}" if blank > 1 else ""),
                where=place((bare or files)[0], first or 0),
                remedy="Mend the files, or leave such pairs out by data.empty=drop.",
            )
    return Pairs(
        [source[row] for row in rows],
        [target[row] for row in rows],
        files,
        [numbers[row] for row in rows],
        blank,
        first,
    )


def _unequal(source: list[str], target: list[str], files: tuple[Path, ...]) -> InvalidData:
    """Both counts, and the line at which the sides part as well as lengths can tell."""
    line = parting(source, target) + 1
    sides = [f"'{text[:60]}'" for lines in (source, target) for text in lines[line - 1 : line]]
    seen = " | ".join(sides) if len(sides) == 2 else f"only one file has it: {sides[0]}"
    return InvalidData(
        f"{files[0].name} has {len(source):,} lines and {files[1].name} {len(target):,}; by the lengths of the lines "
        f"they part at about line {line:,} ({seen})",
        where=Where.of_line(files[0], line),
        remedy="Line i of one file must be the translation of line i of the other: look for a line lost, added or "
        "broken in two near there.",
    )


def parting(source: list[str], target: list[str]) -> int:
    """The index at which two lists of unequal length most likely lost their alignment.

    Translations have like lengths. If one gap of d lines opened at index k, then line i of the shorter side belongs to
    line i of the longer before k and to line i + d after it; k is where the squared log ratios of lengths so paired
    have the smallest sum. Ties go to the last k, so that with no sign of a gap the answer is the end of the shorter.
    """
    long, short = (source, target) if len(source) > len(target) else (target, source)
    gap = len(long) - len(short)
    # What pairing the first k lines as they stand costs more than pairing them after the gap.
    steps = (_unlike(a, b) - _unlike(a, c) for a, b, c in zip(short, long[: len(short)], long[gap:], strict=True))
    costs = list(accumulate(steps, initial=0.0))
    return max(range(len(costs)), key=lambda k: (-round(costs[k], 9), k))


def _unlike(one: str, other: str) -> float:
    return (log(len(one.strip()) + 1) - log(len(other.strip()) + 1)) ** 2
