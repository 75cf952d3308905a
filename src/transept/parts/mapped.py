"""Matrices that say how much variance they are to keep, and whose rows may have gains of their own.

Shapes: I what enters, O what leaves.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Weights = Literal["plain", "normalised"]


class Mapped(nn.Linear):
    """x W' + b. What leaves is to have `variance` times the variance of what enters, if the scheme heeds it."""

    def __init__(self, inward: int, outward: int, bias: bool = True, variance: float = 1.0) -> None:
        super().__init__(inward, outward, bias)
        self.variance = variance


class Normalised(nn.Module):
    """x W' + b with W = gain * direction / |direction|, row by row (Salimans & Kingma 2016, equation 2).

    `direction` (O, I), `gain` (O,), `bias` (O,).
    """

    def __init__(self, inward: int, outward: int, bias: bool = True, variance: float = 1.0) -> None:
        super().__init__()
        self.in_features, self.out_features, self.variance = inward, outward, variance
        self.direction = nn.Parameter(torch.empty(outward, inward))
        self.gain = nn.Parameter(torch.empty(outward))
        self.bias = nn.Parameter(torch.zeros(outward)) if bias else None

    def settle(self) -> None:
        """The gains are the norms of what was drawn: at first W is the direction itself."""
        self.gain.copy_(self.norms())

    def norms(self) -> Tensor:
        """In float32 at the least: half precision would be wrong by the same share in all of a row."""
        wide = torch.float64 if self.direction.dtype == torch.float64 else torch.float32
        norms: Tensor = torch.linalg.vector_norm(self.direction, dim=1, dtype=wide)
        return norms

    def scale(self) -> Tensor:
        return (self.gain / self.norms()).to(self.direction.dtype)

    @property
    def weight(self) -> Tensor:
        """W, (O, I)."""
        return self.direction * self.scale()[:, None]

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return F.linear(x, self.weight, self.bias)
        # A step has few rows: to scale what leaves takes less than to make a matrix.
        y = F.linear(x, self.direction)
        return y * self.scale() if self.bias is None else torch.addcmul(self.bias, y, self.scale())


def mapped(
    inward: int, outward: int, weights: Weights, bias: bool = True, variance: float = 1.0
) -> Mapped | Normalised:
    return (Mapped if weights == "plain" else Normalised)(inward, outward, bias, variance)
