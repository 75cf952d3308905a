"""Sublayers in a row, each inside a residual connection with its norm."""

from collections import Counter
from typing import Literal

from torch import Tensor, nn

from transept.parts.cache import Slot
from transept.parts.dropout import dropout
from transept.parts.layer import Layer, Sublayer
from transept.parts.norm import Norm
from transept.parts.view import View
from transept.spec import Part


class Block(Part):
    """place "after": x = norm(x + drop(f(x))) (Vaswani et al. 2017).

    place "before": x = x + drop(f(norm(x))) (Xiong et al. 2020), with one more norm after the last block of the stack.
    """

    parts: tuple[Sublayer, ...]
    norm: Norm = Norm()
    place: Literal["before", "after"] = "before"
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)

    def roles(self) -> list[str]:
        """The name of each sublayer: its role, numbered from the second of a kind on."""
        count: Counter[str] = Counter()
        names = []
        for part in self.parts:
            count[part.role] += 1
            names.append(part.role if count[part.role] == 1 else f"{part.role}_{count[part.role]}")
        return names

    def build(self, width: int, memory: int | None = None) -> "BlockLayer":
        return BlockLayer(self, width, memory)


class BlockLayer(nn.Module):
    """Sublayer NAME is the attribute NAME, its norm NAME_norm: `blocks.3.attention.q.weight`."""

    def __init__(self, spec: Block, width: int, memory: int | None = None) -> None:
        super().__init__()
        self.spec, self.roles = spec, spec.roles()
        for name, part in zip(self.roles, spec.parts, strict=True):
            self.add_module(name, part.build(width, memory))
            self.add_module(f"{name}_norm", spec.norm.build(width))

    def layers(self) -> list[Layer]:
        found = [self.get_submodule(name) for name in self.roles]
        return [layer for layer in found if isinstance(layer, Layer)]

    def forward(self, x: Tensor, view: View, slots: list[Slot | None]) -> Tensor:
        drop = self.spec.dropout if self.training else 0.0
        for name, slot in zip(self.roles, slots, strict=True):
            layer, norm = self._modules[name], self._modules[f"{name}_norm"]
            assert layer is not None
            assert norm is not None
            if self.spec.place == "before":
                x = x + dropout(layer(norm(x), view, slot), drop)
            else:
                x = norm(x + dropout(layer(x, view, slot), drop))
        return x
