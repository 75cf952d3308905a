"""ROUGE (Lin 2004): which n-grams, and which longest common subsequence, a summary shares with right ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from transept.tasks.score import References, Score, demand_same_length, redrawn, several

WORD = re.compile(r"[^\W_]+")
KINDS = ("rouge1", "rouge2", "rougeL")


def rouge(outputs: Sequence[str], references: Sequence[References], resamples: int = 0) -> dict[str, Score]:
    """ROUGE-1, -2 and -L of texts, F1 in percent, the mean over texts.

    Words are letters and digits in small letters, without stemming. Of several references each measure takes the one
    that is best for it. ROUGE-L takes a text as one sentence. The interval comes from `resamples` draws of the texts.
    """
    demand_same_length(outputs, references)
    values = np.array(
        [_best(words(out), [words(one) for one in several(each)]) for out, each in _zipped(outputs, references)]
    )
    most = max(len(several(each)) for each in references)
    signature = f"n:{len(values)}|f1|case:lower|stem:no|refs:{most}" + ("|of:max" if most > 1 else "")
    scores = {}
    for column, name in enumerate(KINDS):
        own = 100 * values[:, column]
        interval, end = redrawn(len(values), resamples, lambda rows, own=own: float(own[rows].mean()))  # type: ignore[misc]
        scores[name] = Score(f"ROUGE-{name[-1]}", float(own.mean()), interval, signature + end)
    return scores


def words(text: str) -> list[str]:
    """The words that are counted."""
    return WORD.findall(text.lower())


def _zipped(outputs: Sequence[str], references: Sequence[References]) -> list[tuple[str, References]]:
    return list(zip(outputs, references, strict=True))


def _best(found: list[str], right: list[list[str]]) -> list[float]:
    each = [[_grams(found, one, 1), _grams(found, one, 2), _subsequence(found, one)] for one in right]
    return [max(column) for column in zip(*each, strict=True)]


def _grams(found: list[str], right: list[str], size: int) -> float:
    """F1 of the n-grams that both have, each counted as often as it stands in both."""
    own, theirs = (Counter(zip(*(text[i:] for i in range(size)), strict=False)) for text in (found, right))
    return _f1((own & theirs).total(), own.total(), theirs.total())


def _subsequence(found: list[str], right: list[str]) -> float:
    """F1 of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for word in found:
        last = row
        row = [0]
        for i, other in enumerate(right):
            row.append(last[i] + 1 if word == other else max(last[i + 1], row[i]))
    return _f1(row[-1], len(found), len(right))


def _f1(shared: int, found: int, right: int) -> float:
    return 2 * shared / (found + right) if shared else 0.0
