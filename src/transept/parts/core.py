"""How scores become a mix of values. A core says which patterns it handles and equals `Reference` wherever it does.

Shapes: B batch, H heads, G key/value heads (G divides H), S queries, T keys, E head width.
q (B, H, S, E), k and v (B, G, T, E); the mix (B, H, S, E); a mask (B or 1, 1 or H, S or 1, T), true = may see.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.parts.dropout import dropout
from transept.parts.looks import Look, Looks
from transept.parts.pattern import Causal, Full, Pattern, Places
from transept.spec import Part

if TYPE_CHECKING:
    from transept.parts.attention import Attention
    from transept.parts.place import Placed

Rows = slice | Tensor  # some queries of all: a range, or their numbers


class Cut(Protocol):
    """What is hidden beside the pattern, by positions: so it finds its pairs in a window, a step and a loop too."""

    def sees(self, q: Tensor, k: Tensor) -> Tensor:
        """False for what is hidden: positions q (B or 1, S) and k (B or 1, T) -> (B or 1, 1 or H, S or 1, T or 1)."""


@dataclass
class Allowed:
    """Who may see whom in one pass. The (S, T) tensor is made only if a core asks for it, and then once.

    `q` (B or 1, S) and `k` (B or 1, T) are positions; `valid` (B, T) is true for real keys, None where all are; `own`
    says that the keys are the queries' own tokens, in the same order; `bias` scores a pair by its positions; `keyed`
    (B, H, S, T) holds scores that one attention adds by its vectors, and `valued` makes of its weights what it adds to
    the mix (B, H, S, E); `tree` (B, S, 3) is where the own tokens stand in the trees of their sentences; `placed` tells
    where each query is, and `factor` (B, 1, S, T) multiplies the weights after the softmax (Luong et al. 2015).
    `documents` (B, S) tells the document that each of the own tokens is of, None where a row is one. `looks` gathers
    what the pass did, where somebody trains by it; `cuts` hide more than the pattern, where somebody asks what for.
    """

    pattern: Pattern
    q: Tensor
    k: Tensor
    valid: Tensor | None = None
    own: bool = True
    bias: nn.Module | None = None
    keyed: Tensor | None = None
    valued: Callable[[Tensor], Tensor] | None = None
    tree: Tensor | None = None
    placed: "Placed | None" = None
    documents: Tensor | None = None
    looks: Looks | None = None
    cuts: tuple[Cut, ...] = ()
    kept: dict[object, Tensor] = field(default_factory=dict, init=False, repr=False)  # what layers make once a pass
    _mask: Tensor | None = field(default=None, init=False, repr=False)
    _hidden: Tensor | None = field(default=None, init=False, repr=False)
    _blind: Tensor | None = field(default=None, init=False, repr=False)
    _any_blind: bool = field(default=False, init=False, repr=False)
    _scores: Tensor | None = field(default=None, init=False, repr=False)
    _asking: Tensor | None = field(default=None, init=False, repr=False)  # the documents of some of the queries

    def plain(self) -> bool:
        """Whether the pattern alone decides: no padding, no scores by position, no place."""
        return self.valid is None and self.bias is None and self.keyed is None and not (self.placed or self.cuts)

    def plus(self, keyed: Tensor, valued: Callable[[Tensor], Tensor] | None = None) -> "Allowed":
        """The same with what one attention adds to scores and mix; the mask is made once for all."""
        self.mask()
        more = copy.copy(self)
        more.keyed, more.valued = keyed, valued
        return more

    @property
    def weighs(self) -> bool:
        """Whether something multiplies the weights after the softmax."""
        return self.placed is not None and self.placed.p is not None

    @property
    def factor(self) -> Tensor | None:
        """What multiplies the weights after the softmax, (B, 1, S, T), or None."""
        return None if self.placed is None else self.placed.factor(self.k)

    def of(self, rows: Rows) -> "Allowed":
        """The same for some of the queries, for their weights: nothing is made for the others.

        No kernel computes with it: `own` still says whose tokens the keys are, not that they are these queries.
        """
        few = replace(self, q=self.q[:, rows], placed=None if self.placed is None else self.placed.of(rows))
        few.keyed = None if self.keyed is None else self.keyed[:, :, rows]
        few._asking = None if self.documents is None else self.documents[:, rows]
        return few

    def without(self, cut: Cut) -> "Allowed":
        """The same where a cut hides more. The keys count as another's: each core goes where a mask decides."""
        return replace(self, cuts=(*self.cuts, cut), own=False)

    def alone(self) -> "Allowed":
        """A copy without what the pass has made of it so far, and without its gradients."""
        placed = None if self.placed is None else self.placed.detach()
        return replace(self, keyed=None if self.keyed is None else self.keyed.detach(), placed=placed, looks=None)

    def mask(self) -> Tensor:
        """True where a query may see a key; broadcasts to (B, H, S, T)."""
        if self._mask is None:
            if isinstance(self.pattern, Full) and self.valid is not None:
                self._mask = self.valid[:, None, None, :]  # the same for every query: S times smaller
            else:
                of, asking_of = self.documents, self.documents if self._asking is None else self._asking
                asking = Places(self.q[:, :, None], None if asking_of is None else asking_of[:, :, None])
                asked = Places(self.k[:, None, :], None if of is None else of[:, None, :])
                heads = range(self.pattern.apart())
                each = [self.pattern.of_head(head).relates(asking, asked)[:, None] for head in heads]
                allows = each[0] if len(each) == 1 else torch.cat(each, 1)
                self._mask = allows if self.valid is None else allows & self.valid[:, None, None, :]
            if self.placed is not None:
                self._mask = self._mask & self.placed.near(self.k)
            for cut in self.cuts:
                self._mask = self._mask & cut.sees(self.q, self.k)
        return self._mask

    def hidden(self) -> Tensor:
        """The opposite of the mask, for filling."""
        if self._hidden is None:
            self._hidden = ~self.mask()
        return self._hidden

    def barred(self, dtype: torch.dtype) -> Tensor:
        """The mask as what it adds to scores: 0, and -inf where a query may not see a key. Made once a pass."""
        if (made := self.kept.get(("barred", dtype))) is None:
            hidden = self.hidden()
            made = hidden.new_zeros(hidden.shape, dtype=dtype).masked_fill_(hidden, float("-inf"))
            self.kept["barred", dtype] = made
        return made

    def blind(self) -> Tensor | None:
        """The queries that may see nothing, (B or 1, 1, S or 1, 1), or None where there are none.

        Looks at the values: for processors only, where that waits for nothing.
        """
        if self._blind is None:
            self._blind = self.hidden().all(-1, keepdim=True)
            self._any_blind = bool(self._blind.any())
        return self._blind if self._any_blind else None

    def scores(self) -> Tensor | None:
        """What the positions add to the scores, (B or 1, H, S, T), or None."""
        if self._scores is None and self.bias is not None:
            self._scores = self.bias(self.q[:, :, None], self.k[:, None, :])
        if self._scores is None or self.keyed is None:
            return self.keyed if self._scores is None else self._scores
        return self._scores + self.keyed


