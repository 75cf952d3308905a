"""Noise: what was there can be found again, as much is gone as was asked for, and what is drawn is drawn evenly."""

from collections import Counter
from itertools import groupby
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.noise import (
    Marks,
    composition,
    corrupt_spans,
    delete_tokens,
    infill,
    insert,
    mask_tokens,
    permute_sentences,
    raw_length,
    rotate,
    spans_of,
)

MASK, VOCAB = 999, 900
MARKS = Marks(MASK, VOCAB)
SENTINELS = list(range(2000, 1900, -1))
COUNTS, SEEDS = st.integers(1, 120), st.integers(0, 10_000)
RATES = st.floats(0.05, 0.9)


def text(count: int) -> np.ndarray:
    """Tokens that are all different."""
    return np.arange(count) + 10


def drawn(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# ------------------------------------------------------------------ spans


def put_together(source: np.ndarray, target: np.ndarray) -> list[int]:
    """The text again: each sentinel of the source is followed by its span in the target."""
    spans: dict[int, list[int]] = {}
    for token in target.tolist():
        if token in SENTINELS:
            spans[token] = []
        else:
            spans[max(spans, key=lambda one: list(spans).index(one))].append(token)
    found: list[int] = []
    for token in source.tolist():
        found += spans.pop(token) if token in SENTINELS else [token]
    assert not spans, "a span that nobody reads of"
    return found


@given(COUNTS, RATES, st.floats(1, 8), SEEDS)
def test_spans_and_what_is_left_are_the_text(count: int, rate: float, mean: float, seed: int) -> None:
    source, target = corrupt_spans(text(count), SENTINELS, drawn(seed), rate, mean)
    assert put_together(source, target) == text(count).tolist()
    if count == 1:
        return
    noise, spans = spans_of(count, rate, mean)
    signs = [[token for token in row.tolist() if token in SENTINELS] for row in (source, target)]
    assert signs[0] == signs[1] == SENTINELS[:spans], "in order, each once"
    assert len(target) - spans == noise and len(source) - spans == count - noise
    for row in (source, target):  # nothing empty between two sentinels, at the end of the target neither
        kinds = [kind for kind, _ in groupby(row.tolist(), key=lambda token: token in SENTINELS)]
        assert len(kinds) == 2 * spans
    assert source[0] not in SENTINELS and source[-1] in SENTINELS


def test_a_row_of_t5_is_made_of_568_tokens() -> None:
    assert raw_length(512, 0.15, 3.0) == (568, 114)
    source, target = corrupt_spans(text(568), SENTINELS, drawn(0))
    assert (len(source) + 1, len(target) + 1) == (512, 114)


@given(st.integers(4, 300), st.floats(0.1, 0.5), st.floats(1, 6))
def test_one_raw_token_more_would_not_fit(room: int, rate: float, mean: float) -> None:
    raw, written = raw_length(room, rate, mean)
    for more, fits in ((0, True), (1, False)):
        noise, spans = spans_of(raw + more, rate, mean)
        assert (raw + more - noise + spans + 1 <= room) == fits
    noise, spans = spans_of(raw, rate, mean)
    assert written == noise + spans + 1


def test_every_composition_is_as_likely() -> None:
    seen = Counter(tuple(composition(6, 3, drawn(seed)).tolist()) for seed in range(5000))
    assert len(seen) == comb(5, 2)
    assert all(sum(parts) == 6 and min(parts) > 0 for parts in seen)
    assert all(abs(times - 500) < 5 * 500**0.5 for times in seen.values())


# ------------------------------------------------------------------ BART's five


@given(COUNTS, RATES, SEEDS)
def test_masks_stand_one_for_each_token(count: int, rate: float, seed: int) -> None:
    found = mask_tokens(text(count), MARKS, drawn(seed), rate)
    gone = found == MASK
    assert gone.sum() == round(count * rate)
    assert (found[~gone] == text(count)[~gone]).all()


@given(COUNTS, RATES, SEEDS)
def test_deletion_leaves_the_others_in_order(count: int, rate: float, seed: int) -> None:
    found = delete_tokens(text(count), drawn(seed), rate)
    assert len(found) == count - min(round(count * rate), count - 1)
    assert (np.diff(found) > 0).all() and set(found) <= set(text(count))


@given(COUNTS, RATES, st.floats(0, 6), SEEDS, st.one_of(st.none(), st.integers(1, 5)))
def test_masks_of_spans_can_be_filled_to_give_the_text(
    count: int, rate: float, mean: float, seed: int, every: int | None
) -> None:
    if mean < 0.2:
        mean = 0.2  # a mean of nothing has no end
    begins = None if every is None else np.arange(count) % every == 0
    found = infill(text(count), begins, MARKS, drawn(seed), rate, mean)
    at, marked = 10, False
    for token in [*found.tolist(), count + 10]:
        if token == MASK:
            marked = True
            continue
        assert token == at or (marked and token > at), "what is gone is under a mask"
        at, marked = token + 1, False
    kept = set(found.tolist()) - {MASK}
    missing = [i for i in range(count) if i + 10 not in kept]
    words = count if begins is None else int(begins.sum())
    of_word = np.arange(count) if begins is None else begins.cumsum() - 1
    assert len({int(of_word[i]) for i in missing}) <= int(np.ceil(words * rate)), "no more than the budget of words"
    if begins is not None:  # whole words: a word is there or it is not
        for word in set(of_word.tolist()):
            inside = [i for i in range(count) if of_word[i] == word]
            assert len({i + 10 in kept for i in inside}) == 1


def test_spans_take_their_share_in_spans_of_their_mean() -> None:
    gone, masks = 0, 0
    for seed in range(300):
        found = infill(text(400), None, MARKS, drawn(seed), 0.3, 3.0)
        masks += int((found == MASK).sum())
        gone += 400 - int((found != MASK).sum())
    share = gone / (300 * 400)
    # Spans begin at places that are drawn and may meet, or reach beyond the end: somewhat less than asked for.
    assert 0.24 < share < 0.30
    assert 300 * 31 < masks < 300 * 36, "0.3 * 400 / 3 = 40 spans, less those whose first word is in another"


def test_a_text_grows_no_longer_than_it_may() -> None:
    lengths = [len(infill(text(20), None, MARKS, drawn(seed), 0.5, 0.3, most=22)) for seed in range(200)]
    assert max(lengths) == 22
    assert max(len(infill(text(20), None, MARKS, drawn(seed), 0.5, 0.3)) for seed in range(200)) > 22


@given(COUNTS, st.integers(0, 20), SEEDS)
def test_what_is_inserted_stands_between(count: int, more: int, seed: int) -> None:
    found = insert(text(count), more, MARKS, drawn(seed))
    assert (found == MASK).sum() == more and found[found != MASK].tolist() == text(count).tolist()


def test_some_marks_are_drawn_tokens() -> None:
    marks = Marks(MASK, VOCAB, 0.25).draw(4000, drawn(0))
    assert 0.22 < (marks != MASK).mean() < 0.28
    assert marks[marks != MASK].max() < VOCAB and len(set(marks.tolist())) > 500


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.floats(0.1, 1.0), SEEDS)
def test_sentences_change_places_and_stay_whole(lengths: list[int], rate: float, seed: int) -> None:
    parts = np.split(text(sum(lengths)), np.cumsum(lengths)[:-1])
    found = permute_sentences(parts, drawn(seed), rate)
    assert sorted(tuple(row) for row in found) == sorted(tuple(row) for row in parts)
    moved = sum(a.tolist() != b.tolist() for a, b in zip(found, parts, strict=True))
    assert moved <= int(np.ceil(len(parts) * rate))


def test_every_order_of_sentences_comes_up() -> None:
    parts = [text(1) + i for i in range(3)]
    seen = Counter(tuple(int(row[0]) for row in permute_sentences(parts, drawn(seed))) for seed in range(1200))
    assert len(seen) == 6 and min(seen.values()) > 130


@given(COUNTS, SEEDS)
def test_a_rotation_is_one(count: int, seed: int) -> None:
    found = rotate(text(count), drawn(seed)).tolist()
    at = found.index(10)
    assert found[at:] + found[:at] == text(count).tolist()


def test_rotations_begin_anywhere() -> None:
    assert {int(rotate(text(6), drawn(seed))[0]) for seed in range(200)} == set(text(6).tolist())


@pytest.mark.parametrize("wrong", ["order", "lost"])
def test_a_wrong_target_would_be_noticed(wrong: str) -> None:
    source, target = corrupt_spans(text(60), SENTINELS, drawn(3))
    changed = target[:-1] if wrong == "lost" else np.concatenate([target[:1], target[1:][::-1]])
    with pytest.raises((AssertionError, KeyError)):
        assert put_together(source, changed) == text(60).tolist()
