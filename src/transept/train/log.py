"""What a run says: lines for people, train.log, and metrics.jsonl and samples.jsonl for machines."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from transept.train.amount import Amount
from transept.train.progress import Progress
from transept.train.run import RunDirectory
from transept.train.standing import Standing, spoken
from transept.train.table import Table

SCHEMA = 1


@dataclass(frozen=True)
class Reading:
    """One line of training: means over the tokens since the line before, the last update's rate and norm."""

    progress: Progress
    stop: Amount
    loss: float
    objective: float
    rate: float
    norm: float
    speed: float
    memory: int
    left: float
    each: str = "token"  # what the means are over, beside tokens

    @property
    def ppl(self) -> float:
        """exp(loss), infinite where that is beyond a float."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def perplexed(self) -> bool:
        """Whether it is of tokens, which have a perplexity."""
        return self.each == "token"

    def done(self) -> str:
        """ "update=2000/20000", and how much of `stop` is done where that is not counted in updates."""
        update, words = self.progress.update, {"e": "epoch", "Mt": "tokens_m", "min": "minutes", "h": "hours"}
        if self.stop.unit == "u":
            return f"update={update}/{int(self.stop.number)}"
        part = float(self.progress.measure(self.stop.unit))
        return f"update={update} {words[self.stop.unit]}={part:.2f}/{float(self.stop.number):g}"

    def line(self) -> str:
        """One line of key=value."""
        counted = "tok" if self.perplexed else self.each.replace(" ", "_")
        own = (f"ppl={self.ppl:.1f} " if self.perplexed else "") + f"{counted}_s={self.speed:.0f}"
        return (
            f"{self.done()} loss={self.loss:.3f} {own} lr={self.rate:.1e} "
            f"grad={self.norm:.2f} mem_gb={self.memory / 1e9:.1f} eta={clock(self.left)}"
        )

    def event(self) -> dict[str, Any]:
        """The same for metrics.jsonl."""
        return position(self.progress) | {
            "loss": self.loss,
            **({"ppl": self.ppl} if self.perplexed else {}),
            "objective": self.objective,
            "lr": self.rate,
            "grad": self.norm,
            "tok_s": self.speed,
            "mem_gb": self.memory / 1e9,
        }


class Face(Protocol):
    """How a run looks to the person who watches."""

    def head(self, facts: Mapping[str, str]) -> None: ...

    def live(self, reading: Reading) -> None: ...

    def reading(self, reading: Reading) -> None: ...

    def validation(self, reading: Reading, scores: Mapping[str, float], score: str, standing: Standing) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class Lines:
    """Off a terminal: one plain line for each thing, with its time, no colour, nothing drawn twice."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def head(self, facts: Mapping[str, str]) -> None:
        for name, text in facts.items():
            self.say(f"{name}: {text}")

    def live(self, reading: Reading) -> None:
        pass

    def reading(self, reading: Reading) -> None:
        self.say(reading.line())

    def validation(self, reading: Reading, scores: Mapping[str, float], score: str, standing: Standing) -> None:
        self.say(validation_line(reading.progress.update, scores, score, standing))

    def say(self, text: str) -> None:
        self.console.print(f"{stamp()} {text}", markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        pass


class Log:
    """Everything a run says, to the person and to its files. Files are appended to and flushed line by line."""

    def __init__(self, run: RunDirectory, console: Console, every: float) -> None:
        self.run, self.every = run, every
        plain = not console.is_terminal or console.is_dumb_terminal or bool(os.environ.get("CI"))
        self.face: Face = Lines(console) if plain else Table(console)

    def head(self, facts: Mapping[str, str]) -> None:
        """What is trained, on what, how, and where it is written."""
        self.face.head(facts)
        for name, text in facts.items():
            self._append(self.run.log, f"{stamp()} {name}: {text}")

    def live(self, reading: Reading) -> None:
        """The present state, for a face that shows it between the lines."""
        self.face.live(reading)

    def reading(self, reading: Reading) -> None:
        """A line of training."""
        self.face.reading(reading)
        self._append(self.run.log, f"{stamp()} {reading.line()}")
        self.event("train", reading.event())

    def validation(self, reading: Reading, scores: Mapping[str, float], score: str, standing: Standing) -> None:
        """What a validation measured, and whether it is the best so far."""
        self.face.validation(reading, scores, score, standing)
        self._append(self.run.log, f"{stamp()} {validation_line(reading.progress.update, scores, score, standing)}")
        self.event("valid", position(reading.progress) | dict(scores) | {"best": standing.fresh})

    def samples(self, update: int, samples: Sequence[Mapping[str, str]]) -> None:
        """Validation examples as the model answers them now; the first one is shown."""
        for sample in samples:
            self._append(self.run.samples, json.dumps({"update": update, **sample}, ensure_ascii=False))
        for sample in samples[:1]:  # an untrained model goes on and on: the file has all of it
            self.say(" · ".join(f"{name}: {shorten(text)}" for name, text in sample.items()))

    def say(self, text: str, shown: bool = True) -> None:
        """A sentence; for the file alone where it is not `shown`, since the person is told by somebody else."""
        if shown:
            self.face.say(text)
        self._append(self.run.log, f"{stamp()} {text}")

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """An object of metrics.jsonl; numbers that are not finite become null, for JSON has no word for them."""
        written = {name: None if _odd(value) else value for name, value in values.items()}
        head = {"schema": SCHEMA, "event": kind, "time": datetime.now().astimezone().isoformat(timespec="seconds")}
        self._append(self.run.metrics, json.dumps(head | written, ensure_ascii=False))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.face.close()

    def _append(self, file: Path, line: str) -> None:
        with file.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")


def position(progress: Progress) -> dict[str, Any]:
    """Where in the run something happened."""
    return {
        "update": progress.update,
        "epoch": round(float(progress.measure("e")), 4),
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
    }


def validation_line(update: int, scores: Mapping[str, float], score: str, standing: Standing) -> str:
    """ "update=4000 valid_loss=3.02 valid_bleu=19.4 new best"."""
    shown = " ".join(f"valid_{name}={value:.4g}" for name, value in scores.items())
    verdict = standing.verdict if standing.fresh else f"{standing.verdict} ({standing.words(score)})"
    return f"update={update} {shown} {verdict}"


def stamp() -> str:
    """The local time, to the second."""
    return datetime.now().isoformat(timespec="seconds")


def clock(seconds: float) -> str:
    """h:mm:ss."""
    return str(timedelta(seconds=round(seconds))) if math.isfinite(seconds) else "?"


def said(name: str, value: float) -> str:
    """ "BLEU 27.3"."""
    return f"{spoken(name)} {value:.4g}"


def shorten(text: str, most: int = 160) -> str:
    """A text that fits a line; what is left out shows as an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _odd(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
