"""Greedy search takes the best token each time; a draw follows the probabilities, whoever is in the batch."""

import pytest
import torch
from transformers import TopKLogitsWarper, TopPLogitsWarper

from transept.decode.config import Search
from transept.decode.search import search
from transept.decode.single import draw
from unit.decode.toy import (
    BOS,
    SPECIAL,
    check_alone_equals_batch,
    check_extends,
    check_prefix,
    check_scores,
    sentences,
    slow_greedy,
    tokens_of,
    translator,
)

GREEDY = Search(method="greedy", max_ratio=0.5, max_extra=5)
SAMPLE = Search(method="sample", max_ratio=0.5, max_extra=5, n_best=2)


@pytest.mark.parametrize("seed", range(4))
def test_greedy_takes_the_best_token_each_time(seed):
    model, asked = translator(seed), sentences(seed)
    found = search(model, asked, GREEDY, SPECIAL)
    wanted = [[slow_greedy(model, source, [BOS], len(source) // 2 + 5)] for source in asked]
    assert tokens_of(found) == wanted


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [GREEDY, SAMPLE], ids=["greedy", "sample"])
def test_scores_are_the_models_own(seed, settings):
    check_scores(seed, settings)


@pytest.mark.parametrize("settings", [GREEDY, SAMPLE], ids=["greedy", "sample"])
def test_a_batch_changes_nothing(settings):
    for seed in range(3):
        check_alone_equals_batch(seed, settings)


def test_a_prefix_and_a_prompt_are_continued():
    for seed in range(3):
        check_prefix(seed, GREEDY)
        check_extends(seed, GREEDY)


def test_temperature_zero_is_greedy():
    model, asked = translator(1), sentences(1)
    cold = Search(method="sample", temperature=0.0, max_ratio=0.5, max_extra=5)
    assert search(model, asked, cold, SPECIAL) == search(model, asked, GREEDY, SPECIAL)


def test_a_sentence_draws_by_its_number_in_whatever_call():
    model, asked = translator(2), sentences(2)
    whole = search(model, asked, SAMPLE, SPECIAL)
    parts = [search(model, asked[at : at + 2], SAMPLE, SPECIAL, numbers=[at, at + 1]) for at in (0, 2)]
    assert tokens_of([*parts[0], *parts[1]]) == tokens_of(whole[:4])
    assert tokens_of(search(model, asked[2:4], SAMPLE, SPECIAL)) != tokens_of(whole[2:4])


def test_the_seed_decides_the_draw():
    model, asked = translator(2), sentences(2)
    found = [search(model, asked, SAMPLE.model_copy(update={"seed": seed}), SPECIAL) for seed in (1, 1, 2)]
    assert found[0] == found[1]
    assert tokens_of(found[0]) != tokens_of(found[2])


def test_draws_of_one_sentence_differ_and_the_best_is_first():
    model, asked = translator(3), sentences(3)
    found = search(model, asked, SAMPLE.model_copy(update={"n_best": 6}), SPECIAL)
    assert all(len(each) == 6 for each in found)
    assert all(len({tuple(h.tokens) for h in each}) > 1 for each in found)
    assert all([h.score for h in each] == sorted((h.score for h in each), reverse=True) for each in found)


def test_nothing_suppressed_is_drawn():
    model = translator(4)
    with torch.no_grad():
        model.head.bias[:2] += 20.0  # padding and bos would be almost certain
    found = search(model, sentences(4, 20), SAMPLE, SPECIAL)
    assert not {0, 1} & {token for each in found for h in each for token in h.tokens}


def counts(logits, numbers=4000, **choice):
    """How often each token is drawn when the uniform numbers are spread evenly."""
    uniform = (torch.arange(numbers) + 0.5) / numbers
    tokens = draw(
        logits.expand(numbers, -1), uniform.double(), **({"temperature": 1.0, "top_k": None, "top_p": None} | choice)
    )
    return tokens.bincount(minlength=logits.numel())


def test_draws_follow_the_probabilities():
    logits = torch.randn(30)
    logits[[3, 9]] = -float("inf")
    for temperature in (0.5, 1.0, 2.0):
        wanted = 4000 * (logits / temperature).softmax(-1)
        assert bool(((counts(logits, temperature=temperature) - wanted).abs() <= 1.01).all())  # evenly: off by rounding


@pytest.mark.parametrize(
    "choice", [{"top_k": 5}, {"top_p": 0.6}, {"top_k": 8, "top_p": 0.5}, {"top_p": 1e-6}, {"top_k": 99}]
)
def test_only_the_likeliest_are_drawn(choice):
    logits = torch.randn(30)
    theirs = logits[None]
    if "top_k" in choice:
        theirs = TopKLogitsWarper(choice["top_k"])(None, theirs)
    if "top_p" in choice:
        theirs = TopPLogitsWarper(choice["top_p"])(None, theirs)
    assert bool(((counts(logits, **choice) - 4000 * theirs[0].softmax(-1)).abs() <= 1.01).all())


def test_the_ends_of_the_unit_interval_fall_on_possible_tokens():
    logits = torch.tensor([-float("inf"), 0.0, 1.0, -float("inf")])
    ends = torch.tensor([0.0, 1.0 - 2**-53], dtype=torch.float64)
    assert draw(logits.expand(2, -1), ends, 1.0, None, None).tolist() == [1, 2]
