"""How deep stacks begin: GPT-2's scheme against its rule, number by number."""

import pytest
import torch

from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.initial import Normal
from transept.parts.stack import Stack, StackLayer
from transept.spec import replace

STACK = Stack(Block((Attention(4), FeedForward(256))), depth=8)


def begun(scheme: Normal, stack: Stack = STACK) -> StackLayer:
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
