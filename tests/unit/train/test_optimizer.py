import pytest
import torch
from torch import nn
from toy_task import ToyModel

from transept.errors import InvalidData
from transept.train.config import Optimizer
from transept.train.flat import Flat
from transept.train.optimizer import FlatAdam, LossScale


def pair(decay: str = "matrices") -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    ours, theirs = ToyModel(0.0), ToyModel(0.0)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def difference(settings: Optimizer, theirs_decays_vectors: bool, updates: int = 50) -> float:
    """The largest difference of any weight from torch's own optimizer after some updates with the same gradients."""
    ours, theirs = pair()
    flat = Flat(ours, decay=settings.decay)
    adam = FlatAdam(flat, settings)
    matrices = [p for p in theirs.parameters() if p.ndim >= 2]
    vectors = [p for p in theirs.parameters() if p.ndim < 2]
    pull = settings.weight_decay
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    groups = [
        {"params": matrices, "weight_decay": pull},
        {"params": vectors, "weight_decay": pull * theirs_decays_vectors},
    ]
    reference = kind(groups, betas=settings.betas, eps=settings.eps)
    for update in range(1, updates + 1):
        flat.clear()
        for place in flat.places:
            gradient = torch.randn(place.shape) * 10.0 ** torch.randint(-4, 2, ())
            place.of(flat.gradient).copy_(gradient * 4)
            theirs.get_parameter(place.name).grad = gradient
        for group in reference.param_groups:
            group["lr"] = 0.001 * update
        reference.step()
        assert adam.step(0.001 * update, tokens=4).taken
    return max((ours.get_parameter(p.name) - theirs.get_parameter(p.name)).abs().max().item() for p in flat.places)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("decay", ["matrices", "all"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_equals_torchs_adam(name: str, decay: str, weight_decay: float) -> None:
    settings = Optimizer(name=name, decay=decay, weight_decay=weight_decay)
    assert difference(settings, theirs_decays_vectors=decay == "all") <= 1e-7 * 10  # weights are of size 1 to 10


def test_equality_sees_a_wrong_optimizer() -> None:
    wrong = Optimizer(name="adamw", decay="matrices", weight_decay=0.1)
    assert difference(wrong, theirs_decays_vectors=True) > 1e-4


def test_norm_and_clip_are_of_the_mean_gradient() -> None:
    ours, theirs = pair()
    flat = Flat(ours)
    adam = FlatAdam(flat, Optimizer(), clip=0.5)
    flat.clear()
    inputs = torch.arange(7)
    ours(inputs).square().sum().backward()
    (theirs(inputs).square().sum() / 7).backward()
    norm = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
    step = adam.step(0.0, tokens=7)
    assert step.norm == pytest.approx(float(norm), rel=1e-6)
    assert step.norm > 0.5
    for place in flat.places:
        torch.testing.assert_close(place.of(flat.gradient), theirs.get_parameter(place.name).grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_gradient_that_is_not_finite_changes_nothing(value: float) -> None:
    ours, _ = pair()
    flat = Flat(ours)
    adam = FlatAdam(flat, Optimizer(), clip=1.0)
    flat.gradient.fill_(0.1)
    adam.step(0.01, tokens=3)
    before = [t.clone() for t in (*flat.tensors().values(), *adam.tensors().values())]
    flat.gradient.fill_(0.1)
    flat.gradient[5] = value
    assert not adam.step(0.01, tokens=3).taken
    flat.gradient.fill_(0.1)
    assert not adam.step(0.01, tokens=0).taken  # no token is supervised: there is no mean
    assert all(map(torch.equal, before, [*flat.tensors().values(), *adam.tensors().values()]))


def test_moments_are_restored_bit_for_bit() -> None:
    ends = []
    for interrupted in (False, True):
        model, _ = pair()
        flat = Flat(model, decay="matrices")
        adam = FlatAdam(flat, Optimizer(weight_decay=0.1))
        random = torch.Generator().manual_seed(5)
        for update in range(6):
            if interrupted and update == 3:
                weights = {n: t.clone() for n, t in flat.tensors().items()}
                moments = {n: t.clone() for n, t in adam.tensors().items()}
                flat = Flat(ToyModel(0.0), decay="matrices")
                adam = FlatAdam(flat, Optimizer(weight_decay=0.1))
                flat.load(weights)
                adam.load(moments)
            for place in flat.places:
                place.of(flat.gradient).normal_(generator=random)
            adam.step(0.01, tokens=2)
        ends.append([t.clone() for t in (*flat.tensors().values(), *adam.tensors().values())])
    assert all(map(torch.equal, *ends))


def test_moments_of_another_model_are_refused() -> None:
    adam = FlatAdam(Flat(ToyModel(0.0)), Optimizer())
    other = FlatAdam(Flat(nn.Linear(70, 70)), Optimizer())
    with pytest.raises(InvalidData, match="does not fit"):
        adam.load(other.tensors())


def test_loss_scale_halves_on_overflow_and_doubles_after_patience() -> None:
    scale = LossScale(8.0, patience=3)
    for finite in (True, True, False, True, True, True):
        scale.seen(finite)
    assert scale.scale == 8.0
    for _ in range(9):
        scale.seen(False)
    assert scale.scale == 1.0
