"""What settings forbid and force: against a slow search over lists, against Hugging Face's `generate`, with mutants."""

import itertools
import math
import random
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch

from transept.decode import rules
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.decode.rules import rules_of
from transept.decode.search import search
from transept.errors import UsageError
from unit.decode import toy
from unit.decode.test_hugging_face import generate, pair
from unit.decode.toy import BOS, EOS, SPECIAL, near, sentences, slow_beam, slow_greedy, tokens_of, translator

FIRST = 5
BEGUN = replace(SPECIAL, first=FIRST)
CLOSED = replace(BEGUN, last=EOS)
BEAM = Search(beam=3, n_best=3, max_ratio=0.0, max_extra=6)
GREEDY = Search(method="greedy", max_ratio=0.0, max_extra=7)
RULES = {
    "min_length": {"min_length": 5},
    "no_repeat_ngram": {"no_repeat_ngram": 2},
    "no token twice": {"no_repeat_ngram": 1},
    "repetition_penalty": {"repetition_penalty": 1.7},
    "all": {"min_length": 4, "no_repeat_ngram": 3, "repetition_penalty": 0.8},
}


def repeated(tokens: list[int], size: int) -> set[int]:
    """What would end `size` tokens that stand there already."""
    last = tokens[len(tokens) - size + 1 :]
    return {tokens[i + size - 1] for i in range(len(tokens) - size + 1) if tokens[i : i + size - 1] == last}


def ruled(settings: Search, special: Special, most: int):
    """The toy's next log-probabilities under rules, from lists alone. An answer has `most` tokens."""

    def changed(scores, so_far):
        for token in set(so_far):
            by = settings.repetition_penalty
            scores[token] = scores[token] * by if scores[token] < 0 else scores[token] / by
        return scores

    @torch.no_grad()
    def following(model, source, so_far):
        if special.last is not None and len(so_far) == most:
            return [0.0 if token == special.last else -math.inf for token in range(model.spec.embed.vocab)]
        if special.first is not None and len(so_far) == 1:
            return [0.0 if token == special.first else -math.inf for token in range(model.spec.embed.vocab)]
        logits = model(torch.tensor([list(source)]), torch.tensor([so_far])).logits[0, -1].double()
        if settings.method != "beam":
            logits = changed(logits, so_far)
        found = logits.log_softmax(-1)
        if settings.method == "beam":
            found = changed(found, so_far)
        found[list(special.suppress)] = -math.inf
        end = found[EOS].item()
        if settings.no_repeat_ngram:
            found[list(repeated(so_far, settings.no_repeat_ngram))] = -math.inf
            found[EOS] = end if found.max() == -math.inf else found[EOS]
        if len(so_far) < settings.min_length:
            found[EOS] = -math.inf
        return found.tolist()

    return patch.object(toy, "next_logprobs", following)


def check_equals_the_slow_search(seed: int, settings: Search, special: Special = SPECIAL, count: int = 2) -> None:
    model, asked = translator(seed, end=0.5), sentences(seed, count)
    most = settings.max_extra
    with ruled(settings, special, most):
        for source, found in zip(asked, search(model, asked, settings, special), strict=True):
            if settings.method == "greedy":
                assert [h.tokens for h in found] == [slow_greedy(model, source, [BOS], most)]
            else:
                wanted = slow_beam(model, source, [BOS], most, settings)
                assert [h.tokens for h in found] == [tokens for _, tokens in wanted]
                assert all(near(h.score, score) for h, (score, _) in zip(found, wanted, strict=True))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("settings", [BEAM, GREEDY], ids=["beam", "greedy"])
@pytest.mark.parametrize("special", [SPECIAL, BEGUN, CLOSED], ids=["free", "forced", "forced at both ends"])
def test_it_is_the_slow_search(rule, settings, special):
    for seed in range(2):
        check_equals_the_slow_search(seed, settings.model_copy(update=RULES[rule]), special)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_changes_something(rule):
    for settings in (BEAM, GREEDY):
        ruled = settings.model_copy(update=RULES[rule])
        pairs = [
            tokens_of(search(translator(seed, end=0.5), sentences(seed), one, SPECIAL))
            for one in (settings, ruled)
            for seed in range(2)
        ]
        assert pairs[:2] != pairs[2:]


