"""Order told by rotation: queries and keys turn by an angle that grows with their position, pair of features by pair.

The product of a query and a key then depends on their distance alone. Shapes: x (B, H, S, E); positions (B or 1, S).
"""

import math
from typing import Literal

import torch
from torch import Tensor

from transept.errors import InvalidConfig
from transept.parts.position import Position
from transept.spec import Part


class Scaling(Part):
    """How the frequencies of a model are changed so that it reads longer texts than it was trained on."""

    def apply(self, frequency: Tensor, base: float) -> Tensor:
        """What base^(-2i/R) become, (R/2) -> (R/2)"""
        raise NotImplementedError(type(self).__name__)

    def gain(self) -> float:
        """What queries and keys are multiplied by as they turn."""
        return 1.0


class Interpolated(Scaling):
    """Every angle divided by `factor` (Chen et al. 2023, position interpolation)."""

    factor: float

    def validate(self) -> None:
        self.hold(1, "factor")

    def apply(self, frequency: Tensor, base: float) -> Tensor:
        return frequency / self.factor


class Rebased(Scaling):
    """The base times factor^(R / (R - 2)): the slowest frequency is divided by `factor`, the fastest not at all.

    "NTK-aware" interpolation, of 2023 (Peng et al. 2024, section 3.1). The factor is one number for all texts. Where it
    grows with the text at hand, as in "dynamic NTK", cached keys have turned otherwise than those of a whole pass, and
    no cached step equals it.
    """

    factor: float

    def validate(self) -> None:
        self.hold(1, "factor")

    def apply(self, frequency: Tensor, base: float) -> Tensor:
        turned = 2 * len(frequency)
        if turned == 2:  # one pair, which is the fastest
            return frequency
        step = torch.arange(0, turned, 2, device=frequency.device, dtype=frequency.dtype) / turned
        scaled: Tensor = (base * self.factor ** (turned / (turned - 2))) ** -step
        return scaled


class Yarn(Scaling):
    """Slow frequencies divided by `factor`, fast ones left, a ramp over their numbers between; and scores multiplied by
    (0.1 ln factor + 1)^2 (Peng et al. 2024, YaRN, section 3.4).

    A frequency is slow if it turns fewer than `slow` times in `length` tokens, fast if more than `fast` times; `whole`
    puts both ends of the ramp on whole numbers of frequencies, as the authors' code does. `attention` is what queries
    and keys are multiplied by where it is not the paper's.
    """

    factor: float
    length: int
    fast: float = 32.0
    slow: float = 1.0
    attention: float | None = None
    whole: bool = True

    def validate(self) -> None:
        self.hold(1, "factor", "length")
        if not 0 < self.slow < self.fast:
            raise InvalidConfig(f"Yarn: slow={self.slow} must be above 0 and below fast={self.fast}")
        if self.attention is not None and self.attention <= 0:
            raise InvalidConfig(f"Yarn.attention must be above 0, not {self.attention}")

    def number(self, turns: float, turned: int, base: float) -> float:
        """Which frequency, a number from 0 on, turns so many times in `length` tokens."""
        return turned * math.log(self.length / (turns * 2 * math.pi)) / (2 * math.log(base))

    def apply(self, frequency: Tensor, base: float) -> Tensor:
        turned = 2 * len(frequency)
        low, high = (self.number(turns, turned, base) for turns in (self.fast, self.slow))
        if self.whole:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, turned - 1)
        high = high + 0.001 if low == high else high  # as theirs, whose ramp must not be empty
        at = torch.arange(len(frequency), device=frequency.device, dtype=frequency.dtype)
        left = 1 - ((at - low) / (high - low)).clamp(0, 1)
        return frequency * (left + (1 - left) / self.factor)

    def gain(self) -> float:
        if self.attention is not None:
            return self.attention
        return 0.1 * math.log(self.factor) + 1 if self.factor > 1 else 1.0


class Banded(Scaling):
    """Slow frequencies divided by `factor`, fast ones left, and a ramp between (Llama 3.1).

    A frequency is slow if it turns fewer than `low` times in `length` tokens, fast if more than `high` times.
    """

    factor: float
    length: int
    low: float = 1.0
    high: float = 4.0

    def validate(self) -> None:
        self.hold(1, "factor", "length")
        if not 0 < self.low < self.high:
            raise InvalidConfig(f"Banded: low={self.low} must be above 0 and below high={self.high}")

    def apply(self, frequency: Tensor, base: float) -> Tensor:
        turns = self.length * frequency / (2 * math.pi)
        left = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequency * (left + (1 - left) / self.factor)


class Rotating(Position):
    """A position that turns queries and keys."""

    def angles(self, positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines for heads of `width` features, (B or 1, 1, S, R): no weights, once for all layers."""
        raise NotImplementedError(type(self).__name__)

    def turn(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """(B, H, S, E) -> (B, H, S, E); pairs of features (i, i + R/2) where a kind says no other."""
        return turn_halves(x, angles)

    def fits(self, width: int) -> bool:
        """Whether heads of `width` features can be turned."""
        return True


class Rotary(Rotating):
    """Pair i of R features turns by p base^(-2i/R) (Su et al. 2021, equation 34).

    `pairs` "halves" pairs feature i with i + R/2, as Llama and GPT-NeoX; "interleaved" pairs 2i with 2i + 1, as the
    paper and GPT-J. The first `share` of a head's features turn; the others stay.
    """

    base: float = 10_000.0
    pairs: Literal["halves", "interleaved"] = "halves"
    share: float = 1.0
    scaling: Scaling | None = None

    def validate(self) -> None:
        self.hold(1, "base")
        if not 0 < self.share <= 1:
            raise InvalidConfig(f"Rotary.share must be above 0 and at most 1, not {self.share}")

    def turned(self, width: int) -> int:
        """R, the features of a head that turn."""
        return int(width * self.share)

    def fits(self, width: int) -> bool:
        return self.turned(width) >= 2 and self.turned(width) % 2 == 0

    def angles(self, positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
        # In float64: at position 5,000 the float32 product is already 3e-4 off in the angle.
        turned = self.turned(width)
        step = torch.arange(0, turned, 2, device=positions.device, dtype=torch.float64) / turned
        frequency = self.base**-step
        frequency = frequency if self.scaling is None else self.scaling.apply(frequency, self.base)
        angle = positions[:, None, :, None] * frequency
        angle = torch.cat([angle, angle], -1) if self.pairs == "halves" else angle.repeat_interleave(2, -1)
        gain = 1.0 if self.scaling is None else self.scaling.gain()
        return (angle.cos() * gain).float(), (angle.sin() * gain).float()

    def turn(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        if self.pairs == "halves":
            return turn_halves(x, angles)
        cosine, sine = (angle.to(x.dtype) for angle in angles)
        turning, still = x[..., : cosine.size(-1)], x[..., cosine.size(-1) :]
        left, right = turning.unflatten(-1, (-1, 2)).unbind(-1)
        turning = turning * cosine + torch.stack([-right, left], -1).flatten(-2) * sine
        return torch.cat([turning, still], -1) if still.size(-1) else turning


def turn_halves(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Feature i turns with i + R/2 by angles (B or 1, 1, S, R); the features after R stay."""
    cosine, sine = (angle.to(x.dtype) for angle in angles)
    turning, still = x[..., : cosine.size(-1)], x[..., cosine.size(-1) :]
    left, right = turning.chunk(2, -1)
    turning = turning * cosine + torch.cat([-right, left], -1) * sine
    return torch.cat([turning, still], -1) if still.size(-1) else turning
