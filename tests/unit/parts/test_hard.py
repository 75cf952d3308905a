"""Hard attention: one key for each query; the REINFORCE estimator against the gradient enumerated over all draws."""

import itertools
from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import lively
from transept.errors import InvalidConfig, UsageError
from transept.families.bahdanau import TOY, declare
from transept.models import Seq2SeqLayer
from transept.parts import hard
from transept.parts.attention import Attention
from transept.parts.core import Allowed, Core, Reference
from transept.parts.hard import Hard
from transept.parts.looks import Looks
from transept.parts.pattern import Causal, Full
from transept.parts.place import Place
from transept.parts.scores import Location
from transept.spec import edit, replace

KEYS, STEPS, SAMPLES, PARTS = 4, 2, 100_000, 100
ESTIMATORS = ("reinforce", "straight_through", "gumbel")


def allowed(rows: int, queries: int, keys: int, valid: Tensor | None = None, looks: Looks | None = None) -> Allowed:
    return Allowed(Full(), torch.arange(queries)[None], torch.arange(keys)[None], valid, own=False, looks=looks)


def inputs(rows: int = 2, queries: int = 3, keys: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(rows, 2, queries, 4), torch.randn(rows, 2, keys, 4), torch.randn(rows, 2, keys, 4)


def hardened(model_spec: object, core: Core) -> object:
    return edit(model_spec, lambda part: replace(part, core=core) if isinstance(part, Attention) else part)  # type: ignore[type-var]


# ------------------------------------------------------------------ the core


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_it_takes_the_likeliest_key_when_it_does_not_train(estimator: str) -> None:
    (q, k, v), valid = inputs(), torch.arange(5) < torch.tensor([[5], [3]])
    layer = Hard(Reference(), estimator).build(2, 4).eval()  # type: ignore[arg-type]
    soft, weights = (one.weights(q, k, allowed(2, 3, 5, valid), 0.5) for one in (Reference().build(2, 4), layer))
    assert torch.equal(weights.sum(-1), torch.ones(2, 2, 3))
    assert torch.equal(weights.argmax(-1), soft.argmax(-1))
    mix = layer(q, k, v, allowed(2, 3, 5, valid), 0.5)
    assert_close(mix, v.gather(2, soft.argmax(-1)[..., None].expand(-1, -1, -1, 4)), rtol=0.0, atol=0.0)


def test_soft_becomes_hard_as_the_temperature_falls() -> None:
    q, k, v = inputs()
    wanted = Hard(Reference()).build(2, 4).eval()(q, k, v, allowed(2, 3, 5), 1.0)
    away = [
        float((Reference().build(2, 4)(q, k, v, allowed(2, 3, 5), 1 / heat) - wanted).abs().max())
        for heat in (1.0, 0.1, 0.01, 0.001)
    ]
    assert away == sorted(away, reverse=True)
    assert away[0] > 0.1
    assert away[-1] < 1e-6
    layer = Hard(Reference(), "gumbel", temperature=1e-3).build(2, 4).train()
    looks = Looks()
    mix = layer(q, k, v, allowed(2, 3, 5, looks=looks), 1.0)
    nearest = (mix[..., None, :] - v[:, :, None]).abs().amax(-1).amin(-1)  # to one of the values
    assert nearest.max() < 1e-3


def test_nothing_comes_through_a_choice_of_the_likeliest() -> None:
    q, k, v = (part.requires_grad_() for part in inputs())
    layer = Hard(Reference()).build(2, 4).eval()
    mix = layer(q, k, v, allowed(2, 3, 5), 1.0).sum()
    felt = torch.autograd.grad(mix, (q, k, v), allow_unused=True)
    assert all(one is None or not one.any() for one in felt[:2])
    assert felt[2].abs().sum() > 0


@pytest.mark.parametrize("estimator", ["straight_through", "gumbel"])
def test_other_estimators_need_no_help_of_the_loss(estimator: str) -> None:
    q, k, v = (part.requires_grad_() for part in inputs())
    layer = Hard(Reference(), estimator).build(2, 4).train()  # type: ignore[arg-type]
    felt = torch.autograd.grad(layer(q, k, v, allowed(2, 3, 5), 1.0).square().sum(), (q, k, v))
    assert all(one.abs().sum() > 0 for one in felt)


def test_the_straight_through_gradient_is_that_of_a_soft_mix() -> None:
    q, k, v = (part.requires_grad_() for part in inputs())
    toward = torch.randn(2, 2, 3, 4)
    gradients = [
        torch.autograd.grad((layer(q, k, v, allowed(2, 3, 5), 1.0) * toward).sum(), (q, k))
        for layer in (Hard(Reference(), "straight_through").build(2, 4).train(), Reference().build(2, 4))
    ]
    for a, b in zip(*gradients, strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_draws_follow_the_shares_and_never_what_is_hidden() -> None:
    torch.manual_seed(0)
    shares = torch.tensor([0.5, 0.3, 0.0, 0.2]).expand(1, 1, 200_000, 4)
    found = torch.bincount(hard.draw(shares).flatten(), minlength=4) / 200_000
    assert found[2] == 0
    assert_close(found, shares[0, 0, 0], rtol=0.0, atol=0.005)  # 4.5 standard errors


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_query_that_may_see_nothing_takes_nothing(estimator: str) -> None:
    (q, k, v), none = inputs(), torch.zeros(2, 5, dtype=torch.bool)
    for training in (True, False):
        layer, looks = Hard(Reference(), estimator, expected=0.0).build(2, 4).train(training), Looks()  # type: ignore[arg-type]
        q.requires_grad_(), v.requires_grad_()
        mix = layer(q, k, v, allowed(2, 3, 5, none, looks), 1.0)
        assert torch.equal(mix, torch.zeros_like(mix))
        told = [one for one in (looks.logp(3), looks.entropy(3)) if one is not None]
        assert all(torch.equal(one, torch.zeros_like(one)) for one in told)
        felt = torch.autograd.grad(mix.sum() + sum(one.sum() for one in told), (q, v), allow_unused=True)
        assert all(one is None or torch.isfinite(one).all() for one in felt)


def test_a_place_multiplies_what_was_drawn() -> None:
    spec = Attention(1, source="memory", core=Hard(), place=Place(2, "predicted"))
    layer, x = spec.build(8), torch.randn(2, 3, 8)
    from transept.parts.memory import Memory
    from transept.parts.view import View

    looks = Looks()
    layer.train()(x, View.of(x, memory=Memory(torch.randn(2, 9, 8)), looks=looks))
    assert_close(looks.weights(3).sum(-1), torch.ones(2, 1, 1, 3), rtol=1e-5, atol=1e-5)  # what it drew from


def test_rows_take_the_expectation_for_the_whole_of_a_pass() -> None:
    torch.manual_seed(0)
    model = hardened(declare(**TOY), Hard(expected=0.5)).build().train()  # type: ignore[attr-defined]
    looks = Looks()
    model(torch.randint(3, 23, (64, 6)), torch.randint(3, 23, (64, 5)), looks=looks)
    logp = looks.logp(5)
    assert logp is not None and logp.shape == (64, 1, 1, 5)
    soft = (logp == 0).flatten(1)
    assert torch.equal(soft.all(1), soft.any(1))  # none changes its mind between two steps
    assert 20 < int(soft.all(1).sum()) < 44


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="one draw is enough"):
        Hard(Hard())
    with pytest.raises(InvalidConfig, match="a probability"):
        Hard(expected=1.5)
    with pytest.raises(InvalidConfig, match="above 0"):
        Hard(temperature=0.0)
    assert Hard(Location(7)).limit() == 7
    q, k, v = inputs()
    with pytest.raises(UsageError, match="straight_through"):
        Hard().build(2, 4).train()(q, k, v, allowed(2, 3, 5), 1.0)


def test_it_stands_in_any_attention() -> None:
    from transept.families.transformer import TOY as SMALL
    from transept.families.transformer import declare as transformer

    spec = hardened(transformer(**SMALL), Hard(Reference(), "straight_through"))
    model = spec.build().train()  # type: ignore[attr-defined]
    model(torch.randint(3, 23, (2, 6)), torch.randint(3, 23, (2, 5))).logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert Attention(2, Causal(), core=Hard()).core.handles(Causal())


# ------------------------------------------------------------------ what a pass hands on


def test_looks_are_the_weights_of_every_attention() -> None:
    from transept.families.transformer import TOY as SMALL
    from transept.families.transformer import declare as transformer

    model, ids, target = lively(transformer(**SMALL)), torch.randint(3, 23, (2, 6)), torch.randint(3, 23, (2, 5))
    kept: list[Tensor] = []
    for block in model.decoder.blocks:  # type: ignore[union-attr]
        for layer in (block.attention, block.cross):  # type: ignore[union-attr]
            layer.asked.register_forward_hook(  # type: ignore[union-attr, operator]
                lambda module, args, asked, layer=layer: kept.append(
                    layer.core.weights(*asked[:2], asked[3], layer.scale)
                )
            )
    looks = Looks()
    made = model(ids, target, looks=looks)
    assert made.looks is looks
    for look, weights in zip(looks.made, kept, strict=True):
        assert_close(look.weights, weights, rtol=1e-5, atol=1e-6)
    assert_close(made.logits, model(ids, target).logits, rtol=1e-5, atol=1e-5)  # to be asked changes nothing


# ------------------------------------------------------------------ the estimator


def tiny() -> Seq2SeqLayer:
    """A decoder that looks twice at four keys, one after the other, by hard attention."""
    sizes = {"vocab": 5, "width": 3, "hidden": 4, "align": 3, "readout": 3}
    spec = hardened(declare(**sizes), Hard(expected=0.0))
    model = lively(spec, seed=3, scale=0.8)  # type: ignore[arg-type]
    assert isinstance(model, Seq2SeqLayer)
    return model.double().train()


SOURCE, TARGET, LABELS = torch.tensor([[3, 4, 0, 2]]), torch.tensor([[1, 3]]), torch.tensor([[3, 2]])


def passed(model: Seq2SeqLayer, rows: int) -> tuple[Tensor, Tensor]:
    """log p(y | s, a) and log p(s | a) of so many rows with draws of their own, each (rows,)."""
    looks, memory = Looks(), model.encode(SOURCE)
    states, entered = model._decode(
        TARGET.expand(rows, -1), memory.rows(torch.zeros(rows, dtype=torch.long)), None, None, looks
    )
    logits = model.head(states, entered).log_softmax(-1)
    logp = looks.logp(STEPS)
    assert logp is not None
    return logits.gather(2, LABELS.expand(rows, -1)[..., None]).sum((1, 2)), logp.sum((1, 2, 3))


def gradient(model: Seq2SeqLayer, value: Tensor) -> list[Tensor]:
    own = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(value, own, allow_unused=True)
    return [torch.zeros_like(p) if one is None else one for p, one in zip(own, found, strict=True)]


def enumerated(model: Seq2SeqLayer) -> list[Tensor]:
    """The gradient of L_s = sum over all s of p(s | a) log p(y | s, a), exactly."""
    every = torch.tensor(list(itertools.product(range(KEYS), repeat=STEPS)))
    steps = iter(every.T)
    with patch.object(hard, "draw", lambda shares: next(steps)[:, None, None]):
        logp_y, logp_s = passed(model, len(every))
    assert_close(logp_s.exp().sum().detach(), torch.tensor(1.0, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    return gradient(model, (logp_s.exp() * logp_y).sum())


Estimator = Callable[[Tensor, Tensor], Tensor]


def estimated(model: Seq2SeqLayer, estimator: Estimator, count: int = PARTS) -> list[Tensor]:
    """Estimates from so many parts of all samples, (count, ...) for each parameter."""
    torch.manual_seed(7)
    parts = [gradient(model, estimator(*passed(model, SAMPLES // PARTS)).mean()) for _ in range(count)]
    return [torch.stack(of_one) for of_one in zip(*parts, strict=True)]


def reinforce(baseline: float) -> Estimator:
    """Xu et al. 2015, equation 12, without the entropy."""
    return lambda logp_y, logp_s: logp_y + (logp_y.detach() - baseline) * logp_s


def errors_of(parts: list[Tensor], exact: list[Tensor]) -> Tensor:
    """How many standard errors the mean is away from the exact gradient, along the exact gradient of each parameter."""
    away = []
    for of_one, wanted in zip(parts, exact, strict=True):
        if wanted.norm() > 0:
            along = (of_one * wanted).flatten(1).sum(1) / wanted.norm()
            away.append((along.mean() - wanted.norm()) / (along.std() / len(along) ** 0.5))
    return torch.stack(away).abs()


def test_the_estimator_is_right_in_the_mean_and_the_baseline_lowers_its_variance() -> None:
    model = tiny()
    exact = enumerated(model)
    with torch.no_grad():
        baseline = float(passed(model, 1000)[0].mean())
    plain, based = (estimated(model, reinforce(b)) for b in (0.0, baseline))
    for parts in (plain, based):
        assert len(errors_of(parts, exact)) > 10
        assert errors_of(parts, exact).max() < 3
    spread = [sum(float(of_one.var(0).sum()) for of_one in parts) for parts in (plain, based)]
    assert spread[1] < 0.7 * spread[0]
    # The mutants: what comes through the words alone, and a reward that is not detached.
    for wrong in (lambda y, s: y, lambda y, s: y + y * s):
        assert errors_of(estimated(model, wrong, 25), exact).max() > 6


def test_a_core_that_hands_no_weights_on_is_looked_at_beside_its_kernel() -> None:
    """Blocks, bands and low ranks compute no weights of their own; what they gave is unchanged."""
    from transept.families.bert import TOY as SMALL
    from transept.families.bert import declare as bert
    from transept.parts.lowrank import LowRank

    model, ids, looks = lively(hardened(bert(**SMALL), LowRank(64, 4))), torch.randint(3, 23, (2, 6)), Looks()
    made = model(ids, looks=looks)
    assert_close(made.logits, model(ids).logits, rtol=1e-5, atol=1e-5)
    assert len(looks.made) == len(model.stack.order)
    with pytest.raises(InvalidConfig, match="LowRank is no score"):
        Hard(LowRank(64, 4))
