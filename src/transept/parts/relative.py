"""Order told by learned vectors of distances: queries (and keys) are scored against them, and values may get others.

No vector is ever made for each pair. A query is scored against the 2 reach + 1 vectors, and each key takes the number
of its distance; weights are summed by distance, and the sums mix the vectors. So memory is (H, S, T) and
(H, S, 2 reach + 1), where a vector for each pair would be (S, T, E).

Shapes: q (B, H, S, E), k (B, H, T, E); the scores and weights (B, H, S, T); what is added to the mix (B, H, S, E).
"""

from collections.abc import Hashable
from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.core import Allowed
from transept.parts.dropout import dropout
from transept.parts.position import OrderLayer, Position, Sinusoid
from transept.parts.tree import apart, demand_tree


class Keyed(Position):
    """A position whose scores depend on the vectors as well. Each attention has its own layer."""

    def told(self, width: int, values: int, heads: int = 1, stream: int | None = None) -> "KeyedLayer":
        """The layer of an attention of `heads` whose queries and keys have `width` features and values `values`.

        `stream` is the width of what it attends to, where that is not heads * width.
        """
        raise NotImplementedError(type(self).__name__)

    def build(self, width: int) -> "KeyedLayer":
        """`width` is that of a head."""
        return self.told(width, width)


class KeyedLayer(OrderLayer):
    def scores(self, q: Tensor, k: Tensor, allowed: Allowed, known: int | None = None) -> Tensor:
        """What is added to q k before scaling, (B, H, S, T).

        `known` is how many tokens the keys are of, where that is not their number.
        """
        raise NotImplementedError(type(self).__name__)

    @property
    def adds(self) -> bool:
        """Whether it adds to the values."""
        return False

    def mixed(self, weights: Tensor, allowed: Allowed) -> Tensor:
        """What is added to the mix of the values, (B, H, S, E of the values)."""
        raise NotImplementedError(type(self).__name__)


class RelativeKeys(Keyed):
    """q_i a_(j-i), added to q_i k_j before scaling, one vector for each distance up to `reach` on either side.

    The key part of Shaw et al. 2018, equation 4; distances beyond are cut to `reach`. `values` "relative" is the whole
    of it: each value gets another such vector, v_j + b_(j-i) (equation 3). The vectors are one for all heads, and each
    layer has its own. `form` "both" adds k_j a_(j-i) to the scores too (Huang et al. 2020, method 4). BERT's
    "relative_key" and "relative_key_query" are the two forms with `reach` at the longest text.

    `along` "tree" takes the distance in the sentence's dependency tree instead, with the sign of Wang et al. 2019,
    section 3.3 (`tree.apart`).
    """

    reach: int
    form: Literal["queries", "both"] = "queries"
    values: Literal["plain", "relative"] = "plain"
    along: Literal["text", "tree"] = "text"

    def validate(self) -> None:
        self.hold(1, "reach")

    @property
    def reads_tree(self) -> bool:
        return self.along == "tree"

    def told(self, width: int, values: int, heads: int = 1, stream: int | None = None) -> "RelativeKeysLayer":
        return RelativeKeysLayer(self, width, values)


class RelativeKeysLayer(KeyedLayer):
    """Row r of `weight`, and of `values` where it adds to them, (2 reach + 1, E), is of the distance r - reach.

    Along the text a distance is the key's place less the query's.
    """

    def __init__(self, spec: RelativeKeys, width: int, values: int) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(2 * spec.reach + 1, width))
        shape = (2 * spec.reach + 1, values)
        self.values = nn.Parameter(torch.empty(shape)) if spec.values == "relative" else None

    @property
    def adds(self) -> bool:
        return self.values is not None

    def row(self, allowed: Allowed) -> Tensor:
        """The row of each pair, (B or 1, S, T); made once for all layers of a pass."""
        key = ("row", self.spec.along, self.spec.reach)
        if key not in allowed.kept:
            reach = self.spec.reach
            if self.spec.along == "text":
                away = allowed.k[:, None, :] - allowed.q[:, :, None]
            else:
                tree = demand_tree(allowed.tree)
                away = apart(tree, tree, allowed.q, allowed.k)
            allowed.kept[key] = away.clamp(-reach, reach) + reach
        return allowed.kept[key]

    def scores(self, q: Tensor, k: Tensor, allowed: Allowed, known: int | None = None) -> Tensor:
        row = self.row(allowed)[:, None].expand(q.size(0), q.size(1), -1, -1)
        scores = (q @ self.weight.T).gather(-1, row)
        if self.spec.form == "both":
            shared = k.repeat_interleave(q.size(1) // k.size(1), 1)
            scores = scores + (shared @ self.weight.T).gather(-1, row.transpose(-1, -2)).transpose(-1, -2)
        return scores

    def mixed(self, weights: Tensor, allowed: Allowed) -> Tensor:
        assert self.values is not None
        row = self.row(allowed)[:, None].expand(weights.shape)
        sums = weights.new_zeros(*weights.shape[:3], len(self.values)).scatter_add(-1, row, weights)
        return sums @ self.values


class Several(Keyed):
    """Positions of this kind beside each other: their scores are added, and what they add to the values.

    Wang et al. 2019 have distances in the text and in the tree (equation 8).
    """

    keyed: tuple[Keyed, ...]

    def validate(self) -> None:
        if len(self.keyed) < 2:
            raise InvalidConfig(f"Several positions are two or more, not {len(self.keyed)}")

    @property
    def reads_tree(self) -> bool:
        return any(one.reads_tree for one in self.keyed)

    def told(self, width: int, values: int, heads: int = 1, stream: int | None = None) -> "SeveralLayer":
        return SeveralLayer(self, width, values, heads, stream)


class SeveralLayer(KeyedLayer):
    def __init__(self, spec: Several, width: int, values: int, heads: int, stream: int | None) -> None:
        super().__init__()
        self.keyed = nn.ModuleList(one.told(width, values, heads, stream) for one in spec.keyed)

    def layers(self) -> list[KeyedLayer]:
        return [layer for layer in self.keyed if isinstance(layer, KeyedLayer)]

    @property
    def adds(self) -> bool:
        return any(layer.adds for layer in self.layers())

    def scores(self, q: Tensor, k: Tensor, allowed: Allowed, known: int | None = None) -> Tensor:
        first, *others = (layer.scores(q, k, allowed, known) for layer in self.layers())
        return sum(others, first)

    def mixed(self, weights: Tensor, allowed: Allowed) -> Tensor:
        first, *others = (layer.mixed(weights, allowed) for layer in self.layers() if layer.adds)
        return sum(others, first)


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

    def told(self, width: int, values: int, heads: int = 1, stream: int | None = None) -> "DistancesLayer":
        return DistancesLayer(self, width, heads, stream or heads * width)


class DistancesLayer(KeyedLayer):
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

    def scores(self, q: Tensor, k: Tensor, allowed: Allowed, known: int | None = None) -> Tensor:
        content, order = self.vectors()
        farthest = (known or k.size(2)) - 1  # positions count real tokens: no two are farther apart than columns
        farthest = farthest if self.spec.far is None else min(farthest, self.spec.far)
        nearest = -farthest if self.spec.sees == "both" else 0
        away = allowed.q[:, :, None] - allowed.k[:, None, :]
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
