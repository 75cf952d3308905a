"""Masks: as many as the rate says, nowhere where they must not be, and 80, 10 and 10 in a hundred."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.config import Tokens
from transept.data.learned import BART, BERT, NOTHING, T5, learn
from transept.data.masking import Masking, choose, choose_words, quota, word_begins
from transept.errors import InvalidConfig

ROWS = st.lists(st.integers(0, 40), min_size=1, max_size=6)
TEXTS = ["unbelievable stories of unbelievable people and their unforgettable things"] * 4


def opened(lengths: list[int]) -> np.ndarray:
    return np.arange(max(*lengths, 1)) < np.array(lengths)[:, None]


@given(ROWS, st.floats(0.01, 0.9), st.integers(0, 1000))
def test_each_row_has_its_share(lengths: list[int], rate: float, seed: int) -> None:
    open_ = opened(lengths)
    chosen = choose(open_, rate, np.random.default_rng(seed))
    assert not (chosen & ~open_).any()
    for row, count in enumerate(lengths):
        assert chosen[row].sum() == (min(max(round(count * rate), 1), count) if count else 0)


def test_every_place_is_as_likely() -> None:
    open_ = np.ones((4000, 10), bool)
    open_[:, 3] = False
    shares = choose(open_, 0.34, np.random.default_rng(0)).mean(0)
    assert shares[3] == 0
    assert np.abs(np.delete(shares, 3) - 3 / 9).max() < 0.04


@given(st.lists(st.integers(1, 5), min_size=1, max_size=15), st.floats(0.05, 0.6), st.integers(0, 1000))
def test_words_are_chosen_whole(words: list[int], rate: float, seed: int) -> None:
    begins = np.concatenate([[True, *[False] * (size - 1)] for size in words])[None]
    open_ = np.ones_like(begins)
    chosen = choose_words(open_, begins, rate, np.random.default_rng(seed))[0]
    for part in np.split(chosen, np.flatnonzero(begins[0])[1:]):
        assert len(set(part.tolist())) == 1
    wanted = int(quota(np.array([len(chosen)]), rate)[0])
    assert 0 < chosen.sum() <= max(wanted, min(words))


def test_of_the_chosen_some_are_masked_some_drawn_and_some_left() -> None:
    ids = np.random.default_rng(0).integers(10, 1000, (200, 100))
    masked, asked = Masking(mask=5, vocab=1000).apply(ids, np.ones_like(ids, bool), np.random.default_rng(1))
    assert asked.sum(1).tolist() == [15] * 200
    assert (masked[~asked] == ids[~asked]).all()
    new, old = masked[asked], ids[asked]
    shares = ((new == 5).mean(), (new == old).mean(), ((new != 5) & (new != old)).mean())
    for share, wanted in zip(shares, (0.8, 0.1, 0.1), strict=True):
        assert abs(share - wanted) < 0.02
    drawn = new[(new != 5) & (new != old)]
    assert drawn.max() > 950 and drawn.min() < 60, "among all"


def test_words_begin_where_a_vocabulary_says_so() -> None:
    pieces = learn(TEXTS, Tokens(kind="wordpiece", size=70), BERT)
    merged = learn(TEXTS, Tokens(size=300), BART)
    units = learn(TEXTS, Tokens(kind="unigram", size=130), T5)
    for tokenizer in (pieces, merged, units):
        ids = tokenizer.encode(TEXTS[0], bare=True)
        begins = word_begins(tokenizer)[ids]
        begins[0] = True  # GPT-2's first word of a text has no space before it
        assert begins.sum() == len(TEXTS[0].split())
        assert word_begins(tokenizer)[sorted(tokenizer.around)].all()
    with pytest.raises(InvalidConfig, match=r"mine\.yaml:3: whole words are asked for"):
        word_begins(learn(TEXTS, Tokens(kind="character"), NOTHING), "mine.yaml:3")
