"""Order told by learned vectors of distances, which queries (and keys) are scored against.

Shapes: q (B, H, S, E), k (B, H, T, E); their positions (B or 1, S) and (B or 1, T); the scores (B, H, S, T).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.parts.position import Position


class Keyed(Position):
    """A position whose scores depend on the vectors as well. Each attention has its own layer."""


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

    def build(self, width: int) -> "RelativeKeysLayer":
        """`width` is that of a head."""
        return RelativeKeysLayer(self, width)


class RelativeKeysLayer(nn.Module):
    """Row r of `weight` (2 reach + 1, E) is the vector of the distance r - reach, key minus query."""

    def __init__(self, spec: RelativeKeys, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(2 * spec.reach + 1, width))

    def forward(self, q: Tensor, k: Tensor, at_q: Tensor, at_k: Tensor) -> Tensor:
        reach = self.spec.reach
        row = (at_k[:, None, :] - at_q[:, :, None]).clamp(-reach, reach) + reach
        row = row[:, None].expand(q.size(0), q.size(1), -1, -1)
        scores = (q @ self.weight.T).gather(-1, row)
        if self.spec.form == "both":
            shared = k.repeat_interleave(q.size(1) // k.size(1), 1)
            scores = scores + (shared @ self.weight.T).gather(-1, row.transpose(-1, -2)).transpose(-1, -2)
        return scores
