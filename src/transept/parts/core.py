"""How scores become a mix of values. A core says which patterns it handles and equals `Reference` wherever it does.

Shapes: B batch, H heads, G key/value heads (G divides H), S queries, T keys, E head width.
q (B, H, S, E), k and v (B, G, T, E); the mix (B, H, S, E); a mask (B or 1, 1 or H, S or 1, T), true = may see.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.parts.dropout import dropout
from transept.parts.pattern import Causal, Full, Pattern
from transept.spec import Part


@dataclass
class Allowed:
    """Who may see whom in one pass. The (S, T) tensor is made only if a core asks for it, and then once.

    `q` (B or 1, S) and `k` (B or 1, T) are positions; `valid` (B, T) is true for real keys, None where all are; `own`
    says that the keys are the queries' own tokens, in the same order; `bias` scores a pair by its positions.
    """

    pattern: Pattern
    q: Tensor
    k: Tensor
    valid: Tensor | None = None
    own: bool = True
    bias: nn.Module | None = None
    _mask: Tensor | None = field(default=None, init=False, repr=False)

    def plain(self) -> bool:
        """Whether the pattern alone decides: no padding, no scores by position."""
        return self.valid is None and self.bias is None

    def mask(self) -> Tensor:
        """True where a query may see a key; broadcasts to (B, H, S, T)."""
        if self._mask is None:
            if isinstance(self.pattern, Full) and self.valid is not None:
                self._mask = self.valid[:, None, None, :]  # the same for every query: S times smaller
            else:
                allows = self.pattern.allows(self.q[:, :, None], self.k[:, None, :])[:, None]
                self._mask = allows if self.valid is None else allows & self.valid[:, None, None, :]
        return self._mask

    def scores(self) -> Tensor | None:
        """What the positions add to the scores, (B or 1, H, S, T), or None."""
        if self.bias is None:
            return None
        added: Tensor = self.bias(self.q[:, :, None], self.k[:, None, :])
        return added


class Core(Part):
    """How attention is computed. `build()` makes the layer; `handles` tells which patterns it can honour."""

    def handles(self, pattern: Pattern) -> bool:
        return True

    def build(self) -> "CoreLayer":
        raise NotImplementedError(type(self).__name__)


class CoreLayer(nn.Module):
    """`forward` gives the mix; `weights` gives the rows of attention that explain it, for any kernel."""

    def weights(self, q: Tensor, k: Tensor, allowed: Allowed, scale: float, rows: slice = slice(None)) -> Tensor:
        """The attention of some queries, (B, H, rows, T): each row sums to 1, or to 0 where nothing may be seen."""
        k = k.repeat_interleave(q.size(1) // k.size(1), 1)
        scores = (q[:, :, rows] * scale) @ k.transpose(-1, -2)
        if (added := allowed.scores()) is not None:
            scores = scores + added[:, :, rows]
        mask = allowed.mask()
        mask = mask[:, :, rows] if mask.size(2) > 1 else mask
        # In float32 at the least: half precision loses the small weights. A row that may see nothing is all -inf, whose
        # softmax is NaN; it becomes 0 before the product, so that neither its value nor its gradient is NaN.
        scores = scores.float().masked_fill(~mask, float("-inf"))
        seen = mask.any(-1, keepdim=True)
        return scores.masked_fill(~seen, 0.0).softmax(-1).masked_fill(~mask, 0.0).to(q.dtype)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        raise NotImplementedError(type(self).__name__)


class Reference(Core):
    """softmax(q k' scale + scores) v, written out (Vaswani et al. 2017, equation 1). Slow, and what the others must equal."""

    def build(self) -> "ReferenceLayer":
        return ReferenceLayer()


class ReferenceLayer(CoreLayer):
    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        weights = dropout(self.weights(q, k, allowed, scale), drop)
        return weights @ v.repeat_interleave(q.size(1) // v.size(1), 1)


class Fused(Core):
    """torch's scaled dot-product kernels. `Full` and `Causal` without padding need no mask, and none is made."""

    def build(self) -> "FusedLayer":
        return FusedLayer()


class FusedLayer(CoreLayer):
    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        grouped = q.size(1) != k.size(1)
        if allowed.plain() and isinstance(allowed.pattern, Full):
            return F.scaled_dot_product_attention(q, k, v, None, drop, scale=scale, enable_gqa=grouped)
        # The kernel's own causality is aligned to the upper left: right where keys and queries are the same tokens only.
        if allowed.plain() and allowed.own and isinstance(allowed.pattern, Causal):
            return F.scaled_dot_product_attention(q, k, v, None, drop, is_causal=True, scale=scale, enable_gqa=grouped)
        mask = allowed.mask()
        if (added := allowed.scores()) is not None:
            mask = added.to(q.dtype).masked_fill(~mask, float("-inf"))
        return F.scaled_dot_product_attention(q, k, v, mask, drop, scale=scale, enable_gqa=grouped)
