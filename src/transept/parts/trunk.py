"""What lies between an input part and a head: blocks in a row, a recurrence along time, windows of words."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from transept.parts.attention import Attention
from transept.parts.cache import Slots
from transept.parts.memory import Memory
from transept.parts.position import Position
from transept.parts.view import View
from transept.spec import Part

if TYPE_CHECKING:
    from collections.abc import Callable


class Trunk(Part):
    """The description of a trunk. `build` is told the width that enters, and that of the memory where one is read."""

    @property
    def causal(self) -> bool:
        """Whether no position looks at a later one, so that the trunk can write from left to right."""
        raise NotImplementedError(type(self).__name__)

    @property
    def final(self) -> tuple[str, ...]:
        """The names of the last states that it hands over, for a decoder to begin with."""
        return ()

    @property
    def reads_entered(self) -> bool:
        """Whether it reads what entered the encoder, beside what left it."""
        return False

    def follow(self, encoder: "Trunk") -> None:
        """Refuse an encoder whose memory it cannot begin with. Raises InvalidConfig."""

    @property
    def noun(self) -> str:
        """What a person calls it."""
        return "recurrent network"

    @property
    def reads_memory(self) -> bool:
        """Whether it cannot do without a memory."""
        return any(attention.source == "memory" for attention in self.attentions())

    def attentions(self) -> tuple[Attention, ...]:
        """Every attention in it."""
        return ()

    def orders(self) -> tuple[Position, ...]:
        """Every position in it."""
        return tuple(attention.position for attention in self.attentions() if attention.position is not None)

    @property
    def reads_tree(self) -> bool:
        """Whether an attention needs to be told where tokens stand in the trees of their sentences."""
        return any(position.reads_tree for position in self.orders())

    @property
    def hands_on(self) -> bool:
        """Whether one segment of a text hands something to the next: states to be read again, or one that runs on."""
        return False

    def leaves(self, width: int, memory: int | None = None) -> int:
        """The width of the states that leave it."""
        return width

    def limit(self) -> int | None:
        """How many tokens it can take on a side, or None where there is no end."""
        return None

    def build(self, width: int, memory: int | None = None) -> "TrunkLayer":
        raise NotImplementedError(type(self).__name__)


class TrunkLayer(nn.Module):
    """A built trunk. What it remembers between passes lies in the slots: none of it is kept on the module."""

    if TYPE_CHECKING:
        __call__: "Callable[..., Tensor]"

    def __init__(self) -> None:
        super().__init__()
        self.position: nn.Module | None = None  # what scores pairs of positions, for all of it

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        """Empty state for a cache of `size` columns."""
        raise NotImplementedError(type(self).__name__)

    def new_carried(self, batch: int, length: int) -> Slots:
        """What one segment of a text hands to the next, as `new_slots`: the state, where one runs on through a text."""
        return self.new_slots(batch, 0)

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, S, D) -> (B, S, leaves)"""
        raise NotImplementedError(type(self).__name__)
