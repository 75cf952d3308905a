"""Classification of texts: Hugging Face's loss and gradients, batches, the head that a model gets, what is refused."""

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from transept.errors import InvalidConfig, InvalidData, TranseptError
from transept.families import bert, distilbert, gpt2, roberta
from transept.heads.classes import Classes
from transept.hub.directory import save
from transept.recipes.recipe import load_recipe
from transept.tasks.classification import Classification
from transept.tasks.classifying import each, measure_classes, one_stack, scores_of
from transept.tasks.examples import TextSource
from transept.use.loaded import load
from unit.tasks.made_texts import TINY, write_alike, write_reviews
from unit.use.made import shaken, theirs

POOLED = bert.declare(vocab=9, width=32, hidden=4, heads=4, depth=1, head="pooled").head
LEARN = ("start=null", TINY, "data.tokenizer={kind: wordpiece, size: 200, lower: true}", "data.length=null")


def task(name: str, folder: Path, *changes: str, told: list[str] | None = None) -> Classification:
    recipe = load_recipe(name, [f"data.dir={folder}", "train.batch_tokens=120", *changes])
    return Classification(recipe, say=(told if told is not None else []).append)  # type: ignore[arg-type]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    return write_reviews(tmp_path)


@pytest.fixture
def alike(tmp_path: Path) -> Path:
    return write_alike(tmp_path)


# ------------------------------------------------------------------ Hugging Face's loss and gradients

CASES: dict[str, ModuleType] = {
    "BertForSequenceClassification": bert,
    "DistilBertForSequenceClassification": distilbert,
    "RobertaForSequenceClassification": roberta,
    "GPT2ForSequenceClassification": gpt2,
}


