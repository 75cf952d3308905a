"""A run on a terminal: a box at its head, one row for each validation, and one live line below."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from transept.train.standing import Standing, spoken

if TYPE_CHECKING:
    from transept.train.log import Reading

REDRAWN = 0.5  # seconds between two drawings of the live line
BAR = 22


class Table:
    """The face for a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.shown: Live | None = None
        self.drawn, self.before, self.columns = 0.0, float("inf"), False

    def head(self, facts: Mapping[str, str]) -> None:
        """A box: the title in its frame, one line for each other fact."""
        rest = {name: text for name, text in facts.items() if name != "title"}
        room = max(map(len, rest), default=0)
        body = Text("\n".join(f"{name:<{room}}  {text}" for name, text in rest.items()))
        title = Text(f"transept train ─ {facts.get('title', '')}")
        self.console.print(Panel(body, title=title, title_align="left", expand=False))

    def reading(self, reading: Reading) -> None:
        """The live line, at its time."""
        self.live(reading)

    def live(self, reading: Reading) -> None:
        """Draw the live line anew, at most twice a second."""
        if self.shown is None:
            self.shown = Live(console=self.console, auto_refresh=False, transient=True)
            self.shown.start()
        if (now := time.monotonic()) - self.drawn < REDRAWN:
            return
        self.drawn = now
        trend, self.before = "▼" if reading.loss < self.before else "▲", reading.loss
        speed, memory = _short(reading.speed), reading.memory / 1e9
        speed += f" {_counted(reading)}"
        share = reading.progress.share(reading.stop)
        full = round(share * BAR)
        total = f"/{int(reading.stop.number):,}" if reading.stop.unit == "u" else ""
        self.shown.update(
            Text(
                f" train {'█' * full}{'░' * (BAR - full)}  {reading.progress.update:,}{total} {share:.0%} · "
                f"loss {reading.loss:.2f} {trend} · {speed} · mem {memory:.1f} GB · "
                f"left {_minutes(reading.left)}",
                no_wrap=True,
            ),
            refresh=True,
        )

    def validation(self, reading: Reading, scores: Mapping[str, float], score: str, standing: Standing) -> None:
        """A row; the names of the columns stand above the first."""
        name = spoken(score)
        room, wide = max(len(name), 6), max(len(_counted(reading)), 6)
        if not self.columns:
            self.columns = True
            own = f"  {'ppl':>7}" if reading.perplexed else ""
            head = f"{'update':>9}  {'loss':>6}{own}  {'val loss':>8}  {name:>{room}}"
            self.console.print(Text(f"{head}  {_counted(reading):>{wide}}  {'lr':>7}  {'time':>7}", style="bold"))
        own = f"  {reading.ppl:>7.1f}" if reading.perplexed else ""
        row = f"{reading.progress.update:>9,}  {reading.loss:>6.2f}{own}  {scores['loss']:>8.3f}  "
        row += f"{scores[score]:>{room}.4g}  {_short(reading.speed):>{wide}}  {reading.rate:>7.1e}  "
        row += f"{_hours(reading.progress.seconds):>7}"
        self.console.print(Text(f"{row}  {'★ best' if standing.fresh else standing.verdict}"))

    def say(self, text: str) -> None:
        """A sentence above the live line."""
        self.console.print(Text(text))

    def close(self) -> None:
        """Remove the live line."""
        if self.shown is not None:
            self.shown.stop()
            self.shown = None


def _counted(reading: Reading) -> str:
    """What speed counts: "tok/s", "examples/s"."""
    return "tok/s" if reading.perplexed else f"{reading.each}s/s"


def _short(number: float) -> str:
    return f"{number / 1000:.0f}k" if number >= 10_000 else f"{number:.0f}"


def _hours(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _minutes(seconds: float) -> str:
    return "?" if seconds == float("inf") else f"{seconds / 60:.0f} m" if seconds >= 60 else f"{seconds:.0f} s"
