"""The Memorizing Transformer's layer: by its definition, at its limits, over segments, and with faiss where it is."""

import importlib.util
import sys
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from transept.errors import InvalidConfig, UsageError
from transept.families.registry import family
from transept.models import ModelLayer
from transept.parts import recall as recall_module
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.pattern import Causal, Documents, Full
from transept.parts.pattern_blocks import Local
from transept.parts.recall import Recall, nearest
from transept.parts.rotary import Rotary
from transept.parts.shorten import Shorten
from transept.parts.view import View
from transept.spec import edit, replace

D, H, E = 12, 3, 4
FAMILY = family("memorizing")
NO_FAISS = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")


def layer_of(recall: Recall, groups: int | None = None, pattern: object = None) -> AttentionLayer:
    spec = Attention(H, pattern or Causal() & Local(recall.segment), kv_heads=groups, recall=recall)  # type: ignore[arg-type]
    layer = spec.build(D).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5 + (parameter.dim() == 1))
    return layer


def by_hand(layer: AttentionLayer, x: Tensor) -> Tensor:
    """out = g V_m + (1 - g) V_c, query by query and head by head, of one text read whole."""
    recall, groups = layer.spec.recall, layer.kv_heads
    assert recall is not None
    assert layer.recall is not None
    q, k, v = (layer.split(projection(x), E) for projection in (layer.q, layer.k, layer.v))
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    rows = []
    for b in range(len(x)):
        for i in range(x.size(1)):
            begins, heads = i // recall.segment * recall.segment, []
            for h in range(H):
                of, factor, gate = h // (H // groups), layer.recall.factor[h], layer.recall.gate[h].sigmoid()
                near = (k[b, of, begins : i + 1] @ q[b, h, i] * factor).softmax(0) @ v[b, of, begins : i + 1]
                first = max(0, begins - recall.size)
                old, values = k[b, of, first:begins].detach(), v[b, of, first:begins].detach()
                found = torch.zeros(E, dtype=x.dtype)
                if len(old):
                    scores, at = (old @ q[b, h, i] * factor).topk(min(recall.neighbours, len(old)))
                    found = scores.softmax(0) @ values[at]
                heads.append(gate * found + (1 - gate) * near)
            rows.append(layer.o(torch.cat(heads)))
    return torch.stack(rows).view_as(x)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("recall", [Recall(2, 3, 6), Recall(1, 2, 2), Recall(50, 4, 8)], ids=str)
def test_it_is_its_definition(recall: Recall, groups: int) -> None:
    """Values, and every gradient: into queries and gates, and none into what is remembered."""
    layer = layer_of(recall, groups).double()
    x = torch.randn(2, 11, D, dtype=torch.float64, requires_grad=True)
    got, wanted, weight = layer(x, View.of(x)), by_hand(layer, x), torch.randn(2, 11, D, dtype=torch.float64)
    assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    leaves = [x, *layer.parameters()]
    ours = torch.autograd.grad((got * weight).sum(), leaves)
    theirs = torch.autograd.grad((wanted * weight).sum(), leaves)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_as_many_neighbours_as_are_remembered_are_dense_attention() -> None:
    layer, x = layer_of(Recall(100, 3, 9)), torch.randn(1, 9, D)
    with torch.no_grad():
        layer.recall.gate.fill_(50.0)  # type: ignore[union-attr]
        got = layer(x, View.of(x))[:, 6:]
        q, k, v = (layer.split(projection(x), E) for projection in (layer.q, layer.k, layer.v))
        q, k = layer.recall.ready(q, k)  # type: ignore[union-attr]
        mix = (q[:, :, 6:] @ k[:, :, :6].transpose(-1, -2)).softmax(-1) @ v[:, :, :6]
        assert_close(got, layer.o(mix.transpose(1, 2).flatten(2)), rtol=1e-5, atol=1e-5)


