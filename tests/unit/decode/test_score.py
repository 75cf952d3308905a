"""The best continuations are those of a full sort, whatever the sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch.testing import assert_close

from transept.decode.score import CHUNK, best, log_probabilities

INF = float("inf")
NOTHING = torch.tensor([], dtype=torch.long)


def check_best_is_a_full_search(seed: int, sentences: int, width: int, vocab: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logprobs = torch.randn(sentences, width, vocab, generator=generator)
    logprobs[torch.rand(logprobs.shape, generator=generator) < 0.1] = -INF
    running = torch.randn(sentences, width, generator=generator) * 3
    found = best(logprobs, running, count)
    totals = (logprobs + running[..., None]).flatten(1)
    wanted = totals.topk(min(count, totals.size(1))).values
    wanted = torch.nn.functional.pad(wanted, (0, count - wanted.size(1)), value=-INF)
    assert np.array_equal(found.total, wanted.numpy())
    real = found.total > -INF
    at = torch.from_numpy(found.parent * vocab + found.token)
    assert np.array_equal(totals.gather(1, at).numpy()[real], found.total[real])
    assert np.array_equal(logprobs.flatten(1).gather(1, at).numpy()[real], found.logprob[real])
    assert all(len(set(row[ok].tolist())) == ok.sum() for row, ok in zip(at.numpy(), real, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    seed=some.integers(0, 10**6),
    sentences=some.integers(1, 4),
    width=some.integers(1, 5),
    vocab=some.sampled_from([1, 2, 5, 17, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 7]),
    count=some.integers(1, 12),
)
def test_best_is_a_full_search(seed, sentences, width, vocab, count):
    check_best_is_a_full_search(seed, sentences, width, vocab, count)


def test_log_probabilities_are_normalised_before_tokens_are_suppressed():
    logits = torch.randn(3, 50)
    wanted = logits.log_softmax(-1)
    found = log_probabilities(logits.clone(), torch.tensor([0, 7]))
    assert bool((found[:, [0, 7]] == -INF).all())
    kept = [i for i in range(50) if i not in (0, 7)]
    assert_close(found[:, kept], wanted[:, kept], rtol=0, atol=0)
    assert bool((found.exp().sum(-1) < 1).all())


def test_room_behind_aligned_rows_becomes_columns_that_nobody_chooses():
    rows = torch.randn(3, 48)
    wanted = rows[:, :35].log_softmax(-1)
    found = log_probabilities(rows[:, :35], NOTHING)
    assert found.data_ptr() == rows.data_ptr()
    assert_close(found[:, :35], wanted, rtol=0, atol=0)
    assert bool((found[:, 35:] == -INF).all())


@pytest.mark.parametrize("rows", [torch.randn(3, 60), torch.randn(35, 3).T, torch.randn(2, 3, 35)[:, -1]])
def test_other_gaps_are_left_alone(rows):
    logits, kept = rows[:, :35], rows.clone()
    wanted = logits.log_softmax(-1)
    found = log_probabilities(logits, NOTHING)
    assert_close(found, wanted, rtol=0, atol=1e-6)
    assert torch.equal(rows[:, 35:], kept[:, 35:])


def test_half_precision_is_normalised_in_float32():
    found = log_probabilities(torch.randn(2, 1000).bfloat16(), NOTHING)
    assert found.dtype == torch.float32
    assert_close(found.exp().sum(-1), torch.ones(2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("vocab", [5, 300])
@pytest.mark.parametrize("where", [0, -1])
@pytest.mark.parametrize("what", [float("nan"), INF])
def test_a_score_that_is_no_number_stands_first_and_alone(vocab, where, what):
    logits = torch.randn(3, 2, vocab)
    logits[1, 1, where] = what
    found = best(log_probabilities(logits, torch.tensor([1])), torch.zeros(3, 2), 4)
    assert np.isnan(found.total[:, 0]).tolist() == [False, True, False]
    assert np.isfinite(found.total[[0, 2]]).all()


def test_a_row_without_any_possible_token_is_no_number():
    logits = torch.full((1, 1, 300), -INF)
    assert np.isnan(best(log_probabilities(logits, NOTHING), torch.zeros(1, 1), 2).total[:, 0]).all()
