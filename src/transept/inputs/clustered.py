"""Tokens whose vectors are the narrower, the rarer they are (Baevski & Auli 2019, adaptive inputs)."""

from torch import Tensor

from transept.errors import InvalidConfig
from transept.inputs.tokens import Tokens, TokensLayer
from transept.parts.clusters import ClusteredTable, Clusters
from transept.parts.entered import Entered


class Clustered(Tokens):
    """As `Tokens`, with a table and a matrix that widens it for each of `clusters`."""

    clusters: Clusters = Clusters(divisor=4)

    def validate(self) -> None:
        super().validate()
        self.clusters.demand(self.vocab)

    def build(self, width: int, table: bool = True) -> "ClusteredLayer":
        if not table:
            raise InvalidConfig("tokens in clusters have tables of their own, and take none of another side")
        return ClusteredLayer(self, width)


class ClusteredLayer(TokensLayer):
    def __init__(self, spec: Clustered, width: int) -> None:
        super().__init__(spec, width, table=False)
        self.clusters = ClusteredTable(spec.clusters, spec.vocab, width)

    def forward(
        self,
        ids: Tensor,
        valid: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        table: Tensor | None = None,
        tree: Tensor | None = None,
    ) -> Entered:
        assert table is None, "tokens in clusters were given a table"
        x = self.placed(self.clusters(ids), valid, positions, segments, tree)
        return Entered(x, valid, clusters=self.clusters.factors())
