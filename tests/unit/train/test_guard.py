import pytest

from transept.train.guard import PATIENCE, Diverged, Guard
from transept.train.optimizer import LossScale

NAN = float("nan")


def test_a_good_update_begins_the_count_again() -> None:
    guard = Guard()
    for update in range(1, 3 * PATIENCE):
        if update % PATIENCE == 0:
            guard.taken()
        else:
            guard.skip(update, NAN, 5, [1], None)
    assert guard.skipped == 3 * PATIENCE - 3
    with pytest.raises(Diverged):
        guard.skip(30, NAN, 5, [1], None)


def test_names_the_rows_but_not_thousands_of_them() -> None:
    assert Guard().skip(7, NAN, 5, [4, 2], None) == "update 7 skipped: the gradient's norm is nan; training rows 4, 2"
    assert Guard().skip(7, NAN, 5, list(range(1000)), None).endswith("18, 19 and 980 more")
    assert "no token is supervised" in Guard().skip(7, 0.0, 0, [1], None)


def test_overflows_of_float16_count_only_at_the_lowest_scale() -> None:
    guard, scale = Guard(), LossScale(2.0**14)
    for update in range(1, 14):
        scale.seen(False)
        assert "float16 overflowed" in guard.skip(update, NAN, 5, [1], scale)
    assert guard.in_a_row == 0
    scale.seen(False)
    guard.skip(14, NAN, 5, [1], scale)
    assert guard.in_a_row == 1


def test_a_run_that_diverged_does_not_end_as_one_without_memory() -> None:
    assert Diverged("").exit_code == 1
