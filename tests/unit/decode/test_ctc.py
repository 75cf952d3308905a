"""Texts of frames: against every way that there is to spell them."""

import math
from itertools import product

import pytest
import torch
from torch.testing import assert_close

from transept.decode.ctc import best_path, best_text, collapse
from transept.errors import InvalidConfig
from transept.heads.letters import Letters
from transept.parts.entered import Entered
from transept.parts.loss import IGNORED

FRAMES, LETTERS = 5, 3


def texts(logs, blank=0):
    """The probability of every text, summed over all ways to spell it."""
    found = {}
    for path in product(range(LETTERS), repeat=FRAMES):
        text = tuple(collapse(list(path), blank))
        found[text] = found.get(text, 0.0) + math.exp(sum(float(logs[t, letter]) for t, letter in enumerate(path)))
    return found


def some_logs(seed):
    return torch.randn(FRAMES, LETTERS, generator=torch.Generator().manual_seed(seed)).mul(2).log_softmax(-1)


def test_collapse():
    assert collapse([0, 1, 1, 0, 1, 2, 2, 0]) == [1, 1, 2]
    assert collapse([2, 1, 1, 2, 0], blank=2) == [1, 0]
    assert collapse([]) == []


def test_the_best_path():
    scores = torch.eye(3)[torch.tensor([[1, 1, 0, 1, 2], [2, 2, 2, 2, 2]])]
    assert best_path(scores) == [[1, 1, 2], [2]]
    valid = torch.tensor([[True, True, False, False, False], [False] * 5])
    assert best_path(scores, valid) == [[1], []]
    assert best_path(scores, blank=1) == [[0, 2], [2]]


@pytest.mark.parametrize("blank", [0, 2])
def test_a_wide_beam_finds_the_most_likely_text(blank):
    differ = 0
    for seed in range(40):
        logs = some_logs(seed)
        every = texts(logs, blank)
        assert_close(sum(every.values()), 1.0, rtol=1e-5, atol=1e-5)
        best = max(every, key=every.__getitem__)
        text, log = best_text(logs, 500, blank)
        assert tuple(text) == best
        assert_close(math.exp(log), every[best], rtol=1e-5, atol=1e-6)
        differ += best_path(logs[None], blank=blank)[0] != text
    assert differ > 0  # which the best path alone is not


def test_a_narrow_beam_sums_no_more_than_there_is():
    for seed in range(10):
        logs = some_logs(seed)
        every = texts(logs)
        text, log = best_text(logs, 2)
        assert math.exp(log) <= every[tuple(text)] + 1e-6


@pytest.mark.parametrize("blank", [0, 2])
def test_the_loss_is_the_sum_over_all_ways(blank):
    torch.manual_seed(0)
    layer = Letters(LETTERS, blank).build(4).eval()
    states = torch.randn(1, FRAMES, 4)
    logs = layer(states, Entered(states)).detach()[0].log_softmax(-1)
    for text, share in texts(logs, blank).items():
        labels = torch.tensor([[*text, *[IGNORED] * (FRAMES - len(text))]])
        assert_close(
            float(layer.loss(states, Entered(states), labels).detach()), -math.log(share), rtol=1e-4, atol=1e-4
        )
    letter = 1
    assert layer.loss(states, Entered(states), torch.tensor([[letter] * 4])).isinf().all()  # seven frames at the least


def test_the_loss_of_padded_rows_is_that_of_each_alone():
    torch.manual_seed(0)
    layer = Letters(LETTERS).build(4).eval()
    states, lengths = torch.randn(3, FRAMES, 4), [5, 3, 4]
    labels = torch.tensor([[1, 2, 1], [2, IGNORED, IGNORED], [1, 1, IGNORED]])
    valid = torch.arange(FRAMES) < torch.tensor(lengths)[:, None]
    together = layer.loss(states, Entered(states, valid), labels)
    for i, length in enumerate(lengths):
        one = states[i : i + 1, :length]
        alone = layer.loss(one, Entered(one), labels[i : i + 1, : int((labels[i] != IGNORED).sum())])
        assert_close(together[i], alone[0], rtol=1e-5, atol=1e-5)


def test_letters_that_cannot_be_are_refused():
    with pytest.raises(InvalidConfig, match="blank=3 is none of 3 letters"):
        Letters(3, 3)
