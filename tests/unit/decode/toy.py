"""Toy models, a slow search that recomputes everything, and the properties that each search is held to.

The properties are functions, so that test_mutants.py can show that each fails when what it holds is broken.
"""

import math
from collections.abc import Sequence
from itertools import chain, product

import torch

from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, Special
from transept.decode.search import extend, search
from transept.families.transformer import declare
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, ModelLayer, Seq2SeqLayer
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.pattern import Causal
from transept.parts.position import Learned
from transept.parts.stack import Stack
from transept.topology import Built

PAD, BOS, EOS = 0, 1, 2
SPECIAL = Special(bos=BOS, eos=EOS, suppress=(PAD, BOS))
RTOL, ATOL = 1e-5, 2e-5  # scores of some tens of nats in float32
Ids = Sequence[Sequence[int]]


def translator(seed: int, vocab: int = 12, end: float = 0.0) -> Seq2SeqLayer:
    """A random encoder-decoder; `end` is what the end token has, on average, ahead of the best other."""
    model = declare(vocab=vocab, width=8, hidden=16, heads=2, depth=1, head_bias=True).build()
    perturb(model, seed)
    balance(model, vocab, end)
    return model


def writer(seed: int, vocab: int = 12, length: int = 24) -> ModelLayer:
    """A random decoder without an encoder, with a position for each of `length` tokens."""
    block = Block((Attention(2, Causal()), FeedForward(16)))
    model = Model(8, Tokens(vocab, Learned(length)), Stack(block, 1), Vocabulary(vocab)).build()
    perturb(model, seed)
    return model


def perturb(model: Built, seed: int, scale: float = 0.3) -> None:
    """Every parameter random, so that none hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.eval().named_parameters():
            gain = 1.0 if name.endswith("norm.weight") else 0.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale + gain)


def balance(model: Seq2SeqLayer, vocab: int, end: float) -> None:
    """Move the end token's bias: left alone, a random model ends at once or never."""
    assert model.head.bias is not None
    with torch.no_grad():
        source, target = (torch.randint(3, vocab, (16, 6), generator=torch.Generator().manual_seed(0)) for _ in "st")
        logits = model(source, target).logits
        model.head.bias[EOS] += (logits[..., 3:].amax(-1) - logits[..., EOS]).mean() + end


def sentences(seed: int, count: int = 7, vocab: int = 12, longest: int = 9) -> list[list[int]]:
    """Sources of different lengths, each with its end token."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest, (count,), generator=generator).tolist()
    return [[*torch.randint(3, vocab, (n,), generator=generator).tolist(), EOS] for n in lengths]


def tokens_of(found: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[hypothesis.tokens for hypothesis in each] for each in found]


# ------------------------------------------------------------------ the slow search: no cache, no batch, no tensors


def next_logprobs(model: Built, source: Sequence[int] | None, start: Sequence[int]) -> list[float]:
    """Log-probabilities after `start`, by a whole pass over one sentence."""
    with torch.no_grad():
        target = torch.tensor([list(start)])
        logits = model(target).logits if source is None else model(torch.tensor([list(source)]), target).logits
    found = logits[0, -1].double().log_softmax(-1)
    found[list(SPECIAL.suppress)] = -math.inf
    values: list[float] = found.tolist()
    return values


def penalty(length: int, settings: Search) -> float:
    """Written from the two papers' formulas, apart from the package's own."""
    a = settings.length_penalty
    return length**a if settings.penalty == "average" else (5 + length) ** a / 6**a


def slow_greedy(model: Built, source: Sequence[int] | None, start: Sequence[int], most: int) -> list[int]:
    tokens: list[int] = []
    while len(tokens) < most and EOS not in tokens:
        scores = next_logprobs(model, source, [*start, *tokens])
        tokens.append(scores.index(max(scores)))
    return tokens


def slow_beam(
    model: Built, source: Sequence[int] | None, start: Sequence[int], most: int, settings: Search
) -> list[tuple[float, list[int]]]:
    """Beam search as its definition reads, over lists: (score, tokens), best first."""
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(1, most + 1):
        all_of_them = [
            (total + own, [*tokens, token])
            for total, tokens in live
            for token, own in enumerate(next_logprobs(model, source, [*start, *tokens]))
            if own > -math.inf
        ]
        best = sorted(all_of_them, key=lambda pair: -pair[0])[: 2 * settings.beam]
        closing = [(t, y) for t, y in best[: settings.beam] if y[-1] == EOS or length == most]
        ended += [(total / penalty(length, settings), tokens) for total, tokens in closing]
        ended = sorted(ended, key=lambda pair: -pair[0])[: settings.beam]
        live = [(total, tokens) for total, tokens in best if tokens[-1] != EOS][: settings.beam]
        if not live or length == most:
            break
        if len(ended) == settings.beam:
            longest = most if settings.stop == "exact" else length
            if settings.stop == "first" or live[0][0] / penalty(longest, settings) <= ended[-1][0]:
                break
    return ended


def everything(
    model: Built, source: Sequence[int] | None, start: Sequence[int], most: int, vocab: int, settings: Search
) -> list[tuple[float, list[int]]]:
    """(score, tokens) of every target of at most `most` tokens, best first: exhaustive search."""
    letters = [token for token in range(vocab) if token not in (*SPECIAL.suppress, EOS)]
    found = []
    for length in range(1, most + 1):
        for body in product(letters, repeat=length - 1):
            for last in (EOS, *letters) if length == most else (EOS,):
                tokens = [*body, last]
                total = sum(logprobs_of(model, source, start, tokens))
                found.append((total / penalty(length, settings), tokens))
    return sorted(found, key=lambda pair: -pair[0])


def logprobs_of(model: Built, source: Sequence[int] | None, start: Sequence[int], tokens: Sequence[int]) -> list[float]:
    """The log-probability of each token after those before it, by whole passes."""
    return [next_logprobs(model, source, [*start, *tokens[:i]])[token] for i, token in enumerate(tokens)]


# ------------------------------------------------------------------ the properties


def near(a: float, b: float) -> bool:
    return abs(a - b) <= ATOL + RTOL * abs(b)


def check_equals_the_slow_search(seed: int, settings: Search, vocab: int = 12, end: float = 1.0) -> None:
    """The cached, batched beam finds what the definition finds, in the same order."""
    model, asked = translator(seed, vocab, end), sentences(seed, 4, vocab)
    for source, found in zip(asked, search(model, asked, settings, SPECIAL), strict=True):
        most = int(settings.max_ratio * len(source)) + settings.max_extra
        wanted = slow_beam(model, source, [BOS], most, settings)[: settings.n_best]
        assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens in wanted]
        assert all(near(h.score, score) for h, (score, _) in zip(found, wanted, strict=True))


def check_scores(seed: int, settings: Search, vocab: int = 12) -> None:
    """Every score is the recomputed log-probability over the penalty, every log-probability the model's own."""
    model, asked = translator(seed, vocab), sentences(seed, 5, vocab)
    for source, found in zip(asked, search(model, asked, settings, SPECIAL), strict=True):
        assert found
        for hypothesis in found:
            wanted = logprobs_of(model, source, [BOS], hypothesis.tokens)
            assert all(near(a, b) for a, b in zip(hypothesis.logprobs, wanted, strict=True))
            assert near(hypothesis.score, sum(wanted) / penalty(len(wanted), settings))
            assert (hypothesis.finish == "end") == (hypothesis.tokens[-1] == EOS)
            assert hypothesis.tokens.count(EOS) == (hypothesis.finish == "end")


