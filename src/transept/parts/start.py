"""How the states of a recurrent decoder begin: from what the encoder hands over.

Shapes: B rows of the memory, R rows of the target (a multiple of B), L layers, M the memory's width, H the cell's.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.cell import Cell
from transept.parts.memory import Memory
from transept.spec import Part


class Start(Part):
    """What the first states are made of.

    "final": the encoder's last states, layer by layer, as they are (Sutskever et al. 2014; Luong et al. 2015).
    "bridge": tanh(W s + b) of them, with the two directions of a layer beside each other.
    "backward": tanh(W s + b) of the last layer's that read from right to left, at the first word (Bahdanau et al.
    2015). "mean": tanh(W m + b) of the mean of all states of the memory (Xu et al. 2015).
    """

    form: Literal["final", "bridge", "backward", "mean"] = "final"

    def build(self, cell: Cell, depth: int, memory: int) -> "StartLayer":
        """For `depth` layers of a cell, of a memory of so many features."""
        if self.form == "backward" and memory % 2:
            raise InvalidConfig(f"a memory of {memory} features is not of two directions")
        return StartLayer(self, cell, depth, memory)


class StartLayer(nn.Module):
    """`bridge.h.0` is the matrix of the first layer's state h."""

    def __init__(self, spec: Start, cell: Cell, depth: int, memory: int) -> None:
        super().__init__()
        self.spec, self.states, self.depth = spec, cell.states, depth
        width = memory // 2 if spec.form == "backward" else memory
        named = cell.states if spec.form != "final" else ()
        self.bridge = nn.ModuleDict(
            {name: nn.ModuleList(nn.Linear(width, cell.hidden) for _ in range(depth)) for name in named}
        )

    def forward(self, memory: Memory, rows: int) -> dict[str, Tensor]:
        """The first states by name, each (R, L, H)."""
        found = {name: self.first(name, memory) for name in self.states}
        return {name: state.repeat_interleave(rows // len(state), 0) for name, state in found.items()}

    def first(self, name: str, memory: Memory) -> Tensor:
        if self.spec.form == "mean":
            given = mean_of(memory)[:, None].expand(-1, self.depth, -1)
        else:
            assert memory.final is not None, "an encoder that hands its last states over"
            given = memory.final[name]
            if self.spec.form == "final":
                return given
            if self.spec.form == "backward":
                given = given[:, -1:].expand(-1, self.depth, -1)  # (B, layers * 2, H): the last one is the top's
            else:
                given = given.unflatten(1, (self.depth, -1)).flatten(2)  # (B, L * 2, H) -> (B, L, 2 H)
        layers = self.bridge[name]
        assert isinstance(layers, nn.ModuleList)
        return torch.stack([layer(given[:, i]).tanh() for i, layer in enumerate(layers)], 1)


def mean_of(memory: Memory) -> Tensor:
    """The mean of the real states of each row, (B, M); zero where there are none."""
    if memory.valid is None:
        return memory.states.mean(1)
    real = memory.valid[..., None].to(memory.states.dtype)
    return (memory.states * real).sum(1) / real.sum(1).clamp(min=1)
