"""What a token's vector brings to another, where attention says only how much of it is taken.

A weight may be large on a vector that says nothing. Kobayashi et al. 2020 measure the vector that is added, ||alpha
f(x)||; ALTI (Ferrando et al. 2022) measures how near each added vector brings a token to what it becomes, with the
residual connection and the norm, and follows that through the layers as rollout does; for a decoder that reads a
memory it is ALTI+ (Ferrando et al. 2022b).

Shapes: H heads, T queries, S keys, E head width, D width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from transept.errors import UsageError
from transept.inspect.example import Example
from transept.inspect.record import demand_shares
from transept.inspect.rollout import Step, rolled
from transept.inspect.streams import Linear, Write, after, stream
from transept.parts.attention import AttentionLayer

ROOM = 1 << 24  # numbers of the vectors (queries, S, D) that are made at a time


def taken(one: Write) -> tuple[Tensor, Tensor]:
    """The weights (H, T, S) of an attention and the vectors that they weigh, f(x) = x W_V W_O, (H, S, D)."""
    layer = one.layer
    assert isinstance(layer, AttentionLayer)
    assert one.asked is not None
    q, k, v, allowed = one.asked
    demand_shares(one.name, layer)
    if not isinstance(layer.o, nn.Linear):
        raise UsageError(f"{one.name} does not project its heads: what each of them writes stands side by side")
    weights = layer.core.weights(q, k, allowed, layer.scale)[0].to(v.dtype)
    values = v.repeat_interleave(weights.size(0) // v.size(1), 1)[0]
    outward = layer.o.weight.unflatten(1, (weights.size(0), -1))  # (D, H*E) -> (D, H, E)
    return weights, torch.einsum("hse,dhe->hsd", values, outward)


@torch.no_grad()
def value_weighted(one: Write, heads: bool = False) -> Tensor:
    """||sum_h alpha_h f_h(x_j)||, (T, S): the length of what each key brings (Kobayashi et al. 2020, equation 5).

    With `heads` ||alpha f(x_j)|| of each head by itself, (H, T, S).
    """
    weights, vectors = taken(one)
    if heads:
        lengths: Tensor = vectors.norm(dim=-1)
        return weights * lengths[:, None]
    return torch.cat([brought.norm(dim=-1) for brought in brought_by(weights, vectors)])


def brought_by(weights: Tensor, vectors: Tensor) -> Iterator[Tensor]:
    """The vectors that keys bring queries, all heads together, (some T, S, D) at a time."""
    size = max(1, ROOM // vectors[0].numel())
    for some in weights.split(size, 1):
        yield torch.einsum("hts,hsd->tsd", some, vectors)


@dataclass(frozen=True)
class Contribution:
    """How much of a token's new state each vector brought, rows summing to 1: `keys` (T, S), `own` (T), its old state.

    Of an attention to itself `own` is counted among the keys, and zero.
    """

    name: str
    keys: Tensor
    own: Tensor
    source: str


@torch.no_grad()
def contribution(one: Write) -> Contribution:
    """ALTI of one attention: c_ij = max(0, ||y_i||_1 - ||y_i - T_i(x_j)||_1), normalised (equations 8 and 9 there).

    y_i is the stream after the attention and T_i(x_j) what x_j brought to it, the norm after the sum held linear.
    """
    assert isinstance(one.layer, AttentionLayer)
    weights, vectors = taken(one)
    norm = Linear(one.norm if one.place == "after" else nn.Identity(), one.normed)
    y, reads_itself = after(one), one.layer.spec.source == "self"
    whole, rows, done = y.abs().sum(-1), list[Tensor](), 0
    for brought in brought_by(weights, vectors):
        at = torch.arange(done, done + len(brought))
        if reads_itself:
            brought[at - done, at] += one.given[at]
        terms = norm.at(brought, at)
        rows.append((whole[at, None] - (y[at, None] - terms).abs().sum(-1)).clamp(min=0))
        done += len(brought)
    keys = torch.cat(rows)
    own = torch.zeros_like(whole)
    if not reads_itself:
        own = (whole - (y - norm(one.given)).abs().sum(-1)).clamp(min=0)
    total = (keys.sum(-1) + own).clamp(min=1e-12)
    return Contribution(one.name, (keys / total[:, None]).cpu(), (own / total).cpu(), one.layer.spec.source)


def contributions(example: Example) -> dict[str, list[Contribution]]:
    """ALTI of every attention of every stack, in the order in which they are applied."""
    trunks = ("stack",) if example.target is None else ("encoder", "decoder")
    return {
        trunk: [contribution(one) for one in stream(example, trunk).writes if isinstance(one.layer, AttentionLayer)]
        for trunk in trunks
    }


def contributed(example: Example) -> dict[str, list[Tensor]]:
    """How much of each token's state every input brought, followed through the layers; the last of a list is the whole.

    (S, S) of one stack or an encoder, (T, T + S) of a decoder: first the target's tokens, then the source's. Rows sum
    to 1. Feed-forward networks move nothing between tokens, and are left out.
    """
    steps: dict[str, list[Step]] = {}
    for trunk, found in contributions(example).items():
        steps[trunk] = [Step(one.keys, one.source) for one in found]
    return rolled(steps, residual=0.0)
