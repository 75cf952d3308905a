"""What every sublayer of a block is: a description with a role, and a layer called with the view and its own slot."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from transept.parts.cache import Slot
from transept.parts.memory import Memory
from transept.parts.view import View
from transept.spec import Part

if TYPE_CHECKING:
    from collections.abc import Callable


class Layer(nn.Module):
    """A built sublayer. One that remembers between steps makes its slot; the cache holds it."""

    if TYPE_CHECKING:
        __call__: "Callable[..., Tensor]"

    def forward(self, x: Tensor, view: View, slot: Slot | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D)"""
        raise NotImplementedError(type(self).__name__)

    def new_slot(self, batch: int, size: int, memory: Memory | None) -> Slot | None:
        return None

    def new_carried(self, batch: int, length: int) -> Slot | None:
        """Room for what one segment hands to the next: the states of `length` tokens, where they are read again."""
        return None


class Sublayer(Part):
    """The description of a sublayer. `role` is what state-dict names call it."""

    @property
    def role(self) -> str:
        raise NotImplementedError(type(self).__name__)

    def build(self, width: int, memory: int | None = None) -> Layer:
        """`memory` is the width of the memory where it has another than the stream."""
        raise NotImplementedError(type(self).__name__)
