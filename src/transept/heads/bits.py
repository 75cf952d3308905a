"""Bits at every position, each told by a probability of its own.

Shapes: B batch, S length, D width, C bits.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from transept.heads.head import Head, HeadLayer
from transept.parts.entered import Entered
from transept.parts.loss import Loss


class Bits(Head):
    """x W + b at every position, (B, S, C): how many nats a bit is likelier to be 1 than 0."""

    count: int

    def validate(self) -> None:
        self.hold(1, "count")

    def build(self, width: int) -> "BitsLayer":
        return BitsLayer(self, width)


class BitsLayer(HeadLayer):
    def __init__(self, spec: Bits, width: int) -> None:
        super().__init__()
        self.spec, self.score = spec, nn.Linear(width, spec.count)

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        scores: Tensor = self.score(states)
        return scores

    @staticmethod
    def loss(logits: Tensor, labels: Tensor, told: Tensor) -> Loss:
        """-log p of all bits of the vectors that are `told` (B, S), summed; labels (B, S, C) are 0 or 1.

        The count is of vectors: divided by it, the loss is in nats a vector.
        """
        logits = logits[told].float()
        total = F.binary_cross_entropy_with_logits(logits, labels[told].float(), reduction="sum")
        return Loss(total, total.detach(), len(logits))


def wrong(logits: Tensor, labels: Tensor, told: Tensor) -> Tensor:
    """How many bits each row has wrong where it was told, (B,), the likelier value of each taken."""
    return (((logits > 0) != (labels > 0.5)) & told[..., None]).sum((1, 2))
