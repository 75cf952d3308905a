"""Words from pieces, merged maps, and what heads are called: on texts and heads made for the purpose."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from transept.errors import UsageError
from transept.inspect.heads import distance, entropy, evenness, information, report
from transept.inspect.words import Word, merge, pooled, units, words_of

WORDS = ["the", "cat", "sat", "on", "the", "mat", ".", "[SEP]"]
PARKED = [6, 7]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat's mat, here.", ["The", "cat's", "mat", ",", "here", "."]),
        ("<2de> 5 March", ["<", "2de", ">", "5", "March"]),
        ("2026年3月5日木曜日", ["2026", "年", "3", "月", "5", "日木曜日"]),
        ("गुरुवार, 5 मार्च", ["गुरुवार", ",", "5", "मार्च"]),
        ("'tis 'quoted' e.g. a1b2", ["'", "tis", "'", "quoted", "'", "e", ".", "g", ".", "a1b2"]),
        ("  ", []),
        ("", []),
    ],
)
def test_words_are_cut_at_spaces_and_signs(text: str, words: list[str]) -> None:
    assert [text[a:b] for a, b in units(text)] == words


@settings(deadline=None)
@given(st.text(max_size=30))
def test_every_letter_is_in_one_word(text: str) -> None:
    covered = [at for a, b in units(text) for at in range(a, b)]
    assert covered == [at for at, letter in enumerate(text) if not letter.isspace()]


def test_pieces_belong_to_the_word_that_they_share_most_with() -> None:
    text = "a throne, now"
    spans = [(0, 0), (0, 1), (1, 5), (5, 8), (8, 9), (9, 10), (10, 13), (0, 0)]
    names = ["[CLS]", "a", "Ġthr", "one", ",", "Ġ", "now", "[SEP]"]
    found = words_of(text, spans, names)
    assert [(w.text, w.tokens, w.special, w.is_sign) for w in found] == [
        ("[CLS]", (0,), True, False),
        ("a", (1,), False, False),
        ("throne", (2, 3), False, False),
        (",", (4,), False, True),
        ("now", (5, 6), False, False),  # a space alone stands with the word after it
        ("[SEP]", (7,), True, False),
    ]
    whole = words_of(text, spans, names, [(0, 8), (8, 13)])
    assert [w.tokens for w in whole] == [(0,), (1, 2, 3), (4, 5, 6), (7,)]


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.integers(0, 99))
def test_rows_of_a_merged_map_still_sum_to_one(sizes: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    words = [Word("w", 0, 0, tuple(range(a, a + n))) for a, n in zip(starts, sizes, strict=True)]
    weights = torch.rand(2, sum(sizes), sum(sizes)).softmax(-1)
    merged = merge(weights, words, words)
    assert_close(merged.sum(-1), torch.ones(2, len(words)))
    for i, one in enumerate(words):
        for j, other in enumerate(words):
            by_hand = sum(weights[:, a, b] for a in one.tokens for b in other.tokens) / len(one.tokens)
            assert_close(merged[:, i, j], by_hand)
    assert merge(weights, None, words).shape == (2, sum(sizes), len(words))
    assert_close(pooled(weights, words)[:, 0], weights[:, : sizes[0]].mean(1))


def test_entropy_distance_and_information() -> None:
    uniform, eye = torch.full((4, 4), 0.25), torch.eye(4)
    assert_close(entropy(uniform), torch.full((4,), math.log(4)))
    assert_close(entropy(eye), torch.zeros(4))
    assert_close(evenness(uniform), torch.ones(4))
    assert_close(evenness(torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])), torch.tensor([1.0, 0.0]))
    assert_close(distance(uniform), torch.tensor([1.5, 1.0, 1.0, 1.5]))
    assert_close(information(eye), torch.tensor(math.log(4)))
    assert_close(information(uniform), torch.tensor(0.0))
    assert_close(information(torch.eye(4)[[0, 0, 0, 0]]), torch.tensor(0.0))  # sharp, and always at the same
    half = torch.cat([eye, torch.zeros(2, 4)])  # rows that see nothing count for nothing
    assert_close(information(half), torch.tensor(math.log(4)))


def noisy(weights: Tensor, share: float = 0.2) -> Tensor:
    """A head that does what it does, and something else besides."""
    torch.manual_seed(0)
    return (1 - share) * weights + share * torch.rand_like(weights).softmax(-1)


def shifted(by: int) -> Tensor:
    n = len(WORDS)
    return torch.eye(n)[[min(max(at + by, 0), n - 1) for at in range(n)]]


def same() -> Tensor:
    rows = torch.full((8, 8), 1 / 8)
    rows[0], rows[4] = torch.eye(8)[4], torch.eye(8)[0]
    return rows


@pytest.mark.parametrize(
    ("label", "weights"),
    [
        ("previous word", shifted(-1)),
        ("next word", shifted(1)),
        ("itself", torch.eye(8)),
        ("first word", torch.eye(8)[[0] * 8]),
        ("sentence end", torch.eye(8)[[7, 6, 7, 6, 7, 6, 7, 6]]),
        ("broad", torch.full((8, 8), 1 / 8)),
        ("mixed", torch.eye(8)[[3, 5, 1, 1, 2, 2, 3, 3]]),
    ],
)
def test_heads_are_called_by_what_they_look_at(label: str, weights: Tensor) -> None:
    found = report([noisy(weights)], [WORDS], None, [PARKED])
    assert found.label == label
    assert 0 <= found.parked <= 1 and 0 <= found.evenness <= 1


def test_same_words_and_aligners() -> None:
    texts = ["go", "go", "go", "go"]
    rows = torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]])
    assert report([noisy(rows)], [texts]).label == "same word"
    target, source = ["5", ".", "März", "2026"], ["March", "5", ",", "2026"]
    cross = torch.eye(4)[[1, 2, 0, 3]]
    assert report([noisy(cross)], [target], [source]).label == "aligner"
    assert report([noisy(torch.eye(4)[[3] * 4])], [target], [source], [[2, 3]]).label == "sentence end"
    assert report([torch.full((4, 4), 0.25)], [target], [source]).label == "broad"


def test_what_is_of_interest_is_sharp_far_and_content() -> None:
    far = torch.eye(8)[[4, 5, 3, 2, 0, 1, 0, 0]]
    ranked = [report([m], [WORDS], None, [PARKED]).interest for m in (far, shifted(-1), torch.eye(8)[[7] * 8])]
    assert ranked[0] > ranked[1] > ranked[2] == 0
    assert report([torch.full((8, 8), 1 / 8)], [WORDS]).interest == pytest.approx(0, abs=1e-6)
    with pytest.raises(UsageError, match=r"a map of \(2, 2\) for 8 words"):
        report([torch.eye(2)], [WORDS])
    with pytest.raises(UsageError, match="as many texts"):
        report([torch.eye(8)], [])
