"""One matrix between a stack and what its head scores: BERT's pooler, the transform of its masked language model."""

from torch import Tensor, nn

from transept.parts.feedforward import ACTIVATIONS, Activation
from transept.parts.norm import Norm
from transept.spec import Part


class Dense(Part):
    """norm(activation(x W + b)), as wide as what enters."""

    activation: Activation = "tanh"
    norm: Norm | None = None

    def build(self, width: int) -> "DenseLayer":
        return DenseLayer(self, width)


class DenseLayer(nn.Module):
    def __init__(self, spec: Dense, width: int) -> None:
        super().__init__()
        self.linear, self.activation = nn.Linear(width, width), ACTIVATIONS[spec.activation]
        self.norm = spec.norm.build(width) if spec.norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)"""
        out: Tensor = self.norm(self.activation(self.linear(x)))
        return out
