"""Every task: a recipe may ask for no samples, and its model is made as any other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from transept.hub.directory import read
from transept.recipes.recipe import load_recipe
from transept.tasks.registry import all_tasks, task_class
from transept.tasks.task import samples_of
from unit.tasks import test_best, test_on_tables, test_text_to_text

RECORD = {
    "stopped": "stopped: 1 update is done", "tokens": 3, "seconds": 1.0, "curve": [], "score": "loss",
    "command": "train", "recipe": "", "versions": {}, "checkpoints": [1],
}  # fmt: skip


def of_best(name: str) -> Callable[[Path], Any]:
    return lambda folder: test_best.task(test_best.SUBJECTS[name](folder), name, "train.samples=0")


def of_tables(name: str) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        recipe, write, words = test_on_tables.CASES[name]
        found = load_recipe(
            recipe, [f"data.dir={write(folder)}", *test_on_tables.WORDS, *words, "train.samples=0", "run=unused"]
        )
        return task_class(found.task)(found, say=lambda text: None)

    return make


def several(folder: Path) -> Any:
    test_text_to_text.write(folder)
    made = test_text_to_text.made(folder)
    none = made.recipe.model_copy(update={"train": made.recipe.train.model_copy(update={"samples": 0})})
    return type(made)(none, say=lambda text: None)


CASES: dict[str, Callable[[Path], Any]] = {name: of_best(name) for name in test_best.SUBJECTS}
CASES |= {"similarity": of_tables("cosines"), "tagging": of_tables("tags"), "answering": of_tables("answers")}
CASES |= {"text_to_text": several}


def test_all_tasks_are_here() -> None:
    assert set(CASES) == set(all_tasks())


@pytest.mark.parametrize("name", CASES)
def test_no_samples_are_no_obstacle(name: str, tmp_path: Path) -> None:
    task = CASES[name](tmp_path)
    assert task.name == name and task.recipe.train.samples == 0
    torch.manual_seed(0)
    model = task.build().eval()
    assert samples_of(task, model, task.recipe.train.samples) == []
    task.save_model(model, tmp_path / "model", RECORD | {"data": task.facts(), "score": task.score})
    assert read(tmp_path / "model").model.spec == task.spec
    assert "## Examples" not in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("name", CASES)
def test_without_a_record_nothing_is_measured_and_the_same_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = CASES[name](tmp_path)
    torch.manual_seed(0)
    model = task.build().eval()
    task.save_model(model, tmp_path / "whole", RECORD | {"data": task.facts(), "score": task.score})
    passes: list[object] = []
    model.register_forward_hook(lambda *told: passes.append(told))
    monkeypatch.setattr(type(task), "batches", None)
    task.save_model(model, tmp_path / "begun", None)
    assert passes == [], "the model is written, and not asked"
    whole, begun = (
        {path.name: path.read_bytes() for path in (tmp_path / where).rglob("*.*") if path.name != "README.md"}
        for where in ("whole", "begun")
    )
    assert begun == whole
