from pathlib import Path

import pytest
import torch
from toy_task import ToyModel, ToyTask, config

from transept.errors import InvalidData
from transept.train.checkpoint import Checkpoints
from transept.train.finish import fill, worth_averaging
from transept.train.flat import Flat
from transept.train.standing import Standing


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


@pytest.mark.parametrize(("score", "taken"), [(0.9, [1, 2]), (0.7, [1, 2]), (0.3, [1])])
def test_a_mean_that_is_worse_than_the_best_checkpoint_is_not_taken(
    score: float, taken: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The best checkpoint, of update 1, has 0.7; the mean of both has `score`."""
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoints, "updates", lambda: [1, 2])
    monkeypatch.setattr(checkpoints, "fault", lambda update: None)
    monkeypatch.setattr("transept.train.finish.model_of", lambda *given: ToyModel(0.0).eval())
    task = ToyTask(scores=[score])
    chosen, told = worth_averaging(task, config(), checkpoints, [1, 2], Standing(1, 0.7, 1), torch.device("cpu"))
    assert chosen == taken
    assert (told == "") == (taken == [1, 2])
    if told:
        assert "the mean of 2 checkpoints has accuracy 0.3" in told
        assert "best accuracy 0.7 at update 1" in told


def test_a_damaged_best_checkpoint_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoints, "updates", lambda: [1, 2])
    monkeypatch.setattr(checkpoints, "fault", lambda update: "torn")
    chosen, told = worth_averaging(ToyTask(), config(), checkpoints, [1, 2], Standing(1, 0.7, 1), torch.device("cpu"))
    assert chosen == [1, 2]
    assert "damaged" in told
