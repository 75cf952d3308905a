"""An answer followed step by step is the answer of the whole search; a caller may stop one early."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from transept.decode import single
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, Undecodable
from transept.decode.search import extend, search
from transept.decode.stream import follow
from transept.errors import UsageError
from unit.decode.toy import BOS, SPECIAL, sentences, tokens_of, translator, writer

GREEDY = Search(method="greedy", max_ratio=0.0, max_extra=9)
DRAWN = Search(method="sample", temperature=1.5, top_k=8, seed=3, max_ratio=0.0, max_extra=9)
LOOPLESS = Search(method="greedy", max_ratio=0.0, max_extra=9, no_repeat_ngram=2, repetition_penalty=1.3)
PROMPTS = [[BOS, 5, 7, 3], [BOS], [BOS, 4, 4], [BOS, 9, 8, 7, 6, 5, 4]]


@pytest.mark.parametrize("settings", [GREEDY, DRAWN, LOOPLESS], ids=["greedy", "sample", "rules"])
@pytest.mark.parametrize("seed", range(3))
def test_a_stream_ends_as_the_search_does(settings: Search, seed: int) -> None:
    model = writer(seed)
    for number, prompt in enumerate(PROMPTS):
        (whole,) = extend(model, [prompt], settings, SPECIAL, [number])
        seen = list(follow(model, None, prompt, settings, SPECIAL, number))
        assert seen[-1] == whole[0]
        assert [each.tokens for each in seen] == [whole[0].tokens[:n] for n in range(1, len(whole[0].tokens) + 1)]
    other, sources = translator(seed), sentences(seed, 4)
    for number, source in enumerate(sources):
        (whole,) = search(other, [source], settings, SPECIAL, None, [number])
        assert list(follow(other, source, [BOS], settings, SPECIAL, number))[-1] == whole[0]


@pytest.mark.parametrize("settings", [GREEDY, DRAWN], ids=["greedy", "sample"])
def test_prompts_of_several_lengths_are_each_alone(settings: Search) -> None:
    model = writer(1)
    together = extend(model, PROMPTS, settings, SPECIAL)
    alone = [extend(model, [prompt], settings, SPECIAL, [i])[0] for i, prompt in enumerate(PROMPTS)]
    assert tokens_of(together) == tokens_of(alone)


def test_a_caller_stops_each_answer_by_itself() -> None:
    model = writer(2)
    free = extend(model, PROMPTS, DRAWN, SPECIAL)
    marks = {tokens[2] for each in tokens_of(free) for tokens in each if len(tokens) > 3}
    asked: list[list[int]] = []

    def stop(tokens: list[int]) -> bool:
        asked.append(tokens)
        return tokens[-1] in marks

    found = extend(model, PROMPTS, DRAWN, SPECIAL, stop=stop)
    for (whole,), (cut,) in zip(free, found, strict=True):
        places = [i for i, token in enumerate(whole.tokens) if token in marks and token != SPECIAL.eos]
        if places:
            assert cut.tokens == whole.tokens[: places[0] + 1]
            assert cut.finish == "stop"
            assert cut.logprobs == pytest.approx(whole.logprobs[: places[0] + 1], rel=1e-5, abs=1e-5)
            assert cut.score == pytest.approx(np.mean(cut.logprobs), rel=1e-5, abs=1e-6)
        else:
            assert cut == whole
    assert any(each[0].finish == "stop" for each in found)
    assert all(SPECIAL.eos not in tokens for tokens in asked), "what has ended is not asked about"
    for number, prompt in enumerate(PROMPTS):
        steps = list(follow(model, None, prompt, DRAWN, SPECIAL, number, stop))
        assert steps[-1].tokens == found[number][0].tokens
        assert steps[-1].finish == found[number][0].finish


def test_one_of_several_draws_may_stop_before_the_others() -> None:
    model, settings = writer(3), DRAWN.model_copy(update={"n_best": 3})
    free = extend(model, PROMPTS, settings, SPECIAL)
    mark = next(tokens[1] for each in tokens_of(free) for tokens in each if len(tokens) > 4 and tokens[1] != 2)
    found = extend(model, PROMPTS, settings, SPECIAL, stop=lambda tokens: tokens[-1] == mark)

    def cut(one: Hypothesis) -> list[int]:
        return one.tokens[: one.tokens.index(mark) + 1] if mark in one.tokens else one.tokens

    for before, after in zip(free, found, strict=True):
        assert sorted(map(cut, before)) == sorted(one.tokens for one in after)
        assert {one.finish for one in after if one.tokens[-1] == mark} <= {"stop"}


def test_the_model_computes_when_the_next_is_asked_for_and_is_left_as_it_was() -> None:
    model = writer(0).train()
    calls: list[int] = []
    decode = model.decode
    model.decode = lambda *given, **named: (calls.append(1), decode(*given, **named))[1]  # type: ignore[method-assign]
    steps = follow(model, None, PROMPTS[0], GREEDY, SPECIAL)
    assert calls == []
    next(steps)
    assert len(calls) == 1
    assert not model.training
    assert not torch.is_inference_mode_enabled()
    next(steps)
    assert len(calls) == 2
    steps.close()  # type: ignore[attr-defined]
    assert model.training


@pytest.mark.parametrize("settings", [Search(), DRAWN.model_copy(update={"n_best": 2})], ids=["beam", "draws"])
def test_what_is_known_only_at_its_end_is_refused(settings: Search) -> None:
    with pytest.raises(UsageError, match="known only at its end"):
        next(follow(writer(0), None, PROMPTS[0], settings, SPECIAL))


def test_scores_that_are_no_numbers_are_told() -> None:
    model = writer(0)
    with torch.no_grad():
        model.embed.table.weight[5] = float("nan")
    with pytest.raises(Undecodable):
        list(follow(model, None, [BOS, 5], GREEDY, SPECIAL))


def test_no_room_for_an_answer_gives_none() -> None:
    model = writer(0, length=6)
    (found,) = follow(model, None, [BOS, 3, 4, 5, 6, 7], GREEDY.model_copy(update={"max_extra": 0}), SPECIAL)
    assert found == Hypothesis([], 0.0, [], "length", "extra")


# ------------------------------------------------------------------ the checks above see what they should


def test_a_stop_that_ends_all_draws_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def done(self: single.Single, rows: Sequence[int]) -> object:
        return self.ended[rows] | self.stopped[rows].any(1, keepdims=True)

    monkeypatch.setattr(single.Single, "_done", done)
    with pytest.raises(AssertionError):
        test_one_of_several_draws_may_stop_before_the_others()
