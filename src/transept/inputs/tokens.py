"""Tokens become vectors: a table of embeddings, scaled, with an order added, normalised, dropped."""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import UsageError
from transept.inputs.entry import Entry, EntryLayer
from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.norm import Norm
from transept.parts.position import Added
from transept.parts.tree import demand_tree
from transept.parts.view import count_positions


class Tokens(Entry):
    """drop(norm(scale * table[ids] + position + segment)).

    The 2017 Transformer has scale sqrt(D) and no norm (section 3.4). `segments` is how many texts can stand in one row:
    each has a vector that is added to its tokens (BERT has two); 0 is none. `drops` "before" drops ahead of the norm,
    as Hugging Face's BigBird.
    """

    vocab: int
    position: Added | None = None
    norm: Norm | None = None
    scale: float = 1.0
    dropout: float = 0.0
    segments: int = 0
    drops: Literal["after", "before"] = "after"

    def validate(self) -> None:
        self.hold(1, "vocab")
        self.hold(0, "dropout", below=1)
        self.hold(0, "segments")

    def limit(self) -> int | None:
        return self.position.limit() if self.position else None

    @property
    def reads_tree(self) -> bool:
        return self.position is not None and self.position.reads_tree

    def build(self, width: int, table: bool = True) -> "TokensLayer":
        """With table=False it has none of its own, and is given another's at each call."""
        return TokensLayer(self, width, table)


class TokensLayer(EntryLayer):
    def __init__(self, spec: Tokens, width: int, table: bool = True) -> None:
        super().__init__()
        self.spec = spec
        self.table = nn.Embedding(spec.vocab, width) if table else None
        self.position = spec.position.build(width) if spec.position else None
        self.segment = nn.Embedding(spec.segments, width) if spec.segments else None
        self.norm = spec.norm.build(width) if spec.norm else nn.Identity()

    def forward(
        self,
        ids: Tensor,
        valid: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        table: Tensor | None = None,
        tree: Tensor | None = None,
    ) -> Entered:
        """ids (B, S) int64; positions (B or 1, S), counted over real tokens where they are not given.

        segments (B, S) int64 tells the text that each token is of; all are of the first where it is not given. table
        (V, D) is another input's, where this one has none. tree (B, S, 3) is where each token stands in its sentence's
        tree, for a position that reads it.
        """
        if self.table is not None:
            table = self.table.weight
        assert table is not None, "tokens without a table of their own need one"
        x = nn.functional.embedding(ids, table)
        return Entered(self.placed(x, valid, positions, segments, tree), valid, table)

    def placed(
        self,
        x: Tensor,
        valid: Tensor | None,
        positions: Tensor | None,
        segments: Tensor | None,
        tree: Tensor | None = None,
    ) -> Tensor:
        """All that happens to the vectors of tokens, (B, S, D), that were looked up."""
        x = x * self.spec.scale
        if self.segment is not None:
            x = x + (self.segment.weight[0] if segments is None else self.segment(segments))
        elif segments is not None:
            raise UsageError("segments were given, and this model has none", remedy="Leave them out.")
        if self.position is not None and self.spec.position is not None:
            if positions is None:
                positions = torch.arange(x.size(1), device=x.device)[None] if valid is None else count_positions(valid)
            told = (positions, demand_tree(tree)) if self.spec.position.reads_tree else (positions,)
            x = x + self.position(*told).to(x.dtype)
        rate = self.spec.dropout if self.training else 0.0
        if self.spec.drops == "before":
            normed: Tensor = self.norm(dropout(x, rate))
            return normed
        return dropout(self.norm(x), rate)
