"""Tagging: Hugging Face's loss and gradients, the verb `tag`, spans, batches, what is refused."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, BertForTokenClassification

from transept.data.tagged import words_of
from transept.errors import InvalidConfig, InvalidData, TranseptError
from transept.families import bert
from transept.heads.classes import Tags
from transept.hub.directory import save
from transept.recipes.recipe import load_recipe
from transept.tasks.classifying import one_stack
from transept.tasks.grades import entity_f1
from transept.tasks.tagging import Tagging
from transept.tasks.tags import word_scores
from transept.use.loaded import load
from unit.tasks.made_texts import TINY, write_tagged
from unit.use.made import shaken, theirs

NAMES = ("data.train=train.tsv", "data.valid=dev.tsv", "train.batch_tokens=100", "evaluate.best=null")
LEARN = ("start=null", TINY, "data.tokenizer={kind: wordpiece, size: 60, lower: true}")


def task(folder: Path, *changes: str, told: list[str] | None = None) -> Tagging:
    recipe = load_recipe("pos-tagging", [f"data.dir={folder}", *NAMES, *changes])
    return Tagging(recipe, say=(told if told is not None else []).append)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tagged(tmp_path)


def test_loss_and_gradients_are_hugging_faces(folder: Path) -> None:
    start = theirs("BertForTokenClassification", ("ADJ", "DET", "NOUN", "PUNCT"))
    told: list[str] = []
    made = task(folder, f"start={start}", told=told)
    assert any("its head goes on" in line for line in told), told
    model = one_stack(made.build()).eval()
    batch = made.batches("valid", 0)[0]
    assert ((batch.labels != -100).sum(1) == 4).all() and (batch.labels[:, 0] == -100).all()
    loss = made.loss(model, batch)
    (loss.total / loss.count).backward()
    other = BertForTokenClassification.from_pretrained(start).eval()
    mask = torch.ones_like(batch.inputs) if batch.valid is None else batch.valid.long()
    right = other(batch.inputs, attention_mask=mask, token_type_ids=batch.segments, labels=batch.labels)
    torch.testing.assert_close(loss.nll / loss.count, right.loss, rtol=1e-4, atol=1e-5)
    right.loss.backward()
    named = bert.names(model.spec).to_theirs(
        {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    )
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(named[name], parameter.grad, rtol=2e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_the_verb_tags_as_the_task_measures(folder: Path, tmp_path: Path) -> None:
    made = task(folder, *LEARN)
    assert isinstance(made.spec.head, Tags) and made.labels == ("ADJ", "DET", "NOUN", "PUNCT")
    assert max(len(row.ids) for row in made.train.source.rows) > 6  # some words are several pieces
    torch.manual_seed(0)
    model = one_stack(shaken(made.build(), scale=0.5))
    save(tmp_path / "out", model, tokenizer=made.tokenizer, labels=made.labels)
    found = made.measure(model, "valid").outputs
    asked = load(tmp_path / "out").tag(made.valid.texts.texts)
    assert [" ".join(word.label for word in one.words) for one in asked] == found
    assert len({tag for line in found for tag in line.split()}) > 1
    other = AutoModelForTokenClassification.from_pretrained(tmp_path / "out").eval()
    assert list(other.config.id2label.values()) == list(made.labels)
    batch = made.valid.batch(np.arange(1))
    right = other(batch.inputs, token_type_ids=batch.segments).logits
    states, entered = model.hidden(batch.inputs)
    torch.testing.assert_close(model.head(states, entered), right, rtol=1e-4, atol=1e-4)


def test_samples_are_not_read_again(folder: Path) -> None:
    told: list[str] = []
    made = task(folder, *LEARN, "train.samples=5", "data.length=5", "data.long=cut", told=told)
    assert sum("were cut" in line for line in told) == 2
    torch.manual_seed(0)
    model = shaken(made.build(), scale=0.5)
    samples = made.samples(model)
    assert [sample["reference"].split() for sample in samples] == [list(tags) for tags in made.valid.texts.tags[::4]]
    assert sum("were cut" in line for line in told) == 2


def test_spans_are_scored_whole(tmp_path: Path) -> None:
    made = task(write_tagged(tmp_path, spans=True), *LEARN)
    assert (made.score, made.higher) == ("entity_f1", True)
    torch.manual_seed(0)
    assert set(made.evaluate(made.build())) == {"loss", "accuracy", "entity_f1", "precision", "recall"}
    with pytest.raises(InvalidConfig, match="evaluate.best is entity_f1, and the tags are not those of spans"):
        task(write_tagged(tmp_path), *LEARN, "evaluate.best=entity_f1")


def test_entity_f1_counts_spans() -> None:
    right = [["B-X", "I-X", "O"], ["O", "B-Y", "B-Y"], ["O", "O", "O"]]
    found = [["B-X", "O", "O"], ["O", "B-Y", "B-Y"], ["B-Z", "O", "O"]]
    score, precision, recall = entity_f1(found, right, 200)
    assert (precision, recall) == (pytest.approx(50), pytest.approx(200 / 3))
    assert score.value == pytest.approx(100 * 4 / 7)
    assert score.interval is not None and score.interval[0] <= score.value <= score.interval[1]
    assert entity_f1(right, right)[0].value == 100 and entity_f1([["O"]], [["O"]])[0].value == 0
    tags = ("O", "B-X", "I-X")
    for a, b in itertools.product(itertools.product(tags, repeat=3), repeat=2):  # one way round is the other
        one, other = entity_f1([list(a)], [list(b)]), entity_f1([list(b)], [list(a)])
        assert one[0].value == pytest.approx(other[0].value) and one[1] == pytest.approx(other[2])


def test_words_of_which_nothing_is_left_count_as_wrong(folder: Path) -> None:
    dev = folder / "dev.tsv"
    dev.write_text("a\tDET\n\u200d\tNOUN\n.\tPUNCT\n\n" + dev.read_text())
    made = task(folder, *LEARN)
    assert made.valid.unseen == 1
    assert ("valid", "1 words have no token of their own, and count as wrong") in made.trial()
    torch.manual_seed(0)
    found = made.measure(made.build(), "valid")
    assert found.outputs[0].split()[1] == "?" and found.tokens == len(made.valid.tags) - 1


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (InvalidData, r"dev.tsv:1: the tag 'DET' is none of data.classes|the label 'DET' is none of data.classes",
         ("data.classes=[ADJ, NOUN]",)),
        (InvalidConfig, "tagging is of texts, and this model reads pictures|has another head than tagging trains",
         ("model={family: vit, size: tiny-16}",)),
        (InvalidConfig, "model.labels is 3, and there are 4 tags", (TINY[:-1] + ", labels: 3}",)),
        (InvalidData, r"train.tsv:1: the row has \d+ tokens, and may have 4", ("data.length=4",)),
        (InvalidConfig, "model.head: masked has another head than tagging trains", (TINY[:-1] + ", head: masked}",)),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    folder: Path, error: type[TranseptError], match: str, changes: tuple[str, ...]
) -> None:
    with pytest.raises(error, match=match) as told:
        task(folder, *LEARN, *changes)
    assert told.value.exit_code == 3


TREES = "model.positions=structural + relative(3) + tree(3)"


def write_treebank(path: Path, *, root: str = "0") -> Path:
    """Two sentences, the second of which has no article; `root` is the head of the first one's root."""
    whole = [("the", "DET", "2"), ("dogs", "NOUN", "3"), ("bark", "VERB", root), (".", "PUNCT", "3")]
    lines: list[str] = []
    for sentence in (whole, [("dogs", "NOUN", "2"), ("bark", "VERB", "0")]):
        lines += [f"{i}\t{word}\t_\t{tag}\t_\t_\t{head}\t_\t_\t_" for i, (word, tag, head) in enumerate(sentence, 1)]
        lines.append("")
    path.write_text("\n".join([*lines, ""]))
    return path


