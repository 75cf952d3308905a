"""Small texts and models to pre-train, and the loss of a task by which ways to lay out rows are compared."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from transept.recipes.recipe import load_recipe
from transept.tasks.registry import task_class
from transept.train.flat import Flat
from transept.train.update import gather
from transept.train.workers import Workers

TEXTS = [
    "The dog barks. The fox jumps over it.\nNobody knows why.",
    "A cat.",
    "The cat sleeps all day. It wakes at night. Then it eats, and sleeps again.",
    "Birds sing.\nThe birds fly.",
    "x",
] * 3
GPT2 = {"family": "gpt2", "width": 16, "heads": 2, "depth": 2, "length": 64}
BERT = {"family": "bert", "width": 16, "hidden": 24, "heads": 2, "depth": 2, "length": 64}
T5 = {"family": "t5", "width": 16, "hidden": 24, "heads": 2, "head_width": 8, "depth": 1}
BART = {"family": "bart", "width": 16, "hidden": 24, "heads": 2, "depth": 1, "length": 64}
GRU = {"family": "gru", "width": 16, "hidden": 16, "depth": 1, "form": "language_model"}
LSTM = {"family": "lstm", "width": 16, "hidden": 16, "depth": 1, "form": "language_model"}
XL = {"family": "transformer_xl", "width": 16, "heads": 2, "depth": 2, "hidden": 24, "carries": 8}
MEMORIZING = {"family": "memorizing", "width": 16, "heads": 2, "depth": 2, "hidden": 24, "recalls": 2, "segment": 8,
              "neighbours": 2, "remembers": 16}  # fmt: skip
CONVS2S = {"family": "convs2s", "width": 16, "hidden": 16, "depth": 2, "readout": 16, "form": "language_model"}


def made(
    folder: Path, task: str, model: dict[str, Any], *changes: str, say: Callable[[str], None] = lambda words: None
) -> Any:
    text = "\n\n".join(TEXTS) + "\n"
    for split in ("train", "valid"):
        (folder / f"{split}.txt").write_text(text)
    (folder / "recipe.yaml").write_text(
        f"task: {task}\nrun: unused\nmodel: {model}\n"
        f"data: {{dir: {folder}, train: train.txt, valid: valid.txt, tokenizer: {{size: 320}}, length: 32}}\n"
        "train: {stop: 1u, batch_tokens: 128, schedule: {name: constant, rate: 0.01}, samples: 2}\n"
    )
    recipe = load_recipe(folder / "recipe.yaml", list(changes))
    return task_class(task)(recipe, say=say)


def moved(task: Any) -> Any:
    """A model of the task, every parameter moved, which drops nothing."""
    torch.manual_seed(1)
    model = task.build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


class Still:
    """A task's loss, of a model that does not change from one way to part batches to another."""

    def __init__(self, task: Any) -> None:
        self.task = task

    def loss(self, model: Any, batch: Any) -> Any:
        return self.task.loss(model, batch)


def whole(task: Any, model: Any, batches: Any) -> tuple[float, int, torch.Tensor]:
    """The loss summed over batches, the tokens, and the gradient."""
    flat = Flat(model)
    sums = gather(Still(task), model, flat, batches, range(len(batches)), (0, 0), Workers())  # type: ignore[arg-type]
    return sums.total, sums.tokens, flat.gradient.clone()


def assert_equal(one: tuple[float, int, torch.Tensor], other: tuple[float, int, torch.Tensor]) -> None:
    assert one[1] == other[1]
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    scale = float(one[2].abs().max())
    torch.testing.assert_close(one[2], other[2], rtol=1e-5, atol=1e-6 * scale)
