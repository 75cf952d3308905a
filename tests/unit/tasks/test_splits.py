"""What `eval` is asked to score, and which rows of a table validate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from transept.data.config_senses import FilesData, Hold
from transept.data.held import parted
from transept.errors import UsageError
from transept.tasks import captioning, splits, translation
from transept.tasks.exam import Asked


@dataclass(frozen=True)
class Rows:
    own: list[int]

    def __len__(self) -> int:
        return len(self.own)

    def where(self, row: int) -> str:
        return f"t.csv:{row + 2}"

    def select(self, rows: Any) -> "Rows":
        return Rows([self.own[row] for row in rows])


@pytest.mark.parametrize(
    ("choose", "most", "which"),
    [
        (lambda asked: splits.chosen(asked, FilesData(), "questions are one file"), 1, "questions are one file"),
        (lambda asked: captioning._chosen(None, asked), 1, "a table is one file"),
        (lambda asked: translation._chosen(None, asked), 2, "pairs are in one file or in two"),
    ],
)
def test_more_files_than_a_task_scores_are_refused(choose: Callable[[Asked], Any], most: int, which: str) -> None:
    asked = Asked(None, ("a",) * (most + 1), None, None, print)
    with pytest.raises(UsageError, match=f"--data was given {most + 1} times; {which}"):
        choose(asked)


def test_rows_are_held_out_alike_wherever_they_are_asked_for() -> None:
    whole, hold = Rows(list(range(10, 40))), Hold(share=0.2)
    rows, held = splits.halved(FilesData(hold=hold), whole)
    assert held is not None and [rows.tolist(), held.tolist()] == [p.tolist() for p in parted(30, hold, whole.where)]
    train, valid = splits.read_both(FilesData(hold=hold), lambda split: whole)
    assert (train.own, valid.own) == ([10 + row for row in rows], [10 + row for row in held])
    kept, none = splits.halved(FilesData(), whole)
    assert kept.tolist() == list(range(30)) and none is None
    assert splits.read_both(FilesData(), lambda split: split) == ("train", "valid")  # type: ignore[type-var]
