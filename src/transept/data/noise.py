"""Noise that a model learns to undo: T5's corrupted spans, and the five kinds of BART. Each draws from a generator.

Shapes: n tokens of a text, without what stands around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.int64]
Generator = np.random.Generator


@dataclass(frozen=True)
class Marks:
    """What stands for what is gone: `mask`, or of the masks a share `random` drawn among the ids below `vocab`."""

    mask: int
    vocab: int
    random: float = 0.0

    def draw(self, count: int, generator: Generator) -> Row:
        """So many marks."""
        marks = np.full(count, self.mask, np.int64)
        drawn = generator.random(count) < self.random
        marks[drawn] = generator.integers(0, self.vocab, int(drawn.sum()))
        return marks


# ------------------------------------------------------------------ T5: spans (Raffel et al. 2020, section 3.1.4)


def spans_of(count: int, rate: float, mean: float) -> tuple[int, int]:
    """How many of `count` tokens are corrupted, and in how many spans, as in the released code."""
    noise = min(max(round(count * rate), 1), count - 1)
    return noise, min(max(round(noise / mean), 1), noise, count - noise)


def corrupt_spans(
    ids: NDArray[Any], sentinels: Sequence[int], generator: Generator, rate: float = 0.15, mean: float = 3.0
) -> tuple[Row, Row]:
    """The text with a sentinel for each corrupted span, and each sentinel with its span: what is read, what is written.

    The lengths of the spans, and of what lies between them, are compositions drawn uniformly; a text begins with what
    stays and ends with a span; a single token is a span. As many sentinels are needed as there are spans.
    """
    if len(ids) == 1:
        return np.array(sentinels[:1], np.int64), np.array([sentinels[0], ids[0]], np.int64)
    noise, spans = spans_of(len(ids), rate, mean)
    gone, kept = composition(noise, spans, generator), composition(len(ids) - noise, spans, generator)
    cuts = np.split(np.asarray(ids, np.int64), np.cumsum(np.stack([kept, gone], 1).ravel())[:-1])
    source, target = list[Row](), list[Row]()
    for i, sentinel in enumerate(sentinels[:spans]):
        sign = np.array([sentinel], np.int64)
        source += [cuts[2 * i], sign]
        target += [sign, cuts[2 * i + 1]]
    assert len(source) == 2 * spans, f"{spans} spans and {len(sentinels)} sentinels"
    return np.concatenate(source), np.concatenate(target)


def composition(total: int, parts: int, generator: Generator) -> Row:
    """`total` as an ordered sum of `parts` positive numbers, each such sum as likely as any other."""
    cuts = np.sort(generator.permutation(total - 1)[: parts - 1]) + 1
    return np.diff(cuts, prepend=0, append=total).astype(np.int64)


def raw_length(room: int, rate: float, mean: float) -> tuple[int, int]:
    """How many raw tokens fill `room` tokens of a source, and how long the target is then; both with an end token."""

    def sizes(raw: int) -> tuple[int, int]:
        noise, spans = spans_of(raw, rate, mean)
        return raw - noise + spans + 1, noise + spans + 1

    raw = 2
    while sizes(raw + 1)[0] <= room:
        raw += 1
    return raw, sizes(raw)[1]


# ------------------------------------------------------------------ BART (Lewis et al. 2020, section 2.2)


def mask_tokens(ids: NDArray[Any], marks: Marks, generator: Generator, rate: float) -> Row:
    """A share of the tokens, drawn, each under a mark of its own."""
    found = np.array(ids, np.int64)
    chosen = generator.permutation(len(found))[: round(len(found) * rate)]
    found[chosen] = marks.draw(len(chosen), generator)
    return found


def delete_tokens(ids: NDArray[Any], generator: Generator, rate: float) -> Row:
    """The text without a share of its tokens, drawn; what is missing, and where, is to be found out."""
    gone = generator.permutation(len(ids))[: min(round(len(ids) * rate), len(ids) - 1)]
    return np.delete(np.asarray(ids, np.int64), gone)


def infill(
    ids: NDArray[Any],
    begins: NDArray[np.bool_] | None,
    marks: Marks,
    generator: Generator,
    rate: float = 0.3,
    mean: float = 3.0,
    most: int | None = None,
) -> Row:
    """The text with spans of words under one mark each, as in fairseq; a span of no words inserts a mark.

    The lengths are drawn from a Poisson distribution until they make up `rate` of the words, the last cut to fit; the
    words that spans begin with are drawn, so that spans may meet. `begins` (n,) tells the tokens that begin a word, the
    first always does; with None each token is a word. A text becomes no longer than `most`: what would be inserted
    beyond it is not.
    """
    found = np.array(ids, np.int64)
    starts = np.arange(len(found)) if begins is None else np.flatnonzero(begins | (np.arange(len(found)) == 0))
    budget = int(np.ceil(len(starts) * rate))
    if budget == 0:
        return found
    lengths = _span_lengths(budget, mean, generator)
    inserts, lengths = int((lengths == 0).sum()), lengths[lengths > 0]
    chosen = generator.permutation(len(starts))[: len(lengths)]
    stops = np.append(starts, len(found))
    keep = np.ones(len(found), bool)
    for word, length in zip(chosen, lengths, strict=True):
        keep[starts[word] + 1 : stops[min(word + length, len(starts))]] = False
    found[starts[chosen]] = marks.draw(len(chosen), generator)
    left = found[keep]
    return insert(left, inserts if most is None else min(inserts, most - len(left)), marks, generator)


def _span_lengths(budget: int, mean: float, generator: Generator) -> Row:
    """Draws that sum to `budget`, with those of nothing among them."""
    lengths = generator.poisson(mean, budget)
    while lengths.sum() < budget:
        lengths = np.append(lengths, generator.poisson(mean, budget))
    last = int(np.searchsorted(lengths.cumsum(), budget))
    lengths = lengths[: last + 1]
    lengths[-1] -= lengths.sum() - budget
    return lengths.astype(np.int64)


def insert(ids: Row, count: int, marks: Marks, generator: Generator) -> Row:
    """The text with so many marks more, at places that are drawn."""
    at = np.zeros(len(ids) + count, bool)
    at[generator.permutation(len(at))[:count]] = True
    found = np.empty(len(at), np.int64)
    found[at], found[~at] = marks.draw(count, generator), ids
    return found


def permute_sentences(sentences: Sequence[NDArray[Any]], generator: Generator, rate: float = 1.0) -> list[Row]:
    """The sentences, a share of them in each other's places, as drawn."""
    count = int(np.ceil(len(sentences) * rate))
    moved = generator.permutation(len(sentences))[:count]
    order = np.arange(len(sentences))
    order[moved] = moved[generator.permutation(count)]
    return [np.asarray(sentences[i], np.int64) for i in order.tolist()]


def rotate(ids: NDArray[Any], generator: Generator) -> Row:
    """The text begun at a token that is drawn, what was before it behind its end."""
    return np.roll(np.asarray(ids, np.int64), -int(generator.integers(0, len(ids) + 1)))
