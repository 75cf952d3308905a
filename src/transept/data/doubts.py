"""Whether a table was read as it is meant: does its first line name the columns, by what are its lines parted, is a
label one."""

import difflib
import math
import operator
from collections import Counter
from collections.abc import Callable, Sequence, Set

from transept.errors import InvalidData

NEAR = 0.75  # how alike a cell and a name must be for the cell to be that name with a slip
MISSING = ("nan", "na", "n/a", "<na>")  # what spreadsheets and statistics write where a number is missing


def is_head(cells: Sequence[str], needed: Sequence[Set[str]]) -> bool:
    """Whether cells name columns: there is one of each of the names `needed`, in whatever case; or of one of them, and
    one that nearly is of each of the others, which is a slip that is to be told."""
    has = {cell.lower() for cell in cells}
    there = [bool(has & {name.lower() for name in names}) for names in needed]
    near = [any(difflib.get_close_matches(name.lower(), has, 1, NEAR) for name in names) for names in needed]
    return any(there) and all(map(operator.or_, there, near))


def demand_row(texts: Sequence[str], labels: Sequence[str], where: str, say: Callable[[str], None]) -> None:
    """Refuse a first line that is read as a row and looks as if it named the columns: its label is no other row's, and
    it is a word among numbers, or its text one word among texts of several. If only its label is doubtful, `say` so.
    """
    label, others = labels[0], labels[1:]
    if len(others) < 2 or label in others:
        return
    if (not is_number(label) and all(map(is_number, others))) or (
        len(texts[0].split()) == 1 and all(len(text.split()) > 1 for text in texts[1:])
    ):
        raise InvalidData(
            f"the line is read as the text {texts[0]!r} with the label {label!r}, and no other row looks so",
            where=where,
            remedy="Where it names the columns: data.head=null, or call them text and label there. Where it is a row"
            " like others, put it behind another.",
        )
    if min(Counter(others).values()) > 1:
        say(f"{where}: no other row has the label {label!r}; where the line names the columns: data.head=null")


def demand_labels(labels: Sequence[str], where: Callable[[int], str]) -> None:
    """Refuse a class that is called as a missing number is, among labels that are numbers otherwise.

    Raises InvalidData with the place of the first.
    """
    missing = [row for row, label in enumerate(labels) if label.lower() in MISSING]
    if not missing or len(missing) == len(labels):
        return
    if all(is_number(label) for label in {*labels} if label.lower() not in MISSING):
        more = f", the first of {len(missing):,}" if len(missing) > 1 else ""
        raise InvalidData(
            f"the label is {labels[missing[0]]!r}, a missing number among numbers{more}",
            where=where(missing[0]),
            remedy="Mend the row, or take it out; where it is a class, name them all by data.classes.",
        )


def is_number(label: str) -> bool:
    """Whether a label reads as a finite number."""
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def parted_by(cells: Sequence[str], count: int | None = None) -> str:
    """In words, by which sign a line that is read as a single cell would be `count` cells, or several; "" by none."""
    if len(cells) != 1:
        return ""
    for sign, told in ((";", "';'"), ("\t", "tabs"), (",", "commas")):
        parts = len(cells[0].split(sign))
        if parts > 1 and count in (None, parts):
            ends = {"tabs": "call it .tsv", "commas": "call it .csv"}.get(told, "write it with commas")
            return f" The line is parted by {told}: {ends}, since .csv is parted by commas and .tsv by tabs."
    return ""
