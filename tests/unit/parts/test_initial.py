"""How deep stacks begin: GPT-2's scheme against its rule, number by number."""

import pytest
import torch

from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.initial import FanIn, Initial, Normal
from transept.parts.norm import Norm
from transept.parts.position import Learned
from transept.parts.scored import Buckets
from transept.parts.stack import Stack, StackLayer
from transept.spec import replace

STACK = Stack(Block((Attention(4), FeedForward(256))), depth=8)


def begun(scheme: Initial, stack: Stack = STACK) -> StackLayer:
    torch.manual_seed(0)
    layer = stack.build(64)
    scheme.apply(layer, 64)
    return layer


def test_what_writes_into_the_residual_stream_begins_smaller() -> None:
    """.02 / sqrt(2 L) for 8 layers, .02 everywhere else."""
    plain, scaled = begun(Normal(0.02)), begun(Normal(0.02, residual="scaled"))
    for name, weight in scaled.named_parameters():
        if weight.dim() == 1:
            continue
        writes = name.endswith(("attention.o.weight", "feedforward.down.weight"))
        wanted = 0.02 / 16**0.5 if writes else 0.02
        assert float(weight.detach().std()) == pytest.approx(wanted, rel=0.05), name
        assert torch.equal(weight, plain.get_parameter(name) * (0.25 if writes else 1.0)), name


def test_shared_weights_are_scaled_once_for_all_their_applications() -> None:
    shared = begun(Normal(0.02, residual="scaled"), replace(STACK, weights=1))
    assert len(shared.blocks) == 1
    assert float(shared.block(0).feedforward.down.weight.detach().std()) == pytest.approx(0.02 / 16**0.5, rel=0.05)


# ------------------------------------------------------------------ T5's

PARTS = (Attention(4, bias=False, head_width=32), FeedForward(256, bias=False))
T5 = Stack(Block(PARTS, Norm("rms")), 4, Norm("rms"), Buckets(4))


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_t5_begins_by_what_enters(factor: float) -> None:
    """The scores of unscaled queries and keys are of unit variance; so is what each matrix gives."""
    layer, embed = begun(FanIn(factor), T5), Tokens(900, Learned(300), segments=2).build(64)
    FanIn(factor).apply(embed, 64)
    wanted = {
        "attention.q.weight": 64**-0.5 * 32**-0.5,
        "attention.k.weight": 64**-0.5,
        "attention.v.weight": 64**-0.5,
        "attention.o.weight": 128**-0.5,
        "feedforward.up.weight": 64**-0.5,
        "feedforward.down.weight": 256**-0.5,
        "norm.weight": None,
        "position.weight": 64**-0.5,
        "table.weight": 1.0,
        "segment.weight": 1.0,
    }
    for name, weight in [*layer.named_parameters(), *embed.named_parameters()]:
        std = next(value for end, value in wanted.items() if name.endswith(end))
        if std is None:
            assert torch.equal(weight, torch.full_like(weight, factor)), name
        else:
            assert float(weight.detach().std()) == pytest.approx(factor * std, rel=0.25), name
