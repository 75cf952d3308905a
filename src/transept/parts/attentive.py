"""Recurrent decoders that look at the source at every step: RNNsearch and Luong's.

Shapes: B rows, T target length, D what enters, H the cell's width, M the memory's width, K the context's width.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig
from transept.parts.attention import Attention
from transept.parts.cache import Slot, Slots
from transept.parts.cell import Cell, CellLayer, State
from transept.parts.dropout import dropout
from transept.parts.memory import Memory
from transept.parts.readout import Readout, joined
from transept.parts.recurrent import Reader, demand_states, keep_states, layers_of, states_of
from transept.parts.start import Start
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View


class Attentive(Trunk):
    """What both have: a cell, an attention to the memory, a start and a readout. `dropout` is on what leaves.

    Without a readout, what it would read leaves as it is, side by side.
    """

    cell: Cell
    attend: Attention
    readout: Readout | None = None
    start: Start = Start()
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)
        if self.attend.source != "memory":
            raise InvalidConfig(f"{type(self).__name__}.attend looks at the memory: its source must be 'memory'")

    @property
    def causal(self) -> bool:
        return True

    @property
    def layers(self) -> int:
        return 1

    def follow(self, encoder: Trunk) -> None:
        demand_states(self.start, self.cell, self.layers, encoder)

    def attentions(self) -> tuple[Attention, ...]:
        return (self.attend,)

    @property
    def reads_memory(self) -> bool:
        return True

    def seen(self, memory: int) -> int:
        """The width of what an attention gives of a memory."""
        return self.attend.leaves(self.cell.hidden, memory)


class AttentiveLayer(TrunkLayer):
    spec: Attentive

    def __init__(self, spec: Attentive, width: int, memory: int) -> None:
        super().__init__()
        self.spec = spec
        self.start = spec.start.build(spec.cell, spec.layers, memory)
        self.attend = spec.attend.build(spec.cell.hidden, memory)

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        assert memory is not None, "a decoder that attends to a memory was given none"
        return [[Slot(self.first(memory, batch), "state"), self.attend.new_slot(batch, size, memory)]]

    def first(self, memory: Memory, rows: int) -> dict[str, Tensor]:
        begun: dict[str, Tensor] = self.start(memory, rows)
        return begun

    def look(self, h: Tensor, view: View, seen: Slot | None) -> Tensor:
        """The context of states (B, T, H), (B, T, K)."""
        context: Tensor = self.attend(h, view, seen)
        return context

    def opened(self, x: Tensor, view: View, slots: Slots | None) -> tuple[Slot, Slot | None]:
        """The slot of the states, and that of the memory's keys."""
        state, seen = (self.new_slots(len(x), 0, view.memory) if slots is None else slots)[0]
        assert state is not None
        return state, seen

    def left(self, y: Tensor) -> Tensor:
        return dropout(y, self.spec.dropout if self.training else 0.0)


def frozen(new: State, old: State, valid: Tensor | None, at: int) -> State:
    """The new state, but where position `at` is padding."""
    if valid is None:
        return new
    return tuple(torch.where(valid[:, at, None], a, b) for a, b in zip(new, old, strict=True))


def parted(cell: CellLayer, width: int) -> tuple[Tensor, Tensor]:
    """The columns of a cell's input matrix for what is known beforehand, and those for what is not."""
    return cell.input.weight[:, :width], cell.input.weight[:, width:]


class Searching(Attentive):
    """RNNsearch (Bahdanau et al. 2015, appendix A.2): the state before looks for what comes next.

    c_t = attend(s_(t-1)); s_t = cell([y_(t-1), c_t], s_(t-1)); read out as [s, y_(t-1), c_t]. The paper reads out the
    state before, s_(t-1); with `state` "after" it is the new one. `gate` multiplies the context by sigmoid(f(s_(t-1))),
    how much the source matters to what comes next (Xu et al. 2015, section 4.2.1).
    """

    state: Literal["before", "after"] = "before"
    gate: bool = False

    def leaves(self, width: int, memory: int | None = None) -> int:
        given = self.cell.hidden + width + self.seen(memory or width)
        return self.readout.hidden if self.readout else given

    def build(self, width: int, memory: int | None = None) -> "SearchingLayer":
        return SearchingLayer(self, width, memory or width)


