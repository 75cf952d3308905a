"""A score for every token of the vocabulary."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.heads.head import Head, HeadLayer
from transept.parts.dense import Dense
from transept.parts.entered import Entered
from transept.parts.loss import IGNORED, Loss, Smoothing, linear_cross_entropy
from transept.parts.mapped import Normalised

ALIGNED = 16  # float32 numbers in a line of the processor's cache


class Vocabulary(Head):
    """logits = (scale * dense(states)) W' (+ b).

    Tied: W is the table that embedded the tokens (Press & Wolf 2017; Vaswani et al. 2017, section 3.4). BERT's masked
    language model has a `dense` before it; T5 has the scale 1/sqrt(D).
    """

    size: int
    tied: bool = True
    bias: bool = False
    dense: Dense | None = None
    scale: float = 1.0

    def validate(self) -> None:
        self.hold(1, "size")

    @property
    def needs_table(self) -> bool:
        return self.tied

    def build(self, width: int) -> "VocabularyLayer":
        return VocabularyLayer(self, width)


class VocabularyLayer(HeadLayer):
    def __init__(self, spec: Vocabulary, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.dense = spec.dense.build(width) if spec.dense else None
        self.score: nn.Linear | Normalised | None = None if spec.tied else nn.Linear(width, spec.size, bias=False)
        self.bias = nn.Parameter(torch.zeros(spec.size)) if spec.bias else None

    def weight(self, entered: Entered) -> Tensor:
        """What the states are scored with, (V, D)."""
        if self.score is not None:
            return self.score.weight
        assert entered.table is not None, "a tied head needs an input with a table"
        return entered.table

    def ready(self, states: Tensor) -> Tensor:
        """What the matrix scores, of the stack's states. (B, S, D) -> (B, S, D)"""
        states = states if self.dense is None else self.dense(states)
        return states if self.spec.scale == 1.0 else states * self.spec.scale

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        """(B, S, D) -> (B, S, V)"""
        states = self.ready(states)
        weight = self.weight(entered)
        plain = states.device.type != "cpu" or states.dtype != torch.float32 or torch.is_grad_enabled()
        if plain or torch.compiler.is_compiling():  # a compiled graph takes no view to write into
            return F.linear(states, weight, self.bias)
        return _aligned(states, weight, self.bias)

    def loss(self, states: Tensor, entered: Entered, labels: Tensor, smoothing: Smoothing) -> Loss:
        """The loss of these states against labels (B, S), IGNORED (-100) where there is none.

        Makes no (B, S, V) tensor. What is not asked for is not made ready either: of masked text that is most of it.
        """
        if self.dense is not None:
            kept = labels != IGNORED
            states, labels = states[kept], labels[kept]
        return linear_cross_entropy(self.ready(states), self.weight(entered), self.bias, labels, smoothing)


def _aligned(states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.linear whose rows begin at multiples of `ALIGNED` numbers, so that there may be unused room between two.

    A processor's float32 product takes 1.4 times as long where the vocabulary is no such multiple and rows are dense.
    """
    size = weight.size(0)
    rows = states.new_empty(*states.shape[:-1], -(-size // ALIGNED) * ALIGNED)
    logits = rows[..., :size]
    torch.mm(states.flatten(0, -2), weight.T, out=rows.flatten(0, -2)[:, :size])
    return logits if bias is None else logits.add_(bias)
