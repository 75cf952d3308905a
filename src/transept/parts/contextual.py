"""A recurrent decoder that is given one context at every step: what the encoder made of the source."""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.cache import Slot, Slots
from transept.parts.cell import Cell, CellLayer
from transept.parts.dropout import dropout
from transept.parts.memory import Memory
from transept.parts.readout import Readout, joined
from transept.parts.recurrent import Reader, keep_states, states_of
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View


class Contextual(Trunk):
    """c = tanh(V s) of the encoder's last state s; the cell reads [y, c] from tanh(V' c) on (Cho et al. 2014).

    It is read out as [s, y, c], which leaves as it is where there is no readout. With `context` "last", c and the first
    state are s itself, without matrices. `dropout` is on what leaves.
    """

    cell: Cell
    readout: Readout | None = None
    dropout: float = 0.0
    context: Literal["projected", "last"] = "projected"

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)

    @property
    def causal(self) -> bool:
        return True

    def follow(self, encoder: Trunk) -> None:
        demand_context(self, encoder)

    @property
    def reads_memory(self) -> bool:
        return True

    def wide(self, memory: int) -> int:
        """The width of the context."""
        return self.cell.hidden if self.context == "projected" else memory

    def leaves(self, width: int, memory: int | None = None) -> int:
        return self.readout.hidden if self.readout else self.cell.hidden + width + self.wide(memory or width)

    def build(self, width: int, memory: int | None = None) -> "ContextualLayer":
        return ContextualLayer(self, width, memory or width)


def demand_context(spec: Contextual, encoder: Trunk) -> None:
    """Refuse an encoder that hands no such context over. Raises InvalidConfig."""
    if spec.cell.states[0] not in encoder.final:
        raise InvalidConfig(
            f"{type(encoder).__name__} hands no last state {spec.cell.states[0]} over, which is the context",
            remedy="Take a recurrent encoder.",
        )
    if spec.context == "last" and encoder.leaves(0) != spec.cell.hidden:
        raise InvalidConfig(
            f"a decoder of {spec.cell.hidden} cannot begin with a last state of {encoder.leaves(0)}",
            remedy="Make them equal, or take context='projected'.",
        )


class ContextualLayer(TrunkLayer):
    """`context` is V, `start` V' for each state of the cell."""

    def __init__(self, spec: Contextual, width: int, memory: int) -> None:
        super().__init__()
        self.spec, hidden, self.memory = spec, spec.cell.hidden, memory
        projected, wide = spec.context == "projected", spec.wide(memory)
        self.context = nn.Linear(memory, hidden) if projected else None
        starts = {name: nn.Linear(hidden, hidden) for name in spec.cell.states} if projected else {}
        self.start = nn.ModuleDict(starts)
        self.cell = spec.cell.build(width + wide)
        self.readout = joined(spec.readout, hidden, width, wide)

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        assert memory is not None, "a decoder that is given a context was given no memory"
        assert memory.final is not None, "an encoder that hands its last states over"
        last = memory.final[self.spec.cell.states[0]]  # (B, layers * directions, H)
        context = last[:, -(self.memory // last.size(2)) :].flatten(1).repeat_interleave(batch // len(last), 0)
        begun = dict.fromkeys(self.spec.cell.states, context[:, None])
        if self.context is not None:
            context = self.context(context).tanh()
            begun = {name: matrix(context).tanh()[:, None] for name, matrix in self.start.items()}
        return [[Slot(begun | {"context": context}, "state")]]

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, T, D) -> (B, T, readout)"""
        (slot,) = (self.new_slots(len(x), 0, view.memory) if slots is None else slots)[0]
        assert slot is not None
        (state,), names = states_of(slot, self.spec.cell.states), self.spec.cell.states
        context = slot.tensors["context"][:, None].expand(-1, x.size(1), -1)
        assert isinstance(self.cell, CellLayer)
        y, end = Reader(view.valid, backward=False).read(self.cell, torch.cat([x, context], -1), state)
        keep_states(slot, [end], names)
        return dropout(self.readout(y, x, context), self.spec.dropout if self.training else 0.0)
