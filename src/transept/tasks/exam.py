"""What `transept eval` needs of a task: an exam of a model that is loaded, on data that is named or of its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transept.data.pictures import Preparation
from transept.data.tokenizer import Tokenizer
from transept.decode.config import Search
from transept.errors import UsageError
from transept.hub.generation import Generation
from transept.hub.processor import Processor
from transept.tasks.measure import Measured
from transept.tasks.settings.recipe import Recipe
from transept.topology import Built


@dataclass(frozen=True)
class Subject:
    """A loaded model: as a person named it, with its tokenizer, its search, how pictures or sounds are prepared, the
    most tokens that it takes, the names of its classes, and how it is asked for text."""

    path: str
    model: Built
    tokenizer: Tokenizer | None
    search: Search
    processor: Processor | None
    longest: int
    labels: tuple[str, ...] = ()
    generation: Generation | None = None

    @property
    def preparation(self) -> Preparation | None:
        """How pictures are prepared, where it sees some."""
        return self.processor if isinstance(self.processor, Preparation) else None


@dataclass(frozen=True)
class Asked:
    """What is asked: `data` are files, `split` one of the recipe's; `recipe` is that of the model's run.

    `say` hears what is found on the way.
    """

    recipe: Recipe | None
    data: tuple[str, ...]
    split: Literal["test", "valid"] | None
    tokenize: str | None
    say: Callable[[str], None]

    def demand_few(self, most: int, which: str) -> None:
        """Refuse more files than `most`; `which` says how many are right: "questions are one file"."""
        if len(self.data) > most:
            raise UsageError(f"--data was given {len(self.data)} times; {which}")

    def choose(self, tested: bool) -> Literal["test", "valid"]:
        """The split to score; the test's, where there is one and nothing else was asked."""
        if self.recipe is None:
            raise UsageError("the model has no run beside it that says what to score", remedy="Name files by --data.")
        if self.split is None:
            split: Literal["test", "valid"] = "test" if tested else "valid"
            self.say(f"scoring the {split} split; --split and --data choose others")
            return split
        return self.split


@dataclass(frozen=True)
class Exam:
    """What will be scored: `count` of a `unit` out of `files`, called `name`; `take` scores it.

    `searched` tells whether answers are searched for, so that the settings of the search count; `answers` whether there
    is an answer to each, which a file may be written of.
    """

    name: str
    unit: str
    files: Sequence[Path]
    count: int
    take: Callable[[], Measured]
    searched: bool = True
    answers: bool = True
