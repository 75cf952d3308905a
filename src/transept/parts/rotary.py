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

    def apply(self, frequency: Tensor) -> Tensor:
        """(E/2) -> (E/2)"""
        raise NotImplementedError(type(self).__name__)


class Interpolated(Scaling):
    """Every angle divided by `factor` (Chen et al. 2023, position interpolation)."""

    factor: float

    def validate(self) -> None:
        self.hold(1, "factor")

    def apply(self, frequency: Tensor) -> Tensor:
        return frequency / self.factor


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

    def apply(self, frequency: Tensor) -> Tensor:
        turns = self.length * frequency / (2 * math.pi)
        left = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequency * (left + (1 - left) / self.factor)


class Rotating(Position):
    """A position that turns queries and keys."""

    def angles(self, positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines for heads of `width` features, (B or 1, 1, S, R): no weights, once for all layers."""
        raise NotImplementedError(type(self).__name__)

    def turn(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """(B, H, S, E) -> (B, H, S, E)"""
        raise NotImplementedError(type(self).__name__)

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
        frequency = frequency if self.scaling is None else self.scaling.apply(frequency)
        angle = positions[:, None, :, None] * frequency
        angle = torch.cat([angle, angle], -1) if self.pairs == "halves" else angle.repeat_interleave(2, -1)
        return angle.cos().float(), angle.sin().float()

    def turn(self, x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        cosine, sine = (angle.to(x.dtype) for angle in angles)
        turning, still = x[..., : cosine.size(-1)], x[..., cosine.size(-1) :]
        if self.pairs == "halves":
            left, right = turning.chunk(2, -1)
            across = torch.cat([-right, left], -1)
        else:
            left, right = turning.unflatten(-1, (-1, 2)).unbind(-1)
            across = torch.stack([-right, left], -1).flatten(-2)
        turning = turning * cosine + across * sine
        return torch.cat([turning, still], -1) if still.size(-1) else turning
