"""Where in the source a target token is, so that attention need look only around it (Luong et al. 2015, section 3.2).

Shapes: B batch, H heads, G key/value heads, S queries, T keys, W keys of a window, D width of the stream, E head width.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from transept.parts.core import Allowed, CoreLayer, Rows
from transept.spec import Part


class Place(Part):
    """Attention to the keys at most `reach` positions from a place p, inside the text.

    `at` "same" (local-m): p is the target token's own position, and beyond the source's end its last token.
    "predicted" (local-p): p = S sigmoid(v . tanh(W h)) for a source of S tokens; the window is around the rounded p and
    its weights are multiplied by a Gaussian around p itself, exp(-(s - p)^2 / (2 sigma^2)) with sigma = reach / 2, and
    not normalised again (equations 9 and 10). The keys of the window alone are scored: a query costs the same in any
    source.
    """

    reach: int = 10
    at: Literal["same", "predicted"] = "same"

    def validate(self) -> None:
        self.hold(1, "reach")

    def build(self, width: int) -> "PlaceLayer":
        """`width` is that of the stream, which the place is predicted from."""
        return PlaceLayer(self, width)


class PlaceLayer(nn.Module):
    """`v` and `hidden` are the paper's v_p and W_p."""

    def __init__(self, spec: Place, width: int) -> None:
        super().__init__()
        self.spec = spec
        predicted = spec.at == "predicted"
        self.hidden = nn.Linear(width, width, bias=False) if predicted else None
        self.v = nn.Linear(width, 1, bias=False) if predicted else None

    def share(self, x: Tensor) -> Tensor | None:
        """How far into the source each query is, in (0, 1). (B, S, D) -> (B, S); None where nothing predicts it."""
        if self.hidden is None or self.v is None:
            return None
        share: Tensor = self.v(torch.tanh(self.hidden(x))).squeeze(-1).sigmoid()
        return share

    def forward(self, share: Tensor | None, allowed: Allowed) -> Allowed:
        """What of the keys is still allowed, and by what their weights are multiplied."""
        lengths = allowed.k.new_full((1, 1), allowed.k.size(1)) if allowed.valid is None else allowed.valid.sum(1, True)
        if share is None:
            centre = torch.minimum(allowed.q, (lengths - 1).clamp(min=0))
            return replace(allowed, placed=Placed(centre, self.spec.reach))
        # In float32 at the least: half precision has no place between two tokens beyond the 128th.
        p = lengths * (share if share.dtype == torch.float64 else share.float())
        return replace(allowed, placed=Placed(p.detach().round().long(), self.spec.reach, p))

    def attend(
        self, core: CoreLayer, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float
    ) -> Tensor:
        """What the core gives, (B, H, S, E), of the keys around each place alone."""
        placed, window = allowed.placed, 2 * self.spec.reach + 1
        mix: Tensor
        if placed is None or window >= k.size(2) or allowed.looks is not None:  # a look tells of every key
            mix = core(q, k, v, allowed, scale, drop)
            return mix
        batch, queries = q.size(0), q.size(2)
        around = torch.arange(-self.spec.reach, self.spec.reach + 1, device=q.device)
        wanted = (placed.centre[..., None] + around).expand(batch, queries, -1)  # positions, (B, S, W)
        if allowed.valid is None:
            columns, there = wanted, wanted < k.size(2)
        else:  # the first column that has counted so many real tokens
            counted = allowed.valid.long().cumsum(1)
            columns = torch.searchsorted(counted, (wanted + 1).flatten(1)).view_as(wanted)
            there = wanted < counted[:, -1, None, None]
        columns, there = columns.clamp(0, k.size(2) - 1), there & (wanted >= 0)
        rows = (columns + k.size(2) * torch.arange(batch, device=q.device)[:, None, None]).flatten()

        def gathered(x: Tensor) -> Tensor:
            """(B, G, T, E) -> (B * S, G, W, E)"""
            beside = x.transpose(1, 2).flatten(0, 1).flatten(1).index_select(0, rows)
            return beside.view(batch * queries, window, x.size(1), x.size(3)).transpose(1, 2)

        def each(x: Tensor) -> Tensor:
            """(B or 1, S) -> (B * S, 1)"""
            return x.expand(batch, queries).reshape(-1, 1)

        found = allowed.k.expand(batch, -1).gather(1, columns.flatten(1)).view(batch * queries, window)
        inside = replace(allowed, q=each(allowed.q), k=found, valid=there.flatten(0, 1))
        inside.placed = Placed(each(placed.centre), placed.reach, None if placed.p is None else each(placed.p))
        mix = core(q.transpose(1, 2).flatten(0, 1)[:, :, None], gathered(k), gathered(v), inside, scale, drop)
        beside: Tensor = mix[:, :, 0].unflatten(0, (batch, queries))
        return beside.transpose(1, 2)


@dataclass(frozen=True)
class Placed:
    """Where the queries of a pass are: `centre` (B or 1, S) is the middle of each window, `p` the place itself."""

    centre: Tensor
    reach: int
    p: Tensor | None = None

    def of(self, rows: Rows) -> "Placed":
        """That of some of the queries."""
        return Placed(self.centre[:, rows], self.reach, None if self.p is None else self.p[:, rows])

    def detach(self) -> "Placed":
        """The same without gradients."""
        return Placed(self.centre, self.reach, None if self.p is None else self.p.detach())

    def near(self, k: Tensor) -> Tensor:
        """Whether each key, at the positions k (B or 1, T), is in the window: (B, 1, S, T)."""
        return ((k[:, None] - self.centre[..., None]).abs() <= self.reach)[:, None]

    def factor(self, k: Tensor) -> Tensor | None:
        """The Gaussian around each place, (B, 1, S, T), or None where none was predicted."""
        if self.p is None:
            return None
        return torch.exp(-2 * ((k[:, None] - self.p[..., None]) / self.reach).square())[:, None]