def test_without_rules_nothing_is_kept():
    limits = np.array([9])
    assert rules_of(Search(), SPECIAL, [[BOS]], limits) is None
    assert rules_of(Search(min_length=1), SPECIAL, [[BOS]], limits) is None  # no answer is shorter than its end
    assert rules_of(Search(), BEGUN, [[BOS]], limits) is not None
    assert rules_of(Search(), replace(SPECIAL, last=EOS), [[BOS]], limits) is not None


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_answers_obey(method):
    settings = Search.model_validate({"method": method, "max_ratio": 0.0, "max_extra": 12, "min_length": 6})
    settings = settings.model_copy(update={"no_repeat_ngram": 2})
    for seed in range(3):
        for each in search(translator(seed, end=2.0), sentences(seed), settings, BEGUN):
            tokens = each[0].tokens
            assert tokens[0] == FIRST
            assert each[0].logprobs[0] == 0.0
            assert len(tokens) >= 6
            whole = [BOS, *tokens]
            twos = list(itertools.pairwise(whole))
            assert len(set(twos)) == len(twos)


def test_where_everything_would_repeat_the_answer_ends():
    for method in ("greedy", "beam"):
        settings = Search.model_validate({"method": method, "no_repeat_ngram": 1, "max_ratio": 0.0, "max_extra": 9})
        for each in search(translator(0, vocab=6, end=-9.0), sentences(0, vocab=6), settings, SPECIAL):
            assert each[0].tokens[-1] == EOS
            assert len(each[0].tokens) <= 4
            assert each[0].score > -math.inf


def test_a_prefix_stands_after_what_comes_first():
    model, asked = translator(3), sentences(3, 4)
    plain = replace(BEGUN, first=None)
    for settings in (BEAM, GREEDY):
        forced = search(model, asked, settings, BEGUN, prefix=[[7, 4]] * 4)
        assert tokens_of(forced) == tokens_of(search(model, asked, settings, plain, prefix=[[FIRST, 7, 4]] * 4))
        whole = search(model, asked, settings, BEGUN, prefix=[[FIRST, 7, 4]] * 4)
        assert tokens_of(whole) == tokens_of(forced)  # a prefix that has it already has it once
        mixed = search(model, asked, settings, BEGUN, prefix=[[7, 4], [], [7, 4], []])
        alone = search(model, asked, settings, BEGUN)
        assert tokens_of(mixed) == [tokens_of([(forced, alone)[i % 2][i]])[0] for i in range(4)]


def test_what_is_forced_is_not_suppressed():
    with pytest.raises(UsageError, match="token 1 comes first, and is suppressed"):
        replace(SPECIAL, first=BOS)
    with pytest.raises(UsageError, match="token 1 comes last, and is suppressed"):
        replace(SPECIAL, last=BOS)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_an_answer_of_the_maximal_length_has_its_last_token(method):
    """Of each sentence's own length; the reason of its end stays its length."""
    settings = Search.model_validate({"method": method, "max_ratio": 0.5, "max_extra": 2})
    seen = set()
    for seed in range(4):
        asked = sentences(seed, 6)
        for source, found in zip(asked, search(translator(seed, end=0.5), asked, settings, CLOSED), strict=True):
            limit, answer = int(0.5 * len(source)) + 2, found[0]
            assert answer.tokens[-1] == EOS
            assert (answer.finish == "length") == (len(answer.tokens) == limit)
            if answer.finish == "length":
                assert answer.logprobs[-1] == 0.0
            seen.add(answer.finish)
    assert seen == {"end", "length"}