def of_theirs(folder: Path, architecture: str, labels: tuple[str, ...] = ()) -> Path:
    """A tiny model of theirs, whose padding token is its tokenizer's, as RoBERTa's positions ask."""
    more: dict[str, Any] = {"pad_token_id": 0} if architecture.startswith("Roberta") else {}
    shutil.copytree(theirs(architecture, labels, **more), folder)
    if architecture.startswith("DistilBert"):  # it has another word for it
        config = json.loads((folder / "config.json").read_text())
        del config["intermediate_size"]
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("architecture", CASES)
@pytest.mark.parametrize("numbers", [False, True], ids=["classes", "number"])
def test_loss_and_gradients_are_hugging_faces(tmp_path: Path, architecture: str, numbers: bool) -> None:
    """One batch of pairs, or for GPT-2, whose rows theirs parts by a padding token, of one row."""
    family = CASES[architecture]
    labels = ("LABEL_0",) if numbers else ("LABEL_0", "LABEL_1", "LABEL_2")
    start = of_theirs(tmp_path / "start", architecture, labels)
    rows = ["the cat sat,a dog sat.,2", "ada lived in london,who?,0", "paris is in france,the capital.,1"]
    rows = rows[:1] if architecture.startswith("GPT2") else rows
    for name in ("train.csv", "dev.csv"):
        (tmp_path / name).write_text("".join(f"{row}\n" for row in rows))
    changes = ["train.batch_tokens=400"]
    if not numbers:
        changes += ["classify={target: class}", "evaluate={best: mcc}", "data.classes=[LABEL_0, LABEL_1, LABEL_2]"]
    told: list[str] = []
    made = task("stsb", tmp_path, f"start={start}", *changes, told=told)
    assert any("its head goes on" in line for line in told), told
    model = one_stack(made.build()).eval()
    batch = made.batches("valid", 0)[0]
    assert len(batch.rows) == len(rows)
    loss = made.loss(model, batch)
    loss.total.div(loss.count).backward()
    other = getattr(transformers, architecture).from_pretrained(start).eval()
    given = {"input_ids": batch.inputs, "labels": batch.targets}
    given["attention_mask"] = torch.ones_like(batch.inputs) if batch.valid is None else batch.valid.long()
    if "segments" in batch.more:
        given["token_type_ids"] = batch.more["segments"]
        assert batch.more["segments"].any()
    right = other(**given)
    torch.testing.assert_close(loss.nll / loss.count, right.loss, rtol=1e-4, atol=1e-5)
    right.loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert any(name.startswith("head.") for name in gradients)
    found = family.names(model.spec).to_theirs(gradients | {
        name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items() if name not in gradients
    })  # fmt: skip
    for name, parameter in other.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(found[name], parameter.grad, rtol=2e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


# ------------------------------------------------------------------ batches


def test_batches_go_by_tokens_and_by_texts(reviews: Path) -> None:
    made = task("sst2", reviews, *LEARN, "data.together=5")
    batches = made.batches("train", 0)
    sizes = [len(batches[i].rows) for i in range(len(batches))]
    assert max(sizes) == 5 and sum(sizes) == 60
    wide = task("sst2", reviews, *LEARN, "data.together=null").batches("train", 0)
    assert max(len(wide[i].rows) for i in range(len(wide))) > 5
    for i in range(len(wide)):
        assert wide[i].inputs.numel() <= 120
    again = task("sst2", reviews, *LEARN, "data.together=5").batches("train", 0)
    assert [again[i].rows for i in range(len(again))] == [batches[i].rows for i in range(len(batches))]
    assert wide.largest() == max(range(len(wide)), key=lambda i: wide[i].inputs.numel())


def test_pairs_have_segments_where_the_model_has(alike: Path) -> None:
    batch = task("stsb", alike, *LEARN).batches("train", 0)[0]
    sep = (batch.inputs == 3).long()  # [SEP] ends each of the two
    after = sep.cumsum(1) - sep
    real = torch.ones_like(after, dtype=torch.bool) if batch.valid is None else batch.valid
    assert torch.equal(batch.more["segments"][real], after[real])
    plain = task("stsb", alike, *LEARN[:1], *LEARN[2:],
                 "model={family: distilbert, width: 16, hidden: 32, heads: 2, depth: 1, length: 64}")  # fmt: skip
    assert not plain.batches("train", 0)[0].more


def test_few_labels_are_among_more(reviews: Path) -> None:
    kept = {n: task("sst2", reviews, *LEARN, f"data.labels={n}").train for n in (2, 5)}
    for n, data in kept.items():
        assert np.bincount(data.own.astype(int)).tolist() == [n, n]
    assert set(kept[2].rows) < set(kept[5].rows)
    other = task("sst2", reviews, *LEARN, "data.labels=5", "train.seed=2").train
    assert set(other.rows) != set(kept[5].rows)
    assert len(task("stsb", write_alike(reviews), *LEARN, "data.labels=7").train) == 7
    with pytest.raises(InvalidConfig, match="data.labels: 31 examples are wanted, and the class '0' has 30"):
        task("sst2", reviews, *LEARN, "data.labels=31")


# ------------------------------------------------------------------ the head, the tokenizer


@pytest.mark.parametrize(
    ("architecture", "head", "said"),
    [
        ("BertModel", Classes(2, "first", POOLED.dense, 0.1), "over the pooler"),  # type: ignore[attr-defined]
        ("BertForPreTraining", None, "over the pooler"),
        ("BertForMaskedLM", None, "in place of Vocabulary"),
        ("DistilBertModel", None, "in place of States"),
        ("RobertaForMaskedLM", None, "in place of Vocabulary"),
        ("GPT2LMHeadModel", Classes(2, "last", bias=False), "in place of Vocabulary"),
    ],
)  # fmt: skip
def test_a_model_gets_its_familys_head(
    reviews: Path, tmp_path: Path, architecture: str, head: Classes | None, said: str
) -> None:
    """Hugging Face loads what is made, and what of its head the model had goes on."""
    told: list[str] = []
    start = of_theirs(tmp_path / "start", architecture)
    made = task("sst2", reviews, f"start={start}", "data.classes=null", told=told)
    assert any(said in line and "a new head, Classes of 2" in line for line in told), told
    if head is not None:
        assert made.spec.head == head
    torch.manual_seed(0)
    model = one_stack(made.build())
    was = load(start).model.state_dict()
    for name, tensor in model.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(tensor, was[name]), name
    pooler = {"BertModel": "head.", "BertForPreTraining": "second."}.get(architecture)
    if pooler:
        for part in ("weight", "bias"):
            assert torch.equal(model.state_dict()[f"head.dense.linear.{part}"], was[f"{pooler}dense.linear.{part}"])
    shaken(model)
    save(tmp_path / "out", model, tokenizer=made.preparation, labels=made.labels)  # type: ignore[arg-type]
    other = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    assert other.config.id2label == {0: "0", 1: "1"}
    batch = made.valid.batch(np.arange(1))
    given = {"token_type_ids": batch.more["segments"]} if batch.more else {}
    right = other(input_ids=batch.inputs, **given).logits
    torch.testing.assert_close(scores_of(model, batch)[0], right, rtol=1e-4, atol=1e-4)
    words = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert words(made.valid.name(0))["input_ids"] == batch.inputs[0].tolist()


def test_what_is_trained_is_what_is_asked(reviews: Path, tmp_path: Path) -> None:
    """The verb classifies as the task measures, in batches and alone."""
    made = task("sst2", reviews, *LEARN)
    torch.manual_seed(0)
    model = one_stack(shaken(made.build(), scale=0.5))
    save(tmp_path / "out", model, tokenizer=made.preparation, labels=made.labels)  # type: ignore[arg-type]
    found = measure_classes(model, made.valid, made.labels, 200)[0]
    loaded = load(tmp_path / "out")
    asked = loaded.classify([made.valid.name(row) for row in range(len(made.valid))])
    assert [str(label) for label in asked] == found.outputs
    shares = {row: shares for batch in each(made.batches("valid", 0)) for row, shares in
              zip(batch.rows, scores_of(model, batch)[0].softmax(1).tolist(), strict=True)}  # fmt: skip
    for row, label in enumerate(asked):
        assert [label.scores[name] for name in made.labels] == pytest.approx(shares[row], abs=1e-5)
    assert len({round(one.probability or 0, 6) for one in asked}) > 5


@pytest.mark.parametrize("kind", ["wordpiece", "byte_bpe", "character"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_vocabulary_is_learned_with_the_signs_that_the_model_needs(alike: Path, family: str, kind: str) -> None:
    words = "hidden: 32, " if family == "bert" else ""
    model = f"model={{family: {family}, width: 16, {words}heads: 2, depth: 1, length: 128}}"
    tokens = f"data.tokenizer={{kind: {kind}, size: 300}}"
    made = task("stsb", alike, "start=null", model, tokens, "train.batch_tokens=2000")
    assert isinstance(made.train.source, TextSource)
    row, tokenizer = made.train.source.rows[0], made.train.source.tokenizer
    assert made.spec.embed.vocab == tokenizer.vocab  # type: ignore[attr-defined]
    if family == "gpt2":  # it looks back: an end behind each text, and the last tells
        assert row.texts[-1] is None and row.ids[-1] == tokenizer.eos and row.ids.count(row.ids[-1]) == 2
    else:
        assert row.ids[0] == tokenizer.cls and row.texts[0] is None and row.ids[-1] == tokenizer.sep
    torch.manual_seed(0)
    assert bool(made.loss(made.build(), made.batches("train", 0)[0]).total.isfinite())


# ------------------------------------------------------------------ what is refused


def check(error: type[TranseptError], match: str, folder: Path, *changes: str, name: str = "sst2") -> None:
    with pytest.raises(error, match=match) as told:
        task(name, folder, *LEARN, *changes)
    assert told.value.exit_code == 3


def test_labels_that_do_not_fit_are_named_with_their_line(reviews: Path) -> None:
    dev = reviews / "dev.tsv"
    lines = dev.read_text().splitlines()
    dev.write_text("\n".join([*lines[:3], "a fine film\t2", *lines[3:]]) + "\n")
    check(InvalidData, r"dev.tsv:4: the label 2 is out of range: there are 2 classes, counted from 0", reviews)
    check(InvalidData, r"dev.tsv:4: the label '2' is none of the training's classes", reviews, "data.classes=null")
    check(InvalidData, r"train.tsv:2: the label '1' is out of range: the model scores 1 classes", reviews,
          "data.classes=null", TINY[:-1] + ", labels: 1}")  # fmt: skip
    train = reviews / "train.tsv"
    train.write_text(train.read_text() + "lone\t7\n")
    check(InvalidData, r"train.tsv:61: the class '7' has a single example, and a share cannot be held out of one",
          reviews, "data.classes=null", "data.valid=null", "data.hold={share: 0.2}")  # fmt: skip
    check(InvalidData, r"train.tsv:61: the label 7 is out of range: there are 2 classes, counted from 0", reviews,
          "data.valid=null", "data.hold={share: 0.2}")  # fmt: skip
    (reviews / "train.csv").write_text("a,b,x\n")
    check(InvalidData, r"train.csv:1: the label 'x' is no finite number", reviews, name="stsb")


def test_what_a_text_has_not_is_refused(reviews: Path) -> None:
    check(InvalidConfig, "data.augment changes pictures or sounds", reviews, "data.augment={mixup: 0.2}")
    check(InvalidConfig, "data.perturb changes pictures or sounds", reviews, "data.perturb={noise: 0.2}")
    check(InvalidConfig, "tune.times hides parts of sound", reviews, "tune.times=0.1")
    check(InvalidConfig, r"train.tsv:1|model.head: masked has another head", reviews, TINY[:-1] + ", head: masked}")
    seq = "model={family: transformer, size: tiny}"
    check(InvalidConfig, "has an encoder and a decoder, and classification needs one stack", reviews, seq)


def test_long_texts_are_refused_or_cut(reviews: Path) -> None:
    check(InvalidData, r"train.tsv:\d+: the row has \d+ tokens, and may have 6", reviews, "data.length=6",
          "data.long=refuse")  # fmt: skip
    told: list[str] = []
    made = task("sst2", reviews, *LEARN, "data.length=6", "data.long=cut", told=told)
    assert any("were cut to 6 tokens" in line for line in told), told
    assert int(made.train.source.lengths(True).max()) == 6
    assert isinstance(made.train.source, TextSource)
    assert all(row.ids[-1] == made.train.source.tokenizer.sep for row in made.train.source.rows)


def test_weights_by_name(reviews: Path) -> None:
    made = task("sst2", reviews, *LEARN, "classify.weights={negative: 3, positive: 1}")
    assert made.weights is not None and made.weights.tolist() == pytest.approx([1.5, 0.5])
    check(InvalidConfig, "there is no class 'positiv'. Did you mean 'positive'", reviews,
          "classify.weights={negative: 3, positiv: 1}")  # fmt: skip
    check(InvalidConfig, "has nothing for the class 'positive'", reviews, "classify.weights={negative: 3}")


def test_a_missing_number_is_no_class(tmp_path: Path, reviews: Path) -> None:
    """As a spreadsheet or pandas writes an empty cell."""
    rows = (reviews / "train.tsv").read_text().splitlines()
    rows[2] = f"{rows[2].partition(chr(9))[0]}\tnan"
    (reviews / "train.tsv").write_text("".join(f"{row}\n" for row in rows))
    with pytest.raises(InvalidData, match=r"train.tsv:3: the label is 'nan', a missing number among numbers"):
        task("sst2", reviews, *LEARN, "data.classes=null")
    assert task("sst2", reviews, *LEARN, "data.classes=['0', '1', 'nan']").labels == ("0", "1", "nan")


def test_what_the_validation_lacks_is_said_before_training(reviews: Path) -> None:
    assert "valid" not in task("sst2", reviews, *LEARN).facts()
    rows = (reviews / "dev.tsv").read_text().splitlines(keepends=True)
    (reviews / "dev.tsv").write_text("".join(row for row in rows if row.endswith("\t1\n")))
    assert task("sst2", reviews, *LEARN).facts()["valid"] == "has no example of negative"
