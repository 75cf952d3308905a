"""A trunk that is not there: what entered is what leaves."""

from torch import Tensor

from transept.parts.cache import Slots
from transept.parts.memory import Memory
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View


class Straight(Trunk):
    """The decoder, or the head, reads the input itself, as one that looks at the annotations of a picture."""

    @property
    def causal(self) -> bool:
        return False

    def build(self, width: int, memory: int | None = None) -> "StraightLayer":
        return StraightLayer()


class StraightLayer(TrunkLayer):
    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        return []

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        return x
