"""Cells in layers along time: an encoder, a decoder that begins with its memory's last states, a language model.

Shapes: B batch, S length, D what enters, H the cell's width, L layers, R directions (1 or 2).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from transept.errors import InvalidConfig
from transept.parts.cache import Slot, Slots
from transept.parts.cell import Cell, CellLayer, State
from transept.parts.dropout import dropout
from transept.parts.memory import Memory
from transept.parts.start import Start
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View

Reading = Literal["forward", "backward", "both"]


class Recurrent(Trunk):
    """`depth` layers of a cell, each over what the one below hands on.

    `reads` is the direction: "backward" is the reversed source of Sutskever et al. 2014, "both" has two cells in each
    layer, whose states stand beside each other (Schuster & Paliwal 1997). Each state stays at its own token, whichever
    way it was read. At padding a state stays as it was. `start` None begins at zero, else with what
    the memory hands over. `dropout` is on what each layer hands on, never on the way along time (Zaremba et al. 2014).
    """

    cell: Cell
    depth: int = 1
    reads: Reading = "forward"
    start: Start | None = None
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "depth")
        self.hold(0, "dropout", below=1)
        if self.start is not None and self.reads != "forward":
            raise InvalidConfig(f"what begins with a memory writes from left to right, and cannot read {self.reads!r}")

    @property
    def reads_memory(self) -> bool:
        return self.start is not None

    @property
    def causal(self) -> bool:
        return self.reads == "forward"

    @property
    def hands_on(self) -> bool:
        return self.start is None and self.causal

    @property
    def directions(self) -> int:
        return 2 if self.reads == "both" else 1

    @property
    def final(self) -> tuple[str, ...]:
        return self.cell.states

    def follow(self, encoder: Trunk) -> None:
        if self.start is None:
            raise InvalidConfig("a decoder without start reads nothing of its source", remedy="Give it a Start().")
        demand_states(self.start, self.cell, self.depth, encoder)

    def leaves(self, width: int, memory: int | None = None) -> int:
        return self.directions * self.cell.hidden

    def build(self, width: int, memory: int | None = None) -> "RecurrentLayer":
        return RecurrentLayer(self, width, memory)


def demand_states(start: Start | None, cell: Cell, depth: int, encoder: Trunk) -> None:
    """Refuse an encoder that hands no such states over. Raises InvalidConfig."""
    if start is None or start.form == "mean":
        return
    if missing := [name for name in cell.states if name not in encoder.final]:
        raise InvalidConfig(
            f"{type(encoder).__name__} hands no last state {missing[0]} over, which the decoder begins with",
            remedy="Take Start('mean'), or a recurrent encoder with the same cell.",
        )
    assert isinstance(encoder, Recurrent)
    if start.form == "backward" and encoder.reads != "both":
        raise InvalidConfig(f"Start('backward') needs an encoder that reads both ways, not {encoder.reads}")
    if start.form == "bridge" and encoder.depth != depth:
        raise InvalidConfig(f"a decoder of {depth} layers cannot begin with the last states of {encoder.depth}")
    if start.form == "final" and (encoder.depth * encoder.directions, encoder.cell.hidden) != (depth, cell.hidden):
        raise InvalidConfig(
            f"a decoder of {depth} layers of {cell.hidden} cannot begin with the last states of"
            f" {encoder.depth * encoder.directions} of {encoder.cell.hidden}",
            remedy="Make them equal, or take Start('bridge').",
        )


class Reader:
    """The order in which the real tokens of a batch are read, in one direction."""

    def __init__(self, valid: Tensor | None, backward: bool) -> None:
        self.backward, self.valid = backward, valid
        if valid is None:
            return
        at = torch.arange(valid.size(1), device=valid.device)
        rank = (-at if backward else at).expand(valid.shape).masked_fill(~valid, valid.size(1) + 1)
        self.order = rank.argsort(stable=True, dim=1)  # real tokens first
        self.back = self.order.argsort(1)
        self.lengths = valid.sum(1)
        self.counts = self.lengths.clamp(min=1).cpu()  # once for all layers: a GPU is waited for

    def read(self, cell: CellLayer, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The state at each token, (B, S, D) -> (B, S, H), zero at padding; and each row's last."""
        if self.valid is None:
            y, last = cell.sequence(x.flip(1) if self.backward else x, state)
            return (y.flip(1) if self.backward else y), last
        first = x.gather(1, self.order[..., None].expand_as(x))
        # A row without a real token is read as one of padding, and what came of it is thrown away.
        packed = pack_padded_sequence(first, self.counts, batch_first=True, enforce_sorted=False)
        assert packed.sorted_indices is not None
        assert packed.unsorted_indices is not None
        sorted_state = tuple(part.index_select(0, packed.sorted_indices) for part in state)
        read, ends = cell.packed(packed, sorted_state)
        y, _ = pad_packed_sequence(read, batch_first=True, total_length=x.size(1))
        y = y.gather(1, self.back[..., None].expand_as(y)).masked_fill(~self.valid[..., None], 0.0)
        real = (self.lengths > 0)[:, None]
        unsorted = (part.index_select(0, packed.unsorted_indices) for part in ends)
        return y, tuple(torch.where(real, new, old) for new, old in zip(unsorted, state, strict=True))