class Core(Part):
    """How attention is computed. `build` makes the layer; `handles` tells which patterns it can honour.

    One that is `exact` equals `Reference` wherever it handles; another is another function of the same vectors.
    """

    exact: ClassVar[bool] = True
    why: ClassVar[str] = ""  # what a refusal of a pattern ends with

    def handles(self, pattern: Pattern) -> bool:
        return True

    def objects(self, attention: "Attention", scored: bool = False) -> str | None:
        """Why it cannot compute an attention whose pattern it handles, or None where it can.

        `scored` says that the stack adds scores by positions.
        """
        return None

    def chosen(self, attention: "Attention") -> "Core":
        """The core that computes an attention which names this one: itself, unless it is a choice between others."""
        return self

    def learns(self, device: str) -> bool:
        """Whether gradients go through it on a device such as "cpu"."""
        return True

    def limit(self) -> int | None:
        """How many keys it can tell apart, or None where there is no end."""
        return None

    def build(self, heads: int, width: int) -> "CoreLayer":
        """For so many heads, whose queries have `width` features each."""
        raise NotImplementedError(type(self).__name__)


class CoreLayer(nn.Module):
    """`forward` gives the mix; `weights` gives the rows of attention that explain it, for any kernel."""

    def score(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
        """How well each query suits each key, before scaling: q (B, H, S, E), k (B, H, T, E) -> (B, H, S, T)."""
        return q @ k.transpose(-1, -2)

    def shares(self, q: Tensor, k: Tensor, allowed: Allowed, scale: float) -> Tensor:
        """The softmax of the scores, (B, H, S, T): a row sums to 1, or to 0 where it sees nothing.

        In float32 at the least: half precision loses the small weights.
        """
        scores = self.score(q, k.repeat_interleave(q.size(1) // k.size(1), 1), allowed) * scale
        if (added := allowed.scores()) is not None:
            scores = scores + added
        mask = allowed.mask()
        # A row that may see nothing is all -inf, whose softmax is NaN; it becomes 0 before the product, so that neither
        # its value nor its gradient is NaN.
        scores = scores if scores.dtype == torch.float64 else scores.float()
        scores = scores.masked_fill(~mask, float("-inf"))
        seen = mask.any(-1, keepdim=True)
        return scores.masked_fill(~seen, 0.0).softmax(-1).masked_fill(~mask, 0.0)

    def scaled(self, shares: Tensor, allowed: Allowed) -> Tensor:
        """Shares multiplied by what a place multiplies them by."""
        return shares if (factor := allowed.factor) is None else shares * factor

    def taken(self, q: Tensor, k: Tensor, allowed: Allowed, scale: float) -> Tensor:
        """What each query takes of each value, (B, H, S, T)."""
        return self.scaled(self.shares(q, k, allowed, scale), allowed).to(q.dtype)

    def weights(self, q: Tensor, k: Tensor, allowed: Allowed, scale: float, rows: Rows | None = None) -> Tensor:
        """The attention of some queries, or of all, (B, H, rows, T). Nothing is made for the queries left out.

        Each row sums to 1, or to 0 where nothing may be seen; where a place multiplies the weights after the softmax,
        the sum is less than 1.
        """
        if rows is None:
            return self.taken(q, k, allowed, scale)
        return self.taken(q[:, :, rows], k, allowed.of(rows), scale)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        """The mix, (B, H, S, E of the values); written out, where a core has nothing faster."""
        weights = self.taken(q, k, allowed, scale)
        if allowed.looks is not None:
            allowed.looks.add(Look(weights))
        return self.mixed(dropout(weights, drop), v, allowed)

    def mixed(self, weights: Tensor, v: Tensor, allowed: Allowed) -> Tensor:
        """The values that weights (B, H, S, T) mix, with what positions add to them. (B, H, S, E)"""
        shared = weights.size(1) // v.size(1)
        mix = weights @ (v.repeat_interleave(shared, 1) if shared > 1 else v)
        return mix if allowed.valued is None else mix + allowed.valued(weights)


class Reference(Core):
    """softmax(q k' scale + scores) v, written out (Vaswani et al. 2017, equation 1).

    Slow, and what the others must equal.
    """

    def build(self, heads: int, width: int) -> "ReferenceLayer":
        return ReferenceLayer()


class ReferenceLayer(CoreLayer):
    """The scaled dot product, by its definition."""


class Fused(Core):
    """torch's scaled dot-product kernels. `Full` and `Causal` without padding need no mask, and none is made.

    On a processor these kernels are slow in bfloat16, with dropout, and where few queries ask, as in a step of
    decoding: up to some length two matrix products and a softmax take their place, which is the same function.
    """

    def build(self, heads: int, width: int) -> "FusedLayer":
        return FusedLayer()


SHORT = {torch.float32: 128, torch.bfloat16: 512}  # keys, up to which a processor takes products
FEW = 16  # queries, from which on the kernel for float32 is the faster


class FusedLayer(CoreLayer):
    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        if allowed.looks is not None or allowed.weighs:  # no kernel hands on, or multiplies, its softmax
            return super().forward(q, k, v, allowed, scale, drop)
        if self.takes_products(q, k, allowed, drop):
            return self.short(q, k, v, allowed, scale, drop)
        if allowed.valued is not None:  # nor does one mix by distance
            return super().forward(q, k, v, allowed, scale, drop)
        grouped = q.size(1) != k.size(1)
        if allowed.plain() and isinstance(allowed.pattern, Full):
            return F.scaled_dot_product_attention(q, k, v, None, drop, scale=scale, enable_gqa=grouped)
        # The kernel's own causality is aligned to the upper left: right where keys and queries are the same.
        if allowed.plain() and allowed.own and isinstance(allowed.pattern, Causal):
            return F.scaled_dot_product_attention(q, k, v, None, drop, is_causal=True, scale=scale, enable_gqa=grouped)
        mask = allowed.mask()
        if (added := allowed.scores()) is not None:
            mask = added.to(q.dtype).masked_fill(~mask, float("-inf"))
        return F.scaled_dot_product_attention(q, k, v, mask, drop, scale=scale, enable_gqa=grouped)

    def takes_products(self, q: Tensor, k: Tensor, allowed: Allowed, drop: float) -> bool:
        """Whether two products are faster here. They look at the mask's values, which would break a compiled graph."""
        if q.device.type != "cpu" or k.size(2) > SHORT.get(q.dtype, 0) or torch.compiler.is_compiling():
            return False
        return q.dtype != torch.float32 or q.size(2) < FEW or drop > 0 or allowed.valued is not None

    def short(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float) -> Tensor:
        """The same by two products and a softmax; a mask, where one is needed, has at most SHORT columns."""
        if (shared := q.size(1) // k.size(1)) > 1:
            k = k.repeat_interleave(shared, 1)
        scores, added = q @ k.transpose(-1, -2), allowed.scores()
        added = None if added is None else added.to(scores.dtype)  # ALiBi's slopes are no weights, and in float32
        hides = not (allowed.plain() and isinstance(allowed.pattern, Full))
        if hides:
            barred = allowed.barred(scores.dtype)
            added = barred if added is None else added + barred
        scores = scores * scale if added is None else torch.add(added, scores, alpha=scale)
        if hides and (blind := allowed.blind()) is not None:  # a row of -inf alone would be NaN
            weights = scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)
            return self.mixed(dropout(weights, drop), v, allowed)
        return self.mixed(dropout(scores.softmax(-1), drop), v, allowed)