def check_alone_equals_batch(seed: int, settings: Search, vocab: int = 12) -> None:
    """A sentence's answers do not depend on its companions, their order, or who leaves the batch before it."""
    model, asked = translator(seed, vocab), sentences(seed, 9, vocab)
    together = search(model, asked, settings, SPECIAL)
    alone = search(model, asked, settings.model_copy(update={"batch_tokens": 1}), SPECIAL)
    assert tokens_of(together) == tokens_of(alone)
    pairs = zip(chain(*together), chain(*alone), strict=True)
    assert all(near(a.score, b.score) and a.finish == b.finish for a, b in pairs)


def check_prefix(seed: int, settings: Search) -> None:
    """A forced prefix of any length is read, and neither scored nor returned."""
    model, asked = translator(seed), sentences(seed, 6)
    prefix = [[3, 5, 4, 7][: i % 4] for i in range(len(asked))]
    found = search(model, asked, settings, SPECIAL, prefix)
    for source, forced, hypotheses in zip(asked, prefix, found, strict=True):
        most = int(settings.max_ratio * len(source)) + settings.max_extra
        if settings.method == "greedy":
            wanted = [slow_greedy(model, source, [BOS, *forced], most)]
        else:
            wanted = [y for _, y in slow_beam(model, source, [BOS, *forced], most, settings)[: settings.n_best]]
        assert [hypothesis.tokens for hypothesis in hypotheses] == wanted


def check_extends(seed: int, settings: Search) -> None:
    """A model without an encoder is searched by the same code."""
    model = writer(seed)
    prompts = [[BOS, *row] for row in sentences(seed, 6)]
    for prompt, hypotheses in zip(prompts, extend(model, prompts, settings, SPECIAL), strict=True):
        most = min(int(settings.max_ratio * len(prompt)) + settings.max_extra, 24 - len(prompt) + 1)
        if settings.method == "greedy":
            wanted = [slow_greedy(model, None, prompt, most)]
        else:
            wanted = [y for _, y in slow_beam(model, None, prompt, most, settings)[: settings.n_best]]
        assert [hypothesis.tokens for hypothesis in hypotheses] == wanted


def check_beam_of_one_is_greedy(seed: int, vocab: int = 12) -> None:
    model, asked = translator(seed, vocab), sentences(seed, 6, vocab)
    found = [
        search(model, asked, Search(method="greedy", max_extra=6), SPECIAL),
        search(model, asked, Search(beam=1, max_extra=6), SPECIAL),
        search(model, asked, Search(beam=1, stop="first", max_extra=6), SPECIAL),
    ]
    assert tokens_of(found[0]) == tokens_of(found[1]) == tokens_of(found[2])
    assert [h.score for each in found[0] for h in each] == [h.score for each in found[1] for h in each]


def check_widest_beam_is_exhaustive(seed: int, settings: Search) -> None:
    """With two letters, an end and a beam as wide as the tree, nothing escapes: all targets, in order."""
    model, asked, most = translator(seed, 5, 0.0), sentences(seed, 2, 5), 4
    everywhere = settings.model_copy(update={"beam": 2**most * 2, "n_best": 2**most * 2, "max_ratio": 0.0})
    everywhere = everywhere.model_copy(update={"max_extra": most})
    for source, found in zip(asked, search(model, asked, everywhere, SPECIAL), strict=True):
        wanted = everything(model, source, [BOS], most, 5, settings)
        assert len(found) == len(wanted) == 31
        assert sorted(h.tokens for h in found) == sorted(tokens for _, tokens in wanted)
        assert found[0].tokens == wanted[0][1]
        assert all(near(h.score, score) for h, (score, _) in zip(found, wanted, strict=True))
