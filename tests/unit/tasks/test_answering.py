"""Answering: Hugging Face's loss and gradients, the verb `answer`, SQuAD's measures, batches, windows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForQuestionAnswering

from transept.errors import InvalidConfig, InvalidData, TranseptError
from transept.families import bert
from transept.heads.classes import Spans
from transept.hub.directory import save
from transept.recipes.recipe import load_recipe
from transept.tasks import windows
from transept.tasks.answering import Answering
from transept.tasks.classifying import one_stack
from transept.tasks.windows import answered, plain, word_f1
from transept.use.loaded import load
from unit.tasks.made_texts import TINY, write_questions
from unit.use.made import shaken, theirs

LEARN = ("start=null", TINY, "data.tokenizer={kind: wordpiece, size: 150, lower: true}")


def task(folder: Path, *changes: str, told: list[str] | None = None) -> Answering:
    files = ("data.train=train.jsonl", "data.valid=dev.jsonl", "data.length=null", "train.batch_tokens=400")
    recipe = load_recipe("squad", [f"data.dir={folder}", *files, *changes])
    return Answering(recipe, say=(told if told is not None else []).append)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_questions(tmp_path)


def test_loss_and_gradients_are_hugging_faces(folder: Path) -> None:
    """Theirs counts padding among the tokens, so rows are of one length."""
    start = theirs("BertForQuestionAnswering")
    told: list[str] = []
    made = task(folder, f"start={start}", told=told)
    assert any("its head goes on" in line for line in told), told
    model = one_stack(made.build()).eval()
    lengths = made.valid.lengths
    batch = made.valid.batch(np.flatnonzero(lengths == np.bincount(lengths).argmax()))
    assert batch.valid is None and len(batch.rows) > 1 and (batch.targets[:, 0] > 0).all()
    loss = made.loss(model, batch)
    (loss.total / loss.count).backward()
    other = BertForQuestionAnswering.from_pretrained(start).eval()
    first, last = batch.targets.unbind(1)
    right = other(batch.inputs, token_type_ids=batch.more["segments"], start_positions=first, end_positions=last)
    torch.testing.assert_close(loss.nll / loss.count, right.loss, rtol=1e-4, atol=1e-5)
    right.loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    named = bert.names(model.spec).to_theirs(gradients)
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(named[name], parameter.grad, rtol=2e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_the_places_are_those_of_the_answers(folder: Path) -> None:
    made = task(folder, *LEARN)
    for row, (first, last), of in zip(made.train.rows, made.train.places.tolist(), made.train.of, strict=True):
        one = made.train.questions.rows[int(of)]
        start, text = one.answers[0]
        assert one.context[row.spans[first][0] : row.spans[last][1]] == text == one.context[start : start + len(text)]
        assert row.texts[first] == row.texts[last] == 1
    short = task(folder, *LEARN, "data.length=16")
    assert len(short.train.rows) > len(made.train.rows) == len(made.train) == len(short.train)
    assert int(short.train.lengths.max()) <= 16
    found = {int(of) for of, place in zip(short.train.of, short.train.places[:, 0], strict=True) if place}
    assert found == set(range(len(short.train)))  # each answer is whole in some window
    assert (short.train.places[:, 0] == 0).any()


@pytest.mark.parametrize("empty", [False, True])
def test_the_verb_answers_as_the_task_measures(tmp_path: Path, empty: bool) -> None:
    made = task(write_questions(tmp_path, empty=empty), *LEARN)
    assert isinstance(made.spec.head, Spans)
    torch.manual_seed(0)
    model = one_stack(shaken(made.build(), scale=0.5))
    save(tmp_path / "out", model, tokenizer=made.tokenizer)
    found = made.measure(model, "valid")
    rows = made.valid.questions.rows
    asked = load(tmp_path / "out").answer([one.question for one in rows], [one.context for one in rows], empty=empty)
    assert [str(one) for one in asked] == found.outputs
    assert set(found.values()) == {"loss", "exact_match", "f1"}


@pytest.mark.parametrize("empty", [False, True])
def test_samples_are_answered_as_the_whole_split_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: bool
) -> None:
    """That nothing is the answer may be said of a sample where any question of the split has none."""
    write_questions(tmp_path, empty=empty)
    lines = (tmp_path / "dev.jsonl").read_text().splitlines()
    (tmp_path / "dev.jsonl").write_text("\n".join([*lines[1:], lines[0]]) + "\n")
    made = task(tmp_path, *LEARN, "data.length=16", "train.samples=5")  # of 20 questions the 1st, 5th, 9th ...
    monkeypatch.setattr(windows, "best_span", lambda scores, row, longest: ((0.1, 0, 3), 0.9))
    model = made.build()
    samples, whole = made.samples(model), made.measure(model, "valid").outputs
    assert all(one.answers for one in made.valid.questions.rows[::4])
    assert [sample["output"] for sample in samples] == whole[::4] == ["" if empty else "the"] * 5
    assert [sample["source"] for sample in samples] == [one.question for one in made.valid.questions.rows[::4]]


def test_some_questions_have_their_own_windows(folder: Path) -> None:
    made = task(folder, *LEARN, "data.length=16").valid
    some = made.select([7, 2])
    again = [row for number in (7, 2) for row in np.flatnonzero(made.of == number).tolist()]
    assert [row.ids for row in some.rows] == [made.rows[row].ids for row in again]
    assert some.of.tolist() == [int(made.of[row] == 2) for row in again]
    assert some.places.tolist() == made.places[again].tolist()
    assert some.lengths.tolist() == [len(row.ids) for row in some.rows]


def test_squads_measures() -> None:
    assert plain("The  Cat's, an A-team!") == "cats ateam"
    assert word_f1("the black cat", "a cat sat") == pytest.approx(2 * 1 / (2 + 2))
    assert (word_f1("", ""), word_f1("the", ""), word_f1("cat", "")) == (1, 1, 0)
    assert word_f1("b b", "b") == pytest.approx(2 / 3)
    found = answered(["The cat.", "dog", ""], [["a dog", "cat"], ["big dog"], [""]], 100)
    assert found["exact_match"].value == pytest.approx(200 / 3)
    assert found["f1"].value == pytest.approx(100 * (1 + 2 / 3 + 1) / 3)
    assert found["f1"].interval is not None and found["f1"].interval[0] <= found["f1"].value


@pytest.mark.parametrize(
    ("error", "match", "changes"),
    [
        (InvalidConfig, "long: cut is for texts; a long context is read in windows", ("data.long=cut",)),
        (InvalidData, r"train.jsonl:1: the question has \d+ tokens, and the model takes 8", ("data.length=8",)),
        (InvalidConfig, "model.head: masked has another head than answering trains", (TINY[:-1] + ", head: masked}",)),
        (InvalidConfig, "data.labels: 99 examples are wanted, and there are 40", ("data.labels=99",)),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, error: type[TranseptError], match: str, changes: tuple[str, ...]
) -> None:
    with pytest.raises(error, match=match):
        task(folder, *LEARN, *changes)
