"""Attention in blocks: scores exist for blocks of queries and of keys that a pattern joins, and for no others.

Positions are cut into blocks of `size`. A `Plan` tells, from the pattern alone, which key blocks each query block
needs; the work is then done in pieces that are small enough to stay in a processor's cache, each a few query blocks
with their keys. What is not kept for the backward pass is computed again there, so that memory grows with the length
and with nothing else. Within the blocks a mask decides as everywhere, so the result is exact.

Shapes: B batch, H heads, G key/value heads, R = H / G, S tokens, E head width, N blocks of W positions; a piece has n
query blocks and m key blocks for each, M = m W keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from transept.parts.core import Allowed
from transept.parts.dropout import dropout
from transept.parts.pattern import Documents, Pattern, Places, Spans
from transept.parts.scored import OfHead

softmax_backward = torch.ops.aten._softmax_backward_data

# Bytes of one piece's scores, counted over all rows and heads: on a processor they should stay in its cache; a GPU
# wants large pieces, since each takes the same ten kernels however small it is.
SCORES = {"cpu": 1 << 21}
MANY = 1 << 28


@dataclass(frozen=True)
class Piece:
    """Query blocks `rows` (n,) with the key blocks `keys` (n, m) of each. `hidden` (n, W, M) is true where a query may
    not see a key, None where all see all; `blind` (n, W, 1) where it sees nothing, None where none does.

    Blocks that follow one another are taken as they lie: `asking`, where the query blocks do; `asked`, where there is
    one query block and its key blocks do.
    """

    rows: Tensor
    keys: Tensor
    asking: slice | None
    asked: slice | None
    hidden: Tensor | None
    blind: Tensor | None

    def take(self, q: Tensor) -> Tensor:
        """The piece's blocks of queries, (B G, N, R W, E) -> (B G, n, R W, E)."""
        return q[:, self.rows] if self.asking is None else q[:, self.asking]

    def gather(self, k: Tensor) -> Tensor:
        """The keys of each, (B G, N, W, E) -> (B G, n, M, E)."""
        found = k.index_select(1, self.keys.flatten()) if self.asked is None else k[:, self.asked]
        return found.reshape(len(k), len(self.rows), -1, k.size(-1))

    def scatter(self, into: Tensor, more: Tensor) -> None:
        """Add (B G, n, M, E) to the blocks that `gather` took."""
        blocks = more.view(len(into), -1, *into.shape[2:])
        if self.asked is None:
            into.index_add_(1, self.keys.flatten(), blocks)
        else:
            into[:, self.asked] += blocks


