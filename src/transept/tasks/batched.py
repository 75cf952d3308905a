"""Which rows go together in the batches of an epoch, and each batch when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from transept.data.batches import plan

Rows = NDArray[np.int64]
Lengths = NDArray[np.int32]
Made = TypeVar("Made")
Making = TypeVar("Making", covariant=True)


class InRows(Protocol[Making]):
    """What batches are made from."""

    @property
    def lengths(self) -> Lengths:
        """What each row counts for in a batch."""

    def batch(self, rows: Rows) -> Making:
        """Some rows beside each other."""


@dataclass(frozen=True, eq=False)
class Batches(Generic[Made]):
    """The batches of an epoch, each made when it is asked for."""

    data: InRows[Made]
    plan: Sequence[Rows]

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> Made:
        return self.data.batch(self.plan[index])

    def largest(self) -> int:
        """The batch with the most to compute."""
        return largest(self.plan, self.data.lengths)


def largest(plan: Sequence[Rows], lengths: Lengths) -> int:
    """Of some batches the one with the most places, padding counted."""
    return max(range(len(plan)), key=lambda index: len(plan[index]) * int(lengths[plan[index]].max()))


def planned(
    lengths: Lengths,
    budget: int,
    seed: int,
    epoch: int,
    training: bool,
    together: int | None,
    where: Callable[[int], str],
) -> list[Rows]:
    """The rows of each batch: see `transept.data.batches.plan`. Where nothing is trained, a row that is longer than the
    budget has a batch of its own, and `together`, the most rows of a batch, does not count."""
    budget = budget if training else max(budget, int(lengths.max()))
    return plan(np.stack([lengths, lengths], 1), budget, seed, epoch, training, together if training else None, where)
