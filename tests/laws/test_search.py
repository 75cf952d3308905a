"""Law 9: a beam of one equals greedy; one as wide as the tree equals exhaustive search; a batch changes no answer."""

import itertools
from unittest.mock import patch

import pytest
import torch

from laws.subjects import decodes, lively, reads_text, variants
from transept.decode import beam as beam_module
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, Special
from transept.decode.search import extend, search
from transept.models import Seq2Seq
from transept.parts.cache import Cache
from transept.topology import Built, Topology

DECODERS = {name: spec for name, spec in variants().items() if decodes(spec) and reads_text(spec)}
SMALL = [name for name in DECODERS if ", " not in name]  # the families as they are
LONG = 3
SPECIAL = Special(bos=1, eos=2)


def answers(model: Built, texts: list[list[int]], settings: Search) -> list[list[Hypothesis]]:
    run = search if isinstance(model.spec, Seq2Seq) else extend
    return run(model, texts, settings, SPECIAL)


def settings_of(method: str, **more: object) -> Search:
    return Search.model_validate({"method": method, "max_ratio": 0.0, "max_extra": LONG} | more)


def four_tokens(spec: Topology) -> Topology:
    """The same model with a vocabulary of four: its tree can be searched whole."""
    from laws.subjects import edit
    from transept.heads.vocabulary import Vocabulary
    from transept.inputs.tokens import Tokens
    from transept.spec import replace

    def change(part: object) -> object:
        if isinstance(part, Tokens):
            return replace(part, vocab=4)
        return replace(part, size=4) if isinstance(part, Vocabulary) else part

    # From the leaves up: a tied head and its table change together, so the check between them waits for both.
    with patch("transept.models.fit", lambda head, embed, width, given: None):
        return edit(spec, change)


@torch.no_grad()
def exhaustive(model: Built, text: list[int], power: float) -> tuple[list[int], float]:
    """The best of all answers of at most LONG tokens, by the sum of log-probabilities over length^power."""
    memory, start = None, torch.tensor([text])
    if isinstance(model.spec, Seq2Seq):
        memory, start = model.encode(torch.tensor([text])), torch.tensor([[SPECIAL.bos]])
    best: tuple[list[int], float] = ([], -float("inf"))
    for length in range(1, LONG + 1):
        for tokens in itertools.product(range(4), repeat=length):
            ended = SPECIAL.eos in tokens
            if (tokens.index(SPECIAL.eos) != length - 1) if ended else (length < LONG):
                continue  # nothing comes after the end, and what has not ended is as long as it may be
            whole = torch.cat([start, torch.tensor([tokens[:-1]], dtype=torch.long)], 1)
            logp = model.decode(whole, memory)[0, start.size(1) - 1 :].log_softmax(-1)
            score = float(sum(logp[i, token] for i, token in enumerate(tokens))) / length**power
            best = max(best, (list(tokens), score), key=lambda found: found[1])
    return best


def check_one_is_greedy(model: Built) -> None:
    texts = [[5, 6, 7, 2], [8, 2], [9, 10, 11, 12, 13, 2]]
    greedy, one = answers(model, texts, settings_of("greedy")), answers(model, texts, settings_of("beam", beam=1))
    for a, b in zip(greedy, one, strict=True):
        assert a[0].tokens == b[0].tokens
        assert abs(a[0].score - b[0].score) < 1e-5


def check_wide_is_exhaustive(model: Built) -> None:
    for power in (0.0, 1.0, 2.0):
        for text in ([3, 0, 3, 2], [0, 2]):
            (found,) = answers(model, [text], settings_of("beam", beam=4**LONG, length_penalty=power, stop="exact"))
            tokens, score = exhaustive(model, text, power)
            assert found[0].tokens == tokens
            assert abs(found[0].score - score) < 1e-5


def check_batch(model: Built) -> None:
    texts = [[5, 6, 7, 2], [8, 2], [9, 10, 11, 12, 13, 2], [14, 15, 2]]
    wide = settings_of("beam", beam=3, n_best=3, max_extra=8)
    for text, together in zip(texts, answers(model, texts, wide), strict=True):
        (alone,) = answers(model, [text], wide)
        assert [h.tokens for h in alone] == [h.tokens for h in together]
        assert all(abs(a.score - b.score) < 1e-5 for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("name", DECODERS)
def test_a_beam_of_one_is_greedy(name: str) -> None:
    check_one_is_greedy(lively(DECODERS[name]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SMALL)
def test_a_beam_as_wide_as_the_tree_is_exhaustive(name: str, seed: int) -> None:
    check_wide_is_exhaustive(lively(four_tokens(DECODERS[name]), seed, 0.6))


@pytest.mark.parametrize("name", DECODERS)
def test_a_batch_changes_no_answer(name: str) -> None:
    check_batch(lively(DECODERS[name]))


def check_some() -> None:
    for seed in range(5):
        check_wide_is_exhaustive(lively(four_tokens(DECODERS["transformer"]), seed, 0.6))


def test_mutant_that_does_not_divide_by_length() -> None:
    with patch.object(beam_module, "divisor", lambda length, settings: 1.0), pytest.raises(AssertionError):
        check_some()


def test_mutant_whose_hypotheses_keep_their_old_keys() -> None:
    stuck = patch.object(Cache, "reorder", lambda self, rows, memory=True: None)
    with stuck, pytest.raises((AssertionError, RuntimeError)):
        check_some()
