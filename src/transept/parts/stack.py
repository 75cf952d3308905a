"""Blocks in a row: the whole of an encoder or of a decoder, which differ in their patterns and in nothing else."""

from collections.abc import Hashable, Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.block import Block, BlockLayer
from transept.parts.cache import Slots
from transept.parts.dropout import dropout
from transept.parts.memory import Memory
from transept.parts.norm import Norm
from transept.parts.position import Position, demand_within
from transept.parts.scored import Scored
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View

LOOK = 64  # positions on a side of which patterns are asked whether they look ahead


class Stack(Trunk):
    """`depth` applications of a block. A tuple of blocks is cycled: `Stack((dense, banded), 12)` alternates.

    `weights` sets of parameters are spread over the depth, each kind of block over its own applications: None gives
    every application its own, 1 shares one set among all (ALBERT). `norm` comes once, after the last block, and
    `dropout` is on what leaves it (T5). `position` scores pairs of positions, shared by all blocks. In training a block
    is left out with the probability `skip` (Fan et al. 2020, LayerDrop). `carries` is how many states of the segments
    before each attention goes on reading, where a long text is read in segments (Dai et al. 2019, section 3.2).
    """

    block: Block | tuple[Block, ...]
    depth: int
    norm: Norm | None = None
    position: Scored | None = None
    weights: int | None = None
    skip: float = 0.0
    dropout: float = 0.0
    carries: int | None = None

    @property
    def hands_on(self) -> bool:
        return self.carries is not None or any(attention.recall is not None for attention in self.attentions())

    def cycle(self) -> tuple[Block, ...]:
        return self.block if isinstance(self.block, tuple) else (self.block,)

    def validate(self) -> None:
        self.hold(1, "depth", "weights")
        self.hold(0, "skip", "dropout", below=1)
        sets = self.depth if self.weights is None else self.weights
        if self.depth % sets or (sets % len(self.cycle()) and sets != self.depth):
            raise InvalidConfig(
                f"{sets} sets of weights do not spread over {len(self.cycle())} kinds of block and depth {self.depth}"
            )
        for attention in self.attentions():
            if attention.source == "memory":  # whose positions nothing scores
                continue
            if self.position is not None and not self.position.serves(attention.heads):
                raise InvalidConfig(f"{self.position} does not score for attentions with heads={attention.heads}")
            if self.position is not None and (reason := attention.core.objects(attention, scored=True)) is not None:
                raise InvalidConfig(f"{type(attention.core).__name__} {reason}")
        if self.carries is not None:
            self.hold(1, "carries")
            self._demand_segments()

    def _demand_segments(self) -> None:
        """Refuse what cannot be read in segments. Raises InvalidConfig."""
        attentions, wide = self.attentions(), "states that are carried from segment to segment"
        for attention in attentions:
            if attention.source == "memory":
                raise InvalidConfig(f"{wide} belong to a stack without a memory: a memory is one target's")
            if attention.shorten is not None:
                raise InvalidConfig(f"{wide} cannot be shortened: a span would be cut where a segment begins")
            if attention.core.limit() is not None:
                name = type(attention.core).__name__
                raise InvalidConfig(f"{name} tells {attention.core.limit()} positions apart, and {wide} have no end")
        if not self.causal:
            patterns = ", ".join(dict.fromkeys(str(attention.pattern) for attention in attentions))
            raise InvalidConfig(
                f"{wide} were made before the segment was known, and the pattern {patterns or 'of no attention'} "
                "looks ahead",
                remedy="Carry states in a decoder, whose patterns look back alone, such as causal.",
            )
        if self.skip:
            raise InvalidConfig(f"skip={self.skip:g} leaves blocks out, which then hand on no {wide}")

    def order(self) -> list[int]:
        """Which set of weights each application uses. Set i is of kind i modulo the cycle."""
        kinds, sets = len(self.cycle()), self.depth if self.weights is None else self.weights
        if sets == self.depth:
            return list(range(self.depth))
        rounds, own = self.depth // kinds, sets // kinds
        return [i // kinds * own // rounds * kinds + i % kinds for i in range(self.depth)]

    def attentions(self) -> tuple[Attention, ...]:
        return tuple(part for block in self.cycle() for part in block.parts if isinstance(part, Attention))

    def orders(self) -> tuple[Position, ...]:
        return super().orders() + (() if self.position is None else (self.position,))

    @property
    def noun(self) -> str:
        return "Transformer"

    @property
    def causal(self) -> bool:
        own = [attention for attention in self.attentions() if attention.source == "self"]
        at = torch.arange(LOOK, device="cpu")
        ahead = at > at[:, None]
        return bool(own) and not any((a.pattern.allows(at[:, None], at) & ahead).any() for a in own)

    def limit(self) -> int | None:
        limits = [attention.core.limit() for attention in self.attentions() if attention.source == "self"]
        limits += [position.limit() for position in self.orders()]
        return min((limit for limit in limits if limit is not None), default=None)

    def build(self, width: int, memory: int | None = None) -> "StackLayer":
        return StackLayer(self, width, memory)


@runtime_checkable
class Lends(Protocol):
    """A part of an attention that may share weights with the same part of other layers."""

    def lends(self) -> Hashable | None:
        """What parts must agree in to share; None where this one shares nothing."""

    def borrow(self, owner: Any) -> None:
        """Use the weights of another, which owns them."""


def lend(layers: Iterable[AttentionLayer]) -> None:
    """Let attentions whose cores or positions share weights over layers use those of the first."""
    owners: dict[Hashable, Any] = {}
    for layer in layers:
        parts: tuple[object, ...] = (layer.core, layer.position)
        for part in parts:
            if isinstance(part, Lends) and (key := part.lends()) is not None:
                owner = owners.setdefault(key, part)
                if owner is not part:
                    part.borrow(owner)


def blocks(trunk: Trunk) -> Stack:
    """A trunk that is blocks in a row. Raises InvalidConfig where it is another."""
    if not isinstance(trunk, Stack):
        raise InvalidConfig(f"{type(trunk).__name__} is not blocks in a row")
    return trunk


class StackLayer(TrunkLayer):
    """`order[i]` is the set of weights that application i uses; slots align with applications, not with weights."""

    def __init__(self, spec: Stack, width: int, memory: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        cycle, self.order = spec.cycle(), spec.order()
        self.blocks = nn.ModuleList(cycle[i % len(cycle)].build(width, memory) for i in range(max(self.order) + 1))
        lend(layer for block in self.blocks for layer in block.modules() if isinstance(layer, AttentionLayer))
        self.norm = spec.norm.build(width) if spec.norm else nn.Identity()
        self.position = spec.position.build(width) if spec.position else None

    def block(self, application: int) -> BlockLayer:
        block = self.blocks[self.order[application]]
        assert isinstance(block, BlockLayer)
        return block

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        """Empty state for a cache of `size` columns: one list for each application of a block."""
        applications = (self.block(i) for i in range(len(self.order)))
        return [[layer.new_slot(batch, size, memory) for layer in block.layers()] for block in applications]

    def new_carried(self, batch: int, length: int) -> Slots:
        """Room for what segments hand on: as `new_slots`."""
        applications = (self.block(i) for i in range(len(self.order)))
        return [[layer.new_carried(batch, length) for layer in block.layers()] for block in applications]

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D)"""
        if self.spec.position is not None and (limit := self.spec.position.limit()) is not None:
            demand_within(view.positions, limit)
        skip = self.spec.skip if self.training else 0.0
        for i in range(len(self.order)):
            if skip and float(torch.rand(())) < skip:
                continue
            block = self.block(i)
            x = block(x, view, [None] * len(block.roles) if slots is None else slots[i])
        return dropout(self.norm(x), self.spec.dropout if self.training else 0.0)
