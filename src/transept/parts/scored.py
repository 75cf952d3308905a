"""Order told by scores: what a pair of positions adds to the attention of every head, before the softmax.

Shapes: q (B or 1, S, 1) and k (B or 1, 1, T), positions; the result (B or 1, H, S, T).
"""

import torch
from torch import Tensor, nn

from transept.spec import Part


class Scored(Part):
    """A position that is scored on pairs. One layer serves all blocks of a stack."""

    def serves(self, heads: int) -> bool:
        """Whether its scores are for attentions with so many heads."""
        return True

    def build(self, width: int) -> nn.Module:
        raise NotImplementedError(type(self).__name__)


class Alibi(Scored):
    """-m_h |i - j| with m_h = 2^(-8 h / H), h = 1 ... H (Press et al. 2022): the farther, the less. No weights."""

    heads: int

    def validate(self) -> None:
        self.hold(1, "heads")

    def serves(self, heads: int) -> bool:
        return heads == self.heads

    def build(self, width: int) -> "AlibiLayer":
        return AlibiLayer(self)


class AlibiLayer(nn.Module):
    def __init__(self, spec: Alibi) -> None:
        super().__init__()
        self.heads = spec.heads

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        head = torch.arange(1, self.heads + 1, device=q.device)
        slope = 2.0 ** (-8.0 * head / self.heads)
        return -slope[:, None, None] * (q - k).abs()[:, None]
