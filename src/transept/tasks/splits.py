"""The splits of tables that a recipe names, of which one may be held out of another, and what `eval` is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from transept.data.config import Split
from transept.data.config_senses import Splits
from transept.data.held import parted
from transept.errors import UsageError
from transept.tasks.exam import Asked


class Selects(Protocol):
    """Rows of which some can be taken."""

    def __len__(self) -> int: ...

    def where(self, row: int) -> str: ...

    def select(self, rows: Sequence[int]) -> Self: ...


Found = TypeVar("Found", bound=Selects)
Told = TypeVar("Told", bound=Splits)


def read_both(data: Splits, read: Callable[[Split], Found]) -> tuple[Found, Found]:
    """What there is to train on, and to validate on."""
    found = read("train")
    if data.hold is None:
        return found, read("valid")
    rows, held = parted(len(found), data.hold, found.where)
    return found.select(rows.tolist()), found.select(held.tolist())


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
    if len(asked.data) > 1:
        raise UsageError(f"--data was given {len(asked.data)} times; {one}")
    return Chosen("data", data.model_copy(update={"dir": None, "test": asked.data[0], "hold": None}), "test")
