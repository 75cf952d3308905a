"""How heads find rows of a memory and move along them: by content, then by shifts from where they were.

Graves et al. 2014, section 3.

Shapes: B batch, H heads, of which R read and W write, N rows of the memory, C its columns.

Each step is differentiated by hand, in two pieces: autograd over these thirty small operations takes two and a half
times as long, and a sequence has nothing but steps.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

TINY = 1e-8  # beside lengths, of which one may be 0, and beside weights, of which a power is taken


class Asked(NamedTuple):
    """What the heads ask for at a step.

    keys (B, H, C); strength (B, H, 1), how sharply the content counts, 0 or more; gate (B, H, 1), the share of content
    in where a head looks, the rest is where it was; shifts (B, H, 2 r + 1), which sum to 1, of moving on by r, r - 1,
    ... -r rows; sharpness (B, H, 1), 1 or more.
    """

    keys: Tensor
    strength: Tensor
    gate: Tensor
    shifts: Tensor
    sharpness: Tensor


def asked_of(emitted: Tensor, heads: int, columns: int) -> Asked:
    """What heads ask for in what a controller emits, (B, H*C + 3 H + H (2 r + 1)): keys, strength, sharpness, gate,
    shifts, each of all heads."""
    wide = heads * columns
    positive = F.softplus(emitted[:, wide : wide + 2 * heads])
    return Asked(
        emitted[:, :wide].unflatten(1, (heads, columns)),
        positive[:, :heads, None],
        emitted[:, wide + 2 * heads : wide + 3 * heads, None].sigmoid(),
        emitted[:, wide + 3 * heads :].unflatten(1, (heads, -1)).softmax(-1),
        1 + positive[:, heads:, None],
    )


def shifted(weights: Tensor, shifts: Tensor) -> Tensor:
    """w'(i) = sum over j of w(i - j) s(j), rows in a ring (equation 8); shifts stand from r down to -r."""
    return (_around(weights, shifts.size(-1)) @ shifts[..., None]).squeeze(-1)


def _around(weights: Tensor, moves: int) -> Tensor:
    """The rows around each row, in a ring: (B, H, N) -> (B, H, N, moves)"""
    reach = moves // 2
    ring = torch.cat([weights[..., -reach:], weights, weights[..., :reach]], -1) if reach else weights
    return ring.unfold(-1, moves, 1)


def _through_softmax(grad: Tensor, made: Tensor) -> Tensor:
    mixed = grad * made
    return torch.addcmul(mixed, made, mixed.sum(-1, keepdim=True), value=-1)


def address(emitted: Tensor, memory: Tensor, before: Tensor, columns: int) -> Tensor:
    """Where the heads look, (B, H, N), given where they looked `before`; each row sums to 1 (figure 2).

    Content is softmax(strength * cosine of key and row) (equations 5 and 6); the gate mixes it with `before` (7);
    shifts move it (8); each weight is raised to the sharpness, and their sum made 1 again (9).
    """
    where: Tensor = _Address.apply(emitted, memory, before, columns)  # type: ignore[no-untyped-call]
    return where


