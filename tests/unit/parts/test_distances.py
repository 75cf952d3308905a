"""Transformer-XL's attention: beside XLNet's of Hugging Face, and by the paper's equations written out."""

import math
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from transept.errors import InvalidConfig
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.block import Block
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Pattern
from transept.parts.relative import Distances, DistancesLayer
from transept.parts.shorten import Shorten
from transept.parts.stack import Stack
from transept.parts.view import View

D, H, E = 12, 3, 4


def lively(layer: torch.nn.Module, seed: int = 0) -> None:
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws) * 0.3)


def attention(**words: object) -> AttentionLayer:
    layer = Attention(H, Causal(), bias=False, position=Distances(**words)).build(D)  # type: ignore[arg-type]
    lively(layer)
    return layer.eval()


def sinusoid(distance: int) -> list[float]:
    """R of one distance, section 3.3: sines and then cosines of distance / 10000^(2i/D)."""
    steps = [distance / 10_000 ** (2 * i / D) for i in range(D // 2)]
    return [math.sin(s) for s in steps] + [math.cos(s) for s in steps]


def by_hand(layer: AttentionLayer, x: Tensor, memory: Tensor) -> Tensor:
    """The paper's A_ij by its four terms, pair by pair; memory (B, M, D) comes before x (B, S, D)."""
    assert isinstance(layer.position, DistancesLayer)
    u, v = layer.position.vectors()
    out = []
    for b in range(len(x)):
        known = torch.cat([memory[b].detach(), x[b]])
        q, k, values = x[b] @ layer.q.weight.T, known @ layer.k.weight.T, known @ layer.v.weight.T
        rows = []
        for i in range(x.size(1)):
            heads = []
            for h in range(H):
                part, at = slice(h * E, h * E + E), len(memory[b]) + i
                scores = []
                for j in range(at + 1):
                    r = layer.position.distance.weight[part] @ torch.tensor(sinusoid(at - j), dtype=x.dtype)
                    qi, kj = q[i, part], k[j, part]
                    scores.append((qi @ kj + qi @ r + u[h] @ kj + v[h] @ r) / math.sqrt(E))
                weights = torch.stack(scores).softmax(0)
                heads.append(weights @ values[: at + 1, part])
            rows.append(torch.cat(heads) @ layer.o.weight.T)
        out.append(torch.stack(rows))
    return torch.stack(out)


@pytest.mark.parametrize("carried", [0, 3, 7])
def test_it_is_the_papers_equation(carried: int) -> None:
    """Values and every gradient; sinusoids are of float32 here, so the rest is compared at that."""
    layer = attention().double()
    torch.manual_seed(1)
    x = torch.randn(2, 5, D, dtype=torch.float64)
    memory = torch.randn(2, carried, D, dtype=torch.float64)
    positions = torch.arange(carried + 5)[None].expand(2, -1)
    slot = layer.new_carried(2, carried)
    view = View.of(x)
    if slot is not None:
        slot.tensors["x"] = memory
        view = View(positions[:, carried:], None, keys=(positions, torch.ones_like(positions, dtype=torch.bool)))
    got, wanted = layer(x, view, slot), by_hand(layer, x, memory)
    assert_close(got, wanted, rtol=1e-6, atol=1e-6)
    weight = torch.randn_like(wanted)
    ours = torch.autograd.grad((got * weight).sum(), list(layer.parameters()))
    theirs = torch.autograd.grad((wanted * weight).sum(), list(layer.parameters()))
    for (name, _), a, b in zip(layer.named_parameters(), ours, theirs, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-5, msg=lambda told, name=name: f"{name}: {told}")


@pytest.mark.parametrize("sees", ["past", "both"])
@pytest.mark.parametrize("carried", [0, 6])
def test_it_is_xlnets(sees: str, carried: int) -> None:
    from transformers import XLNetConfig
    from transformers.models.xlnet.modeling_xlnet import XLNetRelativeAttention

    count = 5
    theirs = XLNetRelativeAttention(XLNetConfig(d_model=D, n_head=H, d_inner=8, n_layer=1, dropout=0.0)).eval()
    lively(theirs)
    pattern: Pattern = Causal() if sees == "past" else Full()
    ours = Block((Attention(H, pattern, bias=False, position=Distances(sees)),), Norm(eps=1e-12), "after")  # type: ignore[arg-type]
    block = ours.build(D).eval()
    layer = block.layers()[0]
    assert isinstance(layer, AttentionLayer)
    assert isinstance(layer.position, DistancesLayer)
    with torch.no_grad():
        for name in "qkv":
            layer.get_submodule(name).weight.copy_(getattr(theirs, name).flatten(1).T)  # type: ignore[operator]
        layer.o.weight.copy_(theirs.o.flatten(1))
        layer.position.distance.weight.copy_(theirs.r.flatten(1).T)
        u, v = layer.position.vectors()
        u.copy_(theirs.r_w_bias)
        v.copy_(theirs.r_r_bias)
        block.attention_norm.load_state_dict(theirs.layer_norm.state_dict())
        x, memory = torch.randn(2, count, D), torch.randn(2, carried, D)
        whole = carried + count
        r = torch.tensor([sinusoid(distance) for distance in range(whole, -count, -1)])[:, None].expand(-1, 2, -1)
        at = torch.arange(whole)
        hidden = (at[None] > at[carried:, None]).float()[..., None, None] if sees == "past" else None
        (wanted, _) = theirs(
            x.transpose(0, 1), None, hidden, None, r, None, mems=memory.transpose(0, 1) if carried else None
        )
        positions = at[None].expand(2, -1)
        view, slots = View.of(x), [None]
        if carried:
            view = View(positions[:, carried:], None, keys=(positions, torch.ones_like(positions, dtype=torch.bool)))
            slots = [layer.new_carried(2, carried)]
            slots[0].tensors["x"] = memory
        assert_close(block(x, view, slots), wanted.transpose(0, 1), rtol=1e-5, atol=1e-5)


def test_both_orders_of_the_product_are_one_function() -> None:
    layer = attention().position
    assert isinstance(layer, DistancesLayer)
    torch.manual_seed(2)
    few, many = torch.randn(1, H, 1, E), torch.randn(1, H, 64, E)
    near, far = torch.arange(2), torch.arange(400)
    for q, distances in ((few, far), (many, near), (many, far), (few, near)):
        vectors = torch.tensor([sinusoid(int(d)) for d in distances]) @ layer.distance.weight.T
        wanted = torch.einsum("bhse,nhe->bhsn", q, vectors.unflatten(1, (H, E)))
        assert_close(layer.scored(q, distances), wanted, rtol=1e-5, atol=1e-5)


def test_what_is_shared_has_one_name() -> None:
    attend = Attention(H, Causal(), position=Distances())
    shared, own = (
        Stack(Block((Attention(H, Causal(), position=Distances(biases=word)),)), 3).build(D)  # type: ignore[arg-type]
        for word in ("shared", "own")
    )
    names = [name for name, _ in shared.named_parameters() if "position" in name]
    assert names.count("blocks.0.attention.position.content") == 1
    assert sum(name.endswith(("content", "order")) for name in names) == 2
    assert sum(name.endswith("distance.weight") for name in names) == 3
    assert sum(name.endswith(("content", "order")) for name, _ in own.named_parameters()) == 6
    other = Stack((Block((attend,)), Block((Attention(6, Causal(), position=Distances()),))), 2).build(D)
    assert sum(name.endswith("content") for name, _ in other.named_parameters()) == 2  # of other shapes


def test_distances_alone_count() -> None:
    layer, x = attention(), torch.randn(1, 6, D)
    here = layer(x, View(torch.arange(6)[None]))
    there = layer(x, View(torch.arange(6)[None] + 1000))
    assert_close(here, there, rtol=1e-5, atol=1e-6)


def test_far_distances_are_cut() -> None:
    near, free, x = attention(far=2), attention(), torch.randn(1, 6, D)
    got, wanted = near(x, View.of(x)), free(x, View.of(x))
    assert_close(got[:, :3], wanted[:, :3], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(got[:, 3:], wanted[:, 3:], rtol=1e-3, atol=1e-3)


def test_shortened_keys_keep_their_distances() -> None:
    """A key of several tokens stands beyond the number of keys."""
    layer = Attention(H, Causal(), position=Distances(), shorten=Shorten(2)).build(D).eval()
    lively(layer)
    x = torch.randn(1, 9, D)
    with patch.object(layer.position, "scores", side_effect=layer.position.scores) as asked:  # type: ignore[union-attr]
        layer(x, View.of(x))
    q, k, allowed, known = asked.call_args.args
    at_q, at_k = allowed.q, allowed.k
    scores = layer.position.scores(q, k, allowed, known)  # type: ignore[union-attr]
    u, v = layer.position.vectors()  # type: ignore[union-attr]
    away = int(at_q[0, 8] - at_k[0, 0])
    assert away == 8 > len(at_k[0]) - 1
    r = layer.position.distance.weight @ torch.tensor(sinusoid(away))  # type: ignore[union-attr]
    ((q_last, key),) = [(q[0, :, 8], k[0, :, 0])]
    wanted = ((q_last + v) * r.unflatten(0, (H, E))).sum(-1) + (u * key).sum(-1)
    assert_close(scores[0, :, 8, 0], wanted, rtol=1e-5, atol=1e-5)


def test_refusals() -> None:
    with pytest.raises(InvalidConfig, match=r"Distances\.far"):
        Distances(far=0)
    with pytest.raises(InvalidConfig, match="even width"):
        Attention(3, position=Distances()).build(15)
    with pytest.raises(InvalidConfig, match="not to a memory"):
        Attention(3, source="memory", position=Distances())
