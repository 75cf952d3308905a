"""What holds for every task on tables of texts: a batch is the sum of its parts, and samples are of their split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transept.recipes.recipe import load_recipe
from transept.tasks.classifying import one_stack
from transept.tasks.registry import task_class
from unit.tasks.made_texts import TINY, write_alike, write_questions, write_reviews, write_tagged
from unit.use.made import shaken

WORDS = ("start=null", TINY, "data.tokenizer={kind: wordpiece, size: 150, lower: true}", "train.batch_tokens=2000",
         "train.samples=5")  # fmt: skip
CASES: dict[str, tuple[str, Callable[[Path], Path], tuple[str, ...]]] = {
    "classes": ("sst2", write_reviews, ("data.length=null",)),
    "numbers": ("stsb", write_alike, ("data.length=null",)),
    "cosines": ("minilm-stsb", write_alike, ()),
    "tags": ("pos-tagging", write_tagged, 
             ("data.train=train.tsv", "data.valid=dev.tsv", "evaluate.best=null", "data.tokenizer.size=60")),
    "answers": ("squad", write_questions, ("data.train=train.jsonl", "data.valid=dev.jsonl", "data.length=16")),
}  # fmt: skip


@pytest.fixture(params=CASES)
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    name, write, words = CASES[request.param]
    recipe = load_recipe(name, [f"data.dir={write(tmp_path)}", *WORDS, *words])
    return task_class(recipe.task)(recipe, say=lambda text: None)


def lengths_of(data: Any) -> np.ndarray:
    """What each row counts for, of rows of a source too."""
    return np.asarray(data.lengths if hasattr(data, "lengths") else data.source.lengths(True))


def test_a_batch_may_be_split_and_padded(task: Any) -> None:
    """Law 10: the loss and the gradients of a batch are the sums of its parts', however wide their padding."""
    torch.manual_seed(0)
    model = one_stack(shaken(task.build()))
    lengths = lengths_of(task.train)
    rows = np.argsort(lengths, kind="stable")[[0, 5, 9, 20, 30, -5, -1]]
    assert len({int(n) for n in lengths[rows]}) > 1

    def gradients(parts: list[np.ndarray]) -> tuple[float, int, dict[str, torch.Tensor]]:
        model.zero_grad()
        total, count = 0.0, 0
        for part in parts:
            loss = task.loss(model, task.train.batch(part))
            loss.total.backward()
            total, count = total + float(loss.total.detach()), count + loss.count
        return total, count, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    whole, each = gradients([rows]), gradients([rows[:1], rows[1:3], rows[3:]])
    assert whole[0] == pytest.approx(each[0], rel=1e-6) and whole[1] == each[1] >= len(rows)
    for name, gradient in whole[2].items():
        torch.testing.assert_close(each[2][name], gradient, rtol=1e-4, atol=1e-6 * float(gradient.abs().max() + 1))


def test_samples_are_judged_as_the_whole_split_is(task: Any) -> None:
    count, whole = len(task.valid), list[str]()
    for seed in range(10):  # some models answer the same to everything
        torch.manual_seed(seed)
        model = one_stack(shaken(task.build(), scale=0.5))
        whole = task.measure(model, "valid").outputs
        if len(set(whole)) > 1:
            break
    assert len(whole) == count and len(set(whole)) > 1
    samples, own = [sample["output"] for sample in task.samples(model)], [whole[count * i // 5] for i in range(5)]
    if task.score in ("pearson", "spearman"):  # numbers, whose last bits hang on who is in a batch
        assert [float(text) for text in samples] == pytest.approx([float(text) for text in own], abs=2e-4)
    else:
        assert samples == own


def test_the_largest_batch_is_the_one_with_the_most_places(task: Any) -> None:
    batches = task.batches("train", 0)
    sizes = [batches[i].inputs.numel() for i in range(len(batches))]
    assert sizes[batches.largest()] == max(sizes)


def test_an_epoch_has_every_row_once(task: Any) -> None:
    batches = task.batches("train", 3)
    rows = [row for i in range(len(batches)) for row in batches[i].rows]
    assert sorted(rows) == list(range(len(lengths_of(task.train))))
