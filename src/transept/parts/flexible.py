"""FlexAttention: who may see whom is handed to one kernel of torch's, which skips the blocks that nobody sees.

Shapes: B batch, H heads, G key/value heads, S tokens, E head width, N blocks of W positions, M masks of blocks.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from operator import and_
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from transept.errors import UsageError
from transept.parts.blockwise import packing, touched
from transept.parts.core import Allowed, Core, FusedLayer
from transept.parts.pattern import Both, Documents, Full, Pattern
from transept.parts.sparse import objection

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

    from transept.parts.attention import Attention

ALL, NONE = 0, 1  # the first two masks of a table
AT_ONCE = 1 << 24  # pairs of positions that a pattern is asked about at a time
FORWARD_ALONE = ("cpu", "mps")  # where torch's kernel has no backward pass


class Flex(Core):
    """torch's FlexAttention over blocks of `size` positions (Dong et al. 2024, arXiv 2412.05496).

    The pattern reaches the kernel as data: which blocks of keys a block of queries needs, which of them it sees whole,
    and the masks of the others. So one compiled kernel serves all patterns, and those that differ from head to head.
    Documents packed in a row may be asked for beside a pattern, `causal & documents`, and not inside one.

    For GPUs, whose kernels want a `size` of 128 or a multiple. Elsewhere torch has no backward pass for it, and writes
    every score out: it then gives what it gives on a GPU, and is refused where gradients are asked for.
    """

    size: int = 128
    why = ": it reads documents beside a pattern alone, as in causal & documents"

    def validate(self) -> None:
        self.hold(1, "size")

    def handles(self, pattern: Pattern) -> bool:
        rest, _ = parted(pattern)
        return not any(isinstance(part, Documents) for part in rest.parts())

    def objects(self, attention: "Attention", scored: bool = False) -> str | None:
        if attention.dropout:
            asked = f"the attention has dropout={attention.dropout:g}"
            return f"drops no weights, and {asked}: set it to 0, or use the core Auto"
        if scored:
            return "adds no scores by positions: use the core Auto"
        return objection(attention)

    def learns(self, device: str) -> bool:
        return device not in FORWARD_ALONE

    def build(self, heads: int, width: int) -> "FlexLayer":
        return FlexLayer(self)


def parted(pattern: Pattern) -> tuple[Pattern, bool]:
    """A pattern without the documents that it asks for beside the rest, and whether it does."""
    asked = list(_conjuncts(pattern))
    rest = [part for part in asked if not isinstance(part, Documents)]
    return reduce(and_, rest) if rest else Full(), len(rest) < len(asked)


def _conjuncts(pattern: Pattern) -> Iterator[Pattern]:
    if isinstance(pattern, Both):
        yield from _conjuncts(pattern.left)
        yield from _conjuncts(pattern.right)
    else:
        yield pattern


@dataclass(frozen=True)
class Table:
    """A pattern as data. `masks` (M, W, W) are those of blocks, `which` (1 or H, N, N) names the mask of each pair of
    blocks; `needed` and `whole`, of the same shape, tell where any pair is allowed and where all are."""

    masks: Tensor
    which: Tensor
    needed: Tensor
    whole: Tensor


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # it outlives the pass that asks first, and a later one may learn
def table(pattern: Pattern, length: int, size: int, device: torch.device) -> Table:
    """The table of a pattern at a length. The pattern is asked about the blocks alone that are seen in part."""
    count = -(-length // size)
    masks = [torch.ones(size, size, dtype=torch.bool), torch.zeros(size, size, dtype=torch.bool)]
    known = {mask.numpy().tobytes(): i for i, mask in enumerate(masks)}  # most are the same: each is kept once
    apart = pattern.apart()
    which = torch.full((apart, count, count), NONE)
    needed, whole = torch.zeros(2, apart, count, count, dtype=torch.bool)
    step = max(AT_ONCE // size**2, 1)
    at = torch.arange(size)
    for head in range(apart):
        own = pattern.of_head(head)
        needed[head], filled = touched(own, length, size)
        last = torch.arange(count) == count - 1
        whole[head] = filled & ~(last if length % size else torch.zeros_like(last))
        which[head][whole[head]] = ALL
        blocks = (needed[head] & ~whole[head]).nonzero()
        for some in blocks.split(step):
            q, k = (some[:, 0, None] * size + at)[:, :, None], (some[:, 1, None] * size + at)[:, None]
            seen = (own.allows(q, k) & (k < length)).expand(len(some), size, size).contiguous()
            for (row, column), mask in zip(some.tolist(), seen, strict=True):
                code = mask.numpy().tobytes()
                if code not in known:
                    known[code] = len(masks)
                    masks.append(mask)
                which[head, row, column] = known[code]
    return Table(*(t.to(device) for t in (torch.stack(masks), which.int(), needed, whole)))


def listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks each row names, (1, H, N), and which, the named ones first, (1, H, N, N): as the kernel wants."""
    order = blocks.to(torch.uint8).sort(dim=-1, descending=True, stable=True).indices
    return blocks.sum(-1, dtype=torch.int32)[None], order.to(torch.int32)[None]


