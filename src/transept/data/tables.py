"""Columns of a table by their names: JSON lines, CSV and TSV, whose first line names them unless others do, Parquet,
and data sets of the hub."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from transept.data.columnar import is_columnar, read_columnar
from transept.data.doubts import is_head, parted_by
from transept.data.files import is_csv, is_json, is_tsv
from transept.data.lines import read_bytes, split_lines
from transept.errors import InvalidData, Where, nearest

Kind = Literal["JSON lines", "CSV", "TSV", "plain text"]
Row = Mapping[str, object]  # by column; None in place of a row: the line is empty
SHOWN = 6  # cells in a message
LONGEST_CELL = 1 << 30  # characters; the csv library's own limit is 131,072, which a document may well exceed

NO_ROWS = "It is empty, or has the names of its columns alone: is it whole?"
QUOTED = 'A quote that belongs to a cell is written twice, as "", and the cell stands between quotes.'
QUOTES = {  # what the csv library says of them, and what is meant
    "unexpected end of data": "a quote opens in this row and never ends",
    "expected after '\"'": "a quote ends within a cell, where a comma or the end of the line should follow it",
}


@dataclass(frozen=True)
class Table:
    """Rows, each with the line where it begins, or its number, from 1. `head` are the names of all columns; None: each
    row of JSON names its own. `kind` says what it is. What becomes of empty lines is the caller's to say.

    `classes` are the names of a column's classes where the table tells them. `overruled`: names were given from
    outside, and the table names its columns itself. `first` are the cells of the first line where it is read as a row,
    since names were given.
    """

    path: Path
    head: tuple[str, ...] | None
    rows: Iterator[tuple[int, Row | None]]
    kind: str
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overruled: bool = False
    lines: bool = True
    first: tuple[str, ...] = ()

    def where(self, number: int) -> str:
        """The place of a row, for messages."""
        return place(self.path, number, self.lines)

    @property
    def top(self) -> str:
        """Where its columns are named, for messages."""
        return f"{self.path}:1" if self.lines else str(self.path)

    @property
    def doubt(self) -> str:
        """What to do where the first line, which is read as a row, names the columns; for messages."""
        reads = ", ".join(map(repr, self.first))
        return f" Line 1 of the file reads {reads}: where that names its columns, data.head=null." if reads else ""

    def found(self, said: str = "data.head") -> str:
        """What it is, in words; `said` is where names of its columns were given."""
        return f"{self.kind}, which names its columns itself ({said} has no say)" if self.overruled else self.kind


class NoColumn(InvalidData):
    """A table has no column of that name."""


@dataclass(frozen=True)
class Column:
    """The texts of one column, and the line on which each row begins, from 1."""

    texts: list[str]
    lines: list[int]


def kind_of(path: Path, first: str) -> Kind:
    """What a file is: by its name, else by whether its first line is an object of JSON."""
    if is_json(path):
        return "JSON lines"
    if is_csv(path):
        return "CSV"
    if is_tsv(path):
        return "TSV"
    return "JSON lines" if _is_object(first) else "plain text"


def place(path: Path, number: int, lines: bool | None = None) -> Where:
    """A row's place, for messages: its file and line, or its number where a table has no `lines`; None: look."""
    lines = not is_columnar(path) if lines is None else lines
    return Where.of_line(path, number) if lines else Where(f"{path}: row {number}", file=path)


def open_table(
    path: Path,
    names: Sequence[str] | None = None,
    said: str = "data.head",
    needed: Sequence[Set[str]] = (),
) -> Table:
    """The rows of a table of any kind: see `read_table`. Raises `InvalidData` with the place."""
    if not is_columnar(path):
        return read_table(split_lines(read_bytes(path), path), path, names, said, needed)
    found = read_columnar(path)
    return Table(path, found.names, enumerate(found.rows, 1), found.told, found.classes, names is not None, False)


def read_table(
    lines: Sequence[str],
    path: Path,
    names: Sequence[str] | None = None,
    said: str = "data.head",
    needed: Sequence[Set[str]] = (),
) -> Table:
    """The rows of a table, one at a time. `names` are those of its columns where its first line is a row like others,
    and `said` is where a person named them. A table that names its columns itself overrules them: JSON lines, and a
    first line with a name from each of the sets `needed`.

    Raises `InvalidData` with file and line.
    """
    kind = kind_of(path, lines[0] if lines else "")
    if kind == "JSON lines":
        return Table(path, None, _objects(lines, path), kind, overruled=names is not None)
    cells = _commas(lines, path) if kind == "CSV" else _tabs(lines)
    number, first = next(cells, (1, list[str]()))
    head = tuple(name.strip() for name in first)
    if names is not None and not (needed and is_head(head, needed)):
        whole = chain([(number, first)] if lines else [], cells)
        return Table(path, tuple(names), _unnamed(whole, names, path, said), kind, first=head)
    named = [name for name in head if name]  # whoever writes the number of a row first leaves that column unnamed
    if len(set(named)) != len(named) or not named:
        reads = ", ".join(map(repr, head)) or "nothing"
        raise InvalidData(
            f"the first line must name each column, once, and reads {reads}", where=Where.of_line(path, 1)
        )
    return Table(path, head, _rows(cells, head, path), kind, overruled=names is not None)


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Column]:
    """Columns of a table, as texts. Empty ones are among them: what becomes of those is the caller's to say.

    Raises `InvalidData` with the place: for a column that is not there with the nearest name.
    """
    return columns_of(open_table(path), names)