def test_a_closed_gate_is_the_plain_attention() -> None:
    layer, x = layer_of(Recall(2, 3, 6)), torch.randn(2, 9, D)
    with torch.no_grad():
        layer.recall.gate.fill_(-200.0)  # type: ignore[union-attr]
        got = layer(x, View.of(x))
        q, k, v = (layer.split(projection(x), E) for projection in (layer.q, layer.k, layer.v))
        q, k = layer.recall.ready(q, k)  # type: ignore[union-attr]
        at = torch.arange(9)
        near = (at <= at[:, None]) & (at // 3 == at[:, None] // 3)
        mix = (q @ k.transpose(-1, -2)).masked_fill(~near, float("-inf")).softmax(-1) @ v
        assert_close(got, layer.o(mix.transpose(1, 2).flatten(2)), rtol=1e-5, atol=1e-5)


def test_documents_in_a_row_do_not_recall_one_another() -> None:
    recall, x = Recall(3, 2, 8), torch.randn(1, 10, D)
    layer = layer_of(recall, pattern=Causal() & Documents())
    with torch.no_grad():
        documents = torch.tensor([[0] * 4 + [1] * 6])
        together = layer(x, View.of(x, documents=documents))
        assert_close(together[:, :4], layer(x[:, :4], View.of(x[:, :4])), rtol=1e-5, atol=1e-5)
        assert_close(together[:, 4:], layer(x[:, 4:], View.of(x[:, 4:])), rtol=1e-5, atol=1e-5)


def test_pieces_find_what_the_whole_finds() -> None:
    torch.manual_seed(3)
    q, k = torch.randn(2, 2, 2, 9, E), torch.randn(2, 2, 14, E)
    mask = torch.rand(2, 1, 1, 9, 14) < 0.5
    whole = nearest(q, k, mask, 3).sort(-1).values
    with patch.object(recall_module, "PIECE", 200):
        assert torch.equal(nearest(q, k, mask, 3).sort(-1).values, whole)


def model_of(**words: object) -> ModelLayer:
    torch.manual_seed(0)
    model = FAMILY.declare(**FAMILY.TOY | words).build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


@torch.no_grad()
def test_the_oldest_are_forgotten() -> None:
    """What lies further back than `size` tokens changes nothing; what lies just inside does."""
    model, ids = model_of(remembers=6, neighbours=100, depth=1, recalls=1), torch.randint(23, (1, 12))
    carried = model.carry(1)

    def last(ids: Tensor) -> Tensor:
        carried = model.carry(1)
        return torch.cat([model.decode(piece, cache=carried) for piece in ids.split(3, 1)], 1)[:, 9:]

    outside, inside = ids.clone(), ids.clone()
    outside[:, 2], inside[:, 3] = 22 - ids[:, 2], 22 - ids[:, 3]
    assert_close(last(outside), last(ids), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(last(inside), last(ids), rtol=1e-3, atol=1e-3)
    for piece in ids.split(3, 1):
        model.decode(piece, cache=carried)
        (held,) = carried.used()
        assert {name: t.shape for name, t in held.tensors.items()} == dict.fromkeys("kv", (1, 4, 6, 8))


@torch.no_grad()
def test_with_states_of_the_segment_before() -> None:
    """Both at once: Transformer-XL's states for what is near, the memory for what is far."""
    model, ids = model_of(carries=4), torch.randint(23, (2, 15))
    carried = model.carry(2)
    got = torch.cat([model.decode(piece, cache=carried) for piece in ids.split(3, 1)], 1)
    assert_close(got, model(ids).logits, rtol=1e-5, atol=1e-5)


def test_segments_of_other_lengths_are_refused() -> None:
    model = model_of()
    ids = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(UsageError, match="a segment of 4 tokens is longer than the 3"):
        model.decode(torch.zeros(2, 4, dtype=torch.long), cache=model.carry(2))
    carried = model.carry(2)
    model.decode(ids, cache=carried)
    model.decode(ids[:, :2], cache=carried)
    with pytest.raises(UsageError, match=r"(?s)only the last may be shorter.*forget"):
        model.decode(ids, cache=carried)
    again, fresh = model.carry(2), model.carry(2).tensors()
    again.load(carried.tensors())  # a file keeps that a short one came
    with pytest.raises(UsageError, match="only the last may be shorter"):
        model.decode(ids, cache=again)
    again.load(fresh)
    model.decode(ids, cache=again)
    carried.forget(torch.tensor([True, True]))
    model.decode(ids, cache=carried)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"pattern": Full()}, "pattern full of an attention to itself has no such order"),
        ({"source": "memory"}, "an attention to a memory has no such order"),
        ({"shorten": Shorten(2)}, "no tokens that could be found"),
        ({"scale": 1.0}, "its heads learn"),
        ({"position": Rotary()}, "Rotary would turn what is remembered"),
    ],
)
def test_what_recall_does_not_go_with(words: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason):
        Attention(4, **{"pattern": Causal(), "recall": Recall()} | words)  # type: ignore[arg-type]


def test_whole_segments_are_forgotten() -> None:
    with pytest.raises(InvalidConfig, match="no multiple of segment=512"):
        Recall(size=1000)
    with pytest.raises(InvalidConfig, match="none of the layers 1 to 2"):
        FAMILY.declare(**FAMILY.TOY | {"recalls": 3})


def test_without_faiss_it_says_how_to_get_it() -> None:
    told = r"(?s)not installed.*transept\[faiss\]"
    with patch.dict(sys.modules, {"faiss": None}), pytest.raises(UsageError, match=told):
        Attention(4, Causal(), recall=Recall(search="faiss")).build(32)


@NO_FAISS
@torch.no_grad()
def test_faiss_finds_the_same() -> None:
    spec = FAMILY.declare(**FAMILY.TOY | {"remembers": 9, "neighbours": 4})
    exact, ids = model_of(remembers=9, neighbours=4), torch.randint(23, (3, 15))

    def by_faiss(part: object) -> object:
        return replace(part, search="faiss") if isinstance(part, Recall) else part

    other = edit(spec, by_faiss).build().eval()
    other.load_state_dict(exact.state_dict())
    valid = torch.arange(15) < torch.tensor([15, 7, 0])[:, None]
    assert_close(other(ids).logits, exact(ids).logits, rtol=1e-5, atol=1e-5)
    assert_close(other(ids, valid).logits, exact(ids, valid).logits, rtol=1e-5, atol=1e-5)
    carried = other.carry(3)
    got = torch.cat([other.decode(piece, cache=carried) for piece in ids.split(3, 1)], 1)
    assert_close(got, exact(ids).logits, rtol=1e-5, atol=1e-5)
