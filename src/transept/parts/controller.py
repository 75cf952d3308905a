"""What drives an external memory: at each step it sees what enters and what was read, and hands a state on.

Shapes: B batch, S length, D what enters, R what was read, H hidden, L layers.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.parts.cell import Cell, CellLayer, State
from transept.parts.feedforward import ACTIVATIONS, Activation
from transept.parts.recurrent import layers_of
from transept.spec import Part


class Controller(Part):
    """The description of a controller whose state, as it is handed on, has `leaves` features."""

    @property
    def leaves(self) -> int:
        raise NotImplementedError(type(self).__name__)

    def build(self, width: int, read: int) -> "ControllerLayer":
        """`width` is that of what enters, `read` that of what was read."""
        raise NotImplementedError(type(self).__name__)


class Direct(Controller):
    """h = activation(W [x, r] + b): a feed-forward network, which remembers nothing beside the memory."""

    hidden: int
    activation: Activation = "tanh"

    def validate(self) -> None:
        self.hold(1, "hidden")

    @property
    def leaves(self) -> int:
        return self.hidden

    def build(self, width: int, read: int) -> "DirectLayer":
        return DirectLayer(self, width, read)


class Stepping(Controller):
    """`depth` layers of a recurrent cell, the first of which is given [x, r]."""

    cell: Cell
    depth: int = 1

    def validate(self) -> None:
        self.hold(1, "depth")

    @property
    def leaves(self) -> int:
        return self.cell.hidden

    def build(self, width: int, read: int) -> "SteppingLayer":
        return SteppingLayer(self, width, read)


class ControllerLayer(nn.Module):
    """A built controller. The share of x in its first matrix is multiplied for all steps at once, that of r in each."""

    width: int

    def first(self) -> nn.Linear:
        """The matrix over [x, r]."""
        raise NotImplementedError(type(self).__name__)

    def given(self, x: Tensor) -> Tensor:
        """What the first matrix makes of x, with its bias: (B, S, D) -> (B, S, G)"""
        matrix = self.first()
        return F.linear(x, matrix.weight[:, : self.width], matrix.bias)

    def reading(self) -> Tensor:
        """The matrix over r, (R, G)."""
        return self.first().weight[:, self.width :].T

    def start(self, rows: int) -> dict[str, Tensor]:
        """The states before the first step, each (rows, L, H)."""
        return {}

    def step(self, given: Tensor, states: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        """What is handed on, (B, H), and the next states. `given` (B, G) has both shares in it."""
        raise NotImplementedError(type(self).__name__)

    def taken(self, tensors: dict[str, Tensor]) -> tuple[State, ...]:
        """The states out of a slot."""
        return ()

    def kept(self, states: tuple[State, ...]) -> dict[str, Tensor]:
        """The states as a slot holds them."""
        return {}


class DirectLayer(ControllerLayer):
    def __init__(self, spec: Direct, width: int, read: int) -> None:
        super().__init__()
        self.width, self.activation = width, ACTIVATIONS[spec.activation]
        self.up = nn.Linear(width + read, spec.hidden)

    def first(self) -> nn.Linear:
        return self.up

    def step(self, given: Tensor, states: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        return self.activation(given), states


class SteppingLayer(ControllerLayer):
    """`cells` are in the order of layers."""

    def __init__(self, spec: Stepping, width: int, read: int) -> None:
        super().__init__()
        self.width, self.names = width, spec.cell.states
        self.shape = (spec.depth, spec.cell.hidden)
        self.cells = layers_of(spec.cell, spec.depth, 1, width + read)

    def cell(self, layer: int) -> CellLayer:
        found = self.cells[layer]
        assert isinstance(found, CellLayer)
        return found

    def first(self) -> nn.Linear:
        return self.cell(0).input

    def start(self, rows: int) -> dict[str, Tensor]:
        return {name: self.first().weight.new_zeros(rows, *self.shape) for name in self.names}

    def step(self, given: Tensor, states: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        made: list[State] = []
        for layer, state in enumerate(states):
            cell = self.cell(layer)
            made.append(cell.step(cell.input(made[-1][0]) if layer else given, state))
        return made[-1][0], tuple(made)

    def taken(self, tensors: dict[str, Tensor]) -> tuple[State, ...]:
        parts = [tensors[name].unbind(1) for name in self.names]
        return tuple(zip(*parts, strict=True))

    def kept(self, states: tuple[State, ...]) -> dict[str, Tensor]:
        return {name: torch.stack(parts, 1) for name, parts in zip(self.names, zip(*states, strict=True), strict=True)}
