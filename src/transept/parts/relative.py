"""Order told by vectors of distances, which queries (and keys) are scored against.

Shapes: q (B, H, S, E), k (B, G, T, E); their positions (B or 1, S) and (B or 1, T); the scores (B, H, S, T).
"""

from collections.abc import Hashable
from typing import Literal

import torch
from torch import Tensor, nn

from transept.parts.dropout import dropout
from transept.parts.position import Position, Sinusoid


class Keyed(Position):
    """A position whose scores depend on the vectors as well. Each attention has its own layer."""

    def build(self, width: int, heads: int = 1, stream: int | None = None) -> nn.Module:
        """For `heads` of `width` features each, in an attention to what is `stream` features wide."""
        raise NotImplementedError(type(self).__name__)


class RelativeKeys(Keyed):
    """q_i a_(j-i), added to q_i k_j before scaling, one vector for each distance up to `reach` on either side.

    The key part of Shaw et al. 2018, equation 4; distances beyond are cut to `reach`. `form` "both" adds k_j a_(j-i)
    too (Huang et al. 2020, method 4). BERT's "relative_key" and "relative_key_query" are the two with `reach` at the
    longest text.
    """

    reach: int
    form: Literal["queries", "both"] = "queries"

    def validate(self) -> None:
        self.hold(1, "reach")

    def build(self, width: int, heads: int = 1, stream: int | None = None) -> "RelativeKeysLayer":
        return RelativeKeysLayer(self, width)


class RelativeKeysLayer(nn.Module):
    """Row r of `weight` (2 reach + 1, E) is the vector of the distance r - reach, key minus query."""

    def __init__(self, spec: RelativeKeys, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(2 * spec.reach + 1, width))

    def forward(self, q: Tensor, k: Tensor, at_q: Tensor, at_k: Tensor, known: int | None = None) -> Tensor:
        reach = self.spec.reach
        row = (at_k[:, None, :] - at_q[:, :, None]).clamp(-reach, reach) + reach
        row = row[:, None].expand(q.size(0), q.size(1), -1, -1)
        scores = (q @ self.weight.T).gather(-1, row)
        if self.spec.form == "both":
            shared = k.repeat_interleave(q.size(1) // k.size(1), 1)
            scores = scores + (shared @ self.weight.T).gather(-1, row.transpose(-1, -2)).transpose(-1, -2)
        return scores


class Distances(Keyed):
    """(q_i + v) W R_(i-j) + u k_j, added to q_i k_j before scaling: the attention of Transformer-XL.

    Dai et al. 2019, section 3.3. R is the sinusoid of a distance, all sines and then all cosines, W a matrix of this
    attention, and u and v are vectors of each head, `biases` "shared" by all attentions of a stack or of each its
    "own" (the released code's `untie_r`). `sees` "past" tells of keys ahead of the query nothing but that they are not
    behind it, and spares half of the distances; "both" tells theirs too, as XLNet does. `far` cuts distances, for texts
    longer than those of training (`clamp_len`). `dropout` is on R, as released.
    """

    sees: Literal["both", "past"] = "past"
    biases: Literal["shared", "own"] = "shared"
    far: int | None = None
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "far")
        self.hold(0, "dropout", below=1)

    def build(self, width: int, heads: int = 1, stream: int | None = None) -> "DistancesLayer":
        return DistancesLayer(self, width, heads, stream or heads * width)


class DistancesLayer(nn.Module):
    """`distance` is W (H*E, D); `content` and `order` (H, E) are u and v, where the layer owns them."""

    def __init__(self, spec: Distances, width: int, heads: int, stream: int) -> None:
        super().__init__()
        self.spec, self.width, self.heads, self.stream = spec, width, heads, stream
        self.sinusoid = Sinusoid("halves").build(stream)
        self.distance = nn.Linear(stream, heads * width, bias=False)
        self.content: nn.Parameter | None = nn.Parameter(torch.empty(heads, width))
        self.order: nn.Parameter | None = nn.Parameter(torch.empty(heads, width))
        self.lender: tuple[DistancesLayer, ...] = ()  # in a tuple, so that its weights are not this layer's as well

    def begin(self) -> None:
        """N(0, 0.02^2), as the released code begins."""
        for bias in (self.content, self.order):
            if bias is not None:
                nn.init.normal_(bias, std=0.02)

    def lends(self) -> Hashable | None:
        return (self.spec, self.heads, self.width) if self.spec.biases == "shared" else None

    def borrow(self, owner: "DistancesLayer") -> None:
        self.content, self.order, self.lender = None, None, (owner,)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """u and v."""
        owner = self.lender[0] if self.lender else self
        assert owner.content is not None
        assert owner.order is not None
        return owner.content, owner.order

    def forward(self, q: Tensor, k: Tensor, at_q: Tensor, at_k: Tensor, known: int | None = None) -> Tensor:
        """`known` is how many tokens the keys are of, where that is not their number."""
        content, order = self.vectors()
        farthest = (known or k.size(2)) - 1  # positions count real tokens: no two are farther apart than columns
        farthest = farthest if self.spec.far is None else min(farthest, self.spec.far)
        nearest = -farthest if self.spec.sees == "both" else 0
        away = at_q[:, :, None] - at_k[:, None, :]
        row = (away.clamp(nearest, farthest) - nearest)[:, None].expand(q.size(0), q.size(1), -1, -1)
        scored = self.scored(q + order[:, None], torch.arange(nearest, farthest + 1, device=q.device))
        k = k.repeat_interleave(q.size(1) // k.size(1), 1)
        return scored.gather(-1, row) + (content[:, None] @ k.transpose(-1, -2))

    def scored(self, q: Tensor, distances: Tensor) -> Tensor:
        """Queries against the vectors of distances, (B, H, S, E) and (N,) -> (B, H, S, N).

        A product of three matrices: that of the first two first where queries are few, as in a cached step.
        """
        sinusoid = self.sinusoid(distances).to(q.dtype)
        sinusoid = dropout(sinusoid, self.spec.dropout if self.training else 0.0)
        weight = self.distance.weight.unflatten(0, (self.heads, self.width))  # (H, E, D)
        queries, count = q.size(0) * q.size(2), len(distances)
        if queries * (self.width + count) * self.stream < count * (self.stream + queries) * self.width:
            scores: Tensor = (q @ weight) @ sinusoid.T
        else:
            scores = q @ (weight @ sinusoid.T)
        return scores
