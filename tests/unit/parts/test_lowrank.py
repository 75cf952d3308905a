"""Linformer: what it is where nothing is lost, its rank, its three sharings, and what it refuses."""

import pytest
import torch
from torch.testing import assert_close

from laws.subjects import families, lively, logits_of, on, padded, some_ids
from transept.errors import InvalidConfig, UsageError
from transept.parts.attention import Attention
from transept.parts.core import Allowed, Reference
from transept.parts.lowrank import LowRank, LowRankLayer
from transept.parts.pattern import Causal, Full
from transept.parts.relative import RelativeKeys
from transept.parts.scored import Alibi
from transept.parts.stack import Stack
from transept.spec import edit, from_json, to_json

BERT = families()["bert"]


def layer_of(share: str, length: int, rank: int) -> LowRankLayer:
    layer = LowRank(length, rank, share).build(4, 8)  # type: ignore[arg-type]
    with torch.no_grad():
        layer.begin()
    return layer


@pytest.mark.parametrize("groups", [1, 4])
def test_identity_is_full_attention(groups: int) -> None:
    """E = F = 1, at the full length."""
    torch.manual_seed(0)
    layer, at = layer_of("heads", 9, 9), torch.arange(9)[None]
    torch.nn.init.eye_(layer.keys)
    torch.nn.init.eye_(layer.values)
    q, k, v = torch.randn(2, 4, 9, 8), torch.randn(2, groups, 9, 8), torch.randn(2, groups, 9, 8)
    allowed = Allowed(Full(), at, at)
    assert_close(layer(q, k, v, allowed, 0.3), Reference().build(4, 8)(q, k, v, allowed, 0.3), rtol=1e-5, atol=1e-5)


def test_it_is_the_equation_of_the_paper() -> None:
    torch.manual_seed(1)
    layer, at = layer_of("heads", 12, 3), torch.arange(7)[None]
    q, k, v = torch.randn(3, 2, 4, 7, 8).unbind()
    e, f = layer.keys[:, :7], layer.values[:, :7]
    want = torch.softmax(q @ (e @ k).mT * 0.3, -1) @ (f @ v)
    assert_close(layer(q, k, v, Allowed(Full(), at, at), 0.3), want, rtol=1e-5, atol=1e-5)
    valid = torch.tensor([[False, True, True, True, True, False, False]] * 2)  # four tokens, from column 1 on
    positions = (valid.long().cumsum(1) - 1).clamp(min=0)
    got = layer(q, k, v, Allowed(Full(), positions, positions, valid), 0.3)[:, :, 1:5]
    q, k, v = (t[:, :, 1:5] for t in (q, k, v))
    want = torch.softmax(q @ (e[:, :4] @ k).mT * 0.3, -1) @ (f[:, :4] @ v)
    assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_rows_explain_the_mix_and_have_the_rank() -> None:
    torch.manual_seed(2)
    layer, at = layer_of("heads", 16, 3), torch.arange(16)[None]
    q, k, v = torch.randn(3, 1, 2, 16, 8).unbind()
    allowed = Allowed(Full(), at, at)
    rows = layer.weights(q, k, allowed, 0.3)
    assert_close(rows @ v, layer(q, k, v, allowed, 0.3), rtol=1e-5, atol=1e-5)
    assert torch.linalg.matrix_rank(rows).max() <= 3
    assert_close(layer.weights(q, k, allowed, 0.3, slice(4, 6)), rows[:, :, 4:6], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("share", "count"), [("heads", 2 * 2), ("keys", 2), ("layers", 1)])
def test_the_three_sharings(share: str, count: int) -> None:
    """How many matrices two layers have; each learns from all that use it, and a copy is of its own."""
    spec = edit(BERT, on(Attention, core=LowRank(64, 3, share)))  # type: ignore[arg-type]
    assert from_json(to_json(spec)) == spec
    model = lively(spec)
    names = [name for name, p in model.named_parameters() if ".core." in name]
    assert len(names) == count
    assert len([name for name in model.state_dict() if ".core." in name]) == count
    ids = some_ids(2, 8)
    model(ids).logits.square().sum().backward()
    first = model.get_parameter("stack.blocks.0.attention.core.keys")
    assert first.grad is not None
    assert first.grad.abs().sum() > 0
    again = spec.build().eval()
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)
        later = again.get_submodule("stack.blocks.1.attention.core")
        before = later.matrices()[0].clone()  # type: ignore[operator]
        again.get_parameter("stack.blocks.0.attention.core.keys").zero_()
        assert (later.matrices()[0].equal(before)) == (share != "layers")  # type: ignore[operator]


def test_a_fresh_projection_keeps_lengths() -> None:
    torch.manual_seed(0)
    layer, v = layer_of("keys", 400, 100), torch.randn(400, 5)
    assert_close((layer.matrices()[0] @ v).norm(dim=0), v.norm(dim=0), rtol=0.3, atol=0)


def test_a_row_that_is_too_long_is_refused() -> None:
    model = lively(edit(BERT, on(Attention, core=LowRank(8, 3))))
    ids, valid = padded([some_ids(8), some_ids(3)], "left")
    longer = torch.cat([ids, torch.zeros(2, 4, dtype=torch.long)], 1)
    more = torch.cat([valid, torch.zeros(2, 4, dtype=torch.bool)], 1)
    with torch.no_grad():  # columns of padding are no tokens
        together, alone = logits_of(model, longer, longer, more, more), logits_of(model, ids, ids, valid, valid)
    assert_close(together[:, :8][valid], alone[valid], rtol=1e-5, atol=1e-5)
    with pytest.raises(UsageError, match="a row of 9 tokens is longer than the 8"):
        model(some_ids(2, 9))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Attention(4, Causal(), core=LowRank(8, 3)), "LowRank cannot honour the pattern causal"),
        (lambda: Attention(4, source="memory", core=LowRank(8, 3)), "LowRank mixes the tokens of one row"),
        (lambda: Attention(4, core=LowRank(8, 3), position=RelativeKeys(3)), "no positions to score"),
        (
            lambda: edit(edit(BERT, on(Attention, core=LowRank(8, 3))), on(Stack, position=Alibi(4))),
            "no positions to score",
        ),
        (lambda: LowRank(8, 0), "at least 1"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(wrong: object, words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        wrong()  # type: ignore[operator]


def test_a_cache_is_refused_by_name() -> None:
    model = lively(edit(families()["gpt2"], on(Attention, pattern=Full(), core=LowRank(64, 3))))
    cache = model.cache(1, 8)
    model.decode(some_ids(1, 4), cache=cache)
    with pytest.raises(UsageError, match="no steps with a cache"):
        model.decode(some_ids(1, 1), cache=cache)
