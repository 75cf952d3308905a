"""Pictures become annotations: a vector for each place of a grid, made by a convolutional network.

Shapes: B batch, C channels, H and W height and width of a picture, L places of the grid, D width.
"""

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.inputs.entry import Entry, EntryLayer
from transept.inputs.pictures import across, demand_order, demand_size, refuse_more
from transept.parts.convnet import Convnet
from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.position import Added, OrderLayer


class Annotations(Entry):
    """a_1 .. a_L, what a convolutional network makes of each place of a picture, row by row (Xu et al. 2015, 3.1.1).

    `size` is the height and width of the pictures. The channels of the last stage are the width of the model.
    `position` adds an order to them, which the paper does not: its network tells places by what lies around them.
    """

    size: tuple[int, int]
    net: Convnet
    position: Added | None = None
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)
        if min(self.size) < 1 or not self.net.fits(self.size):
            raise InvalidConfig(f"pictures of {across(self.size)} pixels are no whole squares of {self.net.pools}")
        demand_order(self.position, self.squares())

    def squares(self) -> tuple[int, int, int]:
        return *self.grid(), 0

    @property
    def channels(self) -> int:
        """Those of a picture."""
        return self.net.channels

    def grid(self) -> tuple[int, int]:
        """How many places there are from top to bottom, and from left to right."""
        return self.net.grids(self.size)[-1]

    def build(self, width: int) -> "AnnotationsLayer":
        if self.net.widths()[-1] != width:
            raise InvalidConfig(
                f"annotations of {self.net.widths()[-1]} channels cannot enter a model of width {width}",
                remedy="Make them equal.",
            )
        return AnnotationsLayer(self, width)


class AnnotationsLayer(EntryLayer):
    def __init__(self, spec: Annotations, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.net = spec.net.build()
        self.position = spec.position.build(width) if spec.position else None

    def begin(self) -> None:
        """Learned places are as large as what they are added to: of smaller ones attention tells the places late."""
        if isinstance(self.position, OrderLayer):
            for table in self.position.parameters():
                nn.init.normal_(table)

    def forward(
        self, pictures: Tensor, valid: Tensor | None = None, positions: Tensor | None = None, **more: Tensor
    ) -> Entered:
        """pictures (B, C, H, W) -> x (B, L, D); every place is real, so there is no `valid` and no `positions`."""
        refuse_more(valid, positions, more)
        demand_size(pictures, self.spec.channels, self.spec.size)
        weight = next(self.parameters())
        x = self.net(pictures.to(weight.dtype))[-1].flatten(2).transpose(1, 2)  # (B, D, h, w) -> (B, L, D)
        if self.position is not None:
            x = x + self.position(torch.arange(x.size(1), device=x.device)[None]).to(x.dtype)
        return Entered(dropout(x, self.spec.dropout if self.training else 0.0))
