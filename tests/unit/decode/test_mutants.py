"""Every property fails when what it holds is broken on purpose."""

import builtins
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from unittest.mock import patch

import numpy as np
import pytest

from transept.decode import batch, beam, score, search, single
from transept.decode.config import Search
from transept.parts.cache import Cache
from unit.decode.test_score import check_best_is_a_full_search
from unit.decode.test_search import check_a_failed_sentence_leaves_the_others_alone
from unit.decode.toy import (
    check_alone_equals_batch,
    check_beam_of_one_is_greedy,
    check_equals_the_slow_search,
    check_extends,
    check_prefix,
    check_scores,
    check_widest_beam_is_exhaustive,
)

BEAM = Search(beam=3, n_best=3, max_ratio=0.5, max_extra=4)
WU = BEAM.model_copy(update={"penalty": "wu"})
EXACT = BEAM.model_copy(update={"stop": "exact", "length_penalty": 2.0, "max_extra": 8})
GREEDY = Search(method="greedy", max_ratio=0.5, max_extra=4)
SAMPLE = Search(method="sample", max_ratio=0.5, max_extra=4)

reorder, keep, resize = Cache.reorder, Cache.keep, Cache.resize
pad, best, divisor, log_probabilities = batch.pad, score.best, beam.divisor, batch.log_probabilities
choose, limits = single.Single.choose, search.limits_of


def widen_only(cache, rows, memory=True):
    if len(rows) != len(cache.valid):
        reorder(cache, rows, memory)


def keep_in_another_order(cache, sentences, group):
    keep(cache, sentences.flip(0), group)


def resize_and_forget(cache, size):
    resize(cache, size)
    for slot in cache.used():
        slot.tensors = {name: t.zero_() if slot.kind == "keys" else t for name, t in slot.tensors.items()}


def pad_on_the_right(rows, device):
    ids, valid = pad([row[::-1] for row in rows], device)
    return ids.flip(1), None if valid is None else valid.flip(1)


def half_the_candidates(logprobs, running, wanted):
    found = best(logprobs, running, wanted)
    return replace(found, total=np.where(np.arange(wanted) < wanted // 2, found.total, -np.inf).astype(np.float32))


def one_less(*numbers):
    return max(1, builtins.min(*numbers) - 1)


def suppress_first(logits, suppress):
    return logits.index_fill(-1, suppress, float("-inf")).log_softmax(-1)


def never_no_number(logits, suppress):
    return log_probabilities(logits, suppress)[:, : logits.size(1)].nan_to_num(-9.0)


def present_length(self, sentences, length):
    worst = self.ended[sentences, -1]
    return (worst > -np.inf) & (self.running[sentences, 0] / divisor(length, self.settings) <= worst)


def first_are_enough(self, sentences, length):
    return self.ended[sentences, -1] > -np.inf


def never_over(self, logprobs, sentences):
    move = choose(self, logprobs, sentences)
    self.ended[sentences] = False
    return replace(move, over=self.step >= self.limits[sentences])


def one_limit(*given):
    found, bounds = limits(*given)
    return np.full_like(found, found.max()), bounds


def streams_by_turn():
    turn = count()
    return lambda seed, sentence, draw, steps: np.random.default_rng([seed, next(turn)]).random(steps)


def put(where, name, mutant, **options):
    return lambda: patch.object(where, name, mutant, **options)


def by(check, *given):
    return lambda seed: check(seed, *given)


Mutant = tuple[Callable[[], AbstractContextManager[object]], Callable[[int], None]]
MUTANTS: dict[str, Mutant] = {
    "the end is not counted": (put(beam, "divisor", lambda n, s: divisor(max(1, n - 1), s)), by(check_scores, BEAM)),
    "wu is the average": (put(beam, "divisor", lambda n, s: n**s.length_penalty), by(check_scores, WU)),
    "the cache is not reordered": (put(Cache, "reorder", widen_only), by(check_scores, BEAM)),
    "the wrong memory stays": (put(Cache, "keep", keep_in_another_order), by(check_alone_equals_batch, BEAM)),
    "the wrong memory stays, greedy": (put(Cache, "keep", keep_in_another_order), by(check_alone_equals_batch, GREEDY)),
    "room is made by forgetting": (put(Cache, "resize", resize_and_forget), by(check_scores, BEAM)),
    "padding is on the right": (put(batch, "pad", pad_on_the_right), by(check_prefix, BEAM)),
    "padding is on the right, prompts": (put(batch, "pad", pad_on_the_right), by(check_extends, GREEDY)),
    "half the candidates": (put(beam, "best", half_the_candidates), by(check_equals_the_slow_search, BEAM)),
    "the end is not counted, everything": (
        put(beam, "divisor", lambda n, s: divisor(max(1, n - 1), s)),
        by(check_widest_beam_is_exhaustive, Search()),
    ),
    "a chunk too few": (
        put(score, "min", one_less, create=True),
        lambda seed: check_best_is_a_full_search(seed, 2, 3, 500, 6),
    ),
    "suppressed before normalising": (put(batch, "log_probabilities", suppress_first), by(check_scores, BEAM)),
    "bound stops at once": (put(beam.Beam, "_decided", first_are_enough), by(check_equals_the_slow_search, BEAM)),
    "exact stops like bound": (put(beam.Beam, "_decided", present_length), by(check_equals_the_slow_search, EXACT)),
    "ended sentences go on": (put(single.Single, "choose", never_over), by(check_scores, GREEDY)),
    "one limit for all": (put(search, "limits_of", one_limit), by(check_prefix, GREEDY)),
    "greedy takes the second": (
        put(single, "best", lambda *given: replace(found := best(*given), token=found.token[:, ::-1])),
        check_beam_of_one_is_greedy,
    ),
    "draws by turn": (
        lambda: patch.object(single, "_stream", streams_by_turn()),
        by(check_alone_equals_batch, SAMPLE),
    ),
    "NaN is a number": (
        put(batch, "log_probabilities", never_no_number),
        lambda seed: check_a_failed_sentence_leaves_the_others_alone("beam"),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_search_is_noticed(name):
    broken, check = MUTANTS[name]
    for seed in range(6):
        check(seed)
    noticed = 0
    for seed in range(6):
        with broken():
            try:
                check(seed)
            except (AssertionError, pytest.fail.Exception):
                noticed += 1
    assert noticed
