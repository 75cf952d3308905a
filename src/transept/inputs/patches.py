"""Pictures become vectors: squares cut out of them, or of what a convolutional network computes of them, and projected,
tokens of their own put in front, positions added.

Shapes: B batch, C channels, H and W the height and width in pixels, N squares, D width.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig, InvalidData
from transept.inputs.entry import Entry, EntryLayer
from transept.inputs.pictures import across, demand_channels, demand_order, refuse_more
from transept.parts.convnet import Convnet, ConvnetLayer
from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.position import Added

STD = 0.02  # of positions and of the tokens in front, where a model begins


class Patches(Entry):
    """drop([class; (distillation;) projected squares, row by row] + positions) (Dosovitskiy et al. 2021, equation 1).

    `size` is the height and width that the positions are for, `patch` those of a square. `front` is what stands before
    the squares: nothing, the class token, or DeiT's class and distillation tokens. `resize` says how the positions of
    the squares follow a picture of another size: "bicubic" as Hugging Face does when it is asked to, "bilinear" with
    the corners kept as the paper's own code; None refuses such a picture. `position` "table" is the paper's, a learned
    vector for each token; another is added to all tokens in their order, those in front first; None is none. With a
    `net`, squares are cut out of what leaves it, and `patch` still counts the pixels of a picture (the paper's hybrid).
    """

    size: tuple[int, int]
    patch: tuple[int, int]
    channels: int = 3
    front: Literal["none", "class", "distilled"] = "class"
    resize: Literal["bicubic", "bilinear"] | None = None
    dropout: float = 0.0
    position: Added | Literal["table"] | None = "table"
    net: Convnet | None = None

    def validate(self) -> None:
        self.hold(1, "channels")
        self.hold(0, "dropout", below=1)
        if min(*self.size, *self.patch) < 1 or any(a % b for a, b in zip(self.size, self.patch, strict=True)):
            raise InvalidConfig(f"pictures of {across(self.size)} pixels are no whole squares of {across(self.patch)}")
        if self.net is not None:
            self._demand_net(self.net)
        if isinstance(self.position, Added):
            demand_order(self.position, self.squares())
        if self.resize is not None and self.position != "table":
            raise InvalidConfig(f"resize: {self.resize} stretches a table of positions, and these are {self.position}")

    def _demand_net(self, net: Convnet) -> None:
        if net.channels != self.channels:
            raise InvalidConfig(
                f"the network over pictures takes {net.channels} channels, and they have {self.channels}"
            )
        if not net.fits(self.patch):
            raise InvalidConfig(
                f"squares of {across(self.patch)} pixels cannot be cut out of what the pools {net.pools} leave:"
                f" one of its places is {across((net.scale(), net.scale()))} pixels",
                remedy=f"Say a patch of {net.scale()} pixels, or a multiple of it, or other pools.",
            )

    def squares(self) -> tuple[int, int, int]:
        return *self.grid(), self.before()

    def grid(self) -> tuple[int, int]:
        """How many squares there are from top to bottom, and from left to right."""
        return self.size[0] // self.patch[0], self.size[1] // self.patch[1]

    def before(self) -> int:
        """How many tokens stand before the squares."""
        return {"none": 0, "class": 1, "distilled": 2}[self.front]

    def build(self, width: int) -> "PatchesLayer":
        return PatchesLayer(self, width)


class PatchesLayer(EntryLayer):
    """`position` (tokens in front + N, D), or a layer of another order; `token` and `distilled` (D,)."""

    def __init__(self, spec: Patches, width: int) -> None:
        super().__init__()
        self.spec = spec
        rows, columns = spec.grid()
        channels, (height, wide) = spec.channels, spec.patch
        self.net: ConvnetLayer | None = None
        if spec.net is not None:
            scale, channels = spec.net.scale(), spec.net.widths()[-1]
            height, wide = height // scale, wide // scale
            self.net = spec.net.build(taken=height * wide)
        self.project = nn.Conv2d(channels, width, (height, wide), (height, wide))
        self.token = nn.Parameter(torch.empty(width)) if spec.before() > 0 else None
        self.distilled = nn.Parameter(torch.empty(width)) if spec.before() > 1 else None
        self.position: nn.Parameter | nn.Module | None = None
        if isinstance(spec.position, Added):
            self.position = spec.position.build(width)
        elif spec.position == "table":
            self.position = nn.Parameter(torch.empty(spec.before() + rows * columns, width))

    def begin(self) -> None:
        """As DeiT, N(0, 0.02^2). The paper's class token begins at zero."""
        for table in (self.position, self.token, self.distilled):
            if isinstance(table, nn.Parameter):
                nn.init.normal_(table, std=STD)

    def forward(
        self, pictures: Tensor, valid: Tensor | None = None, positions: Tensor | None = None, **more: Tensor
    ) -> Entered:
        """pictures (B, C, H, W); every square is real and has its place, so there is no `valid` and no `positions`."""
        refuse_more(valid, positions, more)
        grid = self.cut(demand_channels(pictures, self.spec.channels))
        x = self.projected(pictures.to(self.project.weight.dtype), grid)
        front = [token.expand(len(x), 1, -1) for token in (self.token, self.distilled) if token is not None]
        x = torch.cat([*front, x], 1)
        if isinstance(self.position, nn.Module):
            x = x + self.position(torch.arange(x.size(1), device=x.device)[None]).to(x.dtype)
        elif self.position is not None:
            x = x + self.table(self.position, grid)
        return Entered(dropout(x, self.spec.dropout if self.training else 0.0))

    def projected(self, pictures: Tensor, grid: tuple[int, int]) -> Tensor:
        """The squares of pictures, or of what the network makes of them, times one matrix: (B, C, H, W) -> (B, N, D).

        A convolution whose strides are its kernel is that product, and takes two to three times as long on a processor.
        """
        x = pictures if self.net is None else self.net(pictures)[-1]
        batch, (rows, columns), (height, width) = len(x), grid, self.project.kernel_size
        x = x.reshape(batch, -1, rows, height, columns, width)
        x = x.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, -1)  # (B, C, h, P, w, Q) -> (B, N, C*P*Q)
        return F.linear(x, self.project.weight.flatten(1), self.project.bias)

    def cut(self, size: tuple[int, int]) -> tuple[int, int]:
        """The grid of squares of such pictures. Raises InvalidData with the sizes where the model cannot take them."""
        spec = self.spec
        if size == spec.size:
            return spec.grid()
        if spec.resize is None:
            raise InvalidData(
                f"a picture of {across(size)} pixels, and the model has positions for {across(spec.size)}",
                remedy="Scale the picture, or describe the model with resize: bicubic, or bilinear.",
            )
        rows, columns = size[0] // spec.patch[0], size[1] // spec.patch[1]
        if not rows or not columns or (rows * spec.patch[0], columns * spec.patch[1]) != size:
            raise InvalidData(
                f"a picture of {across(size)} pixels is no whole squares of {across(spec.patch)}",
                remedy="Cut or scale the picture.",
            )
        return rows, columns

    def table(self, table: Tensor, grid: tuple[int, int]) -> Tensor:
        """The positions of a grid, those in front included, (tokens in front + N, D)."""
        own, resize = self.spec.grid(), self.spec.resize
        if grid == own:
            return table
        assert resize is not None
        front, squares = table.tensor_split([self.spec.before()])
        corners = resize == "bilinear"
        image = squares.unflatten(0, own).permute(2, 0, 1)[None]  # (N, D) -> (1, D, h, w)
        image = F.interpolate(image, size=grid, mode=resize, align_corners=corners)
        return torch.cat([front, image[0].flatten(1).T])
