"""Memory-compressed attention: a strided convolution makes one key and one value of several tokens."""

import torch
from torch import Tensor, nn

from transept.parts.blockwise import packing
from transept.parts.core import Allowed
from transept.spec import Part


class Shorten(Part):
    """Every `by` tokens become one key and one value (Liu et al. 2018, section 4.2.3; 3 there).

    The kernel is as wide as its stride, so that spans do not overlap. A key stands at the position after its span: a
    query sees it from there on, when the whole span is past. The row's first token stays a key of its own, which the
    queries before that can see.
    """

    by: int = 3

    def validate(self) -> None:
        self.hold(1, "by")

    def build(self, heads: int, keys: int, values: int) -> "ShortenLayer":
        """For so many key/value heads of so many features: a convolution goes over all features of a token."""
        return ShortenLayer(self, heads * keys, heads * values)


class ShortenLayer(nn.Module):
    def __init__(self, spec: Shorten, keys: int, values: int) -> None:
        super().__init__()
        self.by = spec.by
        self.k, self.v = (nn.Conv1d(width, width, spec.by, spec.by) for width in (keys, values))

    def forward(self, k: Tensor, v: Tensor, allowed: Allowed) -> tuple[Tensor, Tensor, Allowed]:
        """k and v (B, G, T, E) -> (B, G, 1 + T // by, E), and who may see them. Padding and holes are packed away."""
        rows, _, length, _ = k.shape
        count = torch.full((rows, 1), length, device=k.device)
        if allowed.valid is not None:
            valid = allowed.valid.expand(rows, length)
            order, count = packing(valid), valid.sum(1, keepdim=True)
            each = torch.arange(rows, device=k.device)[:, None]
            k, v = (t.transpose(1, 2)[each, order].transpose(1, 2) for t in (k, v))
        k, v = self.shorten(k, self.k), self.shorten(v, self.v)
        at = self.by * torch.arange(k.size(2), device=k.device)[None]
        there = (at <= count) & (count > 0)
        return k, v, Allowed(allowed.pattern, allowed.q, at, there, own=False, bias=allowed.bias)

    def shorten(self, t: Tensor, convolution: nn.Conv1d) -> Tensor:
        whole = t.size(2) // self.by * self.by
        spans = t[:, :, :whole].transpose(2, 3).flatten(1, 2)  # (B, G, T, E) -> (B, G*E, T)
        if whole == 0:
            return t[:, :, :1]
        short = convolution(spans).unflatten(1, (t.size(1), -1)).transpose(2, 3)
        return torch.cat([t[:, :, :1], short], 2)