def block_mask(told: Table, size: int, length: int, count: Tensor | None, documents: Tensor | None) -> "BlockMask":
    """A table as the kernel reads it, with how many tokens of each row are real (B,) and whose they are (B, N W)."""
    from torch.nn.attention.flex_attention import BlockMask

    alike = told.which.size(0) == 1

    def sees(row: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        which = told.which[0 if alike else head, q // size, k // size]
        seen: Tensor = told.masks[which, q % size, k % size]
        if count is not None:
            seen = seen & (k < count[row])
        if documents is not None:
            seen = seen & (documents[row, q] == documents[row, k])
        return seen

    always = count is None and documents is None  # else what is padded or another's hides more than the pattern
    part, full = (told.needed & ~told.whole, told.whole) if always else (told.needed, torch.zeros_like(told.whole))
    made: BlockMask = BlockMask.from_kv_blocks(
        *listed(part), *listed(full), BLOCK_SIZE=size, mask_mod=sees, seq_lengths=(length, length)
    )
    return made


@cache
def kernel(device: str) -> Callable[..., Any]:
    """torch's function for a device: compiled into one kernel, or written out where there is nothing to train."""
    from torch.nn.attention.flex_attention import flex_attention

    if device not in FORWARD_ALONE:
        return torch.compile(flex_attention)
    warnings.filterwarnings("ignore", "flex_attention called without torch.compile")  # which is what is wanted here
    return flex_attention


class FlexLayer(FusedLayer):
    """Asks torch's kernel where the keys are the queries' own tokens; a cached step is the fused core's."""

    def __init__(self, spec: Flex) -> None:
        super().__init__()
        self.core = spec

    def forward(self, q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float = 0.0) -> Tensor:
        if not allowed.own or allowed.looks is not None:
            return super().forward(q, k, v, allowed, scale, drop)
        assert allowed.keyed is None and allowed.bias is None and not drop, "Flex.objects refuses these"
        learns = torch.is_grad_enabled() and any(t.requires_grad for t in (q, k, v))
        if learns and not self.core.learns(q.device.type):
            raise UsageError(
                f"Flex has no backward pass on this device ({q.device.type}), where torch's FlexAttention has none",
                remedy="Train with the core Auto, which gives the same, or on a GPU; or compute under torch.no_grad().",
            )
        if not learns:
            q, k, v = (t.detach() for t in (q, k, v))  # torch asks what was learned, not whether anybody learns now
        rest, apart = parted(allowed.pattern)
        rows, length, count, order = q.size(0), q.size(2), None, None
        documents = allowed.documents if apart else None
        if allowed.valid is not None:  # padding is packed away, so that a column is a position
            valid = allowed.valid.expand(rows, length)
            count, order = valid.sum(1), packing(valid)
            q, k, v = (_taken(t, order) for t in (q, k, v))
            documents = documents if documents is None else documents.expand(rows, length).gather(1, order)
        size = self.core.size
        if documents is not None:
            documents = F.pad(documents.expand(rows, length), (0, -length % size))
        mask = block_mask(table(rest, length, size, q.device), size, length, count, documents)
        grouped = q.size(1) != k.size(1)
        mix: Tensor = kernel(q.device.type)(q, k, v, block_mask=mask, scale=scale, enable_gqa=grouped)
        return mix if order is None else _taken(mix, order.argsort(1))


def _taken(t: Tensor, order: Tensor) -> Tensor:
    """The tokens of each row in another order: (B, H, S, E) by (B, S)."""
    return t.gather(2, order[:, None, :, None].expand_as(t))
