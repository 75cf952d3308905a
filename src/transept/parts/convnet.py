"""A convolutional network over pictures, in stages that each look at a coarser grid.

Shapes: B pictures, C channels, h and w the height and width of a stage.
"""

from collections.abc import Callable
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig
from transept.spec import Part


class Convnet(Part):
    """Stages of 3 x 3 convolutions, each x = relu(norm(conv(x))), as VGG (Simonyan & Zisserman 2015).

    `stages` holds the channels of every convolution, stage by stage; after stage i the largest of each `pools[i]` x
    `pools[i]` square is taken, so that 1 takes all. `norm` "batch" is over the batch (Ioffe & Szegedy 2015).
    """

    stages: tuple[tuple[int, ...], ...]
    pools: tuple[int, ...]
    channels: int = 3
    norm: Literal["none", "batch"] = "none"

    def validate(self) -> None:
        self.hold(1, "channels")
        if len(self.stages) != len(self.pools) or not self.stages:
            raise InvalidConfig(
                f"{len(self.stages)} stages and {len(self.pools)} pools: every stage has one of each",
                remedy="A pool of 1 after a stage takes all that it computes.",
            )
        if not all(self.stages) or min(min(stage) for stage in self.stages) < 1 or min(self.pools) < 1:
            raise InvalidConfig(f"channels and pools begin at 1: {self.stages}, {self.pools}")

    def widths(self) -> tuple[int, ...]:
        """The channels that leave each stage."""
        return tuple(stage[-1] for stage in self.stages)

    def grids(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of what each stage computes of pictures of a size, before its pool, and what leaves last."""
        found = [size]
        for pool in self.pools:
            height, width = found[-1]
            found.append((height // pool, width // pool))
        return found

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether every pool takes whole squares."""
        grids = zip(self.grids(size), self.pools, strict=False)
        return all(side > 0 and side % pool == 0 for grid, pool in grids for side in grid)

    def scale(self) -> int:
        """How many pixels of a picture's side are one of what leaves the network."""
        return prod(self.pools)

    def build(self, taken: int = 1) -> "ConvnetLayer":
        """`taken` is how many of the pixels that leave make one token."""
        return ConvnetLayer(self, taken)


class Convolution(nn.Conv2d):
    """One of them. `area` is how many of its pixels there are for each token that is made of what leaves."""

    def __init__(self, inward: int, outward: int, bias: bool, area: int) -> None:
        super().__init__(inward, outward, 3, padding=1, bias=bias)
        self.area = area


class BatchNorm(nn.Module):
    """Each channel with mean 0 and variance 1 over the batch in training, and by moving means of both otherwise, then
    scaled and moved (Ioffe & Szegedy 2015). torch's own keeps a count beside them, which is no weight. The means stay
    float32, where a tenth of a small step would be lost, and stay as they are where the norm does not learn.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def begin(self) -> None:
        """As the identity."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "BatchNorm":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        wide = torch.promote_types(self.mean.dtype, torch.float32)
        self.mean, self.variance = self.mean.to(wide), self.variance.to(wide)
        return self

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(self.mean.dtype), self.bias.to(self.mean.dtype)
        learns = self.training and self.weight.requires_grad
        return F.batch_norm(x, self.mean, self.variance, weight, bias, learns)


class ConvnetLayer(nn.Module):
    """`convs.0.1` is the second convolution of the first stage, `norms.0.1` its norm."""

    def __init__(self, spec: Convnet, taken: int = 1) -> None:
        super().__init__()
        self.spec = spec
        batch, inward, area = spec.norm == "batch", spec.channels, taken * spec.scale() ** 2
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for stage, pool in zip(spec.stages, spec.pools, strict=True):
            sizes = [inward, *stage]
            self.convs.append(
                nn.ModuleList(Convolution(a, b, not batch, area) for a, b in zip(sizes, stage, strict=False))
            )
            self.norms.append(nn.ModuleList(BatchNorm(b) if batch else nn.Identity() for b in stage))
            inward, area = stage[-1], area // (pool * pool)

    def begin(self) -> None:
        """N(0, 2 / what a pixel is made of), so that rectifiers keep the variance (He et al. 2015)."""
        for conv in self.modules():
            if isinstance(conv, Convolution):
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> what each stage computes before its pool, and last what leaves the last pool."""
        x, found = pictures, list[Tensor]()
        for convs, norms, pool in zip(self.convs, self.norms, self.spec.pools, strict=True):
            assert isinstance(convs, nn.ModuleList)
            assert isinstance(norms, nn.ModuleList)
            for conv, norm in zip(convs, norms, strict=True):
                # Channels last: a processor takes two thirds of the time for it, a third without the gradient.
                x = torch.relu(norm(conv(x.contiguous(memory_format=torch.channels_last))))
            found.append(x)
            x = F.max_pool2d(x, pool) if pool > 1 else x
        return [*found, x]
