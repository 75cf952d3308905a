"""Beam search against its definition: exhaustive search, a slow search over lists, and recomputed scores."""

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as some

from transept.decode.config import Search
from transept.decode.search import search
from unit.decode.toy import (
    EOS,
    SPECIAL,
    check_alone_equals_batch,
    check_beam_of_one_is_greedy,
    check_equals_the_slow_search,
    check_extends,
    check_prefix,
    check_scores,
    check_widest_beam_is_exhaustive,
    near,
    sentences,
    tokens_of,
    translator,
)

ANY = some.builds(
    lambda beam, n_best, penalty, length_penalty, stop, max_extra: Search(
        beam=beam,
        n_best=min(n_best, beam),
        penalty=penalty,
        length_penalty=length_penalty,
        stop=stop,
        max_ratio=0.5,
        max_extra=max_extra,
    ),
    beam=some.integers(1, 5),
    n_best=some.integers(1, 5),
    penalty=some.sampled_from(["average", "wu"]),
    length_penalty=some.sampled_from([0.0, 0.6, 1.0, 2.0]),
    stop=some.sampled_from(["first", "bound", "exact"]),
    max_extra=some.integers(1, 4),
)
SEEDS = some.integers(0, 10**6)


@examples(max_examples=25, deadline=None)
@given(seed=SEEDS, settings=ANY, end=some.sampled_from([-1.0, 0.0, 1.0]))
def test_the_beam_is_the_slow_beam(seed, settings, end):
    check_equals_the_slow_search(seed, settings, end=end)


@examples(max_examples=10, deadline=None)
@given(seed=SEEDS, settings=ANY)
def test_scores_are_recomputed_log_probabilities(seed, settings):
    check_scores(seed, settings)


@examples(max_examples=15, deadline=None)
@given(seed=SEEDS, settings=ANY)
def test_a_batch_changes_nothing(seed, settings):
    check_alone_equals_batch(seed, settings)


@examples(max_examples=8, deadline=None)
@given(seed=SEEDS, settings=ANY)
def test_a_prefix_and_a_prompt_are_continued(seed, settings):
    check_prefix(seed, settings)
    check_extends(seed, settings)


@examples(max_examples=25, deadline=None)
@given(seed=SEEDS, vocab=some.sampled_from([4, 5, 12, 300]))
def test_a_beam_of_one_is_greedy(seed, vocab):
    check_beam_of_one_is_greedy(seed, vocab)


@pytest.mark.parametrize("penalty", ["average", "wu"])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
def test_a_beam_as_wide_as_the_tree_is_exhaustive(penalty, length_penalty):
    check_widest_beam_is_exhaustive(3, Search(penalty=penalty, length_penalty=length_penalty))


@pytest.mark.parametrize("vocab", [4, 5])
def test_a_beam_wider_than_the_vocabulary_works(vocab):
    settings = Search(beam=9, n_best=9, max_ratio=0.0, max_extra=3)
    check_equals_the_slow_search(5, settings, vocab=vocab)


def test_a_vocabulary_of_more_than_one_chunk_is_searched_whole():
    settings = Search(beam=4, n_best=4, max_ratio=0.0, max_extra=3)
    check_equals_the_slow_search(6, settings, vocab=300)


def test_the_n_best_are_sorted_and_distinct():
    for seed in range(5):
        for each in search(translator(seed), sentences(seed), Search(beam=5, n_best=5, max_extra=5), SPECIAL):
            assert len(each) == 5
            assert len({tuple(h.tokens) for h in each}) == 5
            assert [h.score for h in each] == sorted((h.score for h in each), reverse=True)


def test_an_end_at_once_is_an_answer():
    found = search(translator(0, end=30.0), sentences(0), Search(), SPECIAL)
    assert tokens_of(found) == [[[EOS]]] * 7
    assert all(h.finish == "end" for each in found for h in each)


def test_who_cannot_end_is_stopped_by_the_maximal_length():
    asked = sentences(0)
    found = search(translator(0, end=-30.0), asked, Search(max_ratio=1.5, max_extra=2), SPECIAL)
    assert [len(each[0].tokens) for each in found] == [int(1.5 * len(source)) + 2 for source in asked]
    assert all(each[0].finish == "length" for each in found)


def test_the_three_stops_differ_and_the_longer_search_is_no_worse():
    found = {}
    for stop in ("first", "bound", "exact"):
        settings = Search(beam=3, stop=stop, max_extra=10)
        found[stop] = [each[0] for s in range(12) for each in search(translator(s), sentences(s), settings, SPECIAL)]
    for shorter, longer in (("first", "bound"), ("bound", "exact")):
        pairs = list(zip(found[shorter], found[longer], strict=True))
        assert all(a.score <= b.score or near(a.score, b.score) for a, b in pairs)
        assert any(a.tokens != b.tokens for a, b in pairs)
