"""What pre-training is worth: a model tuned after it, and the same net with new weights, by the number of labels.

    python benchmarks/pre_training.py MODEL --data DIR --out RUNS --figure FILE
    python benchmarks/pre_training.py MODEL --data DIR --out RUNS --tasks sst2 --labels 100 1000 all --seeds 3

MODEL is a run of `bert-mini-wikitext`, or another encoder's directory; DIR has `cola`, `stsb` and `sst2`, as the
recipes of these names read them. Both begin with the same vocabulary and are tuned by the same recipe, the same updates
and the same seeds; each at the one of --rates that its first seed did best with, of all labels. Scores are of the
validation split, at the best of three validations, so both choose alike. Runs that are there already are not trained
again, and those that were broken off go on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import peers
import torch
from rich.console import Console
from rich.table import Table

from transept.hub.directory import read, save
from transept.train.seeds import FILE

TASKS = {"stsb": "Pearson", "sst2": "accuracy", "cola": "MCC"}
STARTS = ("new weights", "pre-trained")
ROWS = 32  # examples of an update
LEAST, MOST = 150, 720  # updates, whatever the number of labels
NUMBERS = ("stsb",)  # whose labels are counted all together, and not for each class
SIZE = {"stsb": 5_749, "sst2": 6_920, "cola": 8_551}
SEED = 2018


@dataclass(frozen=True)
class Point:
    """What one beginning reached with so many labels: the mean of the seeds, and their standard deviation."""

    task: str
    start: str
    labels: str
    rate: float
    mean: float
    sd: float | None
    seeds: dict[str, float]


def updates(task: str, labels: str) -> int:
    """Four epochs, within bounds: the fewer labels, the more often each is seen."""
    told = SIZE[task] if labels == "all" else int(labels) * (1 if task in NUMBERS else 2)
    return min(MOST, max(LEAST, 4 * told // ROWS))


def new_weights(model: Path, out: Path) -> Path:
    """The same net and vocabulary, as it begins."""
    made = out / "new-weights"
    if not made.is_dir():
        stored = read(model)
        torch.manual_seed(SEED)
        save(made, stored.model.spec.build(), tokenizer=stored.tokenizer, beside=stored.beside)
    return made


def tuned(
    task: str, start: str, model: Path, labels: str, rate: float, asked: argparse.Namespace, *, first: bool = False
) -> Point:
    """The scores of the seeds, or of the first, trained where they are not there."""
    name = f"{task}-{start.replace(' ', '-')}-{labels}-{rate:g}" + ("-first" if first else "")
    run, stop = asked.out / name, updates(task, labels)
    if not (run / "model").is_dir():
        told = [
            f"data.dir={asked.data / task}", f"run={run}", f"train.stop={stop}u", f"train.validate_every={stop // 3}u",
            f"train.schedule.rate={rate}", f"train.schedule.warmup={stop // 10}", "train.keep=2",
        ]  # fmt: skip
        told += [] if labels == "all" else [f"data.labels={labels}"]
        again = ["--resume"] if (run / FILE).exists() else ["--from", str(model), *told, *asked.changes]
        begun = [str(run)] if again == ["--resume"] else [task]
        seeds = [] if again == ["--resume"] else ["--seeds", "1," if first else str(asked.seeds)]
        command = [sys.executable, "-m", "transept", "train", *begun, *again, *seeds]
        if (code := subprocess.run(command, stdout=sys.stderr).returncode) != 0:  # it said why
            raise SystemExit(code)
    found = json.loads((run / FILE).read_text(encoding="utf-8"))
    score = found["score"]
    each = {seed: scores[score] for seed, scores in found["seeds"].items()}
    return Point(task, start, labels, rate, found["mean"][score], found["sd"][score], each)


def draw(points: list[Point], tasks: list[str], file: Path) -> None:
    """A curve for each beginning over the number of labels, with the deviation of the seeds."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(3.2 * len(tasks), 3), dpi=130, layout="constrained")
    for axes, task in zip(picture.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        for start in STARTS:
            those = [point for point in points if (point.task, point.start) == (task, start)]
            at = range(len(those))
            axes.errorbar(
                at, [p.mean for p in those], [p.sd or 0.0 for p in those], marker="o", ms=4, capsize=2, label=start
            )
            axes.set_xticks(at, [p.labels for p in those])
        axes.set(title=f"{task}: {TASKS[task]}", xlabel="labels" + ("" if task in NUMBERS else " of each class"))
        axes.spines[["top", "right"]].set_visible(False)
    picture.axes[0].legend(frameon=False)
    picture.savefig(file, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or a model that was pre-trained")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a folder with cola, stsb and sst2")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the runs are written")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS), metavar="TASK", help="of these")
    parser.add_argument(
        "--labels", nargs="+", default=["100", "300", "1000", "all"], metavar="N", help="as data.labels"
    )
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-4, 3e-4, 1e-3], help="the learning rates tried")
    parser.add_argument("--seeds", type=int, default=5, help="of each run")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="the curves, as PNG or SVG")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each point")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes for every recipe, as train.threads=1")
    asked = parser.parse_intermixed_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    model = asked.model / "model" if (asked.model / "model").is_dir() else asked.model
    models, points, there = dict(zip(STARTS, (new_weights(model, asked.out), model), strict=True)), [], peers.machine()
    for task in asked.tasks:
        for start, begins in models.items():
            tries = [tuned(task, start, begins, "all", rate, asked, first=True) for rate in asked.rates]
            best = max(tries, key=lambda point: point.mean).rate
            for labels in asked.labels:
                points.append(tuned(task, start, begins, labels, best, asked))
                if asked.json:
                    print(json.dumps(asdict(points[-1]) | {"machine": there}), flush=True)
    if asked.figure:
        draw(points, asked.tasks, asked.figure)
    if asked.json:
        return
    title = f"Tuned after pre-training or not, {asked.seeds} seeds"
    table = Table(title=title, caption=peers.described(there), title_justify="left")
    for column in ("task", "score", "begins with", "rate", *asked.labels):
        table.add_column(column, justify="left" if column in ("task", "score", "begins with") else "right")
    for task in asked.tasks:
        for start in STARTS:
            those = [point for point in points if (point.task, point.start) == (task, start)]
            figures = [f"{point.mean:.1f} ± {point.sd or 0:.1f}" for point in those]
            table.add_row(task, TASKS[task], start, f"{those[0].rate:g}", *figures)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


if __name__ == "__main__":
    main()
