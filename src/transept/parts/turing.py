"""A network with a memory beside it, whose rows it reads and writes by heads that learn where to look.

Shapes: B batch, S length, D what enters, H the controller's width, N rows of the memory, C its columns, R read heads,
W write heads.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.parts.addressing import access, address
from transept.parts.cache import Slot, Slots
from transept.parts.cell import State
from transept.parts.controller import Controller
from transept.parts.memory import Memory
from transept.parts.tap import Looking
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View

EMPTY = 1e-6  # what stands in each place of a memory at first (Collier & Beel 2018, section 3.3)


class Turing(Trunk):
    """The Neural Turing Machine (Graves et al. 2014): `rows` x `columns` of memory, `reads` and `writes` heads.

    At each step the controller is given x and what was read before, and from its state h the heads' keys, strengths,
    gates, shifts by up to `reach` rows and sharpness are made, and for write heads what is erased and added. All heads
    address the memory as the step before left it; what is read is read before anything is written. [h, r] leaves.

    The paper leaves open how a memory begins: here each place holds 1e-6, and what is read at first is learned.
    Where the heads look at first is learned with `first` "learned", and the first row with "top".
    """

    controller: Controller
    rows: int = 128
    columns: int = 20
    reads: int = 1
    writes: int = 1
    reach: int = 1
    first: Literal["learned", "top"] = "learned"

    def validate(self) -> None:
        self.hold(1, "columns", "reads", "writes")
        self.hold(0, "reach")
        self.hold(2 * self.reach + 1, "rows")  # fewer, and a shift would come round to itself

    @property
    def causal(self) -> bool:
        return True

    @property
    def hands_on(self) -> bool:
        return True

    @property
    def noun(self) -> str:
        return "Neural Turing Machine"

    def leaves(self, width: int, memory: int | None = None) -> int:
        return self.controller.leaves + self.reads * self.columns

    def build(self, width: int, memory: int | None = None) -> "TuringLayer":
        return TuringLayer(self, width)


class TuringLayer(TrunkLayer):
    """`emit` makes what the heads ask for; `looked` (R + W, N) and `recalled` (R * C,) are what the first step finds.

    `reading` and `writing` are taps of where the heads look at a step, (B, R, N) and (B, W, N).
    """

    def __init__(self, spec: Turing, width: int) -> None:
        super().__init__()
        self.spec = spec
        heads = spec.reads + spec.writes
        self.controller = spec.controller.build(width, spec.reads * spec.columns)
        self.asking = heads * (spec.columns + 3 + 2 * spec.reach + 1)
        self.emit = nn.Linear(spec.controller.leaves, self.asking + 2 * spec.writes * spec.columns)
        self.looked = nn.Parameter(torch.empty(heads, spec.rows)) if spec.first == "learned" else None
        self.recalled = nn.Parameter(torch.empty(spec.reads * spec.columns))
        self.reading, self.writing = Looking(), Looking()

    def begin(self) -> None:
        """Heads begin at rows of their own: with all rows alike, and all looked at alike, none would ever differ."""
        if self.looked is not None:
            nn.init.normal_(self.looked)
        nn.init.zeros_(self.recalled)

    def start(self, rows: int) -> dict[str, Tensor]:
        """What is there before the first step."""
        spec, weight = self.spec, self.emit.weight
        if self.looked is None:
            looked = weight.new_zeros(spec.reads + spec.writes, spec.rows)
            looked[:, 0] = 1.0
        else:
            looked = self.looked.softmax(-1)
        return {
            "memory": weight.new_full((rows, spec.rows, spec.columns), EMPTY),
            "weights": looked.expand(rows, -1, -1),
            "read": self.recalled.tanh().expand(rows, -1),
            **self.controller.start(rows),
        }

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        return [[Slot(self.start(batch), "state")]]

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, S, D) -> (B, S, H + R*C)"""
        slot = self.new_slots(len(x), 0)[0][0] if slots is None else slots[0][0]
        assert slot is not None
        memory, weights, found = (slot.tensors[name] for name in ("memory", "weights", "read"))
        states = self.controller.taken(slot.tensors)
        given, matrix, reads = self.controller.given(x), self.controller.reading(), self.spec.reads
        out: list[Tensor] = []
        for t, now in enumerate(given.unbind(1)):
            before = (memory, weights, found, states)
            h, states = self.controller.step(torch.addmm(now, found, matrix), states)
            emitted = self.emit(h)
            weights = address(emitted[:, : self.asking], memory, weights, self.spec.columns)
            weights = torch.cat([self.reading(weights[:, :reads]), self.writing(weights[:, reads:])], 1)
            found, memory = access(weights, emitted[:, self.asking :], memory, self.spec.writes)
            found = found.flatten(1)
            out.append(torch.cat([h, found], 1))
            if view.valid is not None:  # at padding everything stays as it was
                memory, weights, found, states = _kept(view.valid[:, t], (memory, weights, found, states), before)
        slot.tensors = {"memory": memory, "weights": weights, "read": found, **self.controller.kept(states)}
        return torch.stack(out, 1)


Step = tuple[Tensor, Tensor, Tensor, tuple[State, ...]]  # the memory, where the heads look, what was read, the states


def _kept(real: Tensor, new: Step, old: Step) -> Step:
    """What is `new` in real rows, (B,), and `old` in the others."""

    def choose(one: Tensor, other: Tensor) -> Tensor:
        return torch.where(real.view(-1, *[1] * (one.dim() - 1)), one, other)

    states = tuple(tuple(map(choose, *pair)) for pair in zip(new[3], old[3], strict=True))
    return choose(new[0], old[0]), choose(new[1], old[1]), choose(new[2], old[2]), states
