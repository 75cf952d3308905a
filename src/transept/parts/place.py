"""Where in the source a target token is, so that attention need look only around it (Luong et al. 2015, section 3.2).

Shapes: B batch, S queries, T keys, D width of the stream.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.parts.core import Allowed
from transept.spec import Part


class Place(Part):
    """Attention to the keys at most `reach` positions from a place p, inside the text.

    `at` "same" (local-m): p is the target token's own position, and beyond the source's end its last token.
    "predicted" (local-p): p = S sigmoid(v . tanh(W h)) for a source of S tokens; the window is around the rounded p and
    its weights are multiplied by a Gaussian around p itself, exp(-(s - p)^2 / (2 sigma^2)) with sigma = reach / 2, and
    not normalised again (equations 9 and 10). All scores are made, and those outside the window hidden: it changes what
    is seen, not what it costs.
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
        k = allowed.k[:, None]  # (B or 1, 1, T)
        lengths = k.new_full((1, 1), k.size(2)) if allowed.valid is None else allowed.valid.sum(1, keepdim=True)
        if share is None:
            p = torch.minimum(allowed.q, (lengths - 1).clamp(min=0))
            return allowed.around(((k - p[..., None]).abs() <= self.spec.reach)[:, None], None)
        # In float32 at the least: half precision has no place between two tokens beyond the 128th.
        p = lengths * (share if share.dtype == torch.float64 else share.float())
        near = (k - p.detach().round()[..., None]).abs() <= self.spec.reach
        away = k - p[..., None]
        return allowed.around(near[:, None], torch.exp(-2 * (away / self.spec.reach).square())[:, None])
