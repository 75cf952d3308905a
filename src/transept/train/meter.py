"""What is shown of training: means over the tokens since the last line, speed, and the time that is left."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from transept.train.amount import Amount
from transept.train.device import memory_used
from transept.train.log import Reading
from transept.train.progress import Progress
from transept.train.update import Sums


@dataclass
class Meter:
    """Gathers updates between two lines. Time spent on validation and on saving is not counted as training speed."""

    stop: Amount
    every: float
    device: torch.device
    each: str = "token"  # what the loss is a mean over
    total: float = 0.0
    nll: float = 0.0
    tokens: int = 0
    busy: float = 0.0
    rate: float = 0.0
    norm: float = 0.0
    shown: float = float("-inf")
    begun: tuple[float, float] | None = None  # (seconds, share of the whole) where this process took the run up

    def add(self, sums: Sums, rate: float, norm: float, seconds: float) -> None:
        """One more update, which took so long."""
        self.total, self.nll, self.tokens = self.total + sums.total, self.nll + sums.nll, self.tokens + sums.tokens
        self.rate, self.norm, self.busy = rate, norm, self.busy + seconds

    def due(self) -> bool:
        """Whether it is time for a line; the first is due at once."""
        return time.monotonic() - self.shown >= self.every

    def read(self, progress: Progress) -> Reading:
        """The state since the last line."""
        tokens = self.tokens or float("nan")  # after skipped updates alone there is no mean
        speed = self.tokens / self.busy if self.busy else 0.0
        return Reading(
            progress,
            self.stop,
            loss=self.nll / tokens,
            objective=self.total / tokens,
            rate=self.rate,
            norm=self.norm,
            speed=speed,
            memory=memory_used(self.device),
            left=self._left(progress),
            each=self.each,
        )

    def clear(self) -> None:
        """Begin again after a line."""
        self.total, self.nll, self.tokens, self.busy, self.shown = 0.0, 0.0, 0, 0.0, time.monotonic()

    def start(self, progress: Progress) -> None:
        """Take the run up at a point."""
        self.begun = (progress.seconds, progress.share(self.stop))

    def _left(self, progress: Progress) -> float:
        assert self.begun is not None, "start comes first"
        seconds, share = progress.seconds - self.begun[0], progress.share(self.stop) - self.begun[1]
        return seconds / share * (1 - progress.share(self.stop)) if share > 0 else float("inf")
