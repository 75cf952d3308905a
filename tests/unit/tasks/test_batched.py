"""Which rows go together."""

import numpy as np
import pytest

from transept.errors import InvalidData
from transept.tasks.batched import largest, planned


def plans(lengths: list[int], *, training: bool, together: int | None = None) -> list[list[int]]:
    found = planned(np.array(lengths, np.int32), 12, 0, 0, training, together, lambda row: f"t.csv:{row + 2}")
    return sorted(sorted(rows.tolist()) for rows in found)


def test_a_row_beyond_the_budget_is_measured_alone_and_never_trained_on() -> None:
    assert plans([3, 50, 3], training=False) == [[0, 2], [1]]
    with pytest.raises(InvalidData, match=r"t\.csv:3: pair 1 has 50 tokens"):
        plans([3, 50, 3], training=True)


@pytest.mark.parametrize("training", [True, False])
def test_no_batch_has_more_places_than_the_budget(training: bool) -> None:
    lengths = [3, 3, 3, 3, 6, 6, 1]
    for rows in plans(lengths, training=training):
        assert len(rows) * max(lengths[row] for row in rows) <= 12
    assert len(plans(lengths, training=training)) < len(lengths)


def test_the_most_rows_of_a_batch_count_in_training_alone() -> None:
    assert len(plans([1] * 8, training=True, together=2)) == 4
    assert plans([1] * 8, training=False, together=2) == [list(range(8))]


def test_the_largest_has_the_most_places() -> None:
    lengths = np.array([2, 9, 4, 4, 4], np.int32)
    assert largest([np.array([0]), np.array([1]), np.array([2, 3, 4])], lengths) == 2
