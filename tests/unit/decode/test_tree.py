"""The tree of a beam: what the search found is in it, and every branch is what its way adds up to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from transept.decode.batch import NARROW, pad
from transept.decode.config import Search
from transept.decode.hypothesis import Special, Undecodable, divisor
from transept.decode.search import extend, search
from transept.decode.tree import Tree, grow
from transept.errors import UsageError
from transept.models import ModelLayer, Seq2SeqLayer
from unit.look.staged import translator, writer

SPECIAL = Special(bos=1, eos=2, suppress=(0,))

SETTINGS: list[dict[str, Any]] = [
    {"beam": 1},
    {"beam": 3},
    {"beam": 4, "length_penalty": 0.0},
    {"beam": 4, "penalty": "wu", "length_penalty": 0.6, "stop": "exact"},
    {"beam": 5, "stop": "first"},
    {"beam": 3, "no_repeat_ngram": 2, "min_length": 4},
    {"beam": 2, "repetition_penalty": 1.7},
]


def keen(model: Seq2SeqLayer, end: int) -> Seq2SeqLayer:
    """The same model with an end that is likelier: short hypotheses end while others live."""
    torch.manual_seed(0)
    bias = torch.zeros(300)
    bias[end] = 2.5
    model.head.register_forward_hook(lambda _, __, scores: scores + bias[: scores.size(-1)])
    return model


def settings(**changes: Any) -> Search:
    return Search(**{"max_ratio": 0.0, "max_extra": 9} | changes)


def grown(model: Seq2SeqLayer, source: Sequence[int], how: Search, prefix: Sequence[int] = ()) -> Tree:
    ids = pad([source], model.device, NARROW)
    return grow(model, lambda: model.encode(*ids), source, SPECIAL.start(prefix), how, SPECIAL)


def check(tree: Tree, how: Search) -> None:
    totals: list[np.float32] = []
    for number, step in enumerate(tree.steps):
        before = tree.steps[number - 1] if number else ()
        assert 0 < len(step) <= 2 * how.beam
        assert [one.total for one in step] == sorted((one.total for one in step), reverse=True)
        for one in step:
            if one.parent is None:
                assert number == 0
                assert one.total == one.logprob
            else:
                assert before[one.parent].state == "lives"
                assert one.total == np.float32(np.float32(before[one.parent].total) + np.float32(one.logprob))
        lives = [one for one in step if one.state == "lives"]
        ended = [one for one in step if one.state == "ended"]
        dropped = [one for one in step if one.state == "dropped"]
        assert len(lives) <= how.beam
        assert len({(one.parent, one.token) for one in step}) == len(step)
        if number + 1 < how.max_extra:
            assert all(one.token in SPECIAL.ends for one in ended)
            assert not [one for one in lives if one.token in SPECIAL.ends]
            going = [one for one in dropped if one.token not in SPECIAL.ends]
            assert not going or min(one.total for one in lives) >= max(one.total for one in going)
        totals += [np.float32(one.total) for one in ended]
    for (step, branch), found in zip(tree.ends, tree.hypotheses, strict=True):
        tokens, logprobs, at = list[int](), list[float](), branch
        assert tree.steps[step][branch].state == "ended"
        for number in range(step, -1, -1):
            one = tree.steps[number][at]
            tokens.insert(0, one.token)
            logprobs.insert(0, one.logprob)
            at = -1 if one.parent is None else one.parent
        assert tokens == found.tokens
        assert logprobs == found.logprobs
        total = np.float32(tree.steps[step][branch].total)
        assert found.score == pytest.approx(total / divisor(len(tokens), how), rel=1e-6, abs=0)


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_what_was_found_is_in_the_tree(changes: dict[str, Any]) -> None:
    model = translator().loaded.model
    assert isinstance(model, Seq2SeqLayer)
    how = settings(**changes)
    hooks = len(model.head._forward_hooks)
    keen(model, 2)
    try:
        for source in ([5, 6, 7, 2], [9, 2]):
            for prefix in ([], [17, 30]):
                tree = grown(model, source, how, prefix)
                whole = how.model_copy(update={"n_best": how.beam})
                (found,) = search(model, [source], whole, SPECIAL, [prefix])
                assert list(tree.hypotheses) == found
                check(tree, how)
    finally:
        model.head._forward_hooks.clear()
    assert len(model.head._forward_hooks) == hooks


def test_a_decoder_alone_has_a_tree_of_its_own() -> None:
    model = writer().loaded.model
    assert isinstance(model, ModelLayer)
    how = settings(beam=3, n_best=3)
    special = Special(bos=0, eos=0)
    tree = grow(model, lambda: None, [5, 6], [5, 6], how, special)
    (found,) = extend(model, [[5, 6]], how, special)
    assert list(tree.hypotheses) == found
    assert len(tree.steps) == 9


def test_some_hypotheses_end_and_are_beaten_and_others_are_dropped() -> None:
    model = translator().loaded.model
    assert isinstance(model, Seq2SeqLayer)
    keen(model, 2)
    try:
        tree = grown(model, [5, 6, 7, 2], settings(beam=3, stop="exact", length_penalty=2.0))
    finally:
        model.head._forward_hooks.clear()
    states = [one.state for step in tree.steps for one in step]
    assert {"lives", "ended", "dropped"} <= set(states)
    ended = {(s, b) for s, step in enumerate(tree.steps) for b, one in enumerate(step) if one.state == "ended"}
    assert set(tree.ends) < ended


def test_what_has_no_branches_is_refused() -> None:
    model = translator().loaded.model
    assert isinstance(model, Seq2SeqLayer)
    with pytest.raises(UsageError, match="only a beam has branches, and the method is greedy"):
        grown(model, [5, 2], settings(method="greedy"))
    none = grown(model, [5, 2], settings(max_extra=0))
    assert (none.steps, none.ends, none.hypotheses[0].tokens) == ((), (), [])
    model.head.register_forward_hook(lambda _, __, scores: scores * float("nan"))
    try:
        with pytest.raises(Undecodable):
            grown(model, [5, 2], settings(beam=2))
    finally:
        model.head._forward_hooks.clear()
