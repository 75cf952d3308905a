"""The position-wise network: the same two or three matrices at every token; no token sees another."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.parts.cache import Slot
from transept.parts.dropout import dropout
from transept.parts.layer import Layer, Sublayer
from transept.parts.view import View

Activation = Literal["relu", "gelu", "gelu_tanh", "gelu_quick", "silu", "tanh"]

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,  # x Phi(x), exact
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_quick": lambda x: x * (1.702 * x).sigmoid(),
    "silu": F.silu,
    "tanh": torch.tanh,
}


class FeedForward(Sublayer):
    """activation(x W1 + b1) W2 + b2 (Vaswani et al. 2017, equation 2), `hidden` features in between.

    `gated`: activation(x W) * (x W1) before W2 (Shazeer 2020), as in T5 1.1 and Llama. `dropout` is on the hidden
    features, which the 2017 paper does not drop.
    """

    hidden: int
    activation: Activation = "relu"
    gated: bool = False
    bias: bool = True
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "hidden")
        self.hold(0, "dropout", below=1)

    @property
    def role(self) -> str:
        return "feedforward"

    def build(self, width: int, memory: int | None = None) -> "FeedForwardLayer":
        return FeedForwardLayer(self, width)


class FeedForwardLayer(Layer):
    def __init__(self, spec: FeedForward, width: int) -> None:
        super().__init__()
        self.spec, self.activation = spec, ACTIVATIONS[spec.activation]
        self.up = nn.Linear(width, spec.hidden, spec.bias)
        self.gate = nn.Linear(width, spec.hidden, spec.bias) if spec.gated else None
        self.down = nn.Linear(spec.hidden, width, spec.bias)

    def forward(self, x: Tensor, view: View | None = None, slot: Slot | None = None) -> Tensor:
        up = self.up(x)
        hidden = self.activation(up) if self.gate is None else self.activation(self.gate(x)) * up
        out: Tensor = self.down(dropout(hidden, self.spec.dropout if self.training else 0.0))
        return out
