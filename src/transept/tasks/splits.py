"""The splits of tables that a recipe names, of which one may be held out of another, and what `eval` is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

from transept.data.config import Split
from transept.data.config_senses import Splits
from transept.data.held import Rows, parted
from transept.tasks.exam import Asked


class Placed(Protocol):
    """Rows, each with its place."""

    def __len__(self) -> int: ...

    def where(self, row: int) -> str: ...


class Selects(Placed, Protocol):
    """Rows of which some can be taken."""

    def select(self, rows: Sequence[int]) -> Self: ...


Found = TypeVar("Found", bound=Selects)
Told = TypeVar("Told", bound=Splits)


def halved(
    data: Splits, found: Placed, classes: Sequence[str] | None = None, speakers: Sequence[str] | None = None
) -> tuple[Rows, Rows | None]:
    """The rows of the training's table to train on, and those of them that validate; None where others do.

    `classes` and `speakers` say what each row is of.
    """
    if data.hold is None:
        return np.arange(len(found)), None
    return parted(len(found), data.hold, found.where, classes, speakers)


def read_both(data: Splits, read: Callable[[Split], Found]) -> tuple[Found, Found]:
    """What there is to train on, and to validate on."""
    found = read("train")
    rows, held = halved(data, found)
    return (found, read("valid")) if held is None else (found.select(rows.tolist()), found.select(held.tolist()))


@dataclass(frozen=True)
class Chosen(Generic[Told]):
    """What `eval` is to score: the `split` of `data`, called `name`; `held` where it is a part of the training's."""

    name: str
    data: Told
    split: Split

    @property
    def held(self) -> bool:
        return self.split == "valid" and self.data.hold is not None

    def read(self, read: Callable[[Told, Split], Found]) -> Found:
        """Its rows."""
        if self.held:
            return read_both(self.data, lambda split: read(self.data, split))[1]
        return read(self.data, self.split)


def chosen(asked: Asked, data: Told, one: str) -> Chosen[Told]:
    """A split of a recipe's data, or the file that a command names, which is read as they are.

    Raises UsageError where it names several; `one` says what is one: "questions are one file".
    """
    if not asked.data:
        split = asked.choose(data.test is not None)
        return Chosen(split, data, split)
    asked.demand_few(1, one)
    return Chosen("data", data.model_copy(update={"dir": None, "test": asked.data[0], "hold": None}), "test")
