"""Updates that are skipped because a number is not finite: counted, told, and not for ever."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transept.errors import TranseptError
from transept.train.optimizer import LossScale

PATIENCE = 10  # updates in a row that may be skipped before the run is given up
SHOWN = 20  # training rows named


class Diverged(TranseptError):
    """Numbers stopped being finite and did not come back."""


@dataclass
class Guard:
    """How many updates were skipped, and how many of them just now without a good one between."""

    skipped: int = 0
    in_a_row: int = 0

    def taken(self) -> None:
        """Learn of a good update."""
        self.in_a_row = 0

    def skip(self, update: int, norm: float, tokens: int, rows: Sequence[int], scale: LossScale | None) -> str:
        """Learn of a skipped update, and say so in a sentence; Diverged after too many in a row.

        An overflow of float16 is part of finding the loss scale, and counts only once that cannot fall further.
        """
        self.skipped += 1
        if scale and scale.scale > 1:
            return f"update {update:,} skipped: float16 overflowed; the loss scale is {scale.scale:g} now"
        self.in_a_row += 1
        found = f"the gradient's norm is {norm}" if tokens else "no token is supervised"
        more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
        named = f"training rows {', '.join(map(str, rows[:SHOWN]))}{more}"
        if self.in_a_row >= PATIENCE:
            raise Diverged(
                f"{PATIENCE} updates in a row were skipped, the last one update {update:,}: {found}; {named}",
                remedy="Look at these rows, lower train.schedule.rate, or use train.clip=1. "
                "The last checkpoint is from before and whole: --resume goes on from it.",
            )
        return f"update {update:,} skipped: {found}; {named}"
