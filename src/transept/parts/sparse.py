"""Cores that make no (S, T) tensor: for queries that look no farther than a band, and for patterns of blocks."""

from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING

from torch import Tensor

from transept.parts.blockwise import attend, touched
from transept.parts.core import Allowed, Core, FusedLayer
from transept.parts.pattern import Pattern
from transept.parts.relative import Keyed

if TYPE_CHECKING:
    from transept.parts.attention import Attention

WIDTHS = (16, 32, 64, 128, 256, 512)  # of blocks, that a band may be cut into


class Sliding(Core):
    """Attention of queries that look a bounded number of positions back and ahead, in blocks about as wide.

    Time and memory grow with the length alone: S (back + ahead) where full attention has S^2 (the sliding window of
    Beltagy et al. 2020, the local attention of Liu et al. 2018). Exact: within the blocks a mask decides.
    """

    why = ": nothing bounds how far back and ahead that looks, as window(256) and band(255) do"

    def handles(self, pattern: Pattern) -> bool:
        return max(pattern.band()) < inf

    def objects(self, attention: "Attention", scored: bool = False) -> str | None:
        return objection(attention)

    def build(self, heads: int, width: int) -> "BlockwiseLayer":
        return BlockwiseLayer(self)


class BlockSparse(Core):
    """Attention of queries that see few blocks of `size` keys each, wherever they are: these are gathered.

    BigBird's (Zaheer et al. 2020) is `local(64, 1, 1) | global_blocks(64) | random_blocks(64, 3, 4096)`. All but a
    fixed number of queries must see a fixed number of keys at the most, whatever the length; the others, such as those
    of global blocks, see as many as they may. Exact: within the blocks a mask decides.
    """

    size: int = 64
    why = ": what a query sees of that grows with the length of the row"

    def validate(self) -> None:
        self.hold(1, "size")

    def handles(self, pattern: Pattern) -> bool:
        return pattern.is_sparse()

    def objects(self, attention: "Attention", scored: bool = False) -> str | None:
        return objection(attention)

    def build(self, heads: int, width: int) -> "BlockwiseLayer":
        return BlockwiseLayer(self)


def objection(attention: "Attention") -> str | None:
    """Why an attention cannot be computed in blocks of a row's own tokens, or None where it can."""
    if attention.source == "memory" or attention.shorten is not None:
        return "computes in blocks of a row's own tokens, neither a memory nor shortened keys: use the core Fused"
    if isinstance(attention.position, Keyed):
        kind = type(attention.position).__name__
        return f"makes no (S, T) tensor, and the scores of {kind} are one: use the core Fused or Reference"
    return None


class BlockwiseLayer(FusedLayer):
    """Computes in blocks where the keys are the queries' own tokens; a cached step is the fused core's."""

    def __init__(self, spec: Sliding | BlockSparse) -> None:
        super().__init__()
        self.core = spec

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        if not allowed.own:
            return super().forward(q, k, v, allowed, scale, drop)
        assert allowed.keyed is None, "scores by vectors come as one (S, T) tensor"
        size = self.core.size if isinstance(self.core, BlockSparse) else width_for(allowed.pattern)
        return attend(q, k, v, allowed, scale, drop, size)


@lru_cache(maxsize=64)
def width_for(pattern: Pattern) -> int:
    """How wide the blocks of a band had best be: wide ones hold more that nobody sees, narrow ones take more steps."""

    def cost(size: int) -> float:
        around = int(sum(pattern.band())) // size + 3
        middle = touched(pattern, 2 * around * size, size)[0][around]
        return float(middle.sum()) * size * (1 + 64 / size)

    return min(WIDTHS, key=cost)
