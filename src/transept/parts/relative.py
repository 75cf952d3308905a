"""Order told by learned vectors of distances: queries (and keys) are scored against them, and values may get others.

No vector is ever made for each pair. A query is scored against the 2 reach + 1 vectors, and each key takes the number
of its distance; weights are summed by distance, and the sums mix the vectors. So memory is (H, S, T) and
(H, S, 2 reach + 1), where a vector for each pair would be (S, T, E).

Shapes: q (B, H, S, E), k (B, H, T, E); the scores and weights (B, H, S, T); what is added to the mix (B, H, S, E).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.core import Allowed
from transept.parts.position import OrderLayer, Position
from transept.parts.tree import apart, demand_tree


class Keyed(Position):
    """A position whose scores depend on the vectors as well. Each attention has its own layer."""

    def told(self, width: int, values: int) -> "KeyedLayer":
        """The layer for heads whose queries and keys have `width` features and whose values have `values`."""
        raise NotImplementedError(type(self).__name__)

    def build(self, width: int) -> "KeyedLayer":
        """`width` is that of a head."""
        return self.told(width, width)


class KeyedLayer(OrderLayer):
    def scores(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
        """What is added to q k before scaling, (B, H, S, T)."""
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

    def told(self, width: int, values: int) -> "RelativeKeysLayer":
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

    def scores(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
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

    def told(self, width: int, values: int) -> "SeveralLayer":
        return SeveralLayer(self, width, values)


class SeveralLayer(KeyedLayer):
    def __init__(self, spec: Several, width: int, values: int) -> None:
        super().__init__()
        self.keyed = nn.ModuleList(one.told(width, values) for one in spec.keyed)

    def layers(self) -> list[KeyedLayer]:
        return [layer for layer in self.keyed if isinstance(layer, KeyedLayer)]

    @property
    def adds(self) -> bool:
        return any(layer.adds for layer in self.layers())

    def scores(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
        first, *others = (layer.scores(q, k, allowed) for layer in self.layers())
        return sum(others, first)

    def mixed(self, weights: Tensor, allowed: Allowed) -> Tensor:
        first, *others = (layer.mixed(weights, allowed) for layer in self.layers() if layer.adds)
        return sum(others, first)
