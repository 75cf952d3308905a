"""Order told by scores: what a pair of positions adds to the attention of every head, before the softmax.

Shapes: q (B or 1, S, 1) and k (B or 1, 1, T), positions; the result (B or 1, H, S, T).
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.position import OrderLayer, Position


class Scored(Position):
    """A position that is scored on pairs. One layer serves all blocks of a stack."""

    def serves(self, heads: int) -> bool:
        """Whether its scores are for attentions with so many heads."""
        return True


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


class Repeated(Scored):
    """The first block of `size` keys counts `times` times, for the queries of all blocks but the first and the last.

    The last is that of the last of `length` positions. So does Hugging Face's BigBird evaluate: where it drew blocks in
    training (Zaheer et al. 2020, section 2) it then takes the first one, again for each. log(times) is added.
    """

    size: int
    times: int
    length: int

    def validate(self) -> None:
        self.hold(1, "size", "times", "length")

    def build(self, width: int) -> "RepeatedLayer":
        return RepeatedLayer(self)


class RepeatedLayer(nn.Module):
    def __init__(self, spec: Repeated) -> None:
        super().__init__()
        self.size, self.more = spec.size, math.log(spec.times)
        self.last = (spec.length - 1) // spec.size * spec.size

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        inner = (q >= self.size) & (q < self.last)
        return (self.more * (inner & (k < self.size)))[:, None]  # (B or 1, 1, S, T): the same for every head


class Buckets(Scored):
    """A learned score for each head and each bucket of distances (Raffel et al. 2020, T5).

    Half of the buckets hold one distance each, the rest grow with its logarithm up to `far`, and the last one holds all
    beyond. `sees` "both" spends half of the buckets on keys ahead of the query; "past" has none for them.
    """

    heads: int
    count: int = 32
    far: int = 128
    sees: Literal["both", "past"] = "both"

    def validate(self) -> None:
        self.hold(1, "heads")
        self.hold(4, "count")
        if self.count % 2:
            raise InvalidConfig(f"Buckets.count must be even, not {self.count}: half of them hold one distance each")
        if self.far <= self.exact():
            raise InvalidConfig(f"Buckets.far={self.far} is among the {self.exact()} distances with their own buckets")

    def serves(self, heads: int) -> bool:
        return heads == self.heads

    def side(self) -> int:
        """The buckets of one side."""
        return self.count // 2 if self.sees == "both" else self.count

    def exact(self) -> int:
        """The distances, from 0 on, with a bucket of their own."""
        return self.side() // 2

    def build(self, width: int) -> "BucketsLayer":
        return BucketsLayer(self)


class BucketsLayer(OrderLayer):
    """`weight` (buckets, H)."""

    def __init__(self, spec: Buckets) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(spec.count, spec.heads))

    def bucket(self, away: Tensor) -> Tensor:
        """The bucket of each distance key - query."""
        side, exact = self.spec.side(), self.spec.exact()
        start = side * (away > 0) if self.spec.sees == "both" else 0
        near = away.abs() if self.spec.sees == "both" else -away.clamp(max=0)
        # In float32, as the published models were trained: at the edges of buckets the last bit decides.
        grown = torch.log(near.clamp(min=1).float() / exact) / math.log(self.spec.far / exact) * (side - exact)
        beyond = (exact + grown.long()).clamp(max=side - 1)
        return start + torch.where(near < exact, near, beyond)

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        scores = nn.functional.embedding(self.bucket(k - q), self.weight)
        return scores.permute(0, 3, 1, 2)  # (B or 1, S, T, H) -> (B or 1, H, S, T)


class OfHead(nn.Module):
    """The scores of one head, (B or 1, 1, S, T), of a layer that scores for all."""

    def __init__(self, scored: nn.Module, head: int) -> None:
        super().__init__()
        self.scored, self.head = scored, head

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        scores: Tensor = self.scored(q, k)
        return scores if scores.size(1) == 1 else scores[:, self.head : self.head + 1]
