"""How heads find rows of a memory and move along them: by content, then by shifts from where they were.

Graves et al. 2014, section 3.

Shapes: B batch, H heads, of which R read and W write, N rows of the memory, C its columns.
"""

from typing import NamedTuple

import torch
from torch import Tensor
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
    reach = shifts.size(-1) // 2
    ring = torch.cat([weights[..., -reach:], weights, weights[..., :reach]], -1) if reach else weights
    moved: Tensor = ring.unfold(-1, shifts.size(-1), 1) @ shifts[..., None]
    return moved.squeeze(-1)


def similarity(keys: Tensor, memory: Tensor) -> Tensor:
    """The cosine of the angle between each key and each row, (B, H, C), (B, N, C) -> (B, H, N) (equation 6)."""
    lengths = torch.linalg.vector_norm(memory, dim=-1)[:, None] + TINY
    keys = keys / (torch.linalg.vector_norm(keys, dim=-1, keepdim=True) + TINY)
    made: Tensor = keys @ memory.transpose(1, 2) / lengths
    return made


def address(emitted: Tensor, memory: Tensor, before: Tensor, columns: int) -> Tensor:
    """Where the heads look, (B, H, N), given where they looked `before`; each row sums to 1 (figure 2).

    Content is softmax(strength * cosine of key and row) (equation 5); the gate mixes it with `before` (7); shifts move
    it (8); each weight is raised to the sharpness, by logarithms, and their sum made 1 again (9).
    """
    asked = asked_of(emitted, before.size(1), columns)
    content = (asked.strength * similarity(asked.keys, memory)).softmax(-1)
    moved = shifted(torch.lerp(before, content, asked.gate), asked.shifts)
    where: Tensor = (asked.sharpness * (moved + TINY).log()).softmax(-1)
    return where


def access(where: Tensor, emitted: Tensor, memory: Tensor, writes: int) -> tuple[Tensor, Tensor]:
    """What the first heads read, (B, R, C), and the memory after the last `writes` of them have written.

    r = sum of w(i) M(i) (equation 2); M'(i) = M(i) (1 - w(i) e) + w(i) a (equations 3 and 4). emitted (B, 2 W*C) makes
    e by a sigmoid and a by tanh. What is read is read first, and all heads erase before any of them adds.
    """
    wide = emitted.size(1) // 2
    erase = emitted[:, :wide].sigmoid().unflatten(1, (writes, -1))
    add = emitted[:, wide:].tanh().unflatten(1, (writes, -1))
    reading, writing = where[:, :-writes], where[:, -writes:]
    left = memory
    for w, e in zip(writing.unbind(1), erase.unbind(1), strict=True):
        left = left * (1 - w[..., None] * e[:, None])
    return reading @ memory, torch.baddbmm(left, writing.transpose(1, 2), add)
