"""How good classes, numbers and spans are: accuracy, F1, Matthews' and Pearson's correlations, with 95 % intervals.

Shapes: N examples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transept.data.spans import spans_of
from transept.tasks.score import Score, redrawn, resampled, wilson

Whole = NDArray[np.int64]
Real = NDArray[np.float64]


def accuracy(found: Whole, right: Whole) -> Score:
    """The share of right answers, with Wilson's interval (1927)."""
    hits = int((found == right).sum())
    low, high = wilson(hits, len(right))
    return Score("accuracy", 100 * hits / len(right), (100 * low, 100 * high), f"n:{len(right)}|interval:wilson")


def f1(found: Whole, right: Whole, classes: int, resamples: int = 0) -> Score:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN); a class that is neither found nor there has none.

    The interval comes from `resamples` draws of the examples; 0 asks for none.
    """
    return _drawn("F1", f"average:macro|classes:{classes}", _f1, confusions(found, right, classes), resamples)


def mcc(found: Whole, right: Whole, classes: int, resamples: int = 0) -> Score:
    """Matthews' correlation (1975) of what was found and what is right, for any number of classes (Gorodkin 2004)."""
    return _drawn("MCC", f"classes:{classes}", _mcc, confusions(found, right, classes), resamples)


def confusions(found: Whole, right: Whole, classes: int) -> Whole:
    """How often each right class (C, ) was found as each other (C, C)."""
    return np.bincount(right * classes + found, minlength=classes * classes).reshape(classes, classes)


def _f1(table: NDArray[Any]) -> float:
    hits, both = np.diag(table), table.sum(0) + table.sum(1)
    return float(np.mean(2 * hits[both > 0] / both[both > 0]))


def _mcc(table: NDArray[Any]) -> float:
    table = table.astype(np.float64)
    count, hits, found, right = table.sum(), np.trace(table), table.sum(0), table.sum(1)
    spread = np.sqrt((count**2 - found @ found) * (count**2 - right @ right))
    return float((hits * count - found @ right) / spread) if spread else 0.0


def _drawn(name: str, signature: str, measure: Callable[[NDArray[Any]], float], table: Whole, resamples: int) -> Score:
    """A score of a table of confusions. Drawing examples anew draws the table's cells from a multinomial."""
    count = int(table.sum())

    def values(draws: np.random.Generator) -> Iterator[float]:
        for drawn in draws.multinomial(count, (table / count).flatten(), resamples):
            yield 100 * measure(drawn.reshape(table.shape))

    interval, end = resampled(resamples, values)
    return Score(name, 100 * measure(table), interval, f"n:{count}|{signature}{end}")


def correlations(found: Real, right: Real, resamples: int = 0) -> dict[str, Score]:
    """Pearson's and Spearman's, times 100; 0 where one side is the same everywhere."""
    scores = {}
    for name, way in (("Pearson", pearson), ("Spearman", spearman)):

        def measure(rows: Whole, way: Callable[[Real, Real], float] = way) -> float:
            return 100 * way(found[rows], right[rows])

        interval, end = redrawn(len(right), resamples, measure)
        scores[name.lower()] = Score(name, 100 * way(found, right), interval, f"n:{len(right)}{end}")
    return scores


def pearson(a: Real, b: Real) -> float:
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else 0.0


def spearman(a: Real, b: Real) -> float:
    return pearson(ranks(a), ranks(b))


def ranks(values: Real) -> Real:
    """The place of each value among all; equal ones share the mean of their places."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: Real = (ends - counts + ends - 1) / 2
    return middle[which]


def often_confused(found: Whole, right: Whole, names: Sequence[str], most: int = 3) -> list[str]:
    """What was taken for what most often, in words."""
    table = confusions(found, right, len(names))
    np.fill_diagonal(table, 0)
    order = np.argsort(-table, axis=None, kind="stable")[:most]
    pairs = [(int(place) // len(names), int(place) % len(names)) for place in order]
    return [f"{names[a]} taken for {names[b]} ({table[a, b]} times)" for a, b in pairs if table[a, b]]


def entity_f1(
    found: Sequence[Sequence[str]], right: Sequence[Sequence[str]], resamples: int = 0
) -> tuple[Score, float, float]:
    """F1 of spans, precision and recall, times 100: a span is right where its words and its kind are (CoNLL 2002).

    `found` and `right` are the tags of each sentence; the interval comes from draws of the sentences.
    """
    counts = np.zeros((len(right), 3), np.int64)  # right ones among those found, found, there
    for row, (mine, theirs) in enumerate(zip(found, right, strict=True)):
        own, there = set(spans_of(mine)), set(spans_of(theirs))
        counts[row] = len(own & there), len(own), len(there)
    interval, end = redrawn(len(right), resamples, lambda rows: 100 * _span_f1(counts[rows].sum(0)))
    hits, mine, theirs = counts.sum(0).tolist()
    score = Score("entity F1", 100 * _span_f1(counts.sum(0)), interval, f"n:{theirs}|average:micro{end}")
    return score, 100 * hits / max(mine, 1), 100 * hits / max(theirs, 1)


def _span_f1(counts: Whole) -> float:
    hits, mine, theirs = map(int, counts)
    return 2 * hits / max(mine + theirs, 1)