class SearchingLayer(AttentiveLayer):
    def __init__(self, spec: Searching, width: int, memory: int) -> None:
        super().__init__(spec, width, memory)
        self.before = spec.state == "before"
        self.gate = nn.Linear(spec.cell.hidden, 1) if spec.gate else None
        self.cell = spec.cell.build(width + self.attend.leaves)
        self.readout = joined(spec.readout, spec.cell.hidden, width, self.attend.leaves)

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, T, D) -> (B, T, readout)"""
        slot, seen = self.opened(x, view, slots)
        (state,), names = states_of(slot, self.spec.cell.states), self.spec.cell.states
        ahead, other = parted(self.cell, x.size(-1))
        given, other = F.linear(x, ahead, self.cell.input.bias), other.T
        read: list[Tensor] = []
        contexts: list[Tensor] = []
        for t in range(x.size(1)):
            context = self.look(state[0][:, None], view.column(t), seen)[:, 0]
            if self.gate is not None:
                context = context * self.gate(state[0]).sigmoid()
            new = frozen(self.cell.step(torch.addmm(given[:, t], context, other), state), state, view.valid, t)
            read.append(state[0] if self.before else new[0])
            contexts.append(context)
            state = new
        keep_states(slot, [state], names)
        return self.left(self.readout(torch.stack(read, 1), x, torch.stack(contexts, 1)))


class Feeding(Attentive):
    """Luong et al. 2015: the new state looks, h~ = readout([c, h]), and with `feed` h~ enters the next step (3.3).

    `depth` layers of the cell; `between` is the dropout between them. Without `feed` no step waits for the attention of
    the one before, and all steps look at once.
    """

    depth: int = 1
    feed: bool = True
    between: float = 0.0

    def validate(self) -> None:
        super().validate()
        self.hold(1, "depth")
        self.hold(0, "between", below=1)

    @property
    def layers(self) -> int:
        return self.depth

    def leaves(self, width: int, memory: int | None = None) -> int:
        return self.readout.hidden if self.readout else self.seen(memory or width) + self.cell.hidden

    def build(self, width: int, memory: int | None = None) -> "FeedingLayer":
        return FeedingLayer(self, width, memory or width)


class FeedingLayer(AttentiveLayer):
    def __init__(self, spec: Feeding, width: int, memory: int) -> None:
        super().__init__(spec, width, memory)
        self.feed, self.between = spec.feed, spec.between
        self.fed = spec.leaves(width, memory)
        entering = width + self.fed if spec.feed else width
        self.cells = layers_of(spec.cell, spec.depth, 1, entering)
        self.readout = joined(spec.readout, self.attend.leaves, spec.cell.hidden)

    def first(self, memory: Memory, rows: int) -> dict[str, Tensor]:
        begun = super().first(memory, rows)
        if not self.feed:
            return begun
        return begun | {"fed": next(iter(begun.values())).new_zeros(rows, self.fed)}

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, T, D) -> (B, T, readout)"""
        slot, seen = self.opened(x, view, slots)
        names = self.spec.cell.states
        states = states_of(slot, names)
        between = self.between if self.training else 0.0
        if not self.feed:
            reader = Reader(view.valid, backward=False)
            ends: list[State] = []
            for i, (cell, state) in enumerate(zip(self.cells, states, strict=True)):
                assert isinstance(cell, CellLayer)
                x, end = reader.read(cell, dropout(x, between) if i else x, state)
                ends.append(end)
            keep_states(slot, ends, names)
            return self.left(self.readout(self.look(x, view, seen), x))
        lowest = self.cells[0]
        assert isinstance(lowest, CellLayer)
        ahead, other = parted(lowest, x.size(-1))
        given, other = F.linear(x, ahead, lowest.input.bias), other.T
        fed = slot.tensors["fed"]
        out: list[Tensor] = []
        for t in range(x.size(1)):
            states, new_fed = self.step(torch.addmm(given[:, t], fed, other), states, between, view, t, seen)
            (fed,) = frozen((new_fed,), (fed,), view.valid, t)
            out.append(new_fed)
        keep_states(slot, states, names)
        slot.tensors = slot.tensors | {"fed": fed}
        return self.left(torch.stack(out, 1))

    def step(
        self, given: Tensor, states: list[State], between: float, view: View, t: int, seen: Slot | None
    ) -> tuple[list[State], Tensor]:
        """All layers by one position; their states and h~."""
        new: list[State] = []
        for cell, state in zip(self.cells, states, strict=True):
            assert isinstance(cell, CellLayer)
            entering = cell.input(dropout(new[-1][0], between)) if new else given
            new.append(frozen(cell.step(entering, state), state, view.valid, t))
        top = new[-1][0]
        fed: Tensor = self.readout(self.look(top[:, None], view.column(t), seen)[:, 0], top)
        return new, fed
