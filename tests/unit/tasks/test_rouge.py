"""ROUGE by definition: counted by hand, against the longest common subsequence of all, and the best of references."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transept.errors import InvalidData
from transept.tasks.rouge import rouge, words

SHORT = st.lists(st.sampled_from("abc"), max_size=6)


def f1(shared: float, found: int, right: int) -> float:
    if not shared:
        return 0.0
    precision, recall = shared / found, shared / right
    return 200 * precision * recall / (precision + recall)


def longest(one: list[str], other: list[str]) -> int:
    """By trying all."""
    chosen = (list(some) for size in range(len(one), -1, -1) for some in combinations(one, size))

    def inside(some: list[str]) -> bool:
        rest = iter(other)
        return all(word in rest for word in some)

    return next(len(some) for some in chosen if inside(some))


def test_a_sentence_by_hand() -> None:
    found = rouge(["The cat sat, on the mat."], ["the cat was on the mat"])
    # the, cat, on, the, mat are 5 of 6 and 6; the cat, on the, the mat are 3 of 5 and 5
    assert found["rouge1"].value == pytest.approx(100 * 5 / 6)
    assert found["rouge2"].value == pytest.approx(100 * 3 / 5)
    assert found["rougeL"].value == pytest.approx(100 * 5 / 6)
    assert found["rougeL"].name == "ROUGE-L" and "stem:no" in found["rougeL"].signature
    clipped = rouge(["the the the the"], ["the cat"])
    assert clipped["rouge1"].value == pytest.approx(f1(1, 4, 2)), "a word counts as often as it stands in both"


@settings(max_examples=80, deadline=None)
@given(SHORT, SHORT)
def test_the_subsequence_is_the_longest_of_all(one: list[str], other: list[str]) -> None:
    found = rouge([" ".join(one)], [" ".join(other)])["rougeL"].value
    assert found == pytest.approx(f1(longest(one, other), len(one), len(other)))


@settings(max_examples=40, deadline=None)
@given(SHORT, st.lists(SHORT, min_size=1, max_size=3))
def test_of_several_references_each_measure_takes_its_best(one: list[str], others: list[list[str]]) -> None:
    text, right = " ".join(one), [" ".join(other) for other in others]
    several = rouge([text], [right])
    alone = [rouge([text], [reference]) for reference in right]
    for name, score in several.items():
        assert score.value == pytest.approx(max(each[name].value for each in alone))


def test_texts_are_averaged_with_an_interval_and_words_are_those_of_every_script() -> None:
    outputs, references = ["a b", "c", "x y"], [["a b"], ["d"], ["x z", "y"]]
    found = rouge(outputs, references, resamples=300)["rouge1"]
    assert found.value == pytest.approx((100 + 0 + 100 * 2 / 3) / 3)
    assert found.interval is not None and found.interval[0] < found.value < found.interval[1]
    assert "refs:2|of:max" in found.signature and "resamples:300" in found.signature
    assert rouge(outputs, references)["rouge1"].interval is None
    assert words("Ein_Straßen-Café: 3,5 Größe; 日本") == ["ein", "straßen", "café", "3", "5", "größe", "日本"]
    with pytest.raises(InvalidData, match="nothing to score"):
        rouge([], [])
