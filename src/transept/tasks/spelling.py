"""How far texts are from what was said: word and character errors, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transept.errors import InvalidData
from transept.tasks.score import Score, redrawn


def edits(found: Sequence[Any], right: Sequence[Any]) -> int:
    """The fewest insertions, deletions and substitutions that make one of the other (Levenshtein 1966)."""
    numbers = {item: i for i, item in enumerate(dict.fromkeys([*found, *right]))}
    a = np.array([numbers[item] for item in found], np.int64)
    steps = np.arange(len(a) + 1)
    row = steps.copy()
    for item in right:
        upper = row[1:] + 1  # one of the right ones is left out
        across = row[:-1] + (a != numbers[item])
        row = np.concatenate(([row[0] + 1], np.minimum(upper, across)))
        row = np.minimum.accumulate(row - steps) + steps  # so many more of the found ones
    return int(row[-1])


def wer(outputs: Sequence[str], references: Sequence[str], resamples: int = 0) -> Score:
    """Word errors: edits of words, in percent of the words that were said. It can be above 100."""
    return _errors("WER", [text.split() for text in outputs], [text.split() for text in references], resamples)


def cer(outputs: Sequence[str], references: Sequence[str], resamples: int = 0) -> Score:
    """Character errors: edits of characters, white space as one space, in percent of those that were said."""
    spelt = [[" ".join(text.split()) for text in side] for side in (outputs, references)]
    return _errors("CER", spelt[0], spelt[1], resamples)


def _errors(name: str, outputs: Sequence[Sequence[str]], references: Sequence[Sequence[str]], resamples: int) -> Score:
    """Edits over lengths, both summed over texts; the interval comes from `resamples` draws of the texts."""
    if len(outputs) != len(references):
        raise InvalidData(f"{len(outputs)} outputs cannot be scored against {len(references)} references")
    made = np.array([edits(a, b) for a, b in zip(outputs, references, strict=True)], np.float64)
    said = np.array([len(one) for one in references], np.float64)
    if not said.sum():
        raise InvalidData("there is nothing to score: no text was said")
    interval, end = redrawn(len(made), resamples, lambda rows: float(100 * made[rows].sum() / max(said[rows].sum(), 1)))
    return Score(name, float(100 * made.sum() / said.sum()), interval, f"n:{len(made)}|units:{int(said.sum())}{end}")
