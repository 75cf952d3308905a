"""Patterns of blocks: positions in stretches of `size`, which see one another as wholes."""

from functools import lru_cache

import torch
from torch import Tensor

from transept.parts.pattern import Pattern, Spans
from transept.spec import replace

ODD = (-7046029254386353131, -4658895280553007687, -7723592293110705685)  # of SplitMix64, as signed numbers
NEVER = (1 << 63) - 1
STEP = 0x1E3779B97F4A7C15  # between the seeds of two heads: wider than any two layers' seeds are apart


def blocks(positions: Spans, size: int) -> Spans:
    """The first and the last block that each range of positions lies in."""
    return Spans(*(end.div(size, rounding_mode="floor") for end in (positions.low, positions.high)))


class Local(Pattern):
    """A query sees the block of `size` positions that it is in, `back` blocks before that and `ahead` after it.

    `causal & local(256)` is the local attention of Liu et al. 2018, section 4.2.3; `causal & local(256, 1)` that of
    tensor2tensor, where a block sees the one before it too.
    """

    size: int
    back: int = 0
    ahead: int = 0

    def validate(self) -> None:
        self.hold(1, "size")
        self.hold(0, "back", "ahead")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        away = q.div(self.size, rounding_mode="floor") - k.div(self.size, rounding_mode="floor")
        return (away <= self.back) & (away >= -self.ahead)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return blocks(q, self.size).before(blocks(k, self.size)).among(-self.ahead, self.back)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return blocks(q, self.size).before(blocks(k, self.size)).within(-self.ahead, self.back)

    def band(self) -> tuple[float, float]:
        return self.size * (self.back + 1) - 1, self.size * (self.ahead + 1) - 1


class GlobalBlocks(Pattern):
    """`count` blocks of `size`, from block `start` on, see everything and are seen by all.

    The global part of BigBird (Zaheer et al. 2020, section 2), and with `size` 1 the global tokens of Longformer.
    """

    size: int
    start: int = 0
    count: int = 1

    def validate(self) -> None:
        self.hold(1, "size")
        self.hold(0, "start", "count")

    def _ends(self) -> tuple[int, int]:
        return self.size * self.start, self.size * (self.start + self.count) - 1

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return Spans(q, q).within(*self._ends()) | Spans(k, k).within(*self._ends())

    def touches(self, q: Spans, k: Spans) -> Tensor:
        some = bool(self.count)  # of no blocks the ends are turned around
        return (q.among(*self._ends()) | k.among(*self._ends())) & some

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return q.within(*self._ends()) | k.within(*self._ends())

    def is_sparse(self) -> bool:
        return True


class RandomBlocks(Pattern):
    """Each block of `size` sees `count` others, drawn once by `seed` among the blocks of the first `length` positions.

    The random part of BigBird (Zaheer et al. 2020, section 2): never drawn are the block itself, its two neighbours,
    the first and the last block, which BigBird's other parts show. Positions from `length` on see and show nothing
    here: what is drawn must not depend on how long a row happens to be. All heads of an attention share the draw, or
    each of `heads` has its own, the first of them that which all would share.
    """

    size: int
    count: int
    length: int
    seed: int = 0
    heads: int = 1

    def validate(self) -> None:
        self.hold(1, "size", "length", "heads")
        self.hold(0, "count")
        self.hold(0, "seed", below=NEVER)

    def apart(self) -> int:
        return self.heads

    def of_head(self, head: int) -> "RandomBlocks":
        return replace(self, seed=(self.seed + head * STEP) % NEVER, heads=1)

    def _of_heads(self) -> list["RandomBlocks"]:
        return [self.of_head(head) for head in range(self.heads)]

    def graph(self) -> Tensor:
        """Of one draw, true where the block of a row sees the block of a column, (N, N) of N blocks."""
        return _drawn(self)

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        if self.heads > 1:
            return torch.stack([pattern.allows(q, k) for pattern in self._of_heads()]).any(0)
        graph = self.graph().to(q.device)
        at = [t.div(self.size, rounding_mode="floor") for t in (q, k)]
        there = (at[0] < len(graph)) & (at[1] < len(graph))
        return graph[at[0].clamp(max=len(graph) - 1), at[1].clamp(max=len(graph) - 1)] & there

    def touches(self, q: Spans, k: Spans) -> Tensor:
        if self.heads > 1:
            return torch.stack([pattern.touches(q, k) for pattern in self._of_heads()]).any(0)
        return self._seen(q, k) > 0

    def fills(self, q: Spans, k: Spans) -> Tensor:
        if self.heads > 1:
            return torch.stack([pattern.fills(q, k) for pattern in self._of_heads()]).all(0)
        (rows, columns) = blocks(q, self.size), blocks(k, self.size)
        return self._seen(q, k) == (rows.high - rows.low + 1) * (columns.high - columns.low + 1)

    def _seen(self, q: Spans, k: Spans) -> Tensor:
        """How many pairs of blocks are joined in each rectangle, by sums over all rectangles from the corner on."""
        sums = torch.nn.functional.pad(self.graph().long().cumsum(0).cumsum(1), (1, 0, 1, 0)).to(q.low.device)
        top = len(sums) - 1
        (rows, columns) = blocks(q, self.size), blocks(k, self.size)
        up, down = rows.low.clamp(max=top), (rows.high + 1).clamp(max=top)
        left, right = columns.low.clamp(max=top), (columns.high + 1).clamp(max=top)
        return sums[down, right] - sums[up, right] - sums[down, left] + sums[up, left]

    def is_sparse(self) -> bool:
        return True


@lru_cache(maxsize=64)
def _drawn(pattern: RandomBlocks) -> Tensor:
    count = -(-pattern.length // pattern.size)
    at = torch.arange(count)
    begun = _mixed((torch.zeros_like(at) + pattern.seed) * ODD[0])
    fate = _mixed(_mixed(begun + at)[:, None] + at * ODD[0]) & NEVER  # not below 0
    fate = fate.masked_fill((at[:, None] - at).abs() <= 1, NEVER)
    fate[:, [0, -1]] = NEVER
    lowest = fate.topk(min(pattern.count, count), largest=False)
    return torch.zeros(count, count, dtype=torch.bool).scatter_(1, lowest.indices, lowest.values < NEVER)


def _mixed(x: Tensor) -> Tensor:
    """64 bits that look drawn, of 64 bits (the mixing of SplitMix64, Steele et al. 2014).

    Plain arithmetic: the same on every machine and in every version, and a compiled step may hold it.
    """
    x = (x ^ (x >> 30)) * ODD[1]
    x = (x ^ (x >> 27)) * ODD[2]
    return x ^ (x >> 31)
