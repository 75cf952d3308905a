"""The translation task: what it makes of a recipe, what a batch costs, what it measures and what it writes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from transept.data.batches import collate
from transept.data.subwords import Subwords
from transept.errors import InvalidConfig, InvalidData
from transept.hub.directory import read
from transept.parts.loss import Smoothing
from transept.recipes.recipe import Recipe, load_recipe, resolve
from transept.tasks.card import notes
from transept.tasks.measure import mean_loss, pair_loss
from transept.tasks.registry import all_tasks, task_class
from transept.tasks.translation import Translation

RECIPE = """\
run: unused
model: {family: transformer, width: 16, hidden: 24, heads: 2, depth: 1, dropout: 0.1}
data:
  source: aa
  target: bb
  train: train
  valid: valid
  test: test
  max_length: 8
  vocabulary: {kind: characters, merges: 5}
train:
  stop: 1u
  batch_tokens: 64
  schedule: {name: constant, rate: 0.001}
  smoothing: 0.1
  smoothing_form: others
  samples: 3
search: {method: beam, beam: 2, max_ratio: 1.0, max_extra: 2}
evaluate: {tokenize: none, best: loss}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    words = ["a", "bb", "c", "dd", "e f", "g"]
    for split, count in (("train", 40), ("valid", 7), ("test", 5)):
        rows = [" ".join(words[(i * k) % 6] for k in range(1, 2 + i % 5)) for i in range(count)]
        (tmp_path / f"{split}.aa").write_text("".join(f"{row}\n" for row in rows))
        (tmp_path / f"{split}.bb").write_text("".join(f"{row[::-1]}\n" for row in rows))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def recipe(folder: Path, *changes: str) -> Recipe:
    return load_recipe(folder / "recipe.yaml", [f"data.dir={folder}", *changes])


def task(folder: Path, *changes: str) -> Translation:
    return Translation(recipe(folder, *changes), say=lambda text: None)


def test_it_is_found_by_its_name():
    known = ["answering", "captioning", "classification", "contrastive", "denoising", "language", "masked", "sequences"]
    assert list(all_tasks()) == [*known, "similarity", "speech", "tagging", "text_to_text", "translation"]
    assert task_class("translation") is Translation


def test_an_epoch_holds_every_pair_once_and_is_repeated_by_its_number(folder):
    made = task(folder)
    first, again, second = (made.batches("train", epoch) for epoch in (0, 0, 1))
    rows = [sorted(row for batch in epoch.plan for row in batch) for epoch in (first, second)]
    assert rows[0] == rows[1] == list(range(len(made.train)))
    assert [list(batch) for batch in first.plan] == [list(batch) for batch in again.plan]
    assert [list(batch) for batch in first.plan] != [list(batch) for batch in second.plan]
    assert all(max(first[i].source.numel(), first[i].target.numel()) <= 64 for i in range(len(first)))


def test_the_largest_batch_has_the_most_positions(folder):
    batches = task(folder).batches("train", 0)
    sizes = [batches[i].source.numel() + batches[i].target.numel() for i in range(len(batches))]
    assert sizes[batches.largest()] == max(sizes)
    assert min(sizes) < max(sizes), "or any batch would do"


def test_the_loss_is_the_smoothed_cross_entropy_of_the_target(folder):
    made = task(folder)
    model = made.build().eval()
    batch = made.batches("train", 0)[0]
    found = made.loss(model, batch)
    logits = model(batch.source, batch.target, batch.source_valid, batch.target_valid).logits
    logp, real = logits.log_softmax(-1), batch.labels != -100
    true = logp.gather(2, batch.labels.clamp(min=0)[..., None])[..., 0]
    others = 0.1 / (logits.size(-1) - 1)
    total = -((0.9 - others) * true + others * logp.sum(-1))[real].sum()
    torch.testing.assert_close(found.total, total, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found.nll, -true[real].sum(), rtol=1e-5, atol=1e-4)
    assert found.count == int(real.sum()) == batch.tokens


def test_not_telling_the_targets_validity_changes_nothing(folder):
    made = task(folder)
    model = made.build().eval()
    tokens = made.train
    short, long = int(tokens.lengths[:, 1].argmin()), int(tokens.lengths[:, 1].argmax())
    both = collate(tokens, np.array([short, long]), bos=Subwords.bos, pad=Subwords.pad)
    apart = [collate(tokens, np.array([row]), bos=Subwords.bos, pad=Subwords.pad) for row in (short, long)]
    together = pair_loss(model, both, Smoothing())
    alone = [pair_loss(model, batch, Smoothing()) for batch in apart]
    assert both.target.size(1) > apart[0].target.size(1)
    torch.testing.assert_close(together.nll, alone[0].nll + alone[1].nll, rtol=1e-5, atol=1e-5)
    # A source whose padding is taken for text does change it: the comparison can see such a thing.
    wrong = pair_loss(model, replace(both, source_valid=torch.ones_like(both.source_valid)), Smoothing())
    assert abs(float(wrong.nll - together.nll)) > 1e-4


