"""A score for every token, where rare ones are scored in clusters and only where they count.

Shapes: N supervised tokens, V vocabulary, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig, UsageError
from transept.heads.vocabulary import Vocabulary, VocabularyLayer
from transept.parts.clusters import Clusters
from transept.parts.entered import Entered
from transept.parts.loss import IGNORED, Loss, Smoothing, linear_cross_entropy


class Adaptive(Vocabulary):
    """log p(token) = log p(cluster) + log p(token | cluster) (Grave et al. 2017, adaptive softmax).

    Frequent tokens and the clusters of all others are scored together; a cluster's own tokens only where the label is
    among them. The scores are those of the input's tables, and with a `divisor` above 1 its matrices narrow the states,
    but for the frequent tokens, which have a matrix of their own: so Transformer-XL's released code ties them.
    """

    clusters: Clusters = Clusters()

    def validate(self) -> None:
        super().validate()
        self.clusters.demand(self.size)
        if not self.tied:
            raise InvalidConfig("Adaptive scores with the input's tables: it is tied")

    def build(self, width: int) -> "AdaptiveLayer":
        return AdaptiveLayer(self, width)


class AdaptiveLayer(VocabularyLayer):
    """`rare` scores the clusters of rare tokens; `narrow` (D, D) is that of the frequent ones."""

    def __init__(self, spec: Adaptive, width: int) -> None:
        super().__init__(spec, width)
        self.clusters, self.spans = spec.clusters, spec.clusters.spans(spec.size)
        self.rare = nn.Linear(width, len(spec.clusters.cutoffs))
        self.narrow = nn.Linear(width, width, bias=False) if spec.clusters.divisor > 1 else None

    def cluster(self, i: int, states: Tensor, entered: Entered) -> tuple[Tensor, Tensor, Tensor | None]:
        """What is scored in a cluster, with what, and the bias: (..., W), (N, W), (N,)."""
        at, end = self.spans[i]
        bias = None if self.bias is None else self.bias[at:end]
        if self.narrow is None:
            assert entered.table is not None, "clusters as wide as the stream are scored with one table"
            return states, entered.table[at:end], bias
        assert entered.clusters is not None, "clusters are scored with the input's"
        table, widen = entered.clusters[i]
        return (states @ widen if i else self.narrow(states)), table, bias

    def frequent(self, states: Tensor, entered: Entered) -> tuple[Tensor, Tensor, Tensor]:
        """What scores the frequent tokens and, after them, each cluster of rare ones."""
        states, table, bias = self.cluster(0, states, entered)
        bias = self.rare.bias.new_zeros(len(table)) if bias is None else bias
        return states, torch.cat([table, self.rare.weight]), torch.cat([bias, self.rare.bias])

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        """Log-probabilities of all tokens, (B, S, D) -> (B, S, V): logits whose softmax they are."""
        states = self.ready(states)
        found = F.linear(*self.frequent(states, entered)).log_softmax(-1)
        first = self.spans[0][1]
        pieces = [found[..., :first]]
        for i in range(1, len(self.spans)):
            inside = F.linear(*self.cluster(i, states, entered)).log_softmax(-1)
            pieces.append(inside + found[..., first + i - 1, None])
        return torch.cat(pieces, -1)

    def loss(self, states: Tensor, entered: Entered, labels: Tensor, smoothing: Smoothing) -> Loss:
        if smoothing.amount:
            raise UsageError(
                f"label smoothing of {smoothing.amount:g} weighs every token, and an adaptive softmax scores few",
                remedy="Train without label smoothing, or with the head Vocabulary.",
            )
        kept = labels != IGNORED
        states, labels = self.ready(states[kept]), labels[kept]
        first, chosen = self.spans[0][1], labels.clone()
        tails = []
        for i, (at, end) in enumerate(self.spans[1:], 1):
            inside = (labels >= at) & (labels < end)
            chosen[inside] = first + i - 1
            tails.append(
                linear_cross_entropy(*self.cluster(i, states[inside], entered), labels[inside] - at, smoothing)
            )
        whole = linear_cross_entropy(*self.frequent(states, entered), chosen, smoothing)
        parts = [whole, *tails]
        return Loss(torch.stack([p.total for p in parts]).sum(), torch.stack([p.nll for p in parts]).sum(), whole.count)
