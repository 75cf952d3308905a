"""Stacked convolutions along time: each state is made of a window of words, and sees further the higher it stands.

Shapes: B batch, S length, D what enters, C features of a layer, K taps of a kernel.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig, UsageError
from transept.parts.cache import Slot, Slots
from transept.parts.dropout import dropout
from transept.parts.feedforward import ACTIVATIONS, Activation
from transept.parts.mapped import Weights, mapped
from transept.parts.memory import Memory
from transept.parts.neighbours import Neighbours, neighbours
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View
from transept.spec import Part

HALF = 0.5**0.5  # a sum of two of equal variance has twice that variance


class Kernels(Part):
    """`depth` convolutions in a row: `hidden` features each, of `kernel` tokens that are `dilation` apart."""

    hidden: int
    kernel: int = 3
    dilation: int = 1
    depth: int = 1

    def validate(self) -> None:
        self.hold(1, "hidden", "kernel", "dilation", "depth")

    def offsets(self, looks: Literal["around", "back"]) -> tuple[int, ...]:
        """Where the taps are, from the token itself."""
        own = self.kernel - 1 if looks == "back" else self.kernel // 2
        return tuple((tap - own) * self.dilation for tap in range(self.kernel))


class Windows(Trunk):
    """h' = activation(convolution(h)) (+ h), from the lowest to the highest.

    `looks` "around" centres the kernels, which must be odd; "back" puts k - 1 zeros before the first token, so that no
    token sees a later one (van den Oord et al. 2016). "glu" makes twice the features, A * sigmoid(B) of them (Dauphin
    et al. 2017). `residual` "halved" is the sum times sqrt(0.5), of which the variance stays as it was (Gehring et al.
    2017, section 3.4); where the features change, a matrix maps what is added. `enter` "linear" is a matrix before the
    first convolution, and `leave` is how many features one makes after the last. `weights` "normalised" gives each row
    a gain of its own. `dropout` is on what enters each convolution.
    """

    kernels: tuple[Kernels, ...]
    looks: Literal["around", "back"] = "around"
    activation: Activation | Literal["glu", "none"] = "relu"
    residual: Literal["none", "sum", "halved"] = "none"
    weights: Weights = "plain"
    enter: Literal["convolution", "linear"] = "convolution"
    leave: int | None = None
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)
        self.hold(1, "leave")
        if not self.kernels:
            raise InvalidConfig("Windows.kernels is empty: there is nothing to read with")
        for kernels in self.kernels:
            if self.looks == "around" and kernels.kernel % 2 == 0:
                raise InvalidConfig(
                    f"a kernel of {kernels.kernel} has no middle, and so cannot look around a token",
                    remedy="Take an odd one, or looks='back'.",
                )

    def each(self) -> list[Kernels]:
        """The kernels of each convolution, from the lowest on."""
        return [kernels for kernels in self.kernels for _ in range(kernels.depth)]

    def field(self) -> tuple[int, ...]:
        """The receptive field: the offsets, ascending, of all that a state depends on.

        With n convolutions of k taps around, all from -n(k-1)/2 to n(k-1)/2; where only widely dilated kernels stand
        above each other, there are holes between.
        """
        reached = {0}
        for kernels in self.each():
            there = {before + offset for before in reached for offset in kernels.offsets(self.looks)}
            reached = there if self.residual == "none" else reached | there
        return tuple(sorted(reached))

    @property
    def noun(self) -> str:
        return "convolutional network"

    @property
    def causal(self) -> bool:
        return self.looks == "back"

    def leaves(self, width: int, memory: int | None = None) -> int:
        return self.leave or self.kernels[-1].hidden

    def build(self, width: int, memory: int | None = None) -> "WindowsLayer":
        return WindowsLayer(self, width)


class WindowLayer(nn.Module):
    """One convolution, as a matrix over what its taps read: `taps` (O, K*C), tap by tap."""

    def __init__(self, spec: Windows, kernels: Kernels, given: int) -> None:
        super().__init__()
        self.activation, self.offsets, self.given = spec.activation, kernels.offsets(spec.looks), given
        gated = spec.activation == "glu"
        # The gate takes three quarters of the variance away (Gehring et al. 2017, section 3.5).
        variance = (4.0 if gated else 1.0) * (1 - spec.dropout)
        size = kernels.hidden * (2 if gated else 1)
        self.taps = mapped(kernels.kernel * given, size, spec.weights, variance=variance)
        changes = spec.residual != "none" and given != kernels.hidden
        self.residual = mapped(given, kernels.hidden, spec.weights) if changes else None

    def new_slot(self, batch: int, size: int) -> Slot | None:
        """What it was given at each column. Kept by columns as keys are, so that a cache can crop and leave holes."""
        if self.offsets == (0,):
            return None
        like = next(self.parameters())
        return Slot({"x": like.new_zeros(batch, 1, size, self.given)}, "keys")

    def forward(self, around: Tensor) -> Tensor:
        """(B, S, K*C) -> (B, S, C)"""
        y: Tensor = self.taps(around)
        if self.activation == "none":
            return y
        return F.glu(y, -1) if self.activation == "glu" else ACTIVATIONS[self.activation](y)


class WindowsLayer(TrunkLayer):
    def __init__(self, spec: Windows, width: int) -> None:
        super().__init__()
        self.spec, each = spec, spec.each()
        lowest = each[0].hidden
        linear = spec.enter == "linear"
        self.enter = mapped(width, lowest, spec.weights, variance=1 - spec.dropout) if linear else nn.Identity()
        given = [lowest if linear else width, *(kernels.hidden for kernels in each)]
        self.layers = nn.ModuleList(WindowLayer(spec, *made) for made in zip(each, given[:-1], strict=True))
        self.leave = mapped(given[-1], spec.leave, spec.weights) if spec.leave else nn.Identity()

    def layer(self, at: int) -> WindowLayer:
        layer = self.layers[at]
        assert isinstance(layer, WindowLayer)
        return layer

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        if not self.spec.causal:
            raise UsageError(
                "windows that look around cannot be read a step at a time: what comes later changes what was read",
                remedy="Read the whole at once, or take looks='back'.",
            )
        return [[self.layer(i).new_slot(batch, size)] for i in range(len(self.layers))]

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, S, D) -> (B, S, leaves)"""
        near = neighbours(view, slots is not None)
        return near.leave(self.run(near.enter(x), near, slots))

    def run(
        self,
        x: Tensor,
        near: Neighbours,
        slots: Slots | None = None,
        look: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """All layers, in the order of the neighbours. `look(i, y)` stands between convolution i and its residual."""
        drop = self.spec.dropout if self.training else 0.0
        x = self.enter(x)
        for i in range(len(self.layers)):
            layer = self.layer(i)
            slot = None if slots is None else slots[i][0]
            y = layer(near.around(dropout(x, drop), layer.offsets, slot))
            if look is not None:
                y = look(i, y)
            x = self.joined(y, x, layer)
        left: Tensor = self.leave(x)
        return left

    def joined(self, y: Tensor, x: Tensor, layer: WindowLayer) -> Tensor:
        """What a layer made, with what it was given."""
        if self.spec.residual == "none":
            return y
        both = y + (x if layer.residual is None else layer.residual(x))
        return both * HALF if self.spec.residual == "halved" else both
