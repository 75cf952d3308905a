"""The task of sequences: what takes part in it, what its loss is, what it measures and writes, what it refuses."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from journeys.conftest import run
from transept.data.sequences import make
from transept.errors import InvalidConfig
from transept.hub.directory import read
from transept.inputs.vectors import Vectors
from transept.parts.position import Sinusoid
from transept.recipes.recipe import load_recipe
from transept.tasks.sequences import Sequences, answered, fixed, measure
from transept.tasks.settings.sequences import SequencesRecipe

SMALL = (
    "data.bits=3", "data.most=4", "data.lengths=[3, 6]", "data.valid=5", "data.batches=6", "data.rows=8",
    "train.batch_tokens=40", "train.threads=1",
)  # fmt: skip
MACHINE = "model={family: ntm, hidden: 12, rows: 12, columns: 5, channels: 4, bits: 3}"
LSTM = "model={family: lstm, form: language_model, width: 6, hidden: 8, depth: 1, dropout: 0.0}"
TRANSFORMER = "model={family: transformer, form: language_model, width: 8, hidden: 8, heads: 2, depth: 1}"


def recipe(*changes: str) -> SequencesRecipe:
    found = load_recipe("ntm-copy", [*SMALL, *changes])
    assert isinstance(found, SequencesRecipe)
    return found


def task(*changes: str) -> Sequences:
    return Sequences(recipe(MACHINE, *changes), say=lambda text: None)


@pytest.mark.parametrize("name", ["ntm-copy", "ntm-repeat-copy", "ntm-recall"])
def test_the_recipes_fit_their_models(name: str) -> None:
    found = load_recipe(name)
    assert isinstance(found, SequencesRecipe)
    made = Sequences(found, say=lambda text: None)
    batches = made.batches("train", 0)
    assert len(batches) == found.data.batches
    assert all(len(batches[index].rows) <= found.data.rows for index in range(5))
    assert "made on the spot" in made.facts()["data"]


def test_a_budget_bounds_the_sequences_and_the_largest_has_the_most_columns() -> None:
    batches = task().batches("train", 0)
    sizes = [tuple(batches[index].inputs.shape[:2]) for index in range(len(batches))]
    assert all(rows * columns <= 40 and rows <= 8 for rows, columns in sizes)
    assert sizes[batches.largest()][1] == max(columns for _, columns in sizes)
    again, later = task().batches("train", 0), task().batches("train", 1)
    assert torch.equal(batches[3].inputs, again[3].inputs)
    shapes = [later[index].inputs.shape == batches[index].inputs.shape for index in range(6)]
    assert not all(shapes) or not torch.equal(later[0].inputs, batches[0].inputs)


def test_what_is_measured_is_never_trained_on() -> None:
    made = task("data.bits=16", "model.channels=17", "model.bits=16")
    trained = {row.numpy().tobytes() for i in range(6) for row in made.batches("train", 0)[i].inputs}
    for split in ("valid", "test"):
        assert not trained & {row.numpy().tobytes() for row in fixed(made.data, split, 4).inputs}
    assert not torch.equal(fixed(made.data, "valid", 4).inputs, fixed(made.data, "test", 4).inputs)


def test_the_loss_is_the_cross_entropy_of_what_is_due() -> None:
    made = task()
    torch.manual_seed(0)
    model, batch = made.build(), make(made.data, 3, 4, 1, (0, 5))
    loss, logits = answered(model, batch)
    logits = logits.detach()
    total = sum(
        float(F.binary_cross_entropy_with_logits(logits[row, column], batch.labels[row, column], reduction="sum"))
        for row in range(3)
        for column in range(5, 9)
    )
    assert float(loss.total.detach()) == pytest.approx(total, rel=1e-5)
    assert loss.count == batch.tokens == 12
    assert torch.equal(loss.nll, loss.total.detach())


def test_measures_are_per_sequence_and_in_bits() -> None:
    """A model that knows nothing gives each bit one bit; one with its answers turned round has all bits wrong."""
    made = task()
    model = made.build()
    with torch.no_grad():
        for parameter in model.head.parameters():  # type: ignore[union-attr]
            parameter.zero_()
    told = made.evaluate(model)
    assert told["loss"] == pytest.approx(3 * math.log(2), rel=1e-6)
    assert told["cost"] == pytest.approx(3 * (1 + 2 + 3 + 4) / 4, rel=1e-6)
    assert (told["cost_3"], told["cost_6"]) == (pytest.approx(9, rel=1e-6), pytest.approx(18, rel=1e-6))
    ones = torch.cat([fixed(made.data, "valid", n).labels.flatten() for n in range(1, 5)]).sum() / 20
    assert told["errors"] == pytest.approx(float(ones), rel=1e-6)  # a score of 0 says 0
    found = measure(model, made.data, "valid").as_measured()
    assert found.tokens == 5 * (1 + 2 + 3 + 4)
    assert "loss" not in found.more


def test_words_are_replaced_by_vectors_in_any_family() -> None:
    lstm, transformer = task(LSTM), task(TRANSFORMER)
    assert lstm.spec.embed == Vectors(4, None, 0.0)
    assert transformer.spec.embed == Vectors(4, Sinusoid("halves"), 0.0)
    for made in (lstm, transformer):
        loss = made.loss(made.build(), made.batches("train", 0)[0])
        loss.total.backward()
        assert torch.isfinite(loss.total)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([MACHINE, "model.channels=7"], ["shows 4 numbers", "reads 7", "model.channels=4 model.bits=3"]),
        (["model={family: bert, size: tiny}"], ["looks back alone", "form=language_model"]),
        (["model={family: lstm, size: reduced}"], ["looks back alone"]),
        (["model={family: vit, size: tiny-16}"], ["looks back alone"]),
        ([MACHINE, "data.kind=recall", "data.least=2"], ["recall shows 5 numbers"]),
        (["model={family: gpt, width: 8, heads: 2, depth: 1, length: 8}"], ["13 columns", "takes 8"]),
        ([MACHINE, "data.least=9"], ["least 9 is above most 4"]),
        ([MACHINE, "model.rows=2"], ["rows"]),
    ],
)
def test_what_cannot_answer_is_refused(changes: list[str], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        Sequences(recipe(*changes), say=lambda text: None)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_person_trains_and_scores_one(tmp_path: Path) -> None:
    """From the recipe to a model, an interruption apart; scored, shown, gone on from; and what it cannot do."""
    words = [*SMALL, MACHINE, "data.most=2", "train.stop=120u", "train.validate_every=60u"]
    words += ["train.schedule={name: constant, rate: 0.01}", "evaluate.best=errors"]
    ended = run("train", "ntm-copy", f"run={tmp_path}/run", *words)
    assert ended.code == 0, ended.err
    assert f"score it: transept eval {tmp_path}/run" in ended.out
    assert "use it" not in ended.out
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    valid = [line for line in lines if line["event"] == "valid"]
    assert valid[-1]["loss"] < valid[0]["loss"] < 3 * math.log(2)
    assert {"cost", "errors", "cost_3", "errors_6"} <= set(valid[-1])
    samples = [json.loads(line) for line in (tmp_path / "run/samples.jsonl").read_text().splitlines()]
    assert {len(sample["output"]) for sample in samples} == {len(sample["reference"]) for sample in samples}
    scored = run("eval", tmp_path / "run", "--json")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert (found["split"], found["sequences"], found["files"]) == ("test", 20, [])
    assert "search" not in found
    spoken = run("eval", tmp_path / "run", "--split", "valid")
    assert "valid: 20 sequences\n" in spoken.out
    assert "errors 6" in spoken.out
    card = (tmp_path / "run/model/README.md").read_text()
    assert "It answers sequences of bits by an algorithm: copy." in card
    assert "A Neural Turing Machine" in card
    model = read(tmp_path / "run").model
    assert measure(model, recipe(*words).data, "test").told()["cost"] == pytest.approx(found["cost"], rel=1e-6)
    for more, reason in (
        (("--data", "x.txt"), "made on the spot"),
        (("--out", tmp_path / "o"), "writes no text"),
        (("beam=3",), "writes no text"),
    ):
        refused = run("eval", tmp_path / "run", *more)
        assert refused.code != 0
        assert reason in refused.err
    gone = run("train", "ntm-copy", "--from", tmp_path / "run", f"run={tmp_path}/on", *words, "train.stop=1u")
    assert gone.code == 0, gone.err
    assert "model has no say" in gone.out + gone.err
