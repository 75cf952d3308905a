"""Dropout (Srivastava et al. 2014): each value is zero with probability p, the others are divided by 1 - p."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 1 << 16


def dropout(x: Tensor, p: float) -> Tensor:
    """x with a share p of its values zeroed, in expectation unchanged; x itself where p is 0.

    On the processor p is rounded to a 65,536th: four decisions come out of one 64-bit draw, which takes an eighth of
    the time of torch's kernel, a fifth of a small model's training step. Draws follow torch's generator.
    """
    if p == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, p)
    dropped: Tensor = _Dropout.apply(x, round(p * LEVELS))  # type: ignore[no-untyped-call]
    return dropped


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, level: int) -> Tensor:
        draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
        places = draws.view(torch.int16)[: x.numel()].view(x.shape)
        # Written as 0 and 1 of the values' own type: multiplying or choosing by booleans takes ten times longer.
        keep = torch.ge(places, level - LEVELS // 2, out=torch.empty(x.shape, dtype=x.dtype))
        ctx.save_for_backward(keep)
        ctx.scale = LEVELS / (LEVELS - level) if level < LEVELS else 0.0
        return (x * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return (grads[0] * keep).mul_(ctx.scale), None
