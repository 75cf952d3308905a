"""Linformer: keys and values of a whole row are mixed down to a few, which every query attends to."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from transept.errors import UsageError
from transept.parts.core import Allowed, Core, CoreLayer, FusedLayer
from transept.parts.pattern import Full, Pattern
from transept.parts.relative import Keyed

if TYPE_CHECKING:
    from transept.parts.attention import Attention


class LowRank(Core):
    """softmax(q (E k)' scale) (F v), E and F (rank, length) (Wang et al. 2020, equation 7).

    Time and memory are S rank where full attention has S^2. `share` is what the two matrices are one for: all "heads"
    of an attention, which has an E and an F; the "keys" and values as well, E = F; or all "layers" of a stack, one E
    (section 4, "Parameter sharing"). It is another function than full attention, and equal to it where E = F = 1.

    A row may be shorter than `length`: it is then read as if zeros followed. Each of the few keys mixes the whole row,
    so that nothing can look back alone: causal patterns and caches are refused.
    """

    length: int
    rank: int
    share: Literal["heads", "keys", "layers"] = "heads"
    exact: ClassVar[bool] = False
    why: ClassVar[str] = ": each of its keys mixes the whole row, what comes after a token too"

    def validate(self) -> None:
        self.hold(1, "length", "rank")

    def handles(self, pattern: Pattern) -> bool:
        return isinstance(pattern, Full)

    def objects(self, attention: "Attention", scored: bool = False) -> str | None:
        if attention.source == "memory":
            return "mixes the tokens of one row, and reads no memory: use the core Fused there"
        if scored or isinstance(attention.position, Keyed):
            return "attends to mixtures of tokens, which have no positions to score"
        return None

    def limit(self) -> int | None:
        return self.length

    def build(self, heads: int, width: int) -> "LowRankLayer":
        return LowRankLayer(self)


class LowRankLayer(CoreLayer):
    """`keys` and `values` (rank, length): the second only where it is not the first, both only where it owns them."""

    def __init__(self, spec: LowRank) -> None:
        super().__init__()
        self.spec = spec
        self.keys: nn.Parameter | None = nn.Parameter(torch.empty(spec.rank, spec.length))
        self.values = nn.Parameter(torch.empty(spec.rank, spec.length)) if spec.share == "heads" else None
        self.lender: tuple[LowRankLayer, ...] = ()  # in a tuple, so that its weights are not this layer's as well
        self.fused = FusedLayer()

    def begin(self) -> None:
        """N(0, 1 / rank): a random projection keeps distances (section 4, theorem 2)."""
        for weight in self.parameters():
            nn.init.normal_(weight, std=self.spec.rank**-0.5)

    def lends(self) -> Hashable | None:
        return self.spec if self.spec.share == "layers" else None

    def borrow(self, owner: "LowRankLayer") -> None:
        """Use another layer's matrix, which is counted, kept and trained there."""
        self.keys, self.lender = None, (owner,)

    def matrices(self) -> tuple[Tensor, Tensor]:
        """E and F."""
        keys = self.lender[0].keys if self.lender else self.keys
        assert keys is not None
        return keys, keys if self.values is None else self.values

    def at(self, weight: Tensor, allowed: Allowed) -> Tensor:
        """The columns of a matrix at each token's position, zero at padding: (1 or B, 1, rank, T)."""
        if not allowed.own:
            raise UsageError(
                "LowRank mixes all tokens of a row at once, and has no steps with a cache",
                remedy="Decode with another core, or read whole rows.",
            )
        length = allowed.k.size(1)
        if length > self.spec.length:
            real = length if allowed.valid is None else int(allowed.valid.sum(1).max())
            if real > self.spec.length:
                raise UsageError(
                    f"a row of {real} tokens is longer than the {self.spec.length} that LowRank mixes",
                    remedy="Cut the row, or build the model with a greater `length`.",
                )
        if allowed.valid is None:
            return weight[:, :length][None, None]
        columns = weight.t()[allowed.k.clamp(max=self.spec.length - 1).expand(allowed.valid.shape)]
        return columns.masked_fill(~allowed.valid[..., None], 0.0).transpose(1, 2)[:, None]

    def taken(self, q: Tensor, k: Tensor, allowed: Allowed, scale: float) -> Tensor:
        """What each query takes of each value, (B, H, S, T): rows need not sum to 1, and may be below 0."""
        keys, values = (self.at(weight, allowed) for weight in self.matrices())
        mixed = (keys @ k).repeat_interleave(q.size(1) // k.size(1), 1)
        return ((q * scale) @ mixed.transpose(-1, -2)).softmax(-1) @ values

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        keys, values = (self.at(weight, allowed) for weight in self.matrices())
        every = torch.arange(self.spec.rank, device=q.device)[None]
        mix: Tensor = self.fused(q, keys @ k, values @ v, Allowed(Full(), allowed.q, every, own=False), scale, drop)
        return mix
