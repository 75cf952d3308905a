"""What the benchmarks share: each side in a process of its own, in turns, and the table that comes of it.

Two libraries in one process share its allocator, its threads and sometimes two OpenMP runtimes, which falsifies both.
So a benchmark's script runs twice over: as the one that a person starts, which prepares the work, gives it to every
side in turn (A B A B ...) and prints the table; and, with --side, as the process of one side, which prints its figures
as the last line of its standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

OURS, HUGGING_FACE, CTRANSLATE2 = "Transept", "Hugging Face", "CTranslate2"
Role = Literal["ours", "peer", "extra"]
FORMATS = {  # what the processor multiplies by itself, by its name in /proc/cpuinfo
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_bf16": "AMX bf16",
    "amx_int8": "AMX int8",
}
CLOCK = "TRANSEPT_BENCH_CLOCK"  # "wall" or "cpu", for every side
say = Console(stderr=True, highlight=False).print


def clock() -> float:
    """Seconds, of the wall's clock or of this process's processors, as --clock says."""
    return time.process_time() if os.environ.get(CLOCK) == "cpu" else time.perf_counter()


# ------------------------------------------------------------------ one process for each side


@dataclass(frozen=True)
class Side:
    """One way to do the work. Only a "peer" counts for the best that others do; an "extra" is shown beside it."""

    who: str
    how: str
    role: Role
    format: str  # of its numbers
    options: dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """What a process measured, the higher the better. `how` says which of its ways, where it tried several."""

    value: float
    how: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Row:
    """One way's figures, one of each round; `ratios` are to the best peer's of the same round."""

    who: str
    how: str
    role: Role
    format: str
    values: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def ratio(self) -> float:
        return median(self.ratios)


def run(script: Path, side: Side, folder: Path) -> list[Figure]:
    """One side's figures, from a process of its own."""
    command = [sys.executable, str(script), "--side", json.dumps(asdict(side)), "--folder", str(folder)]
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side.who}, {side.how} failed:\n{done.stderr.strip()[-2000:]}")
    return [Figure(**figure) for figure in json.loads(done.stdout.splitlines()[-1])]


def measure(script: Path, sides: Sequence[Side], folder: Path, rounds: int) -> list[Row]:
    """Every side once a round, the rounds one after the other, so that what else the machine does falls on all."""
    rows: dict[tuple[str, str], Row] = {}
    for turn in range(rounds):
        for side in sides:
            begun = time.monotonic()
            figures = run(script, side, folder)
            say(f"round {turn + 1} of {rounds}: {side.who}, {side.how}: {time.monotonic() - begun:.0f} s")
            for figure in figures:
                how = ", ".join(filter(None, (side.how, figure.how)))
                row = rows.setdefault((side.who, how), Row(side.who, how, side.role, side.format))
                row.values.append(figure.value)
                row.facts = figure.facts
    found = list(rows.values())
    baseline = best(found)
    for row in found:
        row.ratios = ratios(row, baseline)
    return found


def chosen(sides: Sequence[Side], asked: argparse.Namespace) -> list[Side]:
    """The sides of the formats that were asked for. SystemExit where that leaves Transept or everybody else out."""
    found = [side for side in sides if not asked.formats or side.format in asked.formats]
    if not {"ours", "peer"} <= {side.role for side in found}:
        raise SystemExit(f"--formats {' '.join(asked.formats)} leaves nothing to compare")
    return found


def ratios(row: Row, other: Row) -> list[float]:
    """How many times as fast as another, in each round."""
    return [ours / theirs for ours, theirs in zip(row.values, other.values, strict=True)]


def best(rows: Iterable[Row], role: Role = "peer") -> Row:
    """The row of a role with the highest median."""
    return max((row for row in rows if row.role == role), key=lambda row: row.value)