def layers_of(cell: Cell, depth: int, directions: int, width: int) -> nn.ModuleList:
    """The cells of all layers; those of a layer's directions stand beside each other."""
    entering = [width if i == 0 else directions * cell.hidden for i in range(depth) for _ in range(directions)]
    return nn.ModuleList(cell.build(size) for size in entering)


def states_of(slot: Slot, names: tuple[str, ...]) -> list[State]:
    """The state of each cell."""
    return [tuple(parts) for parts in zip(*(slot.tensors[name].unbind(1) for name in names), strict=True)]


def keep_states(slot: Slot, states: list[State], names: tuple[str, ...]) -> None:
    """Put the states of all cells into the slot, each (B, L*R, H)."""
    kept = {name: torch.stack([state[i] for state in states], 1) for i, name in enumerate(names)}
    slot.tensors = slot.tensors | kept


class RecurrentLayer(TrunkLayer):
    """`cells` are in the order of layers, and within a layer forward before backward."""

    def __init__(self, spec: Recurrent, width: int, memory: int | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.cells = layers_of(spec.cell, spec.depth, spec.directions, width)
        self.start = spec.start.build(spec.cell, spec.depth, memory or width) if spec.start else None

    def first(self, rows: int, memory: Memory | None) -> dict[str, Tensor]:
        """The states before anything was read, each (rows, L*R, H)."""
        if self.start is not None:
            assert memory is not None, "a decoder that begins with a memory was given none"
            first: dict[str, Tensor] = self.start(memory, rows)
            return first
        weight = next(self.parameters())
        shape = (rows, len(self.cells), self.spec.cell.hidden)
        return {name: weight.new_zeros(shape) for name in self.spec.cell.states}

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        return [[Slot(self.first(batch, memory), "state")]]

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, S, D) -> (B, S, R*H)"""
        slot = Slot(self.first(len(x), view.memory), "state") if slots is None else slots[0][0]
        assert slot is not None
        states = states_of(slot, self.spec.cell.states)
        ends: list[State] = []
        ways = {"forward": (False,), "backward": (True,), "both": (False, True)}[self.spec.reads]
        readers = [Reader(view.valid, backward) for backward in ways]
        drop = self.spec.dropout if self.training else 0.0
        for _ in range(self.spec.depth):
            read: list[Tensor] = []
            for reader in readers:
                cell = self.cells[len(ends)]
                assert isinstance(cell, CellLayer)
                y, end = reader.read(cell, x, states[len(ends)])
                read.append(y)
                ends.append(end)
            x = dropout(torch.cat(read, -1) if len(read) > 1 else read[0], drop)
        keep_states(slot, ends, self.spec.cell.states)
        return x
