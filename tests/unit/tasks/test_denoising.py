"""Denoisers: the decoder writes what was there, losses however rows are parted, and what is refused."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from transept.data.batches import IGNORED
from transept.errors import TranseptError
from transept.tasks.denoising import Denoising
from unit.tasks.made_pretraining import BART, GPT2, T5, assert_equal, made, moved, whole


@pytest.mark.parametrize(
    ("model", "noise"),
    [
        (T5, "{kinds: [spans]}"),
        (BART, "{kinds: [permute, infill], rate: 0.3}"),
        (BART, "{kinds: [delete, rotate], rate: 0.2}"),
        (BART, "{kinds: [mask], rate: 0.2}"),
    ],
)
@pytest.mark.parametrize("rows", ["padded", "windows"])
def test_the_decoder_writes_what_was_there(tmp_path: Path, model: dict[str, Any], noise: str, rows: str) -> None:
    changes = ("data.tokenizer.size=370", f"noise={noise}", f"data.rows={rows}", "data.length=24")
    task: Denoising = made(tmp_path, "denoising", model, *changes)
    own, batches, seen = task.tokenizer, task.batches("train", 0), 0
    for batch in batches:
        assert batch.source.size(1) <= 24
        for row in range(len(batch)):
            source = batch.source[row][batch.source_valid[row]].tolist()
            target = batch.labels[row][batch.labels[row] != IGNORED].tolist()
            assert (int(batch.target[row, 0]), source[-1], target[-1]) == (task.start, own.eos, own.eos)
            first, last = batches.spans[batch.rows[row]].tolist()
            ids = task.train.ids[first:last].tolist()
            seen += len(ids)
            if task.by_spans:
                cut = [i for i, token in enumerate(target) if token in task.sentinels] + [len(target) - 1]
                spans = {target[a]: target[a + 1 : b] for a, b in pairwise(cut)}
                assert [t for token in source[:-1] for t in spans.get(token, [token])] == ids
            else:
                assert target == [own.bos, *ids, own.eos]
    assert seen >= (1 if rows == "windows" else len(task.train.ids))
    model_ = moved(task)
    once, parted = whole(task, model_, batches), [part for batch in batches for part in batch.split(len(batch))]
    assert_equal(once, whole(task, model_, parted))
    again = task.batches("train", 0)[0]
    assert torch.equal(again.source, batches[0].source)
    assert 0 <= task.evaluate(model_)["accuracy"] <= 100
    assert set(task.samples(model_)[0]) == {"source", "reference", "output"}


@pytest.mark.parametrize(
    ("model", "changes", "words"),
    [
        (T5, ("data.rows=segments", "data.tokenizer.size=400"), "the model of this task sees whole rows"),
        (GPT2, ("data.tokenizer.size=400",), "an encoder that reads text and a decoder that writes it"),
        (T5, ("data.rows=packed", "data.tokenizer.size=400"), "for models of one stack"),
        (T5, ("data.tokenizer.file=nowhere",), "there is no tokenizer at nowhere"),
        (T5, ("noise={kinds: [mask, spans]}",), "go with no other kind of noise"),
        (BART, ("noise={kinds: [mask, permute]}",), "permute comes first"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_first_step(
    tmp_path: Path, model: dict[str, Any], changes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(TranseptError, match=words) as caught:
        made(tmp_path, "denoising", model, *changes).batches("train", 0)
    assert caught.value.exit_code == 3
