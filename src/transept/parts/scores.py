"""Other scores than the dot product, which attention began with.

Shapes: B batch, H heads, S queries, T keys, E head width.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from transept.errors import UsageError
from transept.parts.core import Allowed, Core, CoreLayer

ROOM = 1 << 24  # numbers that the hidden layer of additive scores may hold at a time


class Scoring(Core):
    """A core with a score, or with a choice, of its own: it equals no other, on whatever pattern."""

    exact: ClassVar[bool] = False


class Additive(Scoring):
    """v . tanh(q + k), one v for each head (Bahdanau et al. 2015, appendix A.1.2).

    With queries W h and keys U s this is the alignment model of RNNsearch, and the "concat" score of Luong et al. 2015:
    v . tanh([W, U] [h; s]).
    """

    def build(self, heads: int, width: int) -> "AdditiveLayer":
        return AdditiveLayer(heads, width)


class AdditiveLayer(CoreLayer):
    """`v.weight` (H, E)."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.v = nn.Linear(width, heads, bias=False)

    def score(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
        pieces = max(1, -(-q.numel() * k.size(2) // ROOM))  # the hidden layer is E times as large as the scores
        return torch.cat([self._score(part, k) for part in q.chunk(pieces, 2)], 2) if pieces > 1 else self._score(q, k)

    def _score(self, q: Tensor, k: Tensor) -> Tensor:
        hidden = torch.tanh(q[:, :, :, None] + k[:, :, None])  # (B, H, S, T, E)
        scores: Tensor = (hidden @ self.v.weight[:, None, :, None]).squeeze(-1)
        return scores


class Summed(Scoring):
    """u . (q + k), one u for each head: the parameterised compatibility of Jetley et al. 2018, equation 2.

    The query adds the same to the scores of all keys, so that the weights do not hang on it.
    """

    def build(self, heads: int, width: int) -> "SummedLayer":
        return SummedLayer(heads, width)


class SummedLayer(CoreLayer):
    """`u.weight` (H, E)."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.u = nn.Linear(width, heads, bias=False)

    def score(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
        own, other = ((part @ self.u.weight[:, :, None]).squeeze(-1) for part in (q, k))  # (B, H, S), (B, H, T)
        return own[..., None] + other[:, :, None]


class Location(Scoring):
    """W q: a score for each place in the source, which does not look at what is there (Luong et al. 2015, section 3.1).

    `length` is the longest source.
    """

    length: int

    def validate(self) -> None:
        self.hold(1, "length")

    def limit(self) -> int | None:
        return self.length

    def build(self, heads: int, width: int) -> "LocationLayer":
        return LocationLayer(self, heads, width)


class LocationLayer(CoreLayer):
    """Row h * length + t of `place.weight` (H * length, E) scores place t for head h."""

    def __init__(self, spec: Location, heads: int, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.place = nn.Linear(width, heads * spec.length, bias=False)

    def score(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
        maybe = k.size(2) > self.spec.length or allowed.placed is not None  # a window may stand anywhere
        if maybe and not torch.compiler.is_compiling() and int(allowed.k.max()) >= self.spec.length:
            raise UsageError(
                f"there is no weight for place {int(allowed.k.max()) + 1:,}: Location scores {self.spec.length:,}",
                remedy="Split the text, or train with a larger length.",
            )
        scores = q @ self.place.weight.unflatten(0, (q.size(1), -1)).transpose(-1, -2)  # (B, H, S, length)
        at = allowed.k.clamp(max=self.spec.length - 1)[:, None, None].expand(q.size(0), q.size(1), q.size(2), -1)
        found: Tensor = scores.gather(-1, at)
        return found
