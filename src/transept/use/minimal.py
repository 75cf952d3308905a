"""Minimal pairs: which of two sentences that differ in a point of grammar a model finds likelier (BLiMP)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from transept.errors import UsageError
from transept.models import Seq2SeqLayer
from transept.use.kinds import described
from transept.use.likelihood import Likelihood, likelihoods

if TYPE_CHECKING:
    from transept.use.opened import Opened


@dataclass(frozen=True, eq=False)
class Compared:
    """How likely the good and the bad sentence of each pair are."""

    good: list[Likelihood]
    bad: list[Likelihood]

    @property
    def right(self) -> NDArray[np.bool_]:
        """(N,) whether the good one is likelier, as a whole (Warstadt et al. 2020); of equals it is not."""
        return np.array([good.total > bad.total for good, bad in zip(self.good, self.bad, strict=True)], bool)


def compare(loaded: "Opened", good: Sequence[str], bad: Sequence[str]) -> Compared:
    """Score the sentences of pairs by log-likelihood or, where a model fills masks, by pseudo-log-likelihood."""
    if isinstance(loaded.model, Seq2SeqLayer):
        raise UsageError(
            f"a sentence alone has no likelihood by this model: it is {described(loaded.spec)}",
            where=loaded.path,
            remedy="Take a model that continues text, or one that fills masks.",
        )
    numbers = [*range(len(good)), *range(len(bad))]
    found = likelihoods(loaded, [""] * (2 * len(good)), [*good, *bad], numbers)
    return Compared(found[: len(good)], found[len(good) :])