# ------------------------------------------------------------------ the machine


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, number formats, versions, and how busy the machine was."""
    import torch

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(told.get("flags", "").split())
    return {
        "processor": told.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "formats": [name for flag, name in FORMATS.items() if flag in flags],
        "clock": os.environ.get(CLOCK, "wall"),
        "torch": torch.__version__,
        "transept": _version("transept"),
        "transformers": _version("transformers"),
        "ctranslate2": _version("ctranslate2"),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def described(found: dict[str, Any]) -> str:
    """The machine in a line or two."""
    packages = ", ".join(f"{name} {found[name]}" for name in ("torch", "transformers", "ctranslate2") if found[name])
    cores = f"cores: {found['cores']}, threads: {found['threads']}, {found['clock']} clock"
    busy = "" if found["load"] is None else f" · load {found['load']} when this began"
    return f"{found['processor']}, {cores} ({', '.join(found['formats']) or 'formats not known'}) · {packages}{busy}"


# ------------------------------------------------------------------ what is printed


def show(
    name: str, question: str, unit: str, rows: Sequence[Row], settings: dict[str, Any], there: dict[str, Any]
) -> None:
    """The table, and under it each of our rows in one sentence."""
    table = Table(title=question, caption=described(there), title_justify="left", caption_justify="left")
    table.add_column("who")
    table.add_column("how")
    table.add_column(unit, justify="right")
    table.add_column("rounds", justify="right")
    table.add_column("ratio", justify="right", style="bold")
    table.add_column("notes")
    baseline, plain = best(rows), [row for row in rows if row.role != "extra"]
    for row in sorted(rows, key=lambda row: row.value):
        spread = f"{min(row.values):,.0f}-{max(row.values):,.0f}" if len(row.values) > 1 else "1"
        note = str(row.facts.get("note", ""))
        style = "cyan" if row.role == "ours" else "" if row in plain else "dim"
        table.add_row(row.who, row.how, f"{row.value:,.0f}", spread, f"{row.ratio:.2f}", note, style=style)
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(table)
    console.print(f"{name}: {', '.join(f'{key} {value}' for key, value in settings.items())}")
    for row in rows:
        if row.role == "ours":
            console.print(f"{row.who}, {row.how}: {_times(row, baseline)}")
            alike = best(other for other in rows if other.format == row.format)
            if alike is not baseline:
                console.print(f"{row.who}, {row.how}: {_times(row, alike)}, its best in {row.format}")
            for who in dict.fromkeys(other.who for other in rows if other.role == "peer"):
                own = best(other for other in rows if other.who == who)
                if own is not baseline and own is not alike:
                    console.print(f"{row.who}, {row.how}: {_times(row, own)}, its best")


def _times(row: Row, other: Row) -> str:
    """How many times faster than another, with the range over the rounds."""
    found = ratios(row, other)
    reach = f" ({min(found):.2f} to {max(found):.2f} over the rounds)" if len(found) > 1 else ""
    return f"[bold]{median(found):.2f} times[/bold] {other.who}, {other.how}{reach}"


def show_json(name: str, unit: str, rows: Sequence[Row], settings: dict[str, Any], there: dict[str, Any]) -> None:
    """One line for each row."""
    baseline = best(rows)
    for row in rows:
        told = asdict(row) | {"benchmark": name, "unit": unit, "value": row.value, "ratio": row.ratio}
        told |= {"baseline": f"{baseline.who}, {baseline.how}", "settings": settings, "machine": there}
        print(json.dumps(told))


# ------------------------------------------------------------------ the script


def arguments(description: str) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--size", default="tiny", help="which published size of the model")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a folder with Multi30k's *.lc.norm.tok.{en,de}[.gz]; else made up"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each side has its turn")
    parser.add_argument("--threads", type=int, help="threads of every side; torch's own choice where nothing is said")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu counts the processors' time alone: with --threads 1, for a machine that does other things too",
    )
    parser.add_argument(
        "--formats", nargs="+", help="float32, bfloat16, int8: these alone; a processor may be very slow in the others"
    )
    parser.add_argument("--quick", action="store_true", help="one short round: shows that it works, and little more")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each row instead of the table")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser


def main(
    parser: argparse.ArgumentParser,
    prepare: Callable[[argparse.Namespace, Path], Any],
    work: Callable[[Side, Path], list[Figure]],
) -> None:
    """The script in whichever of its two parts it was started."""
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps([asdict(figure) for figure in work(Side(**json.loads(asked.side)), asked.folder)]))
        return
    os.environ[CLOCK] = asked.clock
    if asked.threads:  # here and, by inheritance, in every side
        import torch

        torch.set_num_threads(asked.threads)
        os.environ |= {"OMP_NUM_THREADS": str(asked.threads), "MKL_NUM_THREADS": str(asked.threads)}
    if asked.quick:
        asked.rounds = 1
    with TemporaryDirectory(prefix="transept-bench-") as folder:
        prepare(asked, Path(folder))
