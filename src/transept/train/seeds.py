"""One recipe by several seeds: what each run's model scores, and their mean with how far they lie from it."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transept.durable import replace_text
from transept.errors import InvalidData, UsageError
from transept.train.run import RunDirectory
from transept.train.standing import spoken

FILE = "seeds.json"
SCHEMA = 1
NO_SCORES = ("schema", "event", "time", "checkpoints")  # what metrics.jsonl says of a model beside its scores


def parse(text: str) -> list[int]:
    """The seeds that a text means: "5" is 1 to 5, "1,2,7" those three, "7," that one. Raises UsageError."""
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0 or (numbers == [0] and "," not in text) or len({*numbers}) != len(numbers):
        raise UsageError(
            f"--seeds is how many, or which, each once, and not {text!r}", remedy="Write --seeds 5, or --seeds 1,2,7."
        )
    return numbers if "," in text else list(range(1, numbers[0] + 1))


def folder(run: Path, seed: int) -> Path:
    """Where the run of one seed lies."""
    return run / f"seed-{seed}"


def scores_of(run: RunDirectory) -> dict[str, float | None] | None:
    """What the model of a finished run scores on the validation split; None where there is none yet."""
    if not run.model.is_dir():
        return None
    last = next((event for event in reversed(list(run.events())) if event["event"] == "model"), None)
    return None if last is None else {name: value for name, value in last.items() if name not in NO_SCORES}


@dataclass(frozen=True)
class Seeds:
    """The scores of each seed's model; `score` is the task's own, and `higher` whether more of it is better."""

    score: str
    higher: bool
    scores: Mapping[int, Mapping[str, float | None]]

    @property
    def best(self) -> int:
        """The seed with the best of the task's own scores, the first of equals; one without a number is the worst."""
        worst = -math.inf if self.higher else math.inf
        own = {s: worst if (value := each.get(self.score)) is None else value for s, each in self.scores.items()}
        return max(own, key=lambda seed: own[seed] if self.higher else -own[seed])

    @property
    def names(self) -> list[str]:
        """The measures: the task's own, then the others in their order."""
        every = dict.fromkeys(name for each in self.scores.values() for name in each)
        return [self.score, *(name for name in every if name != self.score)]

    def values(self, name: str) -> list[float | None]:
        return [each.get(name) for each in self.scores.values()]

    def mean(self, name: str) -> float | None:
        """The mean over all seeds, or None where one of them has no number."""
        known = [value for value in self.values(name) if value is not None]
        return statistics.fmean(known) if len(known) == len(self.scores) else None

    def deviation(self, name: str) -> float | None:
        """The standard deviation of the sample, by n - 1; None of one seed."""
        known = [value for value in self.values(name) if value is not None]
        return statistics.stdev(known) if len(known) == len(self.scores) > 1 else None

    def around(self, name: str) -> str:
        """ "91.2 ± 0.51"."""
        mean, deviation = self.mean(name), self.deviation(name)
        return _short(mean) + ("" if deviation is None else f" ± {deviation:.2g}")

    def lines(self) -> Iterator[str]:
        """A table for people: a row for each measure, the mean and each seed. A star stands at the task's own."""
        head = ["", "mean ± sd" if len(self.scores) > 1 else "mean", *(f"seed {seed}" for seed in self.scores)]
        rows = [head]
        for name in self.names:
            own = f"{spoken(name)}{' *' if name == self.score else ''}"
            rows.append([own, self.around(name), *map(_short, self.values(name))])
        rooms = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *others in rows:
            cells = [f"{cell:>{room}}" for cell, room in zip(others, rooms[1:], strict=True)]
            yield "  ".join([f"{first:<{rooms[0]}}", *cells]).rstrip()

    def section(self) -> str:
        """The same for the card of a model."""
        head = ["measure", "mean ± standard deviation", *(f"seed {seed}" for seed in self.scores)]
        rows = [head, ["---", *["---:"] * (len(head) - 1)]]
        rows += [[spoken(name), self.around(name), *map(_short, self.values(name))] for name in self.names]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        most = "highest" if self.higher else "lowest"
        return (
            f"The recipe was trained with {len(self.scores)} seeds, and this is the model of seed {self.best}, whose "
            f"{spoken(self.score)} on the validation split is the {most}. Deviations are of the sample (n - 1)."
            f"\n\n{table}"
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "schema": SCHEMA,
            "score": self.score,
            "higher": self.higher,
            "best": self.best if self.scores else None,
            "mean": {name: self.mean(name) for name in self.names} if self.scores else {},
            "sd": {name: self.deviation(name) for name in self.names} if self.scores else {},
            "seeds": {str(seed): dict(each) for seed, each in self.scores.items()},
        }

    def write(self, run: Path, asked: Sequence[int]) -> None:
        """Write `seeds.json`; `asked` are all seeds of the run, those included that are not trained yet."""
        text = json.dumps(self.to_json() | {"asked": list(asked)}, indent=1, ensure_ascii=False)
        replace_text(run / FILE, text + "\n")


def asked_of(run: Path) -> list[int] | None:
    """The seeds that a run by several was asked for; None where the directory holds no such run."""
    file = run / FILE
    if not file.is_file():
        return None
    try:
        found = [int(seed) for seed in json.loads(file.read_text(encoding="utf-8"))["asked"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidData(f"it does not say which seeds were asked for ({type(error).__name__})", where=file) from None
    return found


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
