"""Memory-compressed attention against its definition by hand, with orders and caches, and what it refuses."""

from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import families, lively, on
from laws.test_cache import check_holes, check_moves, check_passes
from laws.test_invariance import check_alone
from transept.errors import InvalidConfig
from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.core import Allowed, Fused
from transept.parts.pattern import Causal, Full, Window
from transept.parts.planner import Auto
from transept.parts.relative import RelativeKeys
from transept.parts.rotary import Rotary
from transept.parts.scored import Alibi
from transept.parts.shorten import Shorten, ShortenLayer
from transept.parts.sparse import Sliding
from transept.parts.stack import Stack
from transept.parts.view import View
from transept.spec import edit

GPT = families()["gpt2"]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 9])
def test_it_is_the_definition_of_the_paper(count: int) -> None:
    """Query i sees the first token and block m of tokens 3 (m - 1) ... 3 m - 1 where 3 m <= i."""
    torch.manual_seed(0)
    layer, at = Shorten(3).build(2, 4, 4), torch.arange(count)[None]
    q, k, v = torch.randn(3, 1, 2, count, 4).unbind()
    short_k, short_v, allowed = layer(k, v, Allowed(Causal(), at, at))
    got = Fused().build(4, 8)(q, short_k, short_v, allowed, 0.5)

    def block(t: Tensor, convolution: torch.nn.Conv1d, m: int) -> Tensor:
        span = t[0, :, 3 * (m - 1) : 3 * m].transpose(0, 1).reshape(3, 8)  # tokens, features of both heads
        mixed = sum(convolution.weight[:, :, j] @ span[j] for j in range(3)) + convolution.bias
        return mixed.view(2, 4)

    for i in range(count):
        blocks = range(1, i // 3 + 1)
        keys = torch.stack([k[0, :, 0], *(block(k, layer.k, m) for m in blocks)], 1)
        values = torch.stack([v[0, :, 0], *(block(v, layer.v, m) for m in blocks)], 1)
        weights = (q[0, :, i : i + 1] @ keys.mT * 0.5).softmax(-1)
        assert_close(got[0, :, i], (weights @ values)[:, 0], rtol=1e-5, atol=1e-5)


def test_spans_of_one_that_change_nothing_are_causal_attention_to_what_is_past() -> None:
    layer, at = Shorten(1).build(2, 4, 4), torch.arange(6)[None]
    for convolution in (layer.k, layer.v):
        torch.nn.init.dirac_(convolution.weight)
        torch.nn.init.zeros_(convolution.bias)
    k, v = torch.randn(2, 1, 2, 6, 4).unbind()
    short_k, short_v, allowed = layer(k, v, Allowed(Causal(), at, at))
    assert_close(short_k, torch.cat([k[:, :, :1], k], 2), rtol=1e-6, atol=1e-6)
    assert_close(short_v, torch.cat([v[:, :, :1], v], 2), rtol=1e-6, atol=1e-6)
    seen = allowed.mask()[0, 0].float()
    assert torch.equal(seen[:, 0], torch.ones(6))
    assert torch.equal(seen[:, 1:], torch.ones(6, 6).tril(-1))


ORDERS = {
    "learned": lambda spec: spec,
    "rotary": lambda spec: edit(edit(spec, on(Tokens, position=None)), on(Attention, position=Rotary())),
    "alibi": lambda spec: edit(edit(spec, on(Tokens, position=None)), on(Stack, position=Alibi(4))),
    "relative keys": lambda spec: edit(spec, on(Attention, position=RelativeKeys(3))),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("by", [2, 3])
def test_cached_equals_full(order: str, by: int) -> None:
    """In any pieces, padded on either side, with rows that move and are cut."""
    model = lively(ORDERS[order](edit(GPT, on(Attention, shorten=Shorten(by)))))
    for check in (check_passes, check_moves, check_holes):
        check(model)


def test_compressed_keys_are_turned_by_where_they_stand() -> None:
    """A model whose positions all move by one has the same scores, as every rotation promises."""
    torch.manual_seed(0)
    layer = lively(ORDERS["rotary"](edit(GPT, on(Attention, shorten=Shorten(2))))).get_submodule(
        "stack.blocks.0.attention"
    )
    kept: list[Tensor] = []
    layer.asked.register_forward_hook(lambda module, args, out: kept.append(out[1]))  # type: ignore[union-attr]
    x = torch.randn(1, 5, 32)
    layer(x, View(torch.arange(5)[None]))
    (k,) = kept
    plain = layer.split(layer.k(x), 8)  # type: ignore[operator]
    short, _, _ = layer.shorten(plain, plain, Allowed(Causal(), torch.arange(5)[None], torch.arange(5)[None]))  # type: ignore[operator]
    rotation = Rotary()
    turned = rotation.turn(short, rotation.angles(torch.tensor([[0, 2, 4]]), 8))
    assert_close(k, turned, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pattern": Full()}, "pattern full of an attention to itself"),
        ({"pattern": Window(3)}, r"window\(3\)"),
        ({"pattern": Causal(), "source": "memory"}, "a memory"),
        ({"pattern": Causal() & Window(3), "core": Sliding()}, "Sliding computes in blocks of a row's own tokens"),
    ],
)
def test_what_has_no_order_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        Attention(4, shorten=Shorten(), **wrong)  # type: ignore[arg-type]


def test_the_planner_leaves_shortened_keys_to_the_fused_core() -> None:
    attend = Attention(4, Causal() & Window(3), core=Auto(), shorten=Shorten())
    assert attend.core.chosen(attend) == Fused()


def test_mutants_are_caught() -> None:
    """A span that is seen before it is whole, and one that holds padding."""
    model = lively(edit(GPT, on(Attention, shorten=Shorten(2))))
    forward = ShortenLayer.forward

    def early(self: ShortenLayer, k: Tensor, v: Tensor, allowed: Allowed) -> tuple[Tensor, Tensor, Allowed]:
        k, v, short = forward(self, k, v, allowed)
        return k, v, Allowed(short.pattern, short.q, (short.k - self.by).clamp(min=0), short.valid, own=False)

    def padded(self: ShortenLayer, k: Tensor, v: Tensor, allowed: Allowed) -> tuple[Tensor, Tensor, Allowed]:
        return forward(self, k, v, Allowed(allowed.pattern, allowed.q, allowed.k, None))

    for wrong, check in ((early, check_passes), (padded, check_alone)):
        check(model)
        with patch.object(ShortenLayer, "forward", wrong), pytest.raises(AssertionError):
            check(model)
