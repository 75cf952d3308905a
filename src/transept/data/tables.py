"""Columns of a table by their names: JSON lines, or CSV and TSV whose first line names the columns."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transept.data.files import is_csv, is_json, is_tsv
from transept.data.lines import read_bytes, split_lines
from transept.errors import InvalidData, nearest

Kind = Literal["JSON lines", "CSV", "TSV", "plain text"]
LONGEST_CELL = 1 << 30  # characters; the csv library's own limit is 131,072, which a document may well exceed


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


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Column]:
    """Columns of a table, as texts. Empty ones are among them: what becomes of those is the caller's to say.

    Raises `InvalidData` with file and line: for a column that is not there with the nearest name.
    """
    return columns_of(split_lines(read_bytes(path), path), path, names)


def columns_of(lines: Sequence[str], path: Path, names: Sequence[str]) -> dict[str, Column]:
    """As `read_columns`, of lines that were read already."""
    kind = kind_of(path, lines[0] if lines else "")
    if kind == "JSON lines":
        rows = _objects(lines, path, names)
    else:
        rows = _cells(lines, path, names, "," if kind == "CSV" else "\t")
    found = {name: Column([], []) for name in names}
    for number, row in rows:
        for name, text in zip(names, row, strict=True):
            found[name].texts.append(text)
            found[name].lines.append(number)
    return found


def _objects(lines: Sequence[str], path: Path, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        if not line.strip():
            raise InvalidData("the line is empty", where=where, remedy="Each line is an object of JSON.")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidData(f"not JSON: {error}", where=where, remedy="Each line is an object of JSON.") from None
        if not isinstance(row, dict):
            raise InvalidData("not an object with the names of columns as keys", where=where)
        yield number, [_text(row, name, where) for name in names]


def _text(row: dict[str, object], name: str, where: str) -> str:
    text = row.get(name)
    if name not in row:
        raise _no_column(name, list(row), where)
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise InvalidData(f"'{name}' is {json.dumps(text):.40}, which is no text", where=where)
    text = str(text)
    if "\x00" in text:
        raise InvalidData(f"'{name}' holds a NUL character, which no text holds", where=where)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidData(
            f"'{name}' holds half of a surrogate pair at character {error.start + 1}", where=where
        ) from None
    return text


def _cells(lines: Sequence[str], path: Path, names: Sequence[str], between: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of CSV, whose cells may be quoted and hold line breaks; rows of TSV, which has no quoting."""
    csv.field_size_limit(LONGEST_CELL)
    given = (f"{line}\n" for line in lines)
    if between == ",":
        reader = csv.reader(given, strict=True)
    else:
        reader = csv.reader(given, delimiter=between, quoting=csv.QUOTE_NONE)
    begun, at, head = 1, list[int](), list[str]()
    try:
        for cells in reader:
            if not head:
                head = cells
                at = [_index(name, head, f"{path}:1") for name in names]
            elif cells and len(cells) != len(head):
                raise InvalidData(
                    f"{len(cells)} columns, and the first line names {len(head)}", where=f"{path}:{begun}"
                )
            else:
                yield begun, [cells[i] if cells else "" for i in at]
            begun = reader.line_num + 1
    except csv.Error as error:
        raise InvalidData(f"not CSV: {error}", where=f"{path}:{begun}") from None


def _index(name: str, head: Sequence[str], where: str) -> int:
    if name not in head:
        raise _no_column(name, head, where)
    return head.index(name)


def _no_column(name: str, known: Sequence[str], where: str) -> InvalidData:
    has = ", ".join(f"'{other}'" for other in known) or "none"
    return InvalidData(
        f"there is no column '{name}'.{nearest(name, known)}", where=where, remedy=f"The columns are: {has}."
    )


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
