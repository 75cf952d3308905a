"""Hard attention: each query takes the value of one key, drawn or the likeliest, where a soft one mixes all values.

Shapes: B batch, H heads, S queries, T keys, E head width.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from transept.errors import InvalidConfig, UsageError
from transept.parts.core import Allowed, Core, CoreLayer, Fused, Reference
from transept.parts.dropout import dropout
from transept.parts.looks import Look
from transept.parts.pattern import Pattern
from transept.parts.scores import Additive, Scoring

TINY = torch.finfo(torch.float32).tiny


class Hard(Scoring):
    """z = v_s with s drawn from a = softmax(score) in training, the s of the largest a otherwise (Xu et al. 2015, 4.1).

    `score` is the core whose weights are drawn from. How a gradient comes to them, which no draw lets through:

    - "reinforce": from the log-probability of what was drawn (Williams 1992; Xu et al. 2015, equations 10 to 12). The
      loss must ask the pass for its `Looks`. A row of the batch takes the expectation, which is soft attention, with
      the probability `expected`, for all of a pass.
    - "straight_through": as if the mix had been soft (Bengio et al. 2013).
    - "gumbel": z mixes by softmax((log a + g) / temperature), g of Gumbel's distribution (Jang et al. 2017): soft while
      it trains, and nearer to a draw the lower the `temperature`.
    """

    score: Core = Additive()
    estimator: Literal["reinforce", "straight_through", "gumbel"] = "reinforce"
    expected: float = 0.5
    temperature: float = 1.0

    def validate(self) -> None:
        if isinstance(self.score, Hard):
            raise InvalidConfig("Hard.score is Hard: one draw is enough")
        if not isinstance(self.score, Reference | Fused | Scoring):
            raise InvalidConfig(f"Hard draws from the softmax of a score, and {type(self.score).__name__} is no score")
        if not 0 <= self.expected <= 1:
            raise InvalidConfig(f"Hard.expected is a probability, not {self.expected!r}")
        if self.temperature <= 0:
            raise InvalidConfig(f"Hard.temperature must be above 0, not {self.temperature!r}")

    def handles(self, pattern: Pattern) -> bool:
        return self.score.handles(pattern)

    def limit(self) -> int | None:
        return self.score.limit()

    def build(self, heads: int, width: int) -> "HardLayer":
        return HardLayer(self, heads, width)


class HardLayer(CoreLayer):
    """`inner` scores."""

    def __init__(self, spec: Hard, heads: int, width: int) -> None:
        super().__init__()
        self.spec, self.inner = spec, spec.score.build(heads, width)

    def score(self, q: Tensor, k: Tensor, allowed: Allowed) -> Tensor:
        return self.inner.score(q, k, allowed)

    def taken(self, q: Tensor, k: Tensor, allowed: Allowed, scale: float) -> Tensor:
        """One for the likeliest key and zero for the others; in training what is drawn from, (B, H, S, T)."""
        shares = self.shares(q, k, allowed, scale)
        return self.scaled(shares if self.training else likeliest(shares), allowed).to(q.dtype)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        shares, looks = self.shares(q, k, allowed, scale), allowed.looks
        look = Look(shares)
        if not self.training:
            taken = likeliest(shares)
        elif self.spec.estimator == "gumbel":
            taken = relaxed(shares, self.spec.temperature)
        else:
            at = draw(shares)
            taken = one_hot(at, shares)
            if self.spec.estimator == "straight_through":
                taken = taken + shares - shares.detach()
            else:
                if looks is None:
                    raise UsageError(
                        "Hard draws by REINFORCE, and this loss does not ask what was drawn: nothing would be learned",
                        remedy="Train by a task that does, as captioning, or let Hard.estimator be 'straight_through'"
                        " or 'gumbel', which any loss can train.",
                    )
                expected = looks.expected(len(q), self.spec.expected, q.device)[:, None, None]
                look = Look(shares, logp_of(at, shares).masked_fill(expected, 0.0), entropy_of(shares))
                taken = torch.where(expected[..., None], shares, taken)
        if looks is not None:
            looks.add(look)
        taken = self.scaled(taken, allowed).to(q.dtype)
        return self.mixed(dropout(taken, drop), v, allowed)


def draw(shares: Tensor) -> Tensor:
    """A key for each row of probabilities, (B, H, S, T) -> (B, H, S); the first where all are 0.

    The largest of p / e, e exponential, is key i with the probability p_i.
    """
    return (shares.detach() / torch.empty_like(shares).exponential_().clamp_(min=TINY)).argmax(-1)


def one_hot(at: Tensor, shares: Tensor) -> Tensor:
    """Rows with a one at `at`, and rows of zeros where nothing may be seen. (B, H, S) -> (B, H, S, T)"""
    seen = shares.detach().amax(-1, keepdim=True) > 0
    return F.one_hot(at, shares.size(-1)).to(shares.dtype) * seen


def likeliest(shares: Tensor) -> Tensor:
    """One for the key with the largest share, the first of equals."""
    return one_hot(shares.argmax(-1), shares)


def relaxed(shares: Tensor, temperature: float) -> Tensor:
    """A soft draw, whose rows sum to 1, or to 0 where nothing may be seen."""
    seen = shares > 0
    noise = -torch.empty_like(shares).exponential_().clamp_(min=TINY).log()
    scores = ((shares.clamp(min=TINY).log() + noise) / temperature).masked_fill(~seen, float("-inf"))
    some = seen.any(-1, keepdim=True)
    return scores.masked_fill(~some, 0.0).softmax(-1).masked_fill(~seen, 0.0)


def logp_of(at: Tensor, shares: Tensor) -> Tensor:
    """The log-probability of what was drawn, (B, H, S); 0 where nothing may be seen."""
    p = shares.gather(-1, at[..., None])[..., 0]
    return p.clamp(min=TINY).log().masked_fill(p <= 0, 0.0)


def entropy_of(shares: Tensor) -> Tensor:
    """-sum p log p, (B, H, S), in nats."""
    return -(shares * shares.clamp(min=TINY).log()).sum(-1)
