"""A task whose loss depends on how many updates were made: it counts them, and the count is saved with the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Counted:
    """What `transept.tasks.task.Remembers` asks, for nothing but the number of updates."""

    updates = 0
    notes = 0

    def heed(self, noted: Sequence[float]) -> None:
        self.updates += 1

    def remembered(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def recall(self, kept: Mapping[str, Any]) -> None:
        self.updates = int(kept.get("updates", 0))
