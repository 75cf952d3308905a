"""Sublayers, blocks and stacks against torch's own and against loops; how weights begin; what taps see."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from transept.errors import InvalidConfig, UsageError
from transept.families.transformer import TOY, declare
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.initial import Normal, Xavier
from transept.parts.pattern import Causal, Window
from transept.parts.scored import Alibi
from transept.parts.stack import Stack
from transept.parts.view import View, count_positions
from transept.spec import replace


def perturbed(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for p in module.parameters():
        p.data = torch.randn_like(p) * 0.3 + (1.0 if p.dim() == 1 else 0.0)
    return module.eval()


@pytest.mark.parametrize("place", ["after", "before"])
def test_a_block_equals_torch(place: str) -> None:
    """Encoder and decoder blocks of torch, which fuse q, k and v."""
    width, x, memory = 16, torch.randn(2, 7, 16), torch.randn(2, 5, 16)
    attend, feed = Attention(4), FeedForward(24)
    ours = perturbed(
        Block((replace(attend, pattern=Causal()), replace(attend, source="memory"), feed), place=place).build(width)
    )
    theirs = nn.TransformerDecoderLayer(width, 4, 24, 0.0, batch_first=True, norm_first=place == "before").eval()
    state = {}
    for a, b in (("attention", "self_attn"), ("cross", "multihead_attn")):
        for p in ("weight", "bias"):
            state[f"{b}.in_proj_{p}"] = torch.cat([ours.get_parameter(f"{a}.{n}.{p}") for n in "qkv"])
            state[f"{b}.out_proj.{p}"] = ours.get_parameter(f"{a}.o.{p}")
    for a, b in (
        ("feedforward.up", "linear1"),
        ("feedforward.down", "linear2"),
        ("attention_norm", "norm1"),
        ("cross_norm", "norm2"),
        ("feedforward_norm", "norm3"),
    ):
        for p in ("weight", "bias"):
            state[f"{b}.{p}"] = ours.get_parameter(f"{a}.{p}")
    theirs.load_state_dict(state)
    from transept.parts.memory import Memory

    got = ours(x, View.of(x, memory=Memory(memory)), [None] * 3)
    hidden = nn.Transformer.generate_square_subsequent_mask(7)
    assert_close(got, theirs(x, memory, hidden, tgt_is_causal=True), rtol=1e-5, atol=1e-5)


def test_grouped_heads_equal_repeated_heads() -> None:
    """Contiguous groups: query head i reads key/value head i // (heads / kv_heads)."""
    x = torch.randn(2, 6, 16)
    few, many = perturbed(Attention(4, Causal(), kv_heads=2).build(16)), Attention(4, Causal()).build(16).eval()
    state = dict(few.state_dict())
    for name in ("k", "v"):
        for p in ("weight", "bias"):
            state[f"{name}.{p}"] = state[f"{name}.{p}"].unflatten(0, (2, 4)).repeat_interleave(2, 0).flatten(0, 1)
    many.load_state_dict(state)
    assert_close(few(x, View.of(x)), many(x, View.of(x)), rtol=1e-5, atol=1e-5)
    state["k.weight"] = few.k.weight.unflatten(0, (2, 4)).repeat(2, 1, 1).flatten(0, 1)  # the mutant: heads in turn
    many.load_state_dict(state)
    assert not torch.allclose(few(x, View.of(x)), many(x, View.of(x)), atol=1e-3)


def test_gated_feedforward() -> None:
    layer = perturbed(FeedForward(24, "silu", gated=True, bias=False).build(16))
    x = torch.randn(3, 5, 16)
    wanted = (nn.functional.silu(x @ layer.gate.weight.T) * (x @ layer.up.weight.T)) @ layer.down.weight.T
    assert_close(layer(x, View.of(x)), wanted, rtol=1e-5, atol=1e-5)


def test_stacks_share_and_cycle() -> None:
    a, b = Block((FeedForward(8),)), Block((FeedForward(12),))
    assert [block.feedforward.up.out_features for block in Stack((a, b), 4).build(4).blocks] == [8, 12, 8, 12]
    shared = Stack(a, 4, weights=1).build(4)
    assert (len(shared.blocks), shared.order) == (1, [0, 0, 0, 0])
    assert Stack(a, 4, weights=2).build(4).order == [0, 0, 1, 1]
    assert Stack((a, b), 4, weights=2).order() == [0, 1, 0, 1]  # a cycle goes on, whatever is shared
    assert Stack((a, b), 8, weights=4).order() == [0, 1, 0, 1, 2, 3, 2, 3]
    assert Stack((a, b), 5).order() == [0, 1, 2, 3, 4]
    with pytest.raises(InvalidConfig, match="3 sets of weights do not spread over 1 kinds of block and depth 4"):
        Stack(a, 4, weights=3)


