import pytest
import torch
from toy_task import ToyModel

from transept.errors import InvalidData
from transept.train.finish import fill
from transept.train.flat import Flat


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {name: tensor.clone() for name, tensor in Flat(ToyModel(0.0)).tensors().items()}


def test_a_model_is_filled_from_what_training_saved() -> None:
    model = ToyModel(0.0)
    fill(model, tensors())
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in tensors().items())
    assert model.head.weight is model.embed.weight


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("mix.bias"), "mix.bias is missing"),
        (lambda t: t.update(more=torch.ones(1)), "more is unknown"),
        (lambda t: t.update({"mix.bias": torch.ones(3)}), "mix.bias has shape"),
    ],
)
def test_what_does_not_fit_is_named(change: object, words: str) -> None:
    wrong = tensors()
    change(wrong)  # type: ignore[operator]
    with pytest.raises(InvalidData, match=words):
        fill(ToyModel(0.0), wrong)
