"""A memory of keys and values from long ago, of which each query finds the few that suit it best.

Shapes: B batch, S queries, T keys, H heads, G key/value heads, R = H / G, E head width, N neighbours.
"""

import importlib
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig, UsageError
from transept.parts.core import Allowed
from transept.parts.pattern import Causal, Documents, Pattern
from transept.parts.pattern_blocks import Local
from transept.spec import Part

PIECE = 1 << 22  # scores that are made at once while neighbours are sought


class Recall(Part):
    """out = g V_m + (1 - g) V_c for each head, g = sigmoid(b): Wu et al. 2022, section 3, Memorizing Transformers.

    V_c is what the attention's own pattern lets it mix. V_m is the softmax over the `neighbours` keys with the greatest
    products among those of earlier segments: texts are read in segments of `segment` tokens, and the last `size` tokens
    before a query's segment are remembered; the oldest are forgotten. V_m is 0 where there is none. No gradient goes
    into what is remembered. Queries and keys are of length one, so that what was stored long ago still compares, and
    their product is multiplied by a factor that each head learns. Positions are told to V_c alone.

    `search` "exact" is by torch; "faiss" finds the same neighbours with the library of that name.
    """

    neighbours: int = 32
    segment: int = 512
    size: int = 65_536
    search: Literal["exact", "faiss"] = "exact"

    def validate(self) -> None:
        self.hold(1, "neighbours", "segment", "size")
        if self.size % self.segment:
            raise InvalidConfig(
                f"Recall.size={self.size} is no multiple of segment={self.segment}: whole segments are forgotten"
            )

    def pattern(self, near: Pattern) -> Pattern:
        """Who may find whom, beside an attention whose own pattern is `near`."""
        own = Local(self.segment)
        far = Causal() & Local(self.segment, self.size // self.segment) & ~own
        kept_apart = any(isinstance(part, Documents) for part in near.parts())
        return far & Documents() if kept_apart else far

    def build(self, heads: int, width: int) -> "RecallLayer":
        return RecallLayer(self, heads, width)


class RecallLayer(nn.Module):
    """`gate` (H,) is b, before the sigmoid; `factor` (H,) is what the products are multiplied by."""

    def __init__(self, spec: Recall, heads: int, width: int) -> None:
        super().__init__()
        self.spec, self.width = spec, width
        self.gate, self.factor = nn.Parameter(torch.empty(heads)), nn.Parameter(torch.empty(heads))
        if spec.search == "faiss":
            library()

    def begin(self) -> None:
        """Both mixes alike, and products whose variance is one where directions are drawn."""
        nn.init.zeros_(self.gate)
        nn.init.constant_(self.factor, self.width**0.5)

    def ready(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of length one, the queries multiplied by the factor of their head."""
        return F.normalize(q, dim=-1) * self.factor[:, None, None], F.normalize(k, dim=-1)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, mix: Tensor) -> Tensor:
        """The gated sum of what is remembered and of the `mix` (B, H, S, E) of what is near.

        q (B, H, S, E); k and v (B, G, T, E) are all that is remembered, and more that `allowed` hides.
        """
        gate = self.gate.sigmoid()[:, None, None]
        return gate * self.remembered(q, k.detach(), v.detach(), allowed.mask()) + (1 - gate) * mix

    def remembered(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """The mix of the nearest, (B, H, S, E); mask (B or 1, 1 or H, S, T)."""
        groups, queries = k.size(1), q.size(2)
        asked = q.unflatten(1, (groups, -1))  # (B, G, R, S, E)
        apart = mask.size(1) > 1  # heads see different keys, of which an index for all of them would not know
        sight = mask.unflatten(1, (groups, -1)) if apart else mask[:, None]
        with torch.no_grad():
            if self.spec.search == "faiss" and not apart:
                found = by_faiss(asked, k, mask, self.spec.neighbours)
            else:
                found = nearest(asked, k, sight, self.spec.neighbours)
        count = found.size(-1)
        seen = sight.expand(*found.shape[:-1], -1).gather(-1, found)
        at = found.flatten(2)[..., None]  # (B, G, R*S*N, 1)
        keys, values = (t.gather(2, at.expand(-1, -1, -1, t.size(-1))) for t in (k, v))
        keys, values = (t.unflatten(2, (-1, queries, count)) for t in (keys, values))  # (B, G, R, S, N, E)
        scores = (keys @ asked[..., None]).squeeze(-1)  # (B, G, R, S, N)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        # A query that remembers nothing has no softmax: its weights are 0, and so is its gradient.
        some = seen.any(-1, keepdim=True)
        shares = scores.masked_fill(~seen & some, float("-inf")).softmax(-1).masked_fill(~seen, 0.0)
        mixed: Tensor = (shares.to(v.dtype)[..., None, :] @ values).squeeze(-2)
        return mixed.flatten(1, 2)


def nearest(q: Tensor, k: Tensor, mask: Tensor, count: int) -> Tensor:
    """The indices (B, G, R, S, N) of the keys with the greatest products, exactly; what is hidden comes last.

    q (B, G, R, S, E), k (B, G, T, E), mask (B or 1, G or 1, R or 1, S, T).
    """
    count = min(count, k.size(2))
    rows = max(1, PIECE // (q[..., 0, 0].numel() * k.size(2)))
    found = []
    for at in range(0, q.size(3), rows):
        part = q[:, :, :, at : at + rows]
        scores = part @ k[:, :, None].transpose(-1, -2)
        scores = scores.masked_fill(~mask[:, :, :, at : at + rows], float("-inf"))
        found.append(scores.topk(count, -1, sorted=False).indices)
    return torch.cat(found, 3)


def library() -> Any:
    """faiss. Raises UsageError where it is not installed."""
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise UsageError(
            "Recall.search='faiss' needs the library faiss, which is not installed",
            remedy="pip install 'transept[faiss]', or search='exact'.",
        ) from None


def by_faiss(q: Tensor, k: Tensor, mask: Tensor, count: int) -> Tensor:
    """As `nearest`, by a flat index of what the queries of a segment see, which is one set for all of them."""
    faiss = library()
    count = min(count, k.size(2))
    found = torch.zeros(*q.shape[:-1], count, dtype=torch.long)
    sight = mask[:, 0].expand(q.size(0), -1, -1).cpu()
    for row in range(q.size(0)):
        sets, which = sight[row].unique(dim=0, return_inverse=True)
        for i, seen in enumerate(sets):
            columns, queries = seen.nonzero().flatten(), (which == i).nonzero().flatten()
            if not len(columns):
                continue
            hidden = (~seen).nonzero().flatten()[: max(count - len(columns), 0)]
            for group in range(k.size(1)):
                index = faiss.IndexFlatIP(k.size(-1))
                index.add(k[row, group].float().cpu()[columns].contiguous().numpy())
                asked = q[row, group].float().cpu()[:, queries]  # (R, queries, E)
                _, best = index.search(asked.flatten(0, 1).contiguous().numpy(), min(count, len(columns)))
                known = columns[torch.from_numpy(best)].unflatten(0, asked.shape[:2])
                known = torch.cat([known, hidden.expand(*known.shape[:2], -1)], -1)
                found[row, group][:, queries] = known
    return found.to(q.device)