class _Address(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, emitted: Tensor, memory: Tensor, before: Tensor, columns: int) -> Tensor:
        asked = asked_of(emitted, before.size(1), columns)
        lengths = torch.linalg.vector_norm(memory, dim=-1)[:, None]  # (B, 1, N)
        sizes = torch.linalg.vector_norm(asked.keys, dim=-1, keepdim=True)  # (B, H, 1)
        keys = asked.keys / (sizes + TINY)
        cosine = (keys @ memory.transpose(1, 2)).div_(lengths + TINY)
        content = (asked.strength * cosine).softmax(-1)
        moved = shifted(torch.lerp(before, content, asked.gate), asked.shifts).add_(TINY)
        logs = moved.log()
        where = (asked.sharpness * logs).softmax(-1)
        ctx.save_for_backward(*asked, memory, before, lengths, sizes, keys, cosine, content, moved, logs, where)
        return where

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, strength, gate, shifts, sharpness, memory, before, *rest = ctx.saved_tensors
        lengths, sizes, keys, cosine, content, moved, logs, where = rest
        to_power = _through_softmax(grad, where)
        to_sharpness = (to_power * logs).sum(-1, keepdim=True)
        to_moved = (to_power * sharpness).div_(moved)
        mixed = torch.lerp(before, content, gate)
        to_shifts = (to_moved[..., None, :] @ _around(mixed, shifts.size(-1))).squeeze(-2)
        to_mixed = shifted(to_moved, shifts.flip(-1))
        to_gate = (to_mixed * (content - before)).sum(-1, keepdim=True)
        to_content = to_mixed * gate
        to_before = to_mixed - to_content
        to_scores = _through_softmax(to_content, content)
        to_strength = (to_scores * cosine).sum(-1, keepdim=True)
        to_cosine = to_scores * strength
        # The cosine is key . row / (|key| |row|): a row's own length takes back what points along it.
        along = (to_cosine * cosine).sum(1, keepdim=True).div_((lengths + TINY) * lengths.clamp(min=TINY))
        to_dot = to_cosine / (lengths + TINY)
        to_memory = torch.baddbmm(memory * along.transpose(1, 2), to_dot.transpose(1, 2), keys, beta=-1)
        to_unit = to_dot @ memory
        back = (to_unit * keys).sum(-1, keepdim=True)
        to_keys = (to_unit - keys * back * ((sizes + TINY) / sizes.clamp(min=TINY))) / (sizes + TINY)
        positive = torch.cat([strength, sharpness - 1], 1)  # softplus'(x) = 1 - exp(-softplus(x))
        to_positive = torch.cat([to_strength, to_sharpness], 1) * -torch.expm1(-positive)
        to_moves = _through_softmax(to_shifts, shifts)
        parts = [to_keys, to_positive, to_gate * gate * (1 - gate), to_moves]
        return torch.cat([part.flatten(1) for part in parts], 1), to_memory, to_before, None


def access(where: Tensor, emitted: Tensor, memory: Tensor, writes: int) -> tuple[Tensor, Tensor]:
    """What the first heads read, (B, R, C), and the memory after the last `writes` of them have written.

    r = sum of w(i) M(i) (equation 2); M'(i) = M(i) (1 - w(i) e) + w(i) a (equations 3 and 4). emitted (B, 2 W*C) makes
    e by a sigmoid and a by tanh. What is read is read first, and all heads erase before any of them adds.
    """
    found, after = _Access.apply(where, emitted, memory, writes)  # type: ignore[no-untyped-call]
    return found, after


class _Access(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, where: Tensor, emitted: Tensor, memory: Tensor, writes: int) -> tuple[Tensor, Tensor]:
        wide = emitted.size(1) // 2
        erase = emitted[:, :wide].sigmoid().unflatten(1, (writes, -1))
        add = emitted[:, wide:].tanh().unflatten(1, (writes, -1))
        reading, writing = where[:, :-writes], where[:, -writes:]
        one = memory.new_ones(1, 1, 1)
        left = [memory]  # after none, one, two ... heads have erased
        for w, e in zip(writing.split(1, 1), erase.split(1, 1), strict=True):
            left.append(left[-1] * torch.baddbmm(one, w.transpose(1, 2), e, alpha=-1))
        ctx.save_for_backward(where, erase, add, *left[:-1])
        return reading @ memory, torch.baddbmm(left[-1], writing.transpose(1, 2), add)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_found: Tensor, to_after: Tensor) -> tuple[Tensor | None, ...]:
        where, erase, add, *left = ctx.saved_tensors
        memory, writes = left[0], len(left)
        reading, writing = where[:, :-writes], where[:, -writes:]
        one = memory.new_ones(1, 1, 1)
        to_add, to_writing = writing @ to_after, add @ to_after.transpose(1, 2)
        to_erase, grad = list[Tensor](), to_after
        for head in reversed(range(writes)):
            w, e = writing[:, head : head + 1], erase[:, head : head + 1]
            lost = grad * left[head]
            to_erase.insert(0, w @ lost)
            to_writing[:, head : head + 1] -= e @ lost.transpose(1, 2)
            grad = grad * torch.baddbmm(one, w.transpose(1, 2), e, alpha=-1)
        to_where = torch.cat([to_found @ memory.transpose(1, 2), to_writing], 1)
        to_memory = torch.baddbmm(grad, reading.transpose(1, 2), to_found)
        erasing = torch.cat(to_erase, 1) * erase * (erase - 1)
        adding = to_add * (1 - add * add)
        return to_where, torch.cat([erasing.flatten(1), adding.flatten(1)], 1), to_memory, None
