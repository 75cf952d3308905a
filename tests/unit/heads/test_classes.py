"""The pooled state, classes of it, and heads that answer together."""

import pytest
import torch
from torch.testing import assert_close

from transept.errors import InvalidConfig
from transept.heads.classes import Averaged, Classes, pooled
from transept.heads.vocabulary import Vocabulary
from transept.parts.entered import Entered


@pytest.mark.parametrize("side", ["right", "left"])
def test_one_state_of_each_row(side):
    states = torch.randn(3, 5, 4)
    lengths = torch.tensor([5, 2, 3])[:, None]
    valid = torch.arange(5) < lengths if side == "right" else torch.arange(5) >= 5 - lengths
    for pool, pick in (("first", 0), ("second", 1), ("last", -1)):
        found = pooled(states, valid, pool)
        for i in range(3):
            assert torch.equal(found[i], states[i, valid[i]][pick])
    means = torch.stack([states[i, valid[i]].mean(0) for i in range(3)])
    assert_close(pooled(states, valid, "mean"), means)
    assert torch.equal(pooled(states, None, "second"), states[:, 1])


def test_an_empty_row_has_some_finite_state():
    states, valid = torch.randn(2, 3, 4), torch.tensor([[True, False, False], [False] * 3])
    for pool in ("first", "second", "last", "mean"):
        assert torch.isfinite(pooled(states, valid, pool)).all()


def test_states_are_narrowed_before_they_are_pooled():
    torch.manual_seed(0)
    layer = Classes(3, "mean", narrow=2).build(4)
    states = torch.randn(2, 5, 4)
    expected = layer.score(layer.project(states).mean(1))
    assert_close(layer(states, Entered(torch.zeros(0))), expected)
    assert layer.score.weight.shape == (3, 2)


def test_heads_that_answer_together():
    torch.manual_seed(0)
    layer = Averaged((Classes(3), Classes(3, pool="second"))).build(4)
    states, entered = torch.randn(2, 5, 4), Entered(torch.zeros(0))
    one, other = layer.each(states, entered)
    assert_close(layer(states, entered), (one + other) / 2)
    assert not torch.equal(one, other)
    with pytest.raises(InvalidConfig, match="none"):
        Averaged(())
    with pytest.raises(InvalidConfig, match="embeddings"):
        Averaged((Vocabulary(5),))
