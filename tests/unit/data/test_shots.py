"""Examples before a question: drawn by a seed, never the question itself, of each answer as many where asked."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.shots import Shots
from transept.errors import InvalidData

NAMES = ("good", "bad", "so so")
RIGHT = np.array([0] * 9 + [1] * 4 + [2] * 5)


@given(st.integers(1, 12), st.integers(0, 99), st.booleans(), st.integers(0, len(RIGHT) - 1))
def test_they_are_of_others_and_as_many_as_asked(count: int, seed: int, balanced: bool, row: int) -> None:
    count = min(count, 9) if balanced else count
    shots = Shots.draw(RIGHT, count, seed, NAMES, balanced=balanced, aside=1)
    plain, other = shots.without(), shots.without(row)
    assert len(plain) == len(set(plain)) == len(other) == len(set(other)) == count
    assert row not in other
    if row not in plain:
        assert other == plain, "the same before every question"
    else:
        assert len(set(plain) - set(other)) == 1
    if balanced:
        for chosen in (plain, other):
            times = Counter(RIGHT[chosen].tolist())
            assert max(times.values()) - min(times[i] for i in range(3)) <= 1
        assert RIGHT[plain].tolist() == RIGHT[other].tolist(), "each place keeps its answer"
    again = Shots.draw(RIGHT, count, seed, NAMES, balanced=balanced, aside=1)
    assert again.without(row) == other


def test_seeds_draw_others() -> None:
    drawn = {tuple(Shots.draw(RIGHT, 4, seed, NAMES, balanced=False, aside=0).without()) for seed in range(20)}
    assert len(drawn) > 15


def test_too_few_rows_are_told_with_the_answer_that_lacks_them() -> None:
    with pytest.raises(InvalidData, match="18 examples are asked for, and the table has 18 rows"):
        Shots.draw(RIGHT, 18, 0, NAMES, balanced=False, aside=1)
    assert len(Shots.draw(RIGHT, 18, 0, NAMES, balanced=False, aside=0).without()) == 18
    with pytest.raises(InvalidData, match="5 examples of 'bad' are asked for, and the table has 4"):
        Shots.draw(RIGHT, 15, 0, NAMES, balanced=True, aside=0)
