"""Answers read back: what is no choice is wrong, what is no number is the least, and both are counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from transept.data.config_tables import Numbers, PromptedTable
from transept.data.prompted import Prompted
from transept.tasks.answers import graded

WORDS = ["unacceptable", "acceptable"]


def prompted(answers: list[Any], **kind: Any) -> Prompted:
    table = PromptedTable(source="{a}", answer="b", **kind)
    right = None
    if table.choices:
        right = np.array([table.choices.index(answer) for answer in answers])
    elif table.numbers:
        right, answers = np.array(answers, float), [f"{answer}" for answer in answers]
    texts = [answer if isinstance(answer, list) else [answer] for answer in answers]
    return Prompted("t", table, Path("t.csv"), ["x"] * len(texts), texts, list(range(len(texts))), right)


def test_choices_are_read_by_their_words() -> None:
    right = [WORDS[i] for i in (1, 1, 0, 1, 0, 0, 1, 1)]
    outputs = [
        "acceptable",
        " acceptable ",
        "unacceptable",
        "not_acceptable",
        "acceptable",
        "",
        "acceptable",
        "Acceptable",
    ]
    found = graded(prompted(right, choices=WORDS), outputs)
    assert (found.missed, found.what) == (3, "choice")
    assert found.scores["accuracy"].value == pytest.approx(100 * 4 / 8)
    names = [output.strip() if output.strip() in WORDS else "none" for output in outputs]
    assert found.scores["mcc"].value == pytest.approx(100 * matthews_corrcoef(right, names))
    whole = graded(prompted(right, choices=WORDS), [*right[:-1], WORDS[0]])
    assert whole.missed == 0
    assert whole.scores["mcc"].value == pytest.approx(100 * matthews_corrcoef(right, [*right[:-1], WORDS[0]]))


def test_numbers_are_read_as_numbers() -> None:
    right = [0.0, 1.2, 2.6, 4.0, 5.0, 3.3]
    outputs = ["0.4", "1.0", "two", "4.0", "5.8", "3.4"]
    found = graded(prompted(right, numbers=Numbers()), outputs)
    assert (found.missed, found.what) == (2, "number")
    told = [0.4, 1.0, 0.0, 4.0, 0.0, 3.4]
    assert found.scores["pearson"].value == pytest.approx(100 * np.corrcoef(told, right)[0, 1])


def test_texts_know_all_right_ones() -> None:
    found = graded(prompted([["a b c d", "e f g h"], ["i"]]), ["e f g h", "i"])
    assert found.missed == 0
    assert found.scores["rougeL"].value == found.scores["exact_match"].value == 100
    assert found.scores["bleu"].value == pytest.approx(100)
