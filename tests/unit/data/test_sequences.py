"""Sequences of bits: what is shown, what is due, and that they are always the same."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from transept.data.config import SequencesData
from transept.data.sequences import channels, columns, drawn, make

COPY = SequencesData(bits=3)
REPEAT = SequencesData(kind="repeat_copy", bits=3, most=4, repeats=5)
RECALL = SequencesData(kind="recall", bits=4, least=2, most=5, item=3)
ALL = {"copy": (COPY, 6, 1), "repeat_copy": (REPEAT, 4, 3), "recall": (RECALL, 5, 1)}


@pytest.mark.parametrize("kind", ALL)
def test_shapes_are_told_beforehand(kind: str) -> None:
    data, length, repeats = ALL[kind]
    batch = make(data, 7, length, repeats, (0, 1))
    shown, due = channels(data)
    assert batch.inputs.shape == (7, columns(data, length, repeats), shown)
    assert batch.labels.shape == (7, columns(data, length, repeats), due)
    assert batch.tokens == int(batch.told.sum())
    assert list(batch.rows) == list(range(7))
    assert not batch.inputs[batch.told].any(), "nothing is shown while the answer is due"
    assert not batch.labels[~batch.told].any()
    assert (batch.told.long().diff(dim=1) >= 0).all(), "the answer is at the end"


def test_a_copy_is_what_was_shown() -> None:
    batch = make(COPY, 5, 6, 1, (0,))
    assert torch.equal(batch.labels[:, 7:], batch.inputs[:, :6, :3])
    assert torch.equal(batch.inputs[:, :, 3], torch.eye(13)[6].expand(5, -1))
    assert 0.3 < float(make(COPY, 100, 20, 1, (0,)).labels[:, 21:].mean()) < 0.7


def test_repeated_copies_end_with_a_mark() -> None:
    for repeats in (1, 3, 5):
        batch = make(REPEAT, 5, 4, repeats, (0, repeats))
        shown = batch.inputs[:, :4, :3]
        due = batch.labels[:, 5:]
        assert due.shape[1] == 4 * repeats + 1
        for time in range(repeats):
            assert torch.equal(due[:, 4 * time : 4 * time + 4, :3], shown)
        assert torch.equal(due[:, :, 3], torch.eye(4 * repeats + 1)[-1].expand(5, -1))
        assert not due[:, -1, :3].any()
    told = torch.tensor([float(make(REPEAT, 1, 2, n, (0,)).inputs[0, 2, 4]) for n in range(1, 6)])
    assert float(told.mean()) == pytest.approx(0, abs=1e-6)
    assert float(told.var(unbiased=False)) == pytest.approx(1, rel=1e-5)


def test_one_repeat_alone_has_no_spread() -> None:
    data = SequencesData(kind="repeat_copy", repeats=1)
    assert float(make(data, 1, 3, 1, (0,)).inputs[0, 3, data.bits + 1]) == 0


def test_recall_asks_for_the_item_that_follows() -> None:
    batch = make(RECALL, 40, 5, 1, (0,))
    asked = set()
    for inputs, labels in zip(batch.inputs, batch.labels, strict=True):
        assert inputs[:, 4].nonzero().flatten().tolist() == [0, 4, 8, 12, 16]
        assert inputs[:, 5].nonzero().flatten().tolist() == [20, 24]
        items = [inputs[4 * i + 1 : 4 * i + 4, :4] for i in range(5)]
        query = inputs[21:24, :4]
        (chosen,) = [i for i, item in enumerate(items[:-1]) if torch.equal(item, query)][:1]
        assert torch.equal(labels[-3:], items[chosen + 1])
        asked.add(chosen)
    assert asked == {0, 1, 2, 3}


def test_they_are_always_the_same_and_no_two_places_are() -> None:
    first, again, other = (make(COPY, 4, 9, 1, place) for place in ((0, 0, 1), (0, 0, 1), (1, 9)))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    assert not torch.equal(first.inputs, make(COPY.model_copy(update={"seed": 1}), 4, 9, 1, (0, 0, 1)).inputs)


def test_lengths_are_drawn_alike() -> None:
    lengths, repeats = np.array([drawn(REPEAT, (0, 0, index)) for index in range(2000)]).T
    assert set(lengths) == {1, 2, 3, 4}
    assert set(repeats) == {1, 2, 3, 4, 5}
    assert abs(np.corrcoef(lengths, repeats)[0, 1]) < 0.1
    assert np.bincount(lengths)[1:].min() > 400
    assert {drawn(COPY, (0, 0, index))[1] for index in range(50)} == {1}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"least": 5, "most": 4}, "least 5 is above most 4"),
        ({"kind": "recall"}, "recall needs 2 items"),
        ({"kind": "recall", "least": 2, "lengths": [1]}, "recall needs 2 items"),
        ({"lengths": [5, 5]}, "name one twice"),
        ({"lengths": [0]}, "greater than or equal to 1"),
        ({"kind": "sort"}, "'copy'"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SequencesData(**values)  # type: ignore[arg-type]