def test_a_treebank_gives_its_trees_to_positions_that_read_them(tmp_path: Path) -> None:
    """Each token stands where its word does, padding nowhere; and what the trees say changes the scores."""
    write_treebank(tmp_path / "train.conllu")
    write_treebank(tmp_path / "dev.conllu")
    files = ("data.train=train.conllu", "data.valid=dev.conllu")
    made = task(tmp_path, *LEARN, *files, TREES)
    batch = made.split("valid").batch(np.array([0, 1]))
    assert batch.tree is not None and batch.tree.shape == (*batch.inputs.shape, 3)
    for row, depths in enumerate(((2, 1, 0, 1), (1, 0))):
        at = [place for place in made.valid.places[row] if place is not None]
        assert batch.tree[row, at, 0].tolist() == list(depths)
        assert batch.tree[row, 0].tolist() == [0, 0, len(depths)]  # [CLS] stands at the root
    model = one_stack(made.build()).train()
    loss = made.loss(model, batch)
    loss.total.backward()
    order = model.embed.position  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in order.parameters())
    assert task(tmp_path, *LEARN, *files).split("valid").batch(np.array([0])).tree is None
    upright = replace(batch, tree=torch.zeros_like(batch.tree))
    model.eval()
    assert not torch.allclose(word_scores(model, upright), word_scores(model, batch), rtol=1e-4, atol=1e-4)
    save(tmp_path / "model", model, tokenizer=made.tokenizer, labels=made.labels)
    with pytest.raises(TranseptError, match="no tree was given") as caught:
        load(tmp_path / "model").tag("the dogs bark .")
    assert "eval MODEL --data FILE.conllu" in str(caught.value.remedy)


def test_the_pieces_of_a_word_stand_where_it_does(tmp_path: Path) -> None:
    write_treebank(tmp_path / "train.conllu")
    made = task(tmp_path, *LEARN, "data.train=train.conllu", "data.valid=train.conllu", TREES)
    words = ["the", "doger", "dogs"]
    (row,) = made.tokenizer.encodings([" ".join(words)])
    found = words_of(words, row)
    assert found[0] is None and found[-1] is None  # [CLS] and [SEP]
    pieces = [" ".join(words)[start:end] for start, end in row.spans[1:-1]]
    spelt = ["".join(p for p, n in zip(pieces, found[1:-1], strict=True) if n == number) for number in range(3)]
    assert spelt == words and found.count(1) > 1


@pytest.mark.parametrize(
    ("train", "changes", "reason"),
    [
        ("train.tsv", (), "places in dependency trees, and this file holds none"),
        ("none.conllu", (), "none.conllu:1: a tree has one root, and no word hangs from 0"),
    ],
)
def test_a_tree_that_is_none_is_refused(folder: Path, train: str, changes: tuple[str, ...], reason: str) -> None:
    write_treebank(folder / "none.conllu", root="1")
    with pytest.raises(InvalidData, match=reason) as caught:
        task(folder, *LEARN, f"data.train={train}", f"data.valid={train}", TREES, *changes)
    assert "conllu" in str(caught.value.remedy) or "0 for one word, the root" in str(caught.value.remedy)
