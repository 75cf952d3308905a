"""Which rows of a table are shown before a question, as examples of how it is answered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transept.errors import InvalidData


@dataclass(frozen=True, eq=False)
class Shots:
    """`count` rows to show, drawn by a seed from rows of the classes `right` (N,): the same before every question.

    With `slots`, the class of each place, the rows of every class are shown as often as others; else as they come.
    """

    count: int
    order: NDArray[np.int64]
    right: NDArray[np.int64]
    slots: NDArray[np.int64] | None = None

    @classmethod
    def draw(
        cls, right: NDArray[np.int64], count: int, seed: int, classes: Sequence[str], *, balanced: bool, aside: int
    ) -> "Shots":
        """Draw them. `aside` is how many rows a question may forbid, 1 where it is one of these rows itself.

        Raises InvalidData where there are too few rows, of a class where they are `balanced`.
        """
        generator = np.random.default_rng([seed, count])
        order = generator.permutation(len(right))
        if not balanced:
            if count + aside > len(right):
                raise InvalidData(f"{count} examples are asked for, and the table has {len(right)} rows")
            return cls(count, order, right)
        slots = np.concatenate([generator.permutation(len(classes)) for _ in range(-(-count // len(classes)))])[:count]
        slots = generator.permutation(slots).astype(np.int64)
        for number, name in enumerate(classes):
            asked, there = int((slots == number).sum()), int((right == number).sum())
            if asked and asked + aside > there:
                raise InvalidData(f"{asked} examples of {name!r} are asked for, and the table has {there}")
        return cls(count, order, right, slots)

    def without(self, row: int | None = None) -> list[int]:
        """The rows to show before a question, which is not one of them where it is a `row` of the table itself."""
        order = self.order if row is None else self.order[self.order != row]
        if self.slots is None:
            return [int(one) for one in order[: self.count]]
        of = {number: iter(order[self.right[order] == number].tolist()) for number in set(self.slots.tolist())}
        return [next(of[number]) for number in self.slots.tolist()]
