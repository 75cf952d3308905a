"""Convolutions over time: strided ones that make frames of samples, and a grouped one that tells frames their order.

Shapes: B batch, N samples, C channels, F frames, K taps of a kernel, D width.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig
from transept.parts.feedforward import ACTIVATIONS, Activation
from transept.spec import Part


class Convolutions(Part):
    """x = activation(norm(conv(x))), once for each kernel (Baevski et al. 2020, section 2).

    `norm` "group" is over time, each channel by itself, and after the first convolution alone; "layer" is over channels
    and after every one.
    """

    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    norm: Literal["group", "layer"] = "group"
    bias: bool = False
    activation: Activation = "gelu"

    def validate(self) -> None:
        given = (self.channels, self.kernels, self.strides)
        if len({len(each) for each in given}) > 1 or not self.channels:
            counts = f"{len(self.channels)} channels, {len(self.kernels)} kernels, {len(self.strides)} strides"
            raise InvalidConfig(f"{counts}: every convolution has one of each")
        if any(min(each) < 1 for each in given):
            raise InvalidConfig(
                f"channels, kernels and strides begin at 1: {self.channels, self.kernels, self.strides}"
            )

    def frames(self, samples: int) -> int:
        """How many frames so many samples make: floor((n - kernel) / stride) + 1 at each convolution."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = (samples - kernel) // stride + 1
        return max(samples, 0)

    def least(self, frames: int = 1) -> int:
        """The fewest samples that make so many frames."""
        samples = frames
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            samples = (samples - 1) * stride + kernel
        return samples

    def build(self) -> "ConvolutionsLayer":
        return ConvolutionsLayer(self)


class ConvolutionsLayer(nn.Module):
    def __init__(self, spec: Convolutions) -> None:
        super().__init__()
        self.spec, self.activation = spec, ACTIVATIONS[spec.activation]
        sizes = zip((1, *spec.channels), spec.channels, spec.kernels, spec.strides, strict=False)
        self.convs = nn.ModuleList(nn.Conv1d(*each, bias=spec.bias) for each in sizes)
        over_time = (nn.GroupNorm(count, count) for count in spec.channels[:1])
        self.norms = nn.ModuleList(over_time if spec.norm == "group" else (nn.LayerNorm(c) for c in spec.channels))

    def begin(self) -> None:
        """As wav2vec 2.0 (He et al. 2015, for rectifiers)."""
        for conv in self.convs:
            assert isinstance(conv, nn.Conv1d)
            nn.init.kaiming_normal_(conv.weight)
            if conv.bias is not None:
                bound = (conv.in_channels * conv.kernel_size[0]) ** -0.5
                nn.init.uniform_(conv.bias, -bound, bound)

    def forward(self, waves: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """waves (B, N), whose first lengths[i] samples in row i are real -> (B, F, C), and how many frames are real."""
        x = waves[:, None]
        for i, conv in enumerate(self.convs):
            assert isinstance(conv, nn.Conv1d)
            x = convolved(conv, x)
            if lengths is not None:
                lengths = (lengths - self.spec.kernels[i]) // self.spec.strides[i] + 1
            if i < len(self.norms):
                x = self._normed(self.norms[i], x, lengths)
            x = self.activation(x)
        return x.transpose(1, 2), None if lengths is None else lengths.clamp(min=0)

    def _normed(self, norm: nn.Module, x: Tensor, lengths: Tensor | None) -> Tensor:
        if isinstance(norm, nn.GroupNorm) and lengths is not None:
            return norm_over_time(norm, x, lengths)
        out: Tensor = norm(x) if isinstance(norm, nn.GroupNorm) else norm(x.transpose(1, 2)).transpose(1, 2)
        return out


def convolved(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """x (B, C, F) through a convolution of time; on a processor in float32 where bfloat16 is not safe to learn by.

    Where windows overlap and step by more than one, oneDNN's bfloat16 gradient of the weights multiplies memory that
    nothing has filled by 0 (torch 2.13, processors with AMX): a NaN there is one in the gradient, in some of a hundred.
    """
    (kernel,), (stride,) = conv.kernel_size, conv.stride
    learns = torch.is_grad_enabled() and conv.weight.requires_grad
    if not learns or x.dtype != torch.bfloat16 or x.device.type != "cpu" or not 1 < stride < kernel:
        out: Tensor = conv(x)
        return out
    bias = None if conv.bias is None else conv.bias.float()
    return F.conv1d(x.float(), conv.weight.float(), bias, conv.stride).to(x.dtype)


def norm_over_time(norm: nn.GroupNorm, x: Tensor, lengths: Tensor) -> Tensor:
    """A norm of each channel whose statistics leave out what comes after lengths[i]: padding counts for nothing.

    x (B, C, F). Where nothing is real the result is the norm's bias.
    """
    real = (torch.arange(x.size(-1), device=x.device) < lengths[:, None])[:, None]
    count = lengths.clamp(min=1)[:, None, None]
    wide = x if x.dtype == torch.float64 else x.float()  # the sums of a long sound are beyond half precision
    mean = wide.masked_fill(~real, 0.0).sum(-1, keepdim=True) / count
    centred = (wide - mean).masked_fill(~real, 0.0)
    variance = centred.square().sum(-1, keepdim=True) / count
    scaled = (centred * (variance + norm.eps).rsqrt()).to(x.dtype)
    return scaled * norm.weight[:, None] + norm.bias[:, None]


class Convolved(Part):
    """x + activation(conv(x)): the frames around tell a frame where it is (Baevski et al. 2020, section 2).

    The convolution is `kernel` frames wide and in `groups`. Each tap has a gain of its own: weight normalisation
    (Salimans & Kingma 2016) over all axes but the kernel's.
    """

    kernel: int = 128
    groups: int = 16
    activation: Activation = "gelu"

    def validate(self) -> None:
        self.hold(1, "kernel", "groups")

    def build(self, width: int) -> "ConvolvedLayer":
        if width % self.groups:
            raise InvalidConfig(f"groups={self.groups} does not divide width={width}")
        return ConvolvedLayer(self, width)


class ConvolvedLayer(nn.Module):
    """`gain` (1, 1, K), `direction` (D, D / groups, K), `bias` (D,)."""

    def __init__(self, spec: Convolved, width: int) -> None:
        super().__init__()
        self.spec, self.activation = spec, ACTIVATIONS[spec.activation]
        self.gain = nn.Parameter(torch.empty(1, 1, spec.kernel))
        self.direction = nn.Parameter(torch.empty(width, width // spec.groups, spec.kernel))
        self.bias = nn.Parameter(torch.empty(width))

    def begin(self) -> None:
        """N(0, 4 / (K D)), as wav2vec 2.0; the gains are the norms of what was drawn."""
        nn.init.normal_(self.direction, std=2 * (self.spec.kernel * len(self.bias)) ** -0.5)
        self.gain.copy_(self._norms())
        nn.init.zeros_(self.bias)

    def _norms(self) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(self.direction, dim=(0, 1), keepdim=True)
        return norms

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, D) -> (B, F, D). What is no real frame must be zero."""
        weight = self.direction * (self.gain / self._norms())
        around = F.conv1d(x.transpose(1, 2), weight, self.bias, padding=self.spec.kernel // 2, groups=self.spec.groups)
        # An even kernel gives one frame more.
        return x + self.activation(around[..., : x.size(1)].transpose(1, 2))