def test_roles_are_names() -> None:
    twice = Block((Attention(2), Attention(2, source="memory"), FeedForward(8), FeedForward(8)))
    assert twice.roles() == ["attention", "cross", "feedforward", "feedforward_2"]
    names = {name.split(".")[0] for name, _ in twice.build(4).named_parameters()}
    assert {"cross_norm", "feedforward_2", "feedforward_2_norm"} <= names


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Attention(3).build(16), "heads=3 does not divide width=16"),
        (lambda: Attention(4, kv_heads=3), "kv_heads=3 does not divide heads=4"),
        (lambda: Attention(0), "Attention.heads must be at least 1, not 0"),
        (lambda: Attention(4, kv_heads=0), "Attention.kv_heads must be at least 1"),
        (lambda: FeedForward(-4), "FeedForward.hidden must be at least 1, not -4"),
        (lambda: FeedForward(4, dropout=-0.3), "FeedForward.dropout must be at least 0 and below 1, not -0.3"),
        (lambda: Block((), dropout=1.0), "Block.dropout must be at least 0 and below 1"),
        (lambda: Stack(Block((Attention(4),)), 2, position=Alibi(8)), "does not score for attentions with heads=4"),
        (lambda: declare(**TOY | {"width": 0}), "Seq2Seq.width must be at least 1"),
        (lambda: Window(-1), "Window.reach must be at least 0, not -1"),
    ],
)
def test_what_cannot_be_is_refused(make: object, words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        make()


def test_how_weights_begin() -> None:
    torch.manual_seed(0)
    spec = declare(vocab=500, width=64, hidden=256, heads=4, depth=2)
    model = spec.build()
    assert abs(float(model.embed.table.weight.detach().std()) * 64**0.5 - 1) < 0.03  # std D^-1/2
    layer = model.encoder.blocks[0]
    for weight, gain in (
        (layer.attention.o.weight, 1.0),
        (layer.attention.q.weight, 0.5**0.5),
        (layer.feedforward.up.weight, 1.0),
    ):
        bound = gain * (6 / sum(weight.shape)) ** 0.5
        assert bound * 0.97 < float(weight.detach().abs().max()) <= bound
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            assert not p.detach().any(), name
    small = replace(spec, initial=Normal(0.02)).build()
    assert abs(float(small.encoder.blocks[0].feedforward.up.weight.detach().std()) - 0.02) < 5e-4
    torch.manual_seed(5)
    first = replace(spec, initial=Xavier()).build().state_dict()
    torch.manual_seed(5)
    assert all(
        torch.equal(value, first[name]) for name, value in replace(spec, initial=Xavier()).build().state_dict().items()
    )


def test_positions_count_real_tokens() -> None:
    valid = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 0, 1, 0], [0, 0, 0, 0, 0]], dtype=torch.bool)
    assert count_positions(valid).tolist() == [[0, 0, 0, 1, 2], [0, 1, 1, 2, 2], [0] * 5]
    assert count_positions(valid, torch.tensor([[4], [0], [2]])).tolist() == [[3, 3, 4, 5, 6], [0, 1, 1, 2, 2], [1] * 5]


def test_taps_are_read_and_replaced() -> None:
    model = perturbed(declare(**TOY).build())
    ids = torch.randint(3, 23, (2, 5))
    layer, seen = model.decoder.blocks[1].attention, []
    plain = model(ids, ids).logits
    with layer.mix.register_forward_hook(lambda module, args, value: seen.append(value)):
        assert torch.equal(model(ids, ids).logits, plain)
    assert seen[0].shape == (2, 4, 5, 8)
    with layer.mix.register_forward_hook(lambda module, args, value: value * 0):
        assert not torch.allclose(model(ids, ids).logits, plain)


def test_a_cache_says_what_it_cannot_do() -> None:
    model = declare(**TOY).build()
    cache = model.cache(1, 8, model.encode(torch.randint(3, 23, (1, 4))))
    with pytest.raises(UsageError, match="8 columns cannot shrink to 4"):
        cache.resize(4)
