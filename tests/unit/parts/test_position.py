"""Sinusoids against the paper's equation, number by number, and their properties; learned positions have an end."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from transept.errors import InvalidConfig, InvalidData
from transept.parts.initial import Normal
from transept.parts.position import Learned, Sinusoid
from transept.parts.scored import Alibi


def test_the_papers_equation() -> None:
    made = Sinusoid("interleaved").build(8)(torch.tensor([[0, 1, 7, 4999]]))[0]
    for row, position in zip(made, (0, 1, 7, 4999), strict=True):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            assert_close(row[2 * i], torch.tensor(math.sin(angle)), rtol=1e-6, atol=1e-6, check_dtype=False)
            assert_close(row[2 * i + 1], torch.tensor(math.cos(angle)), rtol=1e-6, atol=1e-6, check_dtype=False)


def test_halves_are_a_permutation() -> None:
    at = torch.arange(50)[None]
    halves, pairs = Sinusoid("halves").build(12)(at), Sinusoid("interleaved").build(12)(at)
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    assert torch.equal(halves, pairs[..., order])
    assert not torch.equal(halves, pairs)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(a=st.integers(0, 3000), b=st.integers(0, 3000))
def test_products_depend_on_distance_alone(a: int, b: int) -> None:
    layer = Sinusoid().build(64)
    pa, pb, far, origin = (layer(torch.tensor([[p]]))[0, 0].double() for p in (a, b, abs(a - b), 0))
    assert_close(pa @ pb, far @ origin, rtol=0.0, atol=1e-5)
    assert_close(pa @ pa, torch.tensor(32.0, dtype=torch.float64), rtol=0.0, atol=1e-5)


def test_an_odd_width_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="even width, not 7"):
        Sinusoid().build(7)


def test_learned_positions_end() -> None:
    layer = Learned(4).build(6)
    Normal().apply(layer, 6)
    assert torch.equal(layer(torch.tensor([[2, 0]])), layer.weight[[2, 0]][None])
    with pytest.raises(InvalidData, match="5 tokens, and the model has 4 positions"):
        layer(torch.arange(5)[None])


def test_alibi_slopes() -> None:
    """The published slopes for eight heads: 1/2, 1/4 ... 1/256."""
    made = Alibi(8).build(64)(torch.tensor([[[5]]]), torch.tensor([[[3, 5, 6]]]))
    assert made.shape == (1, 8, 1, 3)
    slopes = 2.0 ** -torch.arange(1.0, 9.0)
    assert_close(made[0, :, 0], -slopes[:, None] * torch.tensor([2.0, 0.0, 1.0]), rtol=1e-6, atol=1e-6)
