"""The planner: of the cores that equal `Reference` on an attention, the one that costs the least."""

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING

from transept.parts.core import Core, CoreLayer, Fused
from transept.parts.pattern import Pattern
from transept.parts.pattern_blocks import GlobalBlocks, Local, RandomBlocks
from transept.parts.sparse import BlockSparse, Sliding

if TYPE_CHECKING:
    from transept.parts.attention import Attention

BLOCKS = (16, 256)  # the narrowest and the widest blocks of a pattern that are gathered as such


class Auto(Core):
    """Whatever core computes the attention at the least cost, exactly: `Sliding` in a band, `BlockSparse` where few
    blocks are seen, else `Fused`.

    The choice follows from the description alone, never from the length of what is read: a model computes every row in
    one way, and `transept show` says which.
    """

    def chosen(self, attention: "Attention") -> Core:
        return next(core for core in candidates(attention) if core.objects(attention) is None)

    def objects(self, attention: "Attention", scored: bool = False) -> str | None:
        return self.chosen(attention).objects(attention, scored)

    def build(self, heads: int, width: int) -> CoreLayer:
        raise TypeError("Auto is a choice: build the core that it has `chosen` for an attention")


def candidates(attention: "Attention") -> Iterator[Core]:
    """The cores that honour an attention's pattern, the cheapest first."""
    if attention.source == "self":
        if max(attention.pattern.band()) < inf:
            yield Sliding()
        if attention.pattern.is_sparse():
            yield BlockSparse(block_size(attention.pattern))
    yield Fused()


def block_size(pattern: Pattern) -> int:
    """The narrowest blocks that a pattern speaks of, unless they are too narrow or wide to compute well."""
    sizes = [part.size for part in pattern.parts() if isinstance(part, Local | GlobalBlocks | RandomBlocks)]
    found = min(sizes, default=BlockSparse.size)
    return found if BLOCKS[0] <= found <= BLOCKS[1] else BlockSparse.size
