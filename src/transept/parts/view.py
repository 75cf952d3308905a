"""What one pass through one stack shares, passed in and never kept on a module."""

import torch
from torch import Tensor, nn

from transept.parts.core import Allowed
from transept.parts.looks import Looks
from transept.parts.memory import Memory
from transept.parts.pattern import Pattern
from transept.parts.rotary import Rotating


def count_positions(valid: Tensor, seen: Tensor | int = 0) -> Tensor:
    """The position of each token, counted over real tokens only; padding borrows its neighbour's. (B, S) -> (B, S)"""
    return (seen + valid.long().cumsum(1) - 1).clamp(min=0)


def count_in_documents(documents: Tensor, valid: Tensor | None = None) -> Tensor:
    """The position of each token in its own document. A document's tokens stand together. (B, S) -> (B, S)"""
    at = count_positions(torch.ones_like(documents, dtype=torch.bool) if valid is None else valid)
    begins = documents.diff(dim=1, prepend=documents[:, :1] - 1) != 0
    return at - torch.where(begins, at, 0).cummax(1).values


class View:
    """Positions, validity, memory, scored position, where to write; one `Allowed` for each pattern that is asked, and
    the angles of each rotation; and where somebody trains by it, what the attentions of this pass did.

    positions (B or 1, S), valid (B, S) or None where all tokens are real. In a cached pass `at` (S,) holds the columns
    to write and `keys` the positions and validity (B, T) of everything that the cache holds. In a pass over a segment
    that others came before, `keys` are those of what was carried and of the segment, and nothing is written.
    `documents` (B, S) tells the document of each token where a row holds several, `tree` (B, S, 3) where each stands in
    its sentence's tree.
    """

    def __init__(
        self,
        positions: Tensor,
        valid: Tensor | None = None,
        memory: Memory | None = None,
        bias: nn.Module | None = None,
        at: Tensor | None = None,
        keys: tuple[Tensor, Tensor] | None = None,
        documents: Tensor | None = None,
        looks: Looks | None = None,
        tree: Tensor | None = None,
    ) -> None:
        self.positions, self.valid, self.memory, self.bias = positions, valid, memory, bias
        self.at, self.keys, self.documents, self.looks, self.tree = at, keys, documents, looks, tree
        self._allowed: dict[tuple[Pattern, str, int | None], Allowed] = {}
        self._angles: dict[tuple[Rotating, int, int | None], tuple[Tensor, Tensor]] = {}

    @staticmethod
    def of(
        x: Tensor,
        valid: Tensor | None = None,
        memory: Memory | None = None,
        bias: nn.Module | None = None,
        documents: Tensor | None = None,
        looks: Looks | None = None,
        tree: Tensor | None = None,
    ) -> "View":
        """The view of a whole pass over x (B, S, ...), without a cache."""
        positions = torch.arange(x.size(1), device=x.device)[None] if valid is None else count_positions(valid)
        return View(positions, valid, memory, bias, documents=documents, looks=looks, tree=tree)

    @property
    def carried(self) -> bool:
        """Whether this is a segment that others came before."""
        return self.keys is not None and self.at is None

    def allowed(self, pattern: Pattern, source: str, last: int | None = None) -> Allowed:
        """Who may see whom under a pattern, made once for all layers that share it.

        `last` is how many keys a layer has of all that are known, where it has not all: those that came last.
        """
        key = (pattern, source, last)
        if key not in self._allowed:
            self._allowed[key] = self._make(pattern, source, last)
        return self._allowed[key]

    def angles(self, position: Rotating, width: int, last: int | None = None) -> tuple[Tensor, Tensor]:
        """By what queries, and the keys that this pass makes, turn; made once for all layers that share it.

        With `last`, by what so many of the last keys turn.
        """
        key = (position, width, last)
        if key not in self._angles:
            known = self.positions if last is None or self.keys is None else self.keys[0][:, -last:]
            self._angles[key] = position.angles(known, width)
        return self._angles[key]

    def _make(self, pattern: Pattern, source: str, last: int | None) -> Allowed:
        if source == "self":
            if self.keys is None or last == self.positions.size(1):
                own = Allowed(pattern, self.positions, self.positions, self.valid, bias=self.bias, looks=self.looks)
                own.documents, own.tree = self.documents, self.tree
                return own
            k, real = self.keys
            k, real = (k, real) if last is None else (k[:, -last:], real[:, -last:])
            return Allowed(pattern, self.positions, k, real, own=False, bias=self.bias, looks=self.looks)
        assert self.memory is not None, "an attention to the memory was given none"
        states = self.memory.states
        q = self.positions
        if q.size(0) > states.size(0):  # several target rows read one row of the memory: their queries stand in a row
            q = q.unflatten(0, (states.size(0), -1)).flatten(1)
        valid = self.memory.valid
        k = torch.arange(states.size(1), device=q.device)[None] if valid is None else count_positions(valid)
        return Allowed(pattern, q, k, valid, own=False, looks=self.looks)

    def column(self, at: int) -> "View":
        """The view of one position of this pass, for a loop along time. It writes nothing."""
        return View(self.positions[:, at : at + 1], None, self.memory, looks=self.looks)
