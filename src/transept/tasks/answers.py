"""What written answers are worth: texts read back as choices or numbers, and each table's own measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from transept.data.prompted import Prompted
from transept.tasks.grades import accuracy, correlations, mcc
from transept.tasks.measure import scored
from transept.tasks.rouge import rouge
from transept.tasks.score import Score


@dataclass(frozen=True)
class Grades:
    """The scores of a table's answers by their short names, and how many answers were none: `missed` says of what."""

    scores: Mapping[str, Score]
    missed: int = 0
    what: str = ""


def graded(table: Prompted, outputs: Sequence[str], tokenize: str = "13a", resamples: int = 0) -> Grades:
    """The measures of a table.

    An answer that is no choice is wrong, a class of its own in Matthews' correlation; one that is no number between the
    least and the most is taken for the least.
    """
    if table.table.choices is not None:
        names = {choice: number for number, choice in enumerate(table.table.choices)}
        found = np.array([names.get(output.strip(), len(names)) for output in outputs], np.int64)
        right = np.asarray(table.right, np.int64)
        scores = {"accuracy": accuracy(found, right), "mcc": mcc(found, right, len(names) + 1, resamples)}
        return Grades(scores, int((found == len(names)).sum()), "choice")
    if table.table.numbers is not None:
        numbers = [table.table.numbers.read(output) for output in outputs]
        told = np.array([table.table.numbers.least if number is None else number for number in numbers])
        return Grades(correlations(told, np.asarray(table.right, np.float64), resamples), numbers.count(None), "number")
    return Grades(
        scored(outputs, table.answers, tokenize, "mixed", resamples) | rouge(outputs, table.answers, resamples)
    )


def named(table: str, score: Score) -> Score:
    """A score with the name of its table before its own."""
    return replace(score, name=f"{table} {score.name}")
