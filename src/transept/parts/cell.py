"""Recurrent cells: one step of a state along time, and whole sequences by torch's kernels where the function is theirs.

Shapes: B batch, S length, I what enters a step, H the cell's width, G its gates. A state is a tuple of (B, H).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from transept.parts.feedforward import ACTIVATIONS
from transept.spec import Part

State = tuple[Tensor, ...]


class Cell(Part):
    """The description of a cell of `hidden` features."""

    hidden: int

    def validate(self) -> None:
        self.hold(1, "hidden")

    @property
    def states(self) -> tuple[str, ...]:
        """The names of what it remembers; the first is what it hands on."""
        return ("h",)

    def build(self, width: int) -> "CellLayer":
        """`width` is that of what enters a step."""
        raise NotImplementedError(type(self).__name__)


class Elman(Cell):
    """h' = tanh(W x + b + U h + d) (Elman 1990)."""

    activation: Literal["tanh", "relu"] = "tanh"

    def build(self, width: int) -> "ElmanLayer":
        return ElmanLayer(self, width, 1)


class Lstm(Cell):
    """i, f, o = sigmoid, g = tanh of W x + b + U h + d; c' = f c + i g; h' = o tanh(c').

    Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000. The gates stand in the order i, f, g, o,
    torch's.
    """

    @property
    def states(self) -> tuple[str, ...]:
        return ("h", "c")

    def build(self, width: int) -> "LstmLayer":
        return LstmLayer(self, width, 4)


class Gru(Cell):
    """r, z = sigmoid of W x + b + U h + d; h' = (1 - z) n + z h, with a candidate n (Cho et al. 2014).

    `reset` "before" is Cho's and Bahdanau's, n = tanh(W x + b + U (r h) + d); "after" is what torch and its kernels
    compute, n = tanh(W x + b + r (U h + d)): not the same function. Bahdanau's z is one minus this one. The gates stand
    in the order r, z, n, torch's.
    """

    reset: Literal["before", "after"] = "after"

    def build(self, width: int) -> "GruLayer":
        return GruLayer(self, width, 3)


class CellLayer(nn.Module):
    """`input` (G*H, I) and `state` (G*H, H) are its matrices, with a bias each, as torch has them."""

    def __init__(self, spec: Cell, width: int, gates: int) -> None:
        super().__init__()
        self.spec, self.hidden = spec, spec.hidden
        self.input = nn.Linear(width, gates * spec.hidden)
        self.state = nn.Linear(spec.hidden, gates * spec.hidden)

    def weights(self) -> list[Tensor]:
        """In the order of torch's kernels."""
        return [self.input.weight, self.state.weight, self.input.bias, self.state.bias]

    def step(self, given: Tensor, state: State) -> State:
        """The next state. `given` (B, G*H) is what `input` made of x: it can be made for a whole sequence at once."""
        raise NotImplementedError(type(self).__name__)

    def kernel(self) -> Callable[..., tuple[Tensor, ...]] | None:
        """torch's function of whole sequences, or None where it has none for this cell."""
        return None

    def differentiated(self) -> bool:
        """Whether the kernel must keep what a backward pass needs; without dropout it computes the same either way."""
        return self.training or torch.is_grad_enabled()

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The states of every step, (B, S, I) -> (B, S, H), and the last."""
        if (kernel := self.kernel()) is None:
            given: Tensor = self.input(x)
            out: list[Tensor] = []
            for t in range(x.size(1)):
                state = self.step(given[:, t], state)
                out.append(state[0])
            return torch.stack(out, 1), state
        begun = tuple(part[None].contiguous() for part in state)
        hx = begun if len(begun) > 1 else begun[0]
        y, *last = kernel(x, hx, self.weights(), True, 1, 0.0, self.differentiated(), False, True)
        return y, tuple(part[0] for part in last)

    def packed(self, x: PackedSequence, state: State) -> tuple[PackedSequence, State]:
        """As `sequence`, for rows of different lengths, longest first: each row's last state is that of its end."""
        if (kernel := self.kernel()) is None:
            given, at = self.input(x.data), 0
            out: list[Tensor] = []
            ended: list[State] = []
            for count in x.batch_sizes.tolist():
                ended.append(tuple(part[count:] for part in state))  # the shortest rows have ended
                state = self.step(given[at : at + count], tuple(part[:count] for part in state))
                out.append(state[0])
                at += count
            ended.append(state)
            last = tuple(torch.cat(parts) for parts in zip(*reversed(ended), strict=True))
            return x._replace(data=torch.cat(out)), last
        begun = tuple(part[None].contiguous() for part in state)
        hx = begun if len(begun) > 1 else begun[0]
        y, *ends = kernel(x.data, x.batch_sizes, hx, self.weights(), True, 1, 0.0, self.differentiated(), False)
        return x._replace(data=y), tuple(part[0] for part in ends)


class ElmanLayer(CellLayer):
    def kernel(self) -> Callable[..., tuple[Tensor, ...]] | None:
        return torch.rnn_tanh if self.activation == "tanh" else torch.rnn_relu

    @property
    def activation(self) -> Literal["tanh", "relu"]:
        assert isinstance(self.spec, Elman)
        return self.spec.activation

    def step(self, given: Tensor, state: State) -> State:
        return (ACTIVATIONS[self.activation](given + self.state(state[0])),)


class LstmLayer(CellLayer):
    def kernel(self) -> Callable[..., tuple[Tensor, ...]] | None:
        return torch.lstm

    def step(self, given: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = (given + self.state(h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class GruLayer(CellLayer):
    @property
    def before(self) -> bool:
        assert isinstance(self.spec, Gru)
        return self.spec.reset == "before"

    def kernel(self) -> Callable[..., tuple[Tensor, ...]] | None:
        return None if self.before else torch.gru

    def step(self, given: Tensor, state: State) -> State:
        (h,) = state
        two = 2 * self.hidden
        if self.before:
            weight, bias = self.state.weight, self.state.bias
            r, z = (given[:, :two] + nn.functional.linear(h, weight[:two], bias[:two])).sigmoid().chunk(2, 1)
            n = (given[:, two:] + nn.functional.linear(r * h, weight[two:], bias[two:])).tanh()
        else:
            own = self.state(h)
            r, z = (given[:, :two] + own[:, :two]).sigmoid().chunk(2, 1)
            n = (given[:, two:] + r * own[:, two:]).tanh()
        return (n + z * (h - n),)
