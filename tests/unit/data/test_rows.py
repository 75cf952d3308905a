"""How text is laid into rows: everything once, nothing too long, and little room left."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transept.data.rows import pack, pieces, shifted, whole_sentences, windows

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def covered(spans: np.ndarray, first: int, last: int) -> bool:
    return np.concatenate([np.arange(a, b) for a, b in spans]).tolist() == list(range(first, last))


@given(st.integers(1, 200), st.integers(1, 50))
def test_windows_are_end_to_end(count: int, length: int) -> None:
    spans = windows(count, length)
    assert covered(spans, 0, count)
    assert all(b - a == length for a, b in spans[:-1])


@given(st.integers(1, 50), st.integers(0, 150), st.integers(0, 1000))
def test_an_epoch_of_windows_has_nearly_everything_once(length: int, more: int, seed: int) -> None:
    count = length + more
    spans = shifted(count, length, np.random.default_rng(seed))
    ordered = spans[np.argsort(spans[:, 0])]
    assert len(spans) and (spans[:, 1] - spans[:, 0] == length).all()
    assert covered(ordered, int(ordered[0, 0]), int(ordered[-1, 1]))
    assert ordered[0, 0] < length and count - ordered[-1, 1] < length
    assert ordered[0, 0] >= 0 and ordered[-1, 1] <= count


def test_epochs_begin_at_all_places() -> None:
    begins = {int(shifted(1000, 8, np.random.default_rng([1, epoch]))[:, 0].min()) for epoch in range(200)}
    assert begins == set(range(8))


@given(LENGTHS, st.integers(1, 20), st.integers(0, 5))
def test_documents_are_cut_where_they_are_too_long(lengths: list[int], length: int, first: int) -> None:
    bounds = np.cumsum([first, *lengths])
    spans = pieces(bounds, length)
    assert covered(spans, first, int(bounds[-1]))
    assert (spans[:, 1] - spans[:, 0] <= length).all()
    inner = set(spans[:, 0].tolist())
    assert set(bounds[:-1].tolist()) <= inner, "no piece holds two documents"
    assert len(spans) == sum(-(-size // length) for size in lengths)


@given(st.lists(LENGTHS, min_size=1, max_size=5), st.integers(1, 40))
def test_rows_end_with_sentences_where_they_can(documents: list[list[int]], length: int) -> None:
    parts = np.cumsum([0, *(size for sizes in documents for size in sizes)])
    bounds = np.cumsum([0, *map(len, documents)])
    spans = whole_sentences(parts, bounds, length)
    assert covered(spans, 0, int(parts[-1]))
    assert (spans[:, 1] - spans[:, 0] <= length).all()
    assert set(parts[bounds].tolist()) <= {0, *spans[:, 1].tolist()}
    ends = set(parts.tolist())
    for first, last in spans.tolist():
        if last not in ends:  # cut inside a sentence: it has no end within reach
            assert last - first == length
            assert not any(first < end <= first + length for end in ends)


@given(st.lists(st.integers(1, 20), max_size=60), st.integers(0, 100))
def test_every_piece_is_packed_once_and_no_row_overflows(lengths: list[int], seed: int) -> None:
    sizes = np.array(lengths, np.int64)
    rows = pack(sizes, 20, np.random.default_rng(seed))
    assert sorted(piece for row in rows for piece in row.tolist()) == list(range(len(lengths)))
    used = sorted(int(sizes[row].sum()) for row in rows)
    assert all(total <= 20 for total in used)
    # Best fit opens a row only where no other had room: at most one is half empty.
    assert sum(total <= 10 for total in used) <= 1


def test_packing_is_drawn_anew_and_repeats_itself() -> None:
    sizes = np.random.default_rng(0).integers(1, 20, 200)
    first, again, other = (pack(sizes, 20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert [row.tolist() for row in first] == [row.tolist() for row in again]
    assert [row.tolist() for row in first] != [row.tolist() for row in other]
    assert len(first) <= 1.1 * sizes.sum() / 20
