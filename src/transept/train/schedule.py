"""Learning rates: each a pure function of the update's number, which starts at 1. Importing this imports no torch."""

from __future__ import annotations

import math

from transept.train.config import Constant, Decaying, InverseSqrt, Noam


def noam(update: int, schedule: Noam) -> float:
    """rate · width^-0.5 · min(update^-0.5, update · warmup^-1.5): Vaswani et al. 2017, equation 3."""
    return (
        schedule.rate
        / math.sqrt(schedule.width)
        * min(1 / math.sqrt(update), update / (schedule.warmup * math.sqrt(schedule.warmup)))
    )


def inverse_sqrt(update: int, schedule: InverseSqrt) -> float:
    """rate · min(update / warmup, (warmup / update)^0.5)."""
    return schedule.rate * min(update / schedule.warmup, math.sqrt(schedule.warmup / update))


def constant(update: int, schedule: Constant) -> float:
    """rate · min(update / warmup, 1)."""
    return schedule.rate * _risen(update, schedule.warmup)


def decaying(update: int, schedule: Decaying) -> float:
    """floor + (rate - floor) · fall, where fall goes from 1 at the end of warm-up to 0 at `updates` and after."""
    assert schedule.updates is not None, "TrainConfig.rates settles where it ends"
    if update <= schedule.warmup:
        return schedule.rate * _risen(update, schedule.warmup)
    gone = min((update - schedule.warmup) / (schedule.updates - schedule.warmup), 1.0)
    fall = (1 + math.cos(math.pi * gone)) / 2 if schedule.name == "cosine" else 1 - gone
    return schedule.floor + (schedule.rate - schedule.floor) * fall


def rate_at(update: int, schedule: Noam | InverseSqrt | Constant | Decaying) -> float:
    """The learning rate of an update; the first is number 1."""
    assert update >= 1, update
    match schedule:
        case Noam():
            return noam(update, schedule)
        case InverseSqrt():
            return inverse_sqrt(update, schedule)
        case Constant():
            return constant(update, schedule)
        case Decaying():
            return decaying(update, schedule)


def _risen(update: int, warmup: int) -> float:
    return min(update / warmup, 1.0) if warmup else 1.0
