"""Scores of classes, of numbers and of texts, against their definitions and other libraries."""

import itertools

import numpy as np
import pytest

from transept.tasks.grades import accuracy, confusions, correlations, f1, mcc, often_confused, ranks
from transept.tasks.spelling import cer, edits, wer


def brute_edits(a: str, b: str) -> int:
    """By its definition: the first signs agree, or one of three changes is made."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return brute_edits(a[1:], b[1:])
    return 1 + min(brute_edits(a[1:], b), brute_edits(a, b[1:]), brute_edits(a[1:], b[1:]))


def test_edits_are_the_fewest() -> None:
    words = ["".join(word) for size in range(5) for word in itertools.product("ab", repeat=size)]
    for a, b in itertools.product(words, words[::3]):
        assert edits(a, b) == brute_edits(a, b), (a, b)
    assert edits("kitten", "sitting") == 3
    assert edits("", "abc") == 3


def test_word_errors_are_summed_over_texts_and_can_be_above_a_hundred() -> None:
    found = wer(["a b c", "x"], ["a c", "x y z"], 200)
    assert found.value == pytest.approx(100 * (1 + 2) / 5)
    assert found.interval is not None and found.interval[0] <= found.value <= found.interval[1]
    assert wer(["a b c d"], ["z"]).value == pytest.approx(400)
    assert cer(["ab  d"], ["ab c"]).value == pytest.approx(25)
    assert cer(["same"], ["same"]).value == 0


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="no text was said"):
        wer(["a"], [" "])
    with pytest.raises(ValueError, match="2 outputs"):
        wer(["a", "b"], ["a"])


def by_hand(found: np.ndarray, right: np.ndarray, classes: int) -> tuple[float, float]:
    """Macro F1 class by class, and Gorodkin's correlation of the two indicator matrices."""
    each = []
    for k in range(classes):
        tp = ((found == k) & (right == k)).sum()
        wrong = ((found == k) != (right == k)).sum()
        if tp or wrong:
            each.append(2 * tp / (2 * tp + wrong))
    x, y = np.eye(classes)[found], np.eye(classes)[right]
    x, y = x - x.mean(0), y - y.mean(0)
    spread = np.sqrt((x * x).sum() * (y * y).sum())
    return float(np.mean(each)), float((x * y).sum() / spread) if spread else 0.0


@pytest.mark.parametrize("seed", range(6))
def test_f1_and_mcc_are_their_definitions(seed: int) -> None:
    draws = np.random.default_rng(seed)
    classes = int(draws.integers(2, 6))
    right = draws.integers(0, classes, 60)
    found = np.where(draws.random(60) < 0.6, right, draws.integers(0, classes, 60))
    macro, correlation = by_hand(found, right, classes)
    assert f1(found, right, classes).value == pytest.approx(100 * macro, rel=1e-12)
    assert mcc(found, right, classes).value == pytest.approx(100 * correlation, rel=1e-12)
    scored = f1(found, right, classes, 500)
    assert scored.interval is not None and scored.interval[0] < scored.value < scored.interval[1]
    assert accuracy(found, right).value == pytest.approx(100 * (found == right).mean())


def test_a_class_that_never_occurs_does_not_count_and_one_answer_for_all_has_no_correlation() -> None:
    right, found = np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0])
    assert f1(found, right, 3).value == pytest.approx(100 * (2 * 2 / 6 + 0) / 2)
    assert mcc(found, right, 2).value == 0.0
    assert confusions(found, right, 3).tolist() == [[2, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert often_confused(found, right, ["a", "b", "c"]) == ["b taken for a (2 times)"]


def test_correlations_are_those_of_numpy_and_of_ranks() -> None:
    draws = np.random.default_rng(3)
    right = draws.integers(0, 6, 50).astype(float)
    found = right + draws.normal(0, 2, 50)
    scores = correlations(found, right, 100)
    assert scores["pearson"].value == pytest.approx(100 * np.corrcoef(found, right)[0, 1], rel=1e-12)
    place = np.array([(right < x).sum() + ((right == x).sum() - 1) / 2 for x in right])  # by counting
    assert np.array_equal(ranks(right), place)
    assert scores["spearman"].value == pytest.approx(100 * np.corrcoef(ranks(found), place)[0, 1], rel=1e-12)
    assert correlations(np.ones(5), np.arange(5.0))["pearson"].value == 0.0
