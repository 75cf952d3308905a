"""How far a run has come, measured in every unit that an amount of training may have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from transept.train.amount import Amount, Unit


@dataclass(frozen=True)
class Progress:
    """A point between two updates: exact, and all that is needed to go on from it.

    `epoch` counts finished epochs, `position` the batches used of the present one, which has `length`.
    """

    update: int = 0
    epoch: int = 0
    position: int = 0
    length: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def after(self, batches: int, tokens: int, seconds: float) -> Progress:
        """The point after one more update of so many batches and tokens, at `seconds` of training in all."""
        position = self.position + batches
        assert self.length and position <= self.length, (position, self.length)
        done = position == self.length
        return replace(
            self,
            update=self.update + 1,
            epoch=self.epoch + done,
            position=0 if done else position,
            length=0 if done else self.length,
            tokens=self.tokens + tokens,
            seconds=seconds,
        )

    def measure(self, unit: Unit) -> Fraction:
        """How much training this is."""
        match unit:
            case "u":
                return Fraction(self.update)
            case "e":
                return self.epoch + (Fraction(self.position, self.length) if self.position else Fraction(0))
            case "Mt":
                return Fraction(self.tokens, 1_000_000)
            case "min":
                return Fraction(self.seconds) / 60
            case "h":
                return Fraction(self.seconds) / 3600

    def share(self, amount: Amount) -> float:
        """How much of an amount is done, from 0 to 1."""
        return min(float(self.measure(amount.unit) / amount.number), 1.0)

    def reached(self, amount: Amount) -> bool:
        """Whether that much training is done."""
        return self.measure(amount.unit) >= amount.number

    def crossed(self, every: Amount, before: Progress) -> bool:
        """Whether a multiple of `every` lies after `before` and not after this."""
        return self.measure(every.unit) // every.number > before.measure(every.unit) // every.number
