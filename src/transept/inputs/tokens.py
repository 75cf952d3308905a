"""Tokens become vectors: a table of embeddings, scaled, with an order added, normalised, dropped."""

import torch
from torch import Tensor, nn

from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.norm import Norm
from transept.parts.position import Position
from transept.parts.view import count_positions
from transept.spec import Part


class Tokens(Part):
    """drop(norm(scale * table[ids] + position)); the 2017 Transformer has scale sqrt(D) and no norm (section 3.4)."""

    vocab: int
    position: Position | None = None
    norm: Norm | None = None
    scale: float = 1.0
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "vocab")
        self.hold(0, "dropout", below=1)

    def build(self, width: int) -> "TokensLayer":
        return TokensLayer(self, width)


class TokensLayer(nn.Module):
    def __init__(self, spec: Tokens, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.table = nn.Embedding(spec.vocab, width)
        self.position = spec.position.build(width) if spec.position else None
        self.norm = spec.norm.build(width) if spec.norm else nn.Identity()

    def forward(self, ids: Tensor, valid: Tensor | None = None, positions: Tensor | None = None) -> Entered:
        """ids (B, S) int64; positions (B or 1, S), counted over real tokens where they are not given."""
        x = self.table(ids) * self.spec.scale
        if self.position is not None:
            if positions is None:
                positions = (
                    torch.arange(ids.size(1), device=ids.device)[None] if valid is None else count_positions(valid)
                )
            x = x + self.position(positions).to(x.dtype)
        x = dropout(self.norm(x), self.spec.dropout if self.training else 0.0)
        return Entered(x, valid, self.table.weight)
