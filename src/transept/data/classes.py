"""Labels as numbers: which classes there are, and of which each example is."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transept.errors import InvalidData, nearest

SHOWN = 12  # names in a message


def class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The classes that occur, in order: by size where all are numbers."""
    found = set(labels)
    return tuple(sorted(found, key=int) if all(map(is_whole, found)) else sorted(found))


def numbered(
    labels: Sequence[str], names: Sequence[str], where: Callable[[int], str], whose: str, remedy: str = ""
) -> NDArray[np.int64]:
    """The number of each label's class. Raises InvalidData with the place of the first that is of none.

    Where the names are no numbers and labels are, these count the names from 0. `whose` says where the names are from,
    `remedy` what else may be done.
    """
    places = {name: i for i, name in enumerate(names)}
    counting = not any(map(is_whole, names))
    found = np.empty(len(labels), np.int64)
    for row, label in enumerate(labels):
        if label in places:
            found[row] = places[label]
        elif counting and is_whole(label):
            if not 0 <= int(label) < len(names):
                raise InvalidData(
                    f"the label {label} is out of range: there are {len(names)} classes, counted from 0 ({whose})",
                    where=where(row),
                    remedy=f"They are: {_some(names)}. Mend the row, or take it out.{remedy}",
                )
            found[row] = int(label)
        else:
            raise InvalidData(
                f"the label {label!r} is none of {whose}.{nearest(label, names)}",
                where=where(row),
                remedy=f"There are: {_some(names)}.{remedy}",
            )
    return found


def by_number(
    labels: Sequence[str],
    names: Sequence[str],
    classes: Sequence[str],
    path: Path,
    whose: str,
    say: Callable[[str], None],
) -> Sequence[str]:
    """Labels as `numbered` takes them, of a table that has names for its `classes` itself: where none of these is asked
    for, a class is told by its number from 0, and `say` hears as what it counts.

    Raises InvalidData where a name comes at another number, spelt another way.
    """
    if not classes or {*classes} & {*names}:
        return labels
    places = {name.casefold(): i for i, name in enumerate(names)}
    for i, name in enumerate(classes):
        if places.get(name.casefold(), i) != i:
            raise InvalidData(
                f"class {i} is {name!r}, which {whose} has at {places[name.casefold()]}: {_some(names)}",
                where=path,
                remedy=f"Spell them as the table does, so that each goes by its name: {_some(classes)}.",
            )
    numbers = {name: str(number) for number, name in enumerate(classes)}
    (own, name), *more = zip(classes, numbers.values() if any(map(is_whole, names)) else names, strict=False)
    say(f"{path}: {_some([f'{own} counts as {name}', *(f'{own} as {name}' for own, name in more)])}")
    return [numbers.get(label, label) for label in labels]


def amounts(labels: Sequence[str], where: Callable[[int], str]) -> NDArray[np.float64]:
    """Labels that are numbers. Raises InvalidData with the place of the first that is none."""
    found = np.empty(len(labels))
    for row, label in enumerate(labels):
        try:
            found[row] = float(label)
        except ValueError:
            found[row] = math.nan
        if not math.isfinite(found[row]):
            raise InvalidData(
                f"the label {label!r} is no finite number", where=where(row), remedy="Mend the row, or take it out."
            )
    return found


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:SHOWN]) + (", ..." if len(words) > SHOWN else "")


def is_whole(label: str) -> bool:
    """Whether a label is a whole number as a person writes it."""
    return label.isascii() and label.removeprefix("-").isdigit()
