"""Vectors of numbers become vectors of the model: a linear map, or none, with an order added, dropped."""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig, InvalidData
from transept.inputs.entry import Entry, EntryLayer
from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.position import Added
from transept.parts.view import count_positions


class Vectors(Entry):
    """drop(x W + b + position) of vectors of `size` numbers; with `project` "none" x itself, which is as wide."""

    size: int
    position: Added | None = None
    dropout: float = 0.0
    project: Literal["linear", "none"] = "linear"

    def validate(self) -> None:
        self.hold(1, "size")
        self.hold(0, "dropout", below=1)

    def limit(self) -> int | None:
        return self.position.limit() if self.position else None

    def build(self, width: int) -> "VectorsLayer":
        if self.project == "none" and self.size != width:
            raise InvalidConfig(
                f"vectors of {self.size} numbers enter as they are, and the model is {width} wide",
                remedy="Make them equal, or let Vectors.project be 'linear'.",
            )
        return VectorsLayer(self, width)


class VectorsLayer(EntryLayer):
    def __init__(self, spec: Vectors, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.project = nn.Linear(spec.size, width) if spec.project == "linear" else nn.Identity()
        self.position = spec.position.build(width) if spec.position else None

    def forward(self, inputs: Tensor, valid: Tensor | None = None, positions: Tensor | None = None) -> Entered:
        """inputs (B, S, size); positions (B or 1, S), counted over what is real where they are not given."""
        if inputs.dim() != 3 or inputs.size(2) != self.spec.size:
            raise InvalidData(f"vectors are (rows, length, {self.spec.size}), not {tuple(inputs.shape)}")
        x = self.project(inputs)
        if self.position is not None:
            if positions is None:
                count = torch.arange(inputs.size(1), device=inputs.device)
                positions = count[None] if valid is None else count_positions(valid)
            x = x + self.position(positions).to(x.dtype)
        return Entered(dropout(x, self.spec.dropout if self.training else 0.0), valid)
