"""Documents with a class, read sentence by sentence: batches, the loss, the verb, a person's run, what is refused."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from typer.testing import CliRunner

from transept.cli.main import app
from transept.data.parted import parted, stacked
from transept.errors import InvalidData
from transept.hub.directory import save
from transept.recipes.recipe import load_recipe
from transept.tasks.classification import Classification
from transept.tasks.classifying import one_stack
from transept.use.loaded import load
from unit.tasks.made_texts import write_alike

HAN = "model={family: han, inner: 16, hidden: 8, align: 8}"
LEARN = ("start=null", HAN, "data.tokenizer={kind: wordpiece, size: 200, lower: true}", "data.length=null")
SAID = {1: "It was lovely.", 0: "It was dull."}


def write_documents(folder: Path, count: int = 60) -> Path:
    """train.tsv and dev.tsv: some sentences of which one tells the class, wherever it stands."""
    draws, others = random.Random(0), ["The day was long.", "We saw a song?", "A tale went on and on!"]
    for split, rows in (("train", count), ("dev", count // 3)):
        lines = []
        for i in range(rows):
            said = draws.sample(others, draws.randint(0, 3))
            said.insert(draws.randint(0, len(said)), SAID[i % 2])
            lines.append(f"{' '.join(said)}\t{i % 2}\n")
        (folder / f"{split}.tsv").write_text("".join(lines))
    return folder


def task(folder: Path, *changes: str) -> Classification:
    files = ("data.train=train.tsv", "data.valid=dev.tsv", "train.batch_tokens=120")
    return Classification(load_recipe("sst2", [f"data.dir={folder}", *files, *LEARN, *changes]), say=[].append)  # type: ignore[arg-type]


def saved(made: Classification, folder: Path, model: torch.nn.Module | None = None) -> Path:
    save(folder, model or made.build(), tokenizer=made.preparation, labels=made.labels)  # type: ignore[arg-type]
    return folder


def test_a_batch_is_documents_of_sentences_of_words(tmp_path: Path) -> None:
    made = task(write_documents(tmp_path))
    batches = made.batches("train", 0)
    rows = [row for index in range(len(batches)) for row in batches[index].rows]
    assert sorted(rows) == list(range(60))
    for index in range(len(batches)):
        batch = batches[index]
        assert batch.inputs.dim() == 3 and batch.inputs.numel() <= 120 * 4  # sentences of rows differ in number
        for document, row in zip(batch.inputs, batch.rows, strict=True):
            (text,) = [made.train.source.texts.texts[row]]  # type: ignore[attr-defined]
            own = parted(text, made.train.source.rows[row])  # type: ignore[attr-defined]
            assert len(own) == text.count(".") + text.count("?") + text.count("!")
            valid = batch.inputs >= 0 if batch.valid is None else batch.valid
            real = valid[batch.rows.index(row)]
            assert document[real].tolist() == [token for sentence in own for token in sentence]


def test_loss_and_gradients_are_those_of_documents_by_themselves(tmp_path: Path) -> None:
    """And the verb says what the task measures, however texts are laid beside each other."""
    made = task(write_documents(tmp_path))
    model = one_stack(made.build()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    batch = made.valid.batch(np.arange(20))
    loss = made.loss(model, batch)
    documents = [parted(made.valid.name(row), made.valid.source.rows[made.valid.rows[row]]) for row in range(20)]  # type: ignore[attr-defined]
    alone = torch.stack([model(*stacked([document], 0)).logits[0] for document in documents])
    wanted = torch.nn.functional.cross_entropy(alone, batch.targets, reduction="sum")
    assert_close(loss.total, wanted, rtol=1e-5, atol=1e-5)
    loss.total.backward()
    got = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    wanted.backward()
    for one, other in zip(got, [p.grad for p in model.parameters()], strict=True):
        assert other is not None
        assert_close(one, other, rtol=1e-4, atol=1e-5)
    labels = load(saved(made, tmp_path / "model", model)).classify([made.valid.name(row) for row in range(20)])
    for label, scores in zip(labels, alone.softmax(1), strict=True):
        assert label.probability == pytest.approx(float(scores.max()), rel=1e-5)
        assert label == made.labels[int(scores.argmax())]


def test_a_person_trains_one_and_asks_it(tmp_path: Path) -> None:
    write_documents(tmp_path)
    run = CliRunner()
    settings = [f"data.dir={tmp_path}", f"run={tmp_path / 'run'}", "data.train=train.tsv", "data.valid=dev.tsv", *LEARN]
    settings += ["train.stop=80u", "train.schedule.rate=0.02", "train.schedule.warmup=5", "train.validate_every=40u"]
    settings += ["train.batch_tokens=400", "train.threads=1"]
    done = run.invoke(app, ["train", "sst2", *settings])
    assert done.exit_code == 0, done.output
    asked = ["We saw a song? It was lovely. The day was long.", "It was dull. A tale went on and on!"]
    said = run.invoke(app, ["classify", str(tmp_path / "run"), *asked])
    assert said.exit_code == 0, said.output
    assert [line.split("\t")[0] for line in said.output.splitlines()[:2]] == ["positive", "negative"]
    judged = run.invoke(app, ["eval", str(tmp_path / "run")])
    assert judged.exit_code == 0 and "20 documents" in judged.output, judged.output
    empty = run.invoke(app, ["classify", str(tmp_path / "run"), " "])
    assert empty.exit_code == 3


def test_pairs_are_no_documents(tmp_path: Path) -> None:
    write_alike(tmp_path)
    changes = ("classify.target=number", "data.train=train.csv", "data.valid=dev.csv", *LEARN, f"data.dir={tmp_path}")
    recipe = load_recipe("stsb", [*changes])
    with pytest.raises(InvalidData, match=r"train.csv:1: rows are pairs of texts, and this model reads documents"):
        Classification(recipe, say=[].append)  # type: ignore[arg-type]
    loaded = load(saved(task(write_documents(tmp_path)), tmp_path / "model"))
    with pytest.raises(InvalidData, match="a pair of texts, and this model reads documents"):
        loaded.classify([("one.", "two.")])
