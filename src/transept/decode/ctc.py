"""Texts of frames: what connectionist temporal classification's scores spell (Graves et al. 2006).

Frames spell a text when one letter stands for every run of equal ones, and blanks are left out then. Shapes: F frames,
V letters, the blank among them.
"""

import math
from collections import defaultdict
from itertools import groupby

from torch import Tensor

Ends = tuple[float, float]  # log p of all ways to spell a text that end with a blank, and of those that do not
NEVER = float("-inf")


def collapse(path: list[int], blank: int = 0) -> list[int]:
    """The text that a letter for each frame spells."""
    return [letter for letter, _ in groupby(path) if letter != blank]


def best_path(scores: Tensor, valid: Tensor | None = None, blank: int = 0) -> list[list[int]]:
    """The text of the best letter at every frame. scores (B, F, V); valid (B, F), None where all frames are real."""
    rows = [best if valid is None else best[valid[i]] for i, best in enumerate(scores.argmax(-1))]
    return [collapse(row.tolist(), blank) for row in rows]


def best_text(logs: Tensor, width: int, blank: int = 0) -> tuple[list[int], float]:
    """The most likely text of one row and its log p, among the `width` best beginnings at each frame.

    Sums over the ways to spell a text, as the best path does not (Hannun et al. 2014, algorithm 1, without a language
    model). logs (F, V) are log-probabilities, of real frames alone.
    """
    beam: dict[tuple[int, ...], Ends] = {(): (0.0, NEVER)}
    for frame in logs.tolist():
        ways: dict[tuple[int, ...], list[list[float]]] = defaultdict(lambda: [[], []])
        for text, (blanks, letters) in beam.items():
            both = add(blanks, letters)
            ways[text][0].append(both + frame[blank])
            if text:
                ways[text][1].append(letters + frame[text[-1]])  # the last letter goes on
            for letter, log in enumerate(frame):
                if letter != blank:
                    before = blanks if text and letter == text[-1] else both  # a blank must part equal letters
                    ways[*text, letter][1].append(before + log)
        ends = {text: (add(*blanks), add(*letters)) for text, (blanks, letters) in ways.items()}
        beam = dict(sorted(ends.items(), key=lambda item: -add(*item[1]))[:width])
    text, found = max(beam.items(), key=lambda item: add(*item[1]))
    return list(text), add(*found)


def add(*logs: float) -> float:
    """log(exp(a) + exp(b) + ...)"""
    top = max(logs, default=NEVER)
    return NEVER if top == NEVER else top + math.log(sum(math.exp(log - top) for log in logs))
