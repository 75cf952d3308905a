"""A recurrent decoder that is given one context at every step: what the encoder made of the source."""

import torch
from torch import Tensor, nn

from transept.parts.cache import Slot, Slots
from transept.parts.cell import Cell, CellLayer
from transept.parts.dropout import dropout
from transept.parts.memory import Memory
from transept.parts.readout import Readout
from transept.parts.recurrent import Reader, keep, states_of
from transept.parts.start import Start
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View


class Contextual(Trunk):
    """c = tanh(V s) of the encoder's last state s; the cell reads [y, c] from tanh(V' c) on (Cho et al. 2014).

    It is read out as [s, y, c]. `dropout` is on what leaves.
    """

    cell: Cell
    readout: Readout
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)

    @property
    def causal(self) -> bool:
        return True

    def follow(self, encoder: Trunk) -> None:
        from transept.parts.recurrent import begin_with

        begin_with(Start("bridge"), self.cell, getattr(encoder, "depth", 1), encoder)

    def leaves(self, width: int, memory: int | None = None) -> int:
        return self.readout.hidden

    def build(self, width: int, memory: int | None = None) -> "ContextualLayer":
        return ContextualLayer(self, width, memory or width)


class ContextualLayer(TrunkLayer):
    """`context` is V, `start` V' for each state of the cell."""

    def __init__(self, spec: Contextual, width: int, memory: int) -> None:
        super().__init__()
        self.spec, hidden = spec, spec.cell.hidden
        self.context = nn.Linear(memory, hidden)
        self.start = nn.ModuleDict({name: nn.Linear(hidden, hidden) for name in spec.cell.states})
        self.cell = spec.cell.build(width + hidden)
        self.readout = spec.readout.build(hidden, width, hidden)

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        assert memory is not None, "a decoder that is given a context was given no memory"
        assert memory.final is not None, "an encoder that hands its last states over"
        last = memory.final[self.spec.cell.states[0]]  # (B, layers * directions, H)
        width = self.context.in_features // last.size(2)
        context = self.context(last[:, -width:].flatten(1)).tanh().repeat_interleave(batch // len(last), 0)
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
        keep(slot, [end], names)
        return dropout(self.readout(y, x, context), self.spec.dropout if self.training else 0.0)
