"""Dropout drops the share that it says, keeps the mean, and gives its gradient to what it kept."""

import pytest
import torch
from torch.testing import assert_close

from transept.parts.dropout import dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_and_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(400_003, dtype=dtype)  # no multiple of the four decisions in a draw
    y = dropout(x, p)
    assert abs(float((y == 0).float().mean()) - p) < 0.004
    assert abs(float(y.float().mean()) - 1) < 0.02
    assert_close(y[y != 0].float().unique(), torch.tensor([1 / (1 - p)]), rtol=4e-3, atol=0.0)


def test_each_of_the_four_decisions_in_a_draw_is_fair() -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.3) != 0).view(-1, 4).float()
    assert_close(kept.mean(0), torch.full((4,), 0.7), rtol=0.0, atol=0.006)
    joint = torch.corrcoef(kept.T) - torch.eye(4)
    assert joint.abs().max() < 0.015


def test_the_gradient_follows_what_was_kept() -> None:
    x = torch.randn(50, 7, requires_grad=True)
    y = dropout(x, 0.4)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert_close(grad * x, y, rtol=1e-6, atol=1e-6)


def test_the_generator_decides() -> None:
    x = torch.randn(99)
    torch.manual_seed(3)
    first = dropout(x, 0.5)
    again = dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(again, first)


def test_the_ends() -> None:
    x = torch.randn(9)
    assert dropout(x, 0.0) is x
    assert torch.equal(dropout(x, 1.0), torch.zeros(9))
