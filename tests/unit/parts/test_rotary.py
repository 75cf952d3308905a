"""Rotations against their equation, their property, and the frequencies that Hugging Face computes."""

import math
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from transept.errors import InvalidConfig
from transept.parts.attention import Attention
from transept.parts.pattern import Causal
from transept.parts.rotary import Banded, Interpolated, Rebased, Rotary, Scaling, Yarn
from transept.parts.view import View
from transept.spec import replace

KINDS = [
    Rotary(),
    Rotary(pairs="interleaved"),
    Rotary(500.0, share=0.5),
    Rotary(pairs="interleaved", share=0.5),
    Rotary(scaling=Interpolated(4.0)),
    Rotary(scaling=Banded(8.0, 64)),
    Rotary(scaling=Rebased(8.0)),
    Rotary(scaling=Yarn(8.0, 64, attention=1.0)),
]


def turned(rotary: Rotary, x: Tensor, at: int) -> Tensor:
    """The vectors (E) or (..., E) turned as those of a position."""
    flat = x.reshape(1, -1, 1, x.size(-1))
    return rotary.turn(flat, rotary.angles(torch.tensor([[at]]), x.size(-1))).reshape(x.shape)


def test_the_papers_equation() -> None:
    """Equation 34, number by number: the pair (x, y) becomes (x cos a - y sin a, x sin a + y cos a)."""
    x, wide = torch.arange(1.0, 9.0), 8
    for at in (0, 1, 7, 4999):
        got = turned(Rotary(pairs="interleaved"), x, at)
        for i in range(wide // 2):
            angle = at / 10_000 ** (2 * i / wide)
            a, b = float(x[2 * i]), float(x[2 * i + 1])
            assert float(got[2 * i]) == pytest.approx(a * math.cos(angle) - b * math.sin(angle), abs=1e-5)
            assert float(got[2 * i + 1]) == pytest.approx(a * math.sin(angle) + b * math.cos(angle), abs=1e-5)


def test_halves_are_a_permutation() -> None:
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    x = torch.randn(5, 12)
    halves, pairs = (turned(replace(Rotary(), pairs=form), x, 9) for form in ("halves", "interleaved"))  # type: ignore[arg-type]
    assert not torch.allclose(halves, pairs, rtol=0, atol=1e-3)
    assert_close(turned(Rotary(), x[:, order], 9), pairs[:, order], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rotary", KINDS, ids=str)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(a=st.integers(0, 3000), b=st.integers(0, 3000), by=st.integers(0, 3000))
def test_scores_depend_on_the_distance_alone(rotary: Rotary, a: int, b: int, by: int) -> None:
    draws = torch.Generator().manual_seed(a)
    q, k = torch.randn(2, 16, generator=draws)
    near = turned(rotary, q, a) @ turned(rotary, k, b)
    far = turned(rotary, q, a + by) @ turned(rotary, k, b + by)
    assert_close(near, far, rtol=0.0, atol=1e-4)
    assert_close(turned(rotary, q, a).norm(), q.norm(), rtol=1e-5, atol=0.0)  # turning keeps lengths


def test_the_rest_of_a_head_stays() -> None:
    x = torch.randn(3, 16)
    got = turned(Rotary(share=0.25), x, 5)
    assert torch.equal(got[:, 4:], x[:, 4:])
    assert_close(got[:, :4], turned(Rotary(), x[:, :4], 5), rtol=1e-6, atol=1e-6)


SAID: list[tuple[Scaling, dict[str, Any]]] = [
    (Interpolated(4.0), {"rope_type": "linear", "factor": 4.0}),
    (
        Banded(8.0, 8192),
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ),
    (
        Banded(32.0, 100, 0.5, 20.0),
        {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 0.5,
            "high_freq_factor": 20.0,
            "original_max_position_embeddings": 100,
        },
    ),
    (Yarn(4.0, 4096), {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}),
    (
        Yarn(16.0, 300, 20.0, 2.0, 1.25, whole=False),
        {
            "rope_type": "yarn",
            "factor": 16.0,
            "original_max_position_embeddings": 300,
            "beta_fast": 20.0,
            "beta_slow": 2.0,
            "attention_factor": 1.25,
            "truncate": False,
        },
    ),
]


@pytest.mark.parametrize(("scaling", "said"), SAID, ids=str)
@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
def test_scaled_frequencies_are_hugging_faces(scaling: Scaling, said: dict[str, Any], base: float) -> None:
    config = transformers.LlamaConfig(
        hidden_size=128,
        num_attention_heads=2,
        max_position_embeddings=131_072,
        rope_parameters={"rope_theta": base} | said,
    )
    theirs, factor = ROPE_INIT_FUNCTIONS[said["rope_type"]](config)
    plain = base ** -(torch.arange(0, 64, 2, dtype=torch.float64) / 64)
    assert scaling.gain() == pytest.approx(factor, rel=1e-12)
    assert_close(scaling.apply(plain, base), theirs, rtol=1e-6, atol=0.0, check_dtype=False)
    assert not torch.allclose(plain.float(), theirs, rtol=1e-2, atol=0.0)


@pytest.mark.parametrize("length", [300, 4096, 10_000])
def test_a_rebased_rotation_is_their_dynamic_one_at_one_length(length: int) -> None:
    said = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1000.0}
    sizes: dict[str, Any] = {"hidden_size": 128, "num_attention_heads": 2, "max_position_embeddings": 256}
    theirs, _ = ROPE_INIT_FUNCTIONS["dynamic"](transformers.LlamaConfig(**sizes, rope_parameters=said), seq_len=length)
    plain = 1000.0 ** -(torch.arange(0, 64, 2, dtype=torch.float64) / 64)
    ours = Rebased(4.0 * length / 256 - 3.0).apply(plain, 1000.0)
    assert_close(ours, theirs, rtol=1e-5, atol=0.0, check_dtype=False)
    assert float(ours[0]) == 1.0 and float(plain[-1] / ours[-1]) == pytest.approx(4.0 * length / 256 - 3.0)


def test_scores_of_yarn_are_multiplied() -> None:
    """The square of the gain falls on a score, since queries and keys both have it."""
    x, scaling = torch.randn(16), Yarn(8.0, 64)
    assert scaling.gain() == pytest.approx(0.1 * math.log(8.0) + 1)
    got = turned(Rotary(scaling=scaling), x, 5)
    assert float(got @ got) == pytest.approx(float(x @ x) * scaling.gain() ** 2, rel=1e-5)
    for wrong in ({"factor": 0.5}, {"slow": 0.0}, {"slow": 40.0}, {"attention": -1.0}, {"length": 0}):
        with pytest.raises(InvalidConfig):
            replace(scaling, **wrong)


def test_angles_are_right_far_away() -> None:
    """At position 100,000 an angle computed in float32 is off by 4e-3."""
    cosine, _ = Rotary().angles(torch.tensor([[100_000]]), 64)
    for i in (0, 3, 31):
        assert float(cosine[0, 0, 0, i]) == pytest.approx(math.cos(100_000 * 10_000 ** (-i / 32)), abs=1e-6)


def test_what_cannot_turn_is_refused() -> None:
    for spec, width in ((Attention(4, position=Rotary()), 36), (Attention(2, position=Rotary(share=0.1)), 32)):
        with pytest.raises(InvalidConfig, match="they turn in pairs"):
            spec.build(width)
    for wrong in ({"share": 0.0}, {"share": 1.5}, {"base": 0.5}):
        with pytest.raises(InvalidConfig):
            Rotary(**wrong)
    for factor, length, low, high in ((0.5, 8, 1.0, 4.0), (2.0, 8, 4.0, 1.0), (2.0, 8, 0.0, 1.0)):
        with pytest.raises(InvalidConfig):
            Banded(factor, length, low, high)
    with pytest.raises(InvalidConfig, match="not to a memory"):
        Attention(4, source="memory", position=Rotary())


def test_an_attention_turns_queries_and_keys() -> None:
    """Wherever the text begins, the result is the same; without the rotation the order of the past is not felt."""
    torch.manual_seed(0)
    layer, x = Attention(4, Causal(), position=Rotary()).build(32).eval(), torch.randn(2, 9, 32)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn_like(weight) * 0.5)
        there = View(torch.arange(9)[None] + 700)
        assert_close(layer(x, View.of(x)), layer(x, there), rtol=1e-4, atol=1e-4)
        swapped = x[:, [1, 0, *range(2, 9)]]
        assert not torch.allclose(layer(x, View.of(x))[:, -1], layer(swapped, View.of(x))[:, -1], rtol=0, atol=1e-2)
