import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from transept.data.batches import IGNORED, PairBatch, collate, plan, waste
from transept.data.cache import Rows, TokenPairs
from transept.data.pairs import Pairs
from transept.errors import InvalidConfig, InvalidData

Lengths = NDArray[np.int32]
tables = arrays.arrays(np.int32, st.tuples(st.integers(0, 60), st.just(2)), elements=st.integers(1, 50))


def tokens_of(lengths: Lengths) -> TokenPairs:
    """Pairs whose token i of row r is a number that names both, eos (2) at the end of each side."""
    sides = [
        [*(1000 * row + 100 * side + 10 + at for at in range(lengths[row, side] - 1)), 2]
        for row in range(len(lengths))
        for side in (0, 1)
    ]
    offsets = np.cumsum([0, *map(len, sides)])
    ids = np.array([token for side in sides for token in side], np.int64)
    return TokenPairs(ids, offsets, np.arange(len(lengths)), Pairs([], [], (), []))


@given(tables, st.integers(50, 400), st.integers(0, 5), st.integers(0, 5), st.booleans(), st.sampled_from([None, 1, 7]))
def test_every_row_once_and_within_the_budget(
    lengths: Lengths, budget: int, seed: int, epoch: int, shuffle: bool, sentences: int | None
):
    batches = plan(lengths, budget, seed, epoch, shuffle, sentences)
    assert sorted(row for rows in batches for row in rows.tolist()) == list(range(len(lengths)))
    for rows in batches:
        assert 0 < len(rows) * lengths[rows].max() <= budget
        assert sentences is None or len(rows) <= sentences


@given(tables, st.integers(0, 2**31), st.integers(0, 1000))
def test_a_plan_depends_on_its_arguments_alone(lengths: Lengths, seed: int, epoch: int):
    np.random.seed(seed)
    one = plan(lengths, 100, seed, epoch)
    np.random.seed(seed + 1)
    before = lengths.copy()
    two = plan(lengths, 100, seed, epoch)
    assert [rows.tolist() for rows in one] == [rows.tolist() for rows in two]
    assert (lengths == before).all()


def listed(batches: list[Rows]) -> list[list[int]]:
    return [rows.tolist() for rows in batches]


LENGTHS = np.random.default_rng(0).poisson(14, (3000, 2)).astype(np.int32) + 2


def test_seed_and_epoch_both_matter():
    plans = [listed(plan(LENGTHS, 1000, seed, epoch)) for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]]
    assert len({str(one) for one in plans}) == 5
    assert len({str(sorted(map(sorted, one))) for one in plans}) == 5  # not only the order of the same batches
    assert len({str([sorted(rows)[0] for rows in one[:5]]) for one in plans}) == 5


def test_epochs_mix_the_batches():
    one, two = (plan(LENGTHS, 1000, 0, epoch) for epoch in (0, 1))
    home = np.empty(len(LENGTHS), int)
    for index, rows in enumerate(two):
        home[rows] = index
    together = [np.bincount(home[rows]).max() / len(rows) for rows in one]
    assert np.mean(together) < 0.85


def test_batches_come_in_no_order_of_length():
    longest = np.array([LENGTHS[rows].max() for rows in plan(LENGTHS, 1000, 0, 0)])
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_unshuffled_the_longest_come_first():
    batches = plan(LENGTHS, 1000, 3, 4, shuffle=False)
    longest = [int(LENGTHS[rows].max()) for rows in batches]
    assert longest == sorted(longest, reverse=True)
    assert listed(batches) == listed(plan(LENGTHS, 1000, 5, 6, shuffle=False))


def test_padding_is_little():
    # Sorted on one side alone such lengths waste 0.13, unsorted 0.3.
    assert waste(LENGTHS, plan(LENGTHS, 1000, 0, 0)) < 0.08
    order = np.random.default_rng(0).permutation(len(LENGTHS))
    assert waste(LENGTHS, [order[at : at + 30] for at in range(0, 3000, 30)]) > 0.25


def test_waste_is_padding_over_positions():
    lengths = np.array([[2, 3], [4, 3]], np.int32)
    assert waste(lengths, [np.array([0, 1])]) == pytest.approx(2 / 14, rel=1e-12, abs=0)
    assert waste(lengths, [np.array([0]), np.array([1])]) == 0
    assert waste(lengths, []) == 0


def test_a_pair_beyond_the_budget_is_named():
    lengths = np.array([[3, 3], [3, 101], [200, 3]], np.int32)
    with pytest.raises(InvalidData, match=r"t\.en:1: pair 1 has 101 tokens on a side, more than a batch of 100 takes"):
        plan(lengths, 100, 0, 0, where=lambda row: f"t.en:{row}")
    with pytest.raises(InvalidData, match=r"^pair 1 has"):
        plan(lengths, 100, 0, 0)
    with pytest.raises(InvalidConfig):
        plan(lengths, 1000, 0, 0, max_sentences=0)


def batch(lengths: list[list[int]], rows: list[int] | None = None) -> PairBatch:
    table = np.array(lengths, np.int32)
    return collate(tokens_of(table), np.array(range(len(table)) if rows is None else rows), bos=1, pad=0)


def test_a_batch_by_hand():
    made = batch([[3, 2], [2, 4], [1, 1]], [1, 0])
    assert made.rows == [1, 0]
    assert made.source.tolist() == [[1010, 2, 0], [10, 11, 2]]
    assert made.source_valid.tolist() == [[True, True, False], [True, True, True]]
    assert made.target.tolist() == [[1, 1110, 1111, 1112], [1, 110, 0, 0]]
    assert made.target_valid.tolist() == [[True] * 4, [True, True, False, False]]
    assert made.labels.tolist() == [[1110, 1111, 1112, 2], [110, 2, IGNORED, IGNORED]]
    assert made.tokens == 6
    assert len(made) == 2
    assert {made.source.dtype, made.target.dtype, made.labels.dtype} == {torch.int64}


@given(tables.filter(len), st.integers(1, 9))
def test_parts_hold_the_same_tokens_and_no_empty_column(lengths: Lengths, count: int):
    whole = collate(tokens_of(lengths), np.arange(len(lengths)), bos=1, pad=0)
    parts = whole.split(count)
    assert len(parts) == min(count, len(whole))
    assert [row for part in parts for row in part.rows] == whole.rows
    assert sum(part.tokens for part in parts) == whole.tokens == int(lengths[:, 1].sum())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for part in parts:
        alone = collate(tokens_of(lengths), np.array(part.rows), bos=1, pad=0)
        for name in ("source", "source_valid", "target", "target_valid", "labels"):
            assert torch.equal(getattr(part, name), getattr(alone, name))


def test_a_batch_moves_whole():
    moved = batch([[3, 2], [2, 4]]).to("meta")
    tensors = (moved.source, moved.source_valid, moved.target, moved.target_valid, moved.labels)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.rows == [0, 1]