def test_a_measure_does_not_depend_on_its_batches_and_leaves_the_model_as_it_was(folder):
    made = task(folder)
    model = made.build().train()
    whole, count = mean_loss(model, made.valid, 1000)
    single, same = mean_loss(model, made.valid, 1)
    assert count == same == int(made.valid.lengths[:, 1].sum())
    assert whole == pytest.approx(single, rel=1e-5)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluation_names_what_the_recipe_may_choose(folder):
    made = task(folder)
    values = made.evaluate(made.build())
    assert set(values) == {"loss", "ppl", "bleu", "chrf", "exact_match"}
    assert values["ppl"] == pytest.approx(np.exp(values["loss"]), rel=1e-6)
    assert (made.score, made.higher) == ("loss", False)
    assert task(folder, "evaluate.best=bleu").higher
    assert made.validation_search().method == "greedy"
    assert made.validation_search().max_extra == 2, "the recipe's limits hold for greedy search too"
    assert task(folder, "evaluate.search=same").validation_search() == made.recipe.search


def test_samples_are_the_same_sentences_each_time(folder):
    made = task(folder)
    first, second = (made.samples(made.build()) for _ in range(2))
    assert [sample["source"] for sample in first] == [sample["source"] for sample in second]
    assert [sample["reference"] for sample in first] == [sample["source"][::-1] for sample in first]
    assert len(first) == 3
    assert len(task(folder, "train.samples=50").samples(made.build())) == 7
    assert task(folder, "train.samples=0").samples(made.build()) == []


@pytest.mark.parametrize(
    "change", ["train.seed=9", "train.batch_tokens=80", "data.max_length=7", "data.vocabulary.merges=1"]
)
def test_the_fingerprint_knows_what_batches_are_made_of(folder, change):
    assert task(folder).fingerprint == task(folder).fingerprint
    assert task(folder, change).fingerprint != task(folder).fingerprint


def test_the_fingerprint_knows_the_text(folder):
    before = task(folder).fingerprint
    text = (folder / "train.aa").read_text()
    (folder / "train.aa").write_text(text.replace("bb", "b b", 1))
    assert task(folder).fingerprint != before


def test_only_training_leaves_long_pairs_out(folder):
    made = task(folder, "data.max_length=3")
    assert made.train.lengths.max() <= 3
    assert made.valid.lengths.max() > 3
    assert "longer than 3 tokens (data.max_length)" in made.facts()["data"]


def test_what_is_measured_must_fit(folder):
    (folder / "valid.aa").write_text("a\n" + "a " * 1100 + "\n")
    (folder / "valid.bb").write_text("a\nb\n")
    with pytest.raises(InvalidData, match="1,101 tokens on a side, and the model takes 1,024") as caught:
        task(folder).facts()
    assert caught.value.where == f"{folder}/valid.aa:2"
    assert task(folder, "data.max_length=1200").longest == 1200


def test_a_model_is_written_with_its_vocabulary_search_and_card(folder):
    made = task(folder)
    model = made.build()
    told = {
        "data": made.facts(),
        "checkpoints": [1, 2],
        "stopped": "stopped: 2 updates are done",
        "tokens": 100,
        "seconds": 1.0,
        "curve": [],
        "score": "loss",
        "command": "transept train it",
        "recipe": resolve(made.recipe),
        "versions": {"transept": "0"},
    }
    made.save_model(model, folder / "model", told)
    stored = read(folder / "model")
    assert stored.model.spec == made.spec
    assert stored.tokenizer is not None
    assert stored.tokenizer.fingerprint == made.tokenizer.fingerprint
    assert stored.generation.search == made.recipe.search
    assert stored.generation.longest == 1024
    texts = made.valid.text.source
    torch.testing.assert_close(stored.model.state_dict(), model.state_dict(), rtol=0, atol=0)
    card = (folder / "model" / "README.md").read_text()
    assert "It translates aa into bb." in card
    assert "the mean of the checkpoints of updates 1, 2. Training stopped: 2 updates are done." in card
    assert str(folder) not in card.partition("with the recipe")[0]
    assert notes(told | {"checkpoints": [2]}, made.recipe.search)[0].startswith("The weights are those of update 2.")
    assert json.loads((folder / "model" / "config.json").read_text())["vocab_size"] == made.tokenizer.vocab
    assert texts


def test_a_run_goes_on_from_a_model(folder):
    first = task(folder)
    model = first.build()
    told = {"data": first.facts(), "checkpoints": [1], "stopped": "", "tokens": 1, "seconds": 1.0, "curve": []}
    told |= {"score": "loss", "command": "", "recipe": "", "versions": {}}
    first.save_model(model, folder / "model", told)
    second = task(folder, f"start={folder / 'model'}", "model.width=64", "data.vocabulary.merges=0")
    assert second.spec == first.spec
    assert second.tokenizer.fingerprint == first.tokenizer.fingerprint
    one, other = second.build(), second.build()
    torch.testing.assert_close(one.state_dict(), model.state_dict(), rtol=0, atol=0)
    with torch.no_grad():
        next(one.parameters()).zero_()
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_a_vocabulary_that_does_not_fit_is_refused_with_its_place(folder):
    with pytest.raises(InvalidConfig, match="7 rows of embeddings do not hold a vocabulary of") as caught:
        task(folder, "model.vocab=7")
    assert caught.value.where == "model.vocab=7"
    assert task(folder, "model.vocab=100").spec.head.size == 100