def columns_of(table: Table, names: Sequence[str]) -> dict[str, Column]:
    """As `read_columns`, of a table that is open."""
    if table.head is not None:
        for name in names:
            if name not in table.head:
                raise no_column(name, table.head, table.top)
    found = {name: Column([], []) for name in names}
    for number, row in table.rows:
        where = table.where(number)
        if row is None and table.head is None:
            raise InvalidData("the line is empty", where=where, remedy="Each line is an object of JSON.")
        for name, column in found.items():
            column.texts.append("" if row is None else text_of(row, name, where))
            column.lines.append(number)
    return found


def text_of(row: Row, name: str, where: str) -> str:
    """What a row has in a column, as text. InvalidData where there is none, or neither text, number nor truth value."""
    if name not in row:
        raise no_column(name, list(row), where)
    value = row[name]
    if isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, str | int | float):
        raise InvalidData(f"'{name}' is {shown(value)}, which is no text", where=where)
    text = str(value)
    if "\x00" in text:
        raise InvalidData(f"'{name}' holds a NUL character, which no text holds", where=where)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidData(
            f"'{name}' holds half of a surrogate pair at character {error.start + 1}", where=where
        ) from None
    return text


def shown(value: object) -> str:
    """The beginning of what a cell holds, for messages."""
    return f"{json.dumps(value, default=str):.40}"


def column_of(
    word: str,
    given: str | None,
    usual: Sequence[str],
    known: Sequence[str],
    where: str,
    needed: bool,
    doubt: str = "",
) -> str | None:
    """What a table whose columns are `known` calls a word: as `given`, else by a usual name, in whatever case; None
    where none is there.

    Raises InvalidData where what was given or is `needed` is not there; `where` are the columns named, and `doubt` is
    what else may be wrong.
    """
    if given is not None and given not in known:
        raise no_column(given, known, where, f"data.columns.{word} names one.{doubt}")
    found = given or next(
        (own for name in usual for own in (name, *known) if own in known and own.lower() == name), None
    )
    if found is None and needed:
        near = next((hint for name in usual if (hint := nearest(name, known))), "")
        raise NoColumn(
            f"no column is called {' or '.join(usual)}.{near}{parted_by(known)}",
            where=where,
            remedy=f"There are: {', '.join(known)}. Name the {word}'s by data.columns.{word}=NAME; where the first line"
            " is a row like others, name all columns by data.head=[NAME, ...].",
        )
    return found


def no_column(name: str, known: Sequence[str], where: str, remedy: str = "") -> NoColumn:
    """The fault that a column is not there, with the nearest name and all that there are."""
    has = ", ".join(f"'{other}'" for other in known if other) or "none"
    return NoColumn(
        f"there is no column '{name}'.{nearest(name, known)}",
        where=where,
        remedy=f"The columns are: {has}.{f' {remedy}' if remedy else ''}",
    )


def _objects(lines: Sequence[str], path: Path) -> Iterator[tuple[int, Row | None]]:
    for number, line in enumerate(lines, 1):
        where = Where.of_line(path, number)
        if not line.strip():
            yield number, None
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidData(f"not JSON: {error}", where=where, remedy="Each line is an object of JSON.") from None
        if not isinstance(row, dict):
            raise InvalidData("not an object with the names of columns as keys", where=where)
        yield number, row


def _commas(lines: Sequence[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Cells of CSV, which may be quoted and hold line breaks; none where a line is empty."""
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader((f"{line}\n" for line in lines), strict=True)
    begun = 1
    try:
        for cells in reader:
            yield begun, cells
            begun = reader.line_num + 1
    except csv.Error as error:
        said = next((ours for theirs, ours in QUOTES.items() if theirs in str(error)), str(error))
        raise InvalidData(f"not CSV: {said}", where=Where.of_line(path, begun), remedy=QUOTED) from None


def _tabs(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Cells of TSV, which has no quoting; none where a line is empty."""
    return ((number, line.split("\t") if line else []) for number, line in enumerate(lines, 1))


def _rows(cells: Iterator[tuple[int, list[str]]], head: Sequence[str], path: Path) -> Iterator[tuple[int, Row | None]]:
    for number, row in cells:
        if row and len(row) != len(head):
            raise InvalidData(
                f"{len(row)} columns, and the first line names {len(head)}.{parted_by(row, len(head))}",
                where=Where.of_line(path, number),
            )
        yield number, dict(zip(head, row, strict=True)) if row else None


def _unnamed(
    cells: Iterator[tuple[int, list[str]]], names: Sequence[str], path: Path, said: str
) -> Iterator[tuple[int, Row | None]]:
    """Rows from the first line on."""
    whose, without = (f"the recipe's {said}", f"{said}=null") if said.startswith("data.") else (said, f"no {said}")
    for number, row in cells:
        if number == 1 and [cell.strip() for cell in row] == list(names):
            raise InvalidData(
                "the first line names the columns itself",
                where=Where.of_line(path, 1),
                remedy=f"{without} reads them there.",
            )
        if row and len(row) != len(names):
            reads = ", ".join(map(repr, row[:SHOWN])) + (", ..." if len(row) > SHOWN else "")
            raise InvalidData(
                f"{len(row)} column{'s' * (len(row) != 1)}, and {whose} names {len(names)}:"
                f" {', '.join(names)}.{parted_by(row, len(names))}",
                where=Where.of_line(path, number),
                remedy=f"The line reads {reads}."
                + (f" Where it names the columns itself: {without}." if number == 1 else ""),
            )
        yield number, dict(zip(names, row, strict=True)) if row else None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
