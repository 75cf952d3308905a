"""Masked language models: what is asked for, losses however rows are laid, second heads, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from transept.data.batches import IGNORED
from transept.errors import InvalidConfig, TranseptError
from transept.hub.directory import save
from transept.models import Model
from transept.parts.loss import Smoothing
from transept.tasks.masked import Masked, masked_loss
from transept.tasks.registry import task_of
from unit.tasks.made_pretraining import BERT, GPT2, assert_equal, made, moved, whole


@pytest.mark.parametrize(
    ("changes", "second"),
    [
        (("data.rows=windows",), "none"),
        (("data.rows=packed",), "none"),
        (("data.rows=padded", "mask.words=whole"), "none"),
        (("data.rows=padded", "mask.second=next"), "next"),
        (("data.rows=padded", "mask.second=order"), "order"),
    ],
)
def test_masks_ask_for_a_share_of_the_text_and_no_sign(tmp_path: Path, changes: tuple[str, ...], second: str) -> None:
    head = "masked" if second == "none" else "pretraining"
    task = made(tmp_path, "masked", BERT | {"head": head}, "data.tokenizer={kind: wordpiece, size: 90}", *changes)
    around = torch.tensor(sorted(task.tokenizer.around))
    asked, places = 0, 0
    for batch in task.batches("train", 0):
        wanted = batch.labels != IGNORED
        assert wanted.any(1).all() and not torch.isin(batch.labels[wanted], around).any()
        assert (batch.inputs[:, 0] == task.tokenizer.cls).all()
        asked, places = asked + int(wanted.sum()), places + int((~torch.isin(batch.inputs, around)).sum())
        assert (batch.classes is not None) == (second != "none")
        if second != "none":
            assert batch.segments is not None and batch.segments.any(1).all()
            begins = batch.segments.diff(dim=1) == 1
            assert (begins.sum(1) == 1).all()
            assert (batch.inputs[:, :-1][begins] == task.tokenizer.sep).all(), "a second text begins behind a sign"
    assert 0.1 < asked / (places + asked) < 0.35  # rows are short: one token at the least
    first, again, other = (task.batches("train", epoch)[0] for epoch in (0, 0, 1))
    assert torch.equal(first.inputs, again.inputs) and not (
        first.inputs.shape == other.inputs.shape and torch.equal(first.inputs, other.inputs)
    )


@pytest.mark.parametrize("second", ["none", "next"])
def test_masked_rows_have_one_loss_however_they_are_parted(tmp_path: Path, second: str) -> None:
    head = "masked" if second == "none" else "pretraining"
    words = ("data.tokenizer={kind: wordpiece, size: 90}", "data.rows=padded", f"mask.second={second}")
    task = made(tmp_path, "masked", BERT | {"head": head}, *words)
    model, batches = moved(task), list(task.batches("train", 0))
    parted = []
    for batch in batches:
        for row in range(len(batch)):
            parts = {
                name: None if (value := getattr(batch, name)) is None else value[row : row + 1]
                for name in ("valid", "segments", "classes")
            }
            width = batch.inputs.size(1) if batch.valid is None else int(batch.valid[row].sum())
            cut = {k: v if v is None or v.ndim == 1 else v[:, :width] for k, v in parts.items()}
            cut["valid"] = None
            parted.append(
                type(batch)(batch.inputs[row : row + 1, :width], batch.labels[row : row + 1, :width], [row], **cut)
            )
    assert_equal(whole(task, model, batches), whole(task, model, parted))
    if second == "next":
        batch = batches[0]
        states, entered = model.hidden(batch.inputs, batch.valid, segments=batch.segments)
        wanted = torch.nn.functional.cross_entropy(model.second(states, entered), batch.classes, reduction="none")
        logits = model.head(states, entered)
        own = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), reduction="sum")
        weights = (batch.labels != IGNORED).sum(1)
        assert float(masked_loss(model, batch, Smoothing()).total) == pytest.approx(
            float(own + (wanted * weights).sum()), rel=1e-5
        )


def test_packed_masks_see_their_own_document_alone(tmp_path: Path) -> None:
    words = ("data.tokenizer={kind: wordpiece, size: 90}", "data.rows=packed")
    task = made(tmp_path, "masked", BERT | {"head": "masked"}, *words)
    model = moved(task)
    batch = next(batch for batch in task.batches("train", 0) if (batch.documents[:, :8] == 1).any())
    states, _ = model.hidden(batch.inputs, documents=batch.documents)
    row = int((batch.documents == 1).any(1).nonzero()[0])
    own = batch.documents[row] == 1
    alone, _ = model.hidden(batch.inputs[row, own][None])
    torch.testing.assert_close(states[row, own], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (BERT | {"head": "masked"}, ("data.rows=segments",), "the model of this task sees whole rows"),
        (GPT2, (), "one stack that looks both ways"),
        (BERT, (), "mask.second=none gives it nothing to learn"),
        (BERT | {"head": "masked"}, ("mask.second=next", "data.rows=padded"), "the model has none"),
        (BERT, ("mask.second=next",), "rows of two texts are padded"),
        (BERT, ("data.tokenizer.kind=character", "mask.second=order", "data.rows=padded",
                          "mask.words=whole"), "no token of this vocabulary says where a word begins"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_first_step(
    tmp_path: Path, model: dict[str, Any], changes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(TranseptError, match=words) as caught:
        made(tmp_path, "masked", model, *changes).batches("train", 0)
    assert caught.value.exit_code == 3


def test_a_tokenizer_without_the_signs_of_a_task_is_refused(tmp_path: Path) -> None:
    language = made(tmp_path, "language", GPT2)
    language.tokenizer.save(tmp_path / "own")
    with pytest.raises(InvalidConfig, match="the tokenizer has no pad token, which masked text needs"):
        made(tmp_path, "masked", BERT | {"head": "masked"}, f"data.tokenizer.file={tmp_path / 'own'}")
    again = made(tmp_path, "language", GPT2, f"data.tokenizer.file={tmp_path / 'own'}")
    assert again.tokenizer.fingerprint == language.tokenizer.fingerprint


def test_a_second_head_of_which_nothing_is_asked_is_let_go(tmp_path: Path) -> None:
    words = ("data.tokenizer={kind: wordpiece, size: 90}", "data.rows=padded")
    task = made(tmp_path, "masked", BERT | {"head": "pretraining"}, *words, "mask.second=next")
    model = moved(task)
    save(tmp_path / "out", model, tokenizer=task.tokenizer)
    said: list[str] = []
    begun = made(tmp_path, "masked", BERT, *words, f"start={tmp_path / 'out'}", say=said.append)
    assert any("second head is let go" in line for line in said)
    assert isinstance(begun.spec, Model) and begun.spec.second is None
    ids = torch.tensor([[5, 6, 7, 8]])
    torch.testing.assert_close(begun.build().eval()(ids).logits, model.eval()(ids).logits, rtol=1e-5, atol=1e-5)


def test_a_model_that_lies_alone_and_fills_is_judged_by_masks() -> None:
    assert task_of("fill", "") is Masked
