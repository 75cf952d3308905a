"""A vocabulary in clusters of falling frequency: the rarer its tokens, the narrower their vectors.

Shapes: V tokens, of which N in a cluster; D width of the stream, W that of a cluster.
"""

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.spec import Part


class Clusters(Part):
    """Tokens below `cutoffs[0]`, from there to below `cutoffs[1]`, and so on, ordered by how often they occur.

    Vectors of cluster i have D / `divisor`^i features, and a matrix widens them (Baevski & Auli 2019). With `divisor` 1
    all are as wide as the stream, and only how they are scored differs (Grave et al. 2017).
    """

    cutoffs: tuple[int, ...] = (20_000, 40_000, 200_000)
    divisor: int = 1

    def validate(self) -> None:
        self.hold(1, "divisor")
        if not self.cutoffs or not all(a < b for a, b in zip((0, *self.cutoffs), self.cutoffs, strict=False)):
            raise InvalidConfig(f"Clusters.cutoffs must be above 0 and ascend, not {self.cutoffs}")

    def demand(self, vocab: int) -> None:
        """Refuse a vocabulary that does not reach the last cluster. Raises InvalidConfig."""
        if self.cutoffs[-1] >= vocab:
            raise InvalidConfig(f"clusters that begin at {self.cutoffs[-1]:,} need more than {vocab:,} tokens")

    def spans(self, vocab: int) -> list[tuple[int, int]]:
        """The first token of each cluster, and the first that is no longer in it."""
        return list(zip((0, *self.cutoffs), (*self.cutoffs, vocab), strict=True))

    def width(self, width: int, cluster: int) -> int:
        """W, where the stream has `width` features."""
        found = width // int(self.divisor**cluster)
        if not found:
            raise InvalidConfig(f"{width} features divided by {self.divisor}^{cluster} leave none for rare tokens")
        return found


class ClusteredTable(nn.Module):
    """`tables[i]` (N, W) and `widen[i]` (D, W) of each cluster."""

    def __init__(self, spec: Clusters, vocab: int, width: int) -> None:
        super().__init__()
        self.spans = spec.spans(vocab)
        widths = [spec.width(width, i) for i in range(len(self.spans))]
        self.tables = nn.ModuleList(nn.Embedding(end - at, w) for (at, end), w in zip(self.spans, widths, strict=True))
        self.widen = nn.ModuleList(nn.Linear(w, width, bias=False) for w in widths)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, S) -> (B, S, D). Every cluster looks every token up, so that no shape depends on what the tokens are."""
        found = []
        for (at, end), table, widen in zip(self.spans, self.tables, self.widen, strict=True):
            x = widen(table((ids - at).clamp(0, end - at - 1)))
            found.append(x.masked_fill(((ids < at) | (ids >= end))[..., None], 0.0))
        return torch.stack(found).sum(0)

    def factors(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """The table and the widening matrix of each cluster."""
        pairs = zip(self.tables, self.widen, strict=True)
        return tuple((table.weight, widen.weight) for table, widen in pairs)  # type: ignore[misc]
