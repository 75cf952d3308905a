"""Similarity: cosines and gradients as sentence-transformers has them, its files, what is measured first, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from transept.errors import InvalidConfig, InvalidData, TranseptError
from transept.families import bert
from transept.hub.directory import save
from transept.recipes.recipe import load_recipe
from transept.tasks.classifying import one_stack
from transept.tasks.similarity import Similarity, cosines
from transept.use.loaded import load
from unit.tasks.made_texts import TINY, write_alike
from unit.use.made import shaken, theirs

LEARN = ("start=null", TINY, "data.tokenizer={kind: wordpiece, size: 200, lower: true}")


def task(folder: Path, *changes: str, told: list[str] | None = None) -> Similarity:
    recipe = load_recipe("minilm-stsb", [f"data.dir={folder}", "train.batch_tokens=400", *changes])
    return Similarity(recipe, say=(told if told is not None else []).append)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_alike(tmp_path)


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_cosines_and_gradients_are_those_of_sentence_transformers(folder: Path, pool: str) -> None:
    """One batch of a tiny BERT: the vectors of both, and d mean((cos - score)^2) by every weight."""
    start = theirs("BertModel")
    made = task(folder, f"start={start}", f"similarity.pool={pool}", "data.labels=12")
    model = one_stack(made.build()).eval()
    save(folder / "out", model, tokenizer=made.tokenizer, sentences=made.sentences)
    other = SentenceTransformer(str(folder / "out"), device="cpu").eval()
    assert other.max_seq_length == 48
    batch = made.batches("valid", 0)[0]
    loss = made.loss(model, batch)
    (loss.total / loss.count).backward()
    pairs = [made.valid.name(row).split("\t") for row in batch.rows]
    sides = [other(dict(other.tokenize([pair[i] for pair in pairs]))) for i in (0, 1)]
    found = torch.nn.functional.cosine_similarity(*(side["sentence_embedding"] for side in sides))
    torch.testing.assert_close(cosines(model, batch, made.how), found, rtol=1e-4, atol=1e-5)
    right = torch.nn.functional.mse_loss(found, batch.targets)
    torch.testing.assert_close((loss.total / loss.count), right, rtol=1e-4, atol=1e-6)
    right.backward()
    gradients = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}
    named = bert.names(model.spec).to_theirs(gradients)
    for name, parameter in other[0].auto_model.named_parameters():
        if parameter.grad is None:
            assert name.startswith("pooler.")
            continue
        torch.testing.assert_close(named[name], parameter.grad, rtol=2e-3, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_what_is_trained_is_what_the_verb_embeds_by(folder: Path) -> None:
    made = task(folder, f"start={theirs('BertForMaskedLM')}")
    torch.manual_seed(0)
    model = one_stack(shaken(made.build()))
    save(folder / "out", model, tokenizer=made.tokenizer, sentences=made.sentences)
    loaded = load(folder / "out")
    assert str(loaded.embedding) == "the mean of all states, not normalised (modules.json says so)"
    pairs = [made.valid.name(row).split("\t") for row in range(len(made.valid))]
    first, second = (loaded.embed([pair[i] for pair in pairs], normalise=True) for i in (0, 1))
    found = made.measure(model, "valid")
    assert [float(text) for text in found.outputs] == pytest.approx((first * second).sum(1), abs=1e-4)
    assert found.loss == pytest.approx(float(np.square((first * second).sum(1) - made.valid.own).mean()), rel=1e-3)
    assert set(found.values()) == {"loss", "pearson", "spearman"}


def test_batches_count_both_texts(folder: Path) -> None:
    batches = task(folder, *LEARN, "data.together=null").batches("train", 0)
    assert sorted(row for i in range(len(batches)) for row in batches[i].rows) == list(range(60))
    for i in range(len(batches)):
        batch = batches[i]
        assert len(batch.inputs) == 2 * len(batch.rows) == 2 * batch.tokens and batch.inputs.numel() <= 400
        assert not (batch.more["segments"]).any()  # each text is alone


def test_no_head_learns_and_none_that_scores_is_kept(folder: Path) -> None:
    told: list[str] = []
    made = task(folder, f"start={theirs('BertForPreTraining')}", told=told)
    assert any("a new head, Pooled, begins in place of Vocabulary, over the pooler that it had" in t for t in told), (
        told
    )
    model = one_stack(made.build())
    made.loss(model, made.batches("train", 0)[0]).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith("head."), name
    own = task(folder, f"start={theirs('GPT2Model')}", "similarity.pool=last", told=told)
    assert str(own.how).startswith("the last state")


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (InvalidData, r"train.csv:\d+: the number \d is out of range: similarity.scores says 0 to 1",
         ("similarity.scores=[0.0, 1.0]",)),
        (InvalidConfig, r"scores \[5.0, 0.0\] must rise", ("similarity.scores=[5.0, 0.0]",)),
        (InvalidData, r"train.csv:1: similarity is of pairs, and no column is the second text",
         ("data.head=[sentence, more, score]",)),
        (InvalidConfig, "similarity is of texts, and this model reads pictures",
         ("model={family: vit, size: tiny-16}",)),
        (InvalidData, r"train.csv:\d+: the row has \d+ tokens, and may have 4", ("data.length=4", "data.long=refuse")),
        (InvalidConfig, "data.labels: 99 examples are wanted, and there are 60", ("data.labels=99",)),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    folder: Path, error: type[TranseptError], match: str, changes: tuple[str, ...]
) -> None:
    with pytest.raises(error, match=match) as told:
        task(folder, *LEARN, *changes)
    assert told.value.exit_code == 3
