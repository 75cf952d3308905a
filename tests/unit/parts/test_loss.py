"""The loss without logits, against torch's own and against the published formula of the other smoothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from transept.parts import loss as loss_module
from transept.parts.loss import IGNORED, Loss, Smoothing, linear_cross_entropy


def case(
    seed: int = 0, tokens: int = 13, width: int = 6, vocab: int = 11, biased: bool = True
) -> dict[str, Tensor | None]:
    torch.manual_seed(seed)
    labels = torch.randint(0, vocab, (tokens,))
    labels[::4] = IGNORED
    return {
        "states": torch.randn(tokens, width, requires_grad=True),
        "weight": torch.randn(vocab, width, requires_grad=True),
        "bias": torch.randn(vocab, requires_grad=True) if biased else None,
        "labels": labels,
    }


def plain(states: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, smoothing: Smoothing) -> Tensor:
    """Summed over tokens, by torch's own for "uniform" and by fairseq's formula for "others"."""
    logits = F.linear(states, weight, bias)
    if smoothing.form == "uniform":
        return F.cross_entropy(logits, labels, label_smoothing=smoothing.amount, reduction="sum")
    logp, kept = logits.log_softmax(-1), labels != IGNORED
    nll = -logp[kept].gather(1, labels[kept, None]).sum()
    each = smoothing.amount / (weight.size(0) - 1)
    return (1 - smoothing.amount - each) * nll + each * -logp[kept].sum()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    amount=st.sampled_from([0.0, 0.1, 0.4]),
    form=st.sampled_from(["uniform", "others"]),
    tokens=st.integers(1, 200),
    chunk=st.sampled_from([1, 30, 1 << 20]),
    biased=st.booleans(),
    seed=st.integers(0, 50),
)
def test_equals_the_plain_loss(amount: float, form: str, tokens: int, chunk: int, biased: bool, seed: int) -> None:
    smoothing, before = Smoothing(amount, form), loss_module.CHUNK
    given_ = case(seed, tokens, biased=biased)
    inputs = [x for x in (given_["states"], given_["weight"], given_["bias"]) if x is not None]
    try:
        loss_module.CHUNK = chunk
        made: Loss = linear_cross_entropy(**given_, smoothing=smoothing)
    finally:
        loss_module.CHUNK = before
    wanted = plain(**given_, smoothing=smoothing)
    assert_close(made.total, wanted, rtol=1e-5, atol=1e-5)
    assert_close(made.nll, plain(**given_, smoothing=Smoothing()).detach(), rtol=1e-5, atol=1e-5)
    assert made.count == int((given_["labels"] != IGNORED).sum())
    if made.count:
        for got, want in zip(
            torch.autograd.grad(made.total * 0.7, inputs), torch.autograd.grad(wanted * 0.7, inputs), strict=True
        ):
            assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_the_two_forms_differ() -> None:
    given_ = case()
    uniform = linear_cross_entropy(**given_, smoothing=Smoothing(0.1, "uniform")).total
    others = linear_cross_entropy(**given_, smoothing=Smoothing(0.1, "others")).total
    assert abs(float(uniform.detach() - others.detach())) > 1e-2


def test_nothing_supervised_is_zero() -> None:
    given_ = case()
    given_["labels"] = torch.full((13,), IGNORED)
    made = linear_cross_entropy(**given_, smoothing=Smoothing(0.1))
    made.total.backward()
    assert (made.count, float(made.total.detach()), float(made.nll)) == (0, 0.0, 0.0)
    assert given_["weight"].grad.abs().max() == 0
    assert given_["states"].grad.abs().max() == 0


def test_logits_far_from_zero_are_finite() -> None:
    given_ = case()
    with torch.no_grad():
        given_["states"] *= 1e3
    made = linear_cross_entropy(**given_, smoothing=Smoothing(0.1))
    assert_close(made.total, plain(**given_, smoothing=Smoothing(0.1)), rtol=1e-5, atol=1e-2)


def test_no_gradient_is_formed_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Tensor, "scatter_add_", lambda *args: asked.append(1))
    with torch.no_grad():
        linear_cross_entropy(**case(), smoothing=Smoothing(0.1))
    assert not asked


def test_bfloat16_is_near() -> None:
    given_ = case(tokens=64, width=32, vocab=50)
    low = {
        name: x.detach().bfloat16().requires_grad_() if x is not None and x.is_floating_point() else x
        for name, x in given_.items()
    }
    made, wanted = (
        linear_cross_entropy(**low, smoothing=Smoothing(0.1)),
        linear_cross_entropy(**given_, smoothing=Smoothing(0.1)),
    )
    assert_close(made.total, wanted.total, rtol=1e-2, atol=0.0)
    a = torch.autograd.grad(made.total, [low["states"], low["weight"]])
    b = torch.autograd.grad(wanted.total, [given_["states"], given_["weight"]])
    for got, want in zip(a, b, strict=True):
        assert got.dtype == torch.bfloat16
        assert float((got.float() - want).norm() / want.norm()) < 2e-2


def test_bfloat16_sees_what_is_left_of_a_confident_probability() -> None:
    """p = 0.9995 has a slope of 5e-4; rounded to bfloat16 it would be 1, and the slope nothing."""
    torch.manual_seed(0)
    weight = torch.eye(8, 16) * 4
    states = (weight[torch.arange(8)] * 0.6 + torch.randn(8, 16) * 0.02).bfloat16()
    exact, low = (
        (states.to(kind).requires_grad_(), weight.to(kind).requires_grad_()) for kind in (torch.float32, torch.bfloat16)
    )
    grads = []
    for made_of in (exact, low):
        made = linear_cross_entropy(*made_of, None, torch.arange(8), Smoothing())
        grads.append(torch.autograd.grad(made.total, made_of[0])[0].float())
        assert 1e-4 < float(made.nll) / 8 < 1e-2
    assert float((grads[1] - grads[0]).norm() / grads[0].norm()) < 0.03