@dataclass(frozen=True)
class Plan:
    """The pieces of one pattern at one length."""

    size: int
    length: int
    pieces: tuple[Piece, ...]

    def blocks(self) -> int:
        return -(-self.length // self.size)


def touched(pattern: Pattern, length: int, size: int) -> tuple[Tensor, Tensor]:
    """Which blocks of keys each block of queries needs, and which of them it sees as wholes; both (N, N), bool."""
    low = torch.arange(0, length, size)
    high = (low + size).clamp(max=length) - 1
    q, k = Spans(low[:, None], high[:, None]), Spans(low, high)
    shape = (len(low), len(low))
    return pattern.touches(q, k).expand(shape), pattern.fills(q, k).expand(shape)


@lru_cache(maxsize=32)  # a stack of BigBird's has a pattern for each layer
def plans(pattern: Pattern, length: int, size: int, scores: int, device: torch.device) -> tuple[Plan, ...]:
    """The plan of all heads, or of each where the pattern tells them apart."""
    return tuple(plan(pattern.of_head(i), length, size, scores, device) for i in range(pattern.apart()))


def plan(pattern: Pattern, length: int, size: int, scores: int, device: torch.device) -> Plan:
    """The pieces of a pattern, each with at most `scores` of them for one head of one row, or with one query block."""
    needed, whole = touched(pattern, length, size)
    degrees = needed.sum(1)
    order = degrees.argsort(stable=True)
    order = order[degrees[order] > 0]
    pieces: list[Piece] = []
    for rows in _groups(order.tolist(), degrees.tolist(), scores // size**2):
        pieces.append(_piece(pattern, torch.tensor(rows), needed, whole, length, size, pieces[-3:]))
    return Plan(size, length, tuple(_moved(piece, device) for piece in pieces))


def _groups(order: list[int], degrees: list[int], limit: int) -> Iterator[list[int]]:
    """Query blocks that need about as many key blocks each, `limit` blocks of scores together."""
    group: list[int] = []
    for row in order:
        most = degrees[row]
        if group and ((len(group) + 1) * most > limit or most > max(degrees[group[0]] * 5 // 4, degrees[group[0]] + 1)):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _piece(
    pattern: Pattern, rows: Tensor, needed: Tensor, whole: Tensor, length: int, size: int, before: list[Piece]
) -> Piece:
    """A piece of some query blocks. One that needs fewer key blocks than another gets more, and sees nothing there."""
    needed, whole = needed[rows], whole[rows]
    keys = needed.to(torch.uint8).sort(dim=1, descending=True, stable=True).indices[:, : int(needed.sum(1).max())]
    asking = slice(int(rows[0]), int(rows[-1]) + 1) if bool((rows.diff() == 1).all()) else None
    asked = slice(int(keys[0, 0]), int(keys[0, -1]) + 1) if len(rows) == 1 and bool((keys.diff() == 1).all()) else None
    cut = length % size != 0 and bool((keys == length // size).any())
    if bool(whole.gather(1, keys).all()) and not cut:
        return Piece(rows, keys, asking, asked, None, None)
    at = torch.arange(size)
    q, k = rows[:, None] * size + at, (keys[:, :, None] * size + at).flatten(1)
    hidden = ~pattern.allows(q[:, :, None], k[:, None]) | (k >= length)[:, None]
    for piece in before:  # all along a row masks are the same: one is enough
        if piece.hidden is not None and piece.hidden.shape == hidden.shape and torch.equal(piece.hidden, hidden):
            return Piece(rows, keys, asking, asked, piece.hidden, piece.blind)
    blind = hidden.all(-1, keepdim=True)
    return Piece(rows, keys, asking, asked, hidden, blind if bool(blind.any()) else None)


def _moved(piece: Piece, device: torch.device) -> Piece:
    if device.type == "cpu":
        return piece
    hidden, blind = (None if t is None else t.to(device) for t in (piece.hidden, piece.blind))
    return replace(piece, rows=piece.rows.to(device), keys=piece.keys.to(device), hidden=hidden, blind=blind)


@dataclass(frozen=True)
class Work:
    """What the pieces of one attention share beside its vectors.

    `count` (B,) is how many tokens of each row are real, `documents` (B, N W) whose they are: None where all are, and
    where a row is one document. `seed` starts the draws of each piece's dropout, which the backward pass repeats.
    """

    plan: Plan
    pattern: Pattern
    shape: tuple[int, int, int]  # B, G, R
    count: Tensor | None
    documents: Tensor | None
    bias: nn.Module | None
    drop: float
    seed: int

    def places(self, piece: Piece) -> tuple[Tensor, Tensor]:
        """Positions of a piece's queries (n, W) and keys (n, M)."""
        at = torch.arange(self.plan.size, device=piece.rows.device)
        return piece.rows[:, None] * self.plan.size + at, (piece.keys[:, :, None] * self.plan.size + at).flatten(1)

    def added(self, piece: Piece) -> Tensor:
        """What positions add to the scores, (1, G, n, R, W, M)."""
        assert self.bias is not None
        q, k = self.places(piece)
        scores: Tensor = self.bias(q[:, :, None], k[:, None, :])  # (n, H or 1, W, M)
        heads = (1, 1) if scores.size(1) == 1 else self.shape[1:]
        return scores.reshape(len(scores), *heads, *scores.shape[2:]).transpose(0, 1)[None]

    def hidden(self, piece: Piece) -> tuple[Tensor | None, ...]:
        """What may not be seen, and which queries see nothing; broadcast to (B, G, n, R, W, M)."""
        hidden = piece.hidden
        if self.count is None and self.documents is None:
            return tuple(t if t is None else t[None, None, :, None] for t in (hidden, piece.blind))
        q, k = self.places(piece)
        hidden = torch.zeros_like(k[:, None], dtype=torch.bool) if hidden is None else hidden
        hidden = hidden[None]  # (B or 1, n, W or 1, M)
        if self.documents is not None:
            of_q, of_k = self.documents[:, q], self.documents[:, k]
            asking, asked = Places(q[None, :, :, None], of_q[..., None]), Places(k[None, :, None], of_k[:, :, None])
            hidden = ~self.pattern.relates(asking, asked) | (k >= self.plan.length)[None, :, None]
        if self.count is not None:
            hidden = hidden | (k >= self.count[:, None, None])[:, :, None]
        hidden = hidden[:, None, :, None]
        return hidden, hidden.all(-1, keepdim=True)

    def weights(self, piece: Piece, q: Tensor, k: Tensor) -> Tensor:
        """The attention of a piece, (B G, n, R W, M), from q (B G, n, R W, E) and k (B G, n, M, E)."""
        scores = q @ k.transpose(-1, -2)
        rows, groups, shared = self.shape
        each = scores.view(rows, groups, scores.size(1), shared, self.plan.size, -1)
        if self.bias is not None:
            each += self.added(piece)
        hidden, blind = self.hidden(piece)
        if hidden is not None:
            each.masked_fill_(hidden, float("-inf"))
        if blind is not None:  # a row of -inf alone would be NaN
            each.masked_fill_(blind, 0.0)
        weights = scores.softmax(-1)  # adds in float32, whatever the scores are
        if blind is not None:
            weights.view(each.shape).masked_fill_(blind, 0.0)
        return weights

    def kept(self, weights: Tensor, piece: int) -> Tensor | float:
        """What dropout multiplies the weights of a piece by, 0 or 1 / (1 - p), the same at every call."""
        if not self.drop:
            return 1.0
        with torch.random.fork_rng([] if weights.device.type == "cpu" else [weights.device]):
            torch.manual_seed(self.seed + piece)
            return dropout(torch.ones_like(weights), self.drop)


class _Mix(torch.autograd.Function):
    """q (B G, N, R W, E), k and v (B G, N, W, E) -> (B G, N, R W, E); q is scaled. The rest are the bias's weights."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, work: Work, *parameters: Tensor) -> Tensor:
        mix = q.new_zeros(q.shape)
        for i, piece in enumerate(work.plan.pieces):
            weights = work.weights(piece, piece.take(q), piece.gather(k))
            if work.drop:
                weights *= work.kept(weights, i)
            mix[:, piece.rows if piece.asking is None else piece.asking] = weights @ piece.gather(v)
        ctx.save_for_backward(q, k, v)
        ctx.work, ctx.parameters = work, parameters
        return mix

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        work: Work = ctx.work
        to_q, to_k, to_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        wanted = [parameter for parameter in ctx.parameters if parameter.requires_grad]
        learned = [torch.zeros_like(parameter) for parameter in wanted]
        for i, piece in enumerate(work.plan.pieces):
            asked, keys, up = piece.take(q), piece.gather(k), piece.take(grad)
            weights = work.weights(piece, asked, keys)
            kept = work.kept(weights, i)
            piece.scatter(to_v, (weights * kept if work.drop else weights).transpose(-1, -2) @ up)
            back = up @ piece.gather(v).transpose(-1, -2)
            back = back.mul_(kept) if work.drop else back
            back = softmax_backward(back, weights, -1, weights.dtype)  # w (g - sum w g), the sum in float32
            if wanted:
                with torch.enable_grad():
                    added = work.added(piece)
                rows, groups, shared = work.shape
                over = back.view(rows, groups, back.size(1), shared, work.plan.size, -1).sum(0, keepdim=True)
                for total, more in zip(learned, torch.autograd.grad(added, wanted, over), strict=True):
                    total += more
            to_q[:, piece.rows if piece.asking is None else piece.asking] = back @ keys
            piece.scatter(to_k, back.transpose(-1, -2) @ asked)
        found = iter(learned)
        rest = [next(found) if parameter.requires_grad else None for parameter in ctx.parameters]
        return to_q, to_k, to_v, None, *rest


def packing(valid: Tensor) -> Tensor:
    """For each row the columns of its real tokens, then the others, (B, S): so that a column is a position."""
    return (~valid).to(torch.uint8).sort(dim=1, stable=True).indices


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Allowed, scale: float, drop: float, size: int) -> Tensor:
    """The mix (B, H, S, E) of own keys in blocks of `size`; no (S, S) tensor is made.

    A padding token's own mix is what a token at the end of its row would get: nobody reads it.
    """
    rows, heads, length, width = q.shape
    groups, size = k.size(1), min(size, length)
    count, order = None, None
    q, k, v = (t.transpose(1, 2) for t in (q * scale, k, v))  # (B, H, S, E) -> (B, S, H, E)
    documents = allowed.documents if any(isinstance(part, Documents) for part in allowed.pattern.parts()) else None
    if allowed.valid is not None:
        valid = allowed.valid.expand(rows, length)
        count, order = valid.sum(1), packing(valid)
        each = torch.arange(rows, device=q.device)[:, None]
        q, k, v = (t[each, order] for t in (q, k, v))
        documents = documents if documents is None else documents.expand(rows, length).gather(1, order)
    empty = -length % size
    if documents is not None:
        documents = F.pad(documents, (0, empty))
    q, k, v = (F.pad(t, (0, 0, 0, 0, 0, empty)) if empty else t for t in (q, k, v))
    shared = heads // groups
    q = q.view(rows, -1, size, groups, shared, width).permute(0, 3, 1, 4, 2, 5)  # (B, G, N, R, W, E)
    k, v = (t.view(rows, -1, size, groups, width).permute(0, 3, 1, 2, 4) for t in (k, v))  # (B, G, N, W, E)
    apart = allowed.pattern.apart()
    scores = max(SCORES.get(q.device.type, MANY) // (q.element_size() * (rows * heads // apart)), 1)
    planned = plans(allowed.pattern, length, size, scores, q.device)
    seed = int(torch.randint(1 << 62, ())) if drop else 0
    shape = (rows, groups, shared) if apart == 1 else (rows, 1, 1)
    works = []
    for i, one in enumerate(planned):
        bias = allowed.bias if allowed.bias is None or apart == 1 else OfHead(allowed.bias, i)
        works.append(Work(one, allowed.pattern.of_head(i), shape, count, documents, bias, drop, seed + (i << 32)))
    if apart == 1:
        mix = mixed(q, k, v, works[0])
    else:
        at = [(slice(head // shared, head // shared + 1), head % shared) for head in range(heads)]
        apiece = [mixed(q[:, g, :, r, None], k[:, g], v[:, g], work) for (g, r), work in zip(at, works, strict=True)]
        mix = torch.cat(apiece, 1)
    mix = mix.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, heads, width)[:, :length]  # from (B, N, W, G, R, E)
    if order is not None:
        mix = mix[torch.arange(rows, device=q.device)[:, None], order.argsort(1)]
    return mix.transpose(1, 2)


def mixed(q: Tensor, k: Tensor, v: Tensor, work: Work) -> Tensor:
    """The mix of one plan: q (B, G, N, R, W, E), k and v (B, G, N, W, E) -> (B, G, N, R, W, E)."""
    rows, groups, blocks, shared, size, width = q.shape
    mix: Tensor = _Mix.apply(  # type: ignore[no-untyped-call]
        q.reshape(rows * groups, blocks, shared * size, width).contiguous(),
        k.reshape(rows * groups, blocks, size, width).contiguous(),
        v.reshape(rows * groups, blocks, size, width).contiguous(),
        work,
        *([] if work.bias is None else work.bias.parameters()),
    )
    return mix.view(q.shape)
