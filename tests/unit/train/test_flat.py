import pytest
import torch
from torch import nn
from toy_task import ToyModel

from transept.errors import InvalidData
from transept.train.flat import ALIGNMENT, Flat


def test_the_model_works_on_views_and_answers_as_before() -> None:
    torch.manual_seed(0)
    model, inputs = ToyModel(0.0).eval(), torch.arange(5)
    before = model(inputs).detach().clone()
    flat = Flat(model)
    assert torch.equal(model(inputs), before)
    flat.master.zero_()
    assert model(inputs).abs().max() == 0


def test_the_gradient_is_autograds_own() -> None:
    torch.manual_seed(0)
    model, twin = ToyModel(0.0), ToyModel(0.0)
    twin.load_state_dict(model.state_dict())
    flat = Flat(model)
    flat.clear()
    for net in (model, twin):
        for _ in range(2):  # twice: gradients add up
            net(torch.arange(5)).square().sum().backward()
    for place, parameter in zip(flat.places, twin.parameters(), strict=True):
        assert torch.equal(place.of(flat.gradient), parameter.grad)


def test_tied_weights_are_there_once() -> None:
    model = ToyModel(0.0)
    flat = Flat(model)
    assert flat.count == sum(p.numel() for p in model.parameters())
    assert [place.name for place in flat.places].count("embed.weight") == 1
    assert "head.weight" not in flat.tensors()
    assert model.head.weight is model.embed.weight
    assert set(flat.tensors()) == {name for name, _ in model.named_parameters()} | {"seen"}


def test_places_are_aligned_and_the_room_between_stays_empty() -> None:
    flat = Flat(ToyModel(0.0))
    assert all(place.start % ALIGNMENT == 0 for place in flat.places)
    inside = torch.zeros_like(flat.master, dtype=torch.bool)
    for place in flat.places:
        assert not inside[place.start : place.stop].any()
        inside[place.start : place.stop] = True
    assert flat.master[~inside].abs().sum() == 0


def test_decay_of_matrices_leaves_vectors_out() -> None:
    flat = Flat(ToyModel(0.0), decay="matrices")
    for place in flat.places:
        assert (place.stop <= flat.decayed) == (len(place.shape) >= 2)
    assert Flat(ToyModel(0.0), decay="all").decayed == len(flat.master)


def test_below_float32_the_master_keeps_what_the_copy_rounds() -> None:
    model = ToyModel(0.0)
    flat = Flat(model, torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    flat.master.fill_(1.0).add_(2.0**-12)
    flat.publish()
    assert float(model.mix.bias.detach()[0]) == 1.0
    assert float(flat.tensors()["mix.bias"][0]) == 1.0 + 2.0**-12
    model(torch.arange(3)).sum().backward()
    arrived = model.mix.weight.grad.float().clone()
    flat.collect(0.5)
    place = next(place for place in flat.places if place.name == "mix.weight")
    assert torch.equal(place.of(flat.gradient), arrived * 0.5)
    assert model.mix.weight.grad.abs().sum() == 0


def test_frozen_parameters_are_kept_and_not_trained() -> None:
    model = ToyModel(0.0)
    model.mix.weight.requires_grad_(False)
    flat = Flat(model)
    assert "mix.weight" not in [place.name for place in flat.places]
    assert torch.equal(flat.tensors()["mix.weight"], model.mix.weight)


def test_loading_refuses_what_is_of_another_model() -> None:
    flat = Flat(ToyModel(0.0))
    tensors = {name: tensor.clone() for name, tensor in flat.tensors().items()}
    flat.load(tensors)
    for changed, words in (
        ({k: v for k, v in tensors.items() if k != "mix.bias"}, "mix.bias is missing"),
        (tensors | {"more": torch.zeros(1)}, "more is unknown"),
        (tensors | {"mix.bias": torch.zeros(3)}, r"mix.bias has shape \[3\]"),
    ):
        with pytest.raises(InvalidData, match=words):
            flat.load(changed)


def test_layout_tells_models_apart() -> None:
    assert Flat(ToyModel(0.0)).layout == Flat(ToyModel(0.5)).layout
    assert Flat(ToyModel(0.0)).layout != Flat(nn.Linear(3, 3)).layout
    assert Flat(ToyModel(0.0), decay="all").layout != Flat(ToyModel(0.0), decay="matrices").layout
