"""Pictures become one vector of the whole, and beside it the features of places at several depths of the network.

Shapes: B batch, C channels of a stage, N its places, D width.
"""

from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.inputs.entry import Entry, EntryLayer
from transept.inputs.pictures import across, demand_size, refuse_more
from transept.parts.convnet import Convnet
from transept.parts.dropout import dropout
from transept.parts.entered import Entered


class Levels(Entry):
    """g = relu(W x) of what leaves a convolutional network, and l^s, what its stages `taken` compute (Jetley et al.
    2018, section 3.1). Stages are counted from 0, and taken before their pools.
    """

    size: tuple[int, int]
    net: Convnet
    taken: tuple[int, ...]
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)
        if min(self.size) < 1 or not self.net.fits(self.size):
            raise InvalidConfig(f"pictures of {across(self.size)} pixels are no whole squares of {self.net.pools}")
        if not self.taken or not all(0 <= stage < len(self.net.stages) for stage in self.taken):
            raise InvalidConfig(f"Levels.taken {self.taken} names stages of 0 to {len(self.net.stages) - 1}")

    @property
    def channels(self) -> int:
        """Those of a picture."""
        return self.net.channels

    def grid(self) -> tuple[int, int]:
        """How many places there are at the shallowest level, from top to bottom and from left to right."""
        return self.net.grids(self.size)[min(self.taken)]

    @property
    def levels(self) -> tuple[int, ...]:
        return tuple(self.net.widths()[stage] for stage in self.taken)

    def build(self, width: int) -> "LevelsLayer":
        return LevelsLayer(self, width)


class LevelsLayer(EntryLayer):
    """`whole` is W."""

    def __init__(self, spec: Levels, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.net = spec.net.build()
        rows, columns = spec.net.grids(spec.size)[-1]
        self.whole = nn.Linear(spec.net.widths()[-1] * rows * columns, width)

    def forward(
        self, pictures: Tensor, valid: Tensor | None = None, positions: Tensor | None = None, **more: Tensor
    ) -> Entered:
        """pictures (B, C, H, W) -> x (B, 1, D), and levels, each (B, N, C) of its stage."""
        refuse_more(valid, positions, more)
        demand_size(pictures, self.spec.channels, self.spec.size)
        *stages, last = self.net(pictures.to(self.whole.weight.dtype))
        drop = self.spec.dropout if self.training else 0.0
        whole = self.whole(dropout(last.flatten(1), drop)).relu()
        levels = tuple(stages[stage].flatten(2).transpose(1, 2) for stage in self.spec.taken)
        return Entered(whole[:, None], levels=levels)