def test_what_comes_last_may_be_no_end():
    settings = GREEDY.model_copy(update={"max_extra": 3})
    model, asked = translator(0, end=-9.0), sentences(0)
    for each in search(model, asked, settings, replace(SPECIAL, last=7)):
        assert (each[0].tokens[-1], each[0].finish, len(each[0].tokens)) == (7, "length", 3)
    one = settings.model_copy(update={"max_extra": 1})
    for each in search(model, asked, one, CLOSED):  # the last token is the first, as Hugging Face has it
        assert each[0].tokens == [EOS]


# ------------------------------------------------------------------ as Hugging Face has them

THEIRS = {"min_length": "min_length", "no_repeat_ngram": "no_repeat_ngram_size"}


@pytest.mark.parametrize(
    ("seed", "forced", "last"), [(0, None, None), (1, FIRST, None), (2, None, EOS), (3, FIRST, EOS), (4, None, 7)]
)
def test_the_tokens_of_generate(seed, forced, last):
    model, theirs, vocab = pair(seed)
    asked, dice = sentences(seed, 4, vocab), random.Random(seed)
    special = replace(SPECIAL, first=forced, last=last)
    chosen = [RULES[rule] for rule in RULES] + [{"min_length": 9, "no_repeat_ngram": 3}]
    for rule in chosen:
        named = {THEIRS.get(name, name): value for name, value in rule.items()}
        named |= {"forced_bos_token_id": forced, "forced_eos_token_id": last}
        if rule.get("no_repeat_ngram") == 1 and vocab < 20:
            continue  # nothing may be left, and they then choose a forbidden token
        limits = {"max_ratio": 0.0, "max_extra": 12, **rule}
        wanted = generate(theirs, asked, max_new_tokens=12, num_beams=1, **named)[0]
        assert [each[0].tokens for each in search(model, asked, Search(method="greedy", **limits), special)] == wanted
        beam, power = dice.choice([2, 4]), dice.choice([0.6, 2.0])
        settings = Search(beam=beam, length_penalty=power, stop="first", **limits)
        found = search(model, asked, settings, special)
        extra = {"early_stopping": True, "length_penalty": power}
        wanted, scores = generate(theirs, asked, max_new_tokens=12, num_beams=beam, **extra, **named)
        assert [each[0].tokens for each in found] == wanted, settings
        ours = torch.tensor([each[0].score for each in found])
        torch.testing.assert_close(ours, torch.tensor(scores), rtol=1e-5, atol=2e-5)


# ------------------------------------------------------------------ broken on purpose


def stay(self, parents, tokens):
    """Whoever it goes on from."""
    past = np.broadcast_to(self.history[:, :1], (*tokens.shape, self.history.shape[2]))
    self.history = np.concatenate([past, tokens[..., None]], 2)
    self.chosen += 1


def start_forgotten(self, settings, special, starts, limits):
    begin(self, settings, special, starts, limits)
    self.history = np.full_like(self.history, EOS)


def one_limit(self, settings, special, starts, limits):
    begin(self, settings, special, starts, np.full_like(limits, limits.max() + 1))


begin = rules.Rules.__init__
MUTANTS = {
    "hypotheses take the past of the first": ("follow", stay, BEAM, {"repetition_penalty": 3.0, "min_length": 6}),
    "the start does not count": ("__init__", start_forgotten, BEAM, {"repetition_penalty": 3.0}),
    "sentences stay where they are": ("keep", lambda self, sentences: None, GREEDY, {"no_repeat_ngram": 1}),
    "a beam is penalised by its logits": ("change", lambda self, x: self._penalised(x), BEAM, RULES["all"]),
    "the last token comes too late": ("__init__", one_limit, BEAM, {}),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_noticed(name):
    method, mutant, settings, rule = MUTANTS[name]
    special = CLOSED if mutant is one_limit else SPECIAL
    noticed = 0
    for seed in range(3):
        with patch.object(rules.Rules, method, mutant):
            try:
                check_equals_the_slow_search(seed, settings.model_copy(update=rule), special, count=5)
            except (AssertionError, IndexError):
                noticed += 1
    assert noticed
