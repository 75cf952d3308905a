"""What came before the Transformer beside it, in one table: every model trained alike on Multi30k, German to English.

    python benchmarks/before_2017.py --data DIR --out RUNS                   # ten epochs for each model
    python benchmarks/before_2017.py --data DIR --out RUNS --luong           # the seven variants of Luong et al. 2015
    python benchmarks/before_2017.py --data DIR --out RUNS --size notebook

Text, vocabulary, batches and budget are the same for all; translations are greedy, of test_2016_flickr, and lower-cased
on both sides. Below the table stands BLEU by the length of the source, which is where attention shows. Runs that are
there already are not trained again, and one that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import peers
from rich.console import Console
from rich.table import Table

import transept
from transept.data.pairs import read_pairs
from transept.recipes.recipe import load_recipe
from transept.tasks.score import bleu

# Each model's recipe, and the BLEU of an independent series of notebooks at its own size (bentrevett/pytorch-seq2seq).
MODELS = {
    "lstm-seq2seq": 13.8,
    "gru-context": 20.6,
    "bahdanau": 28.3,
    "convs2s": 34.1,
    "transformer-de-en": 36.5,
}
LUONG = {  # figure 5 and table 4 of Luong et al. 2015
    "global location": ["model.score=location"],
    "global dot": ["model.score=dot"],
    "global general": ["model.score=general"],
    "global concat": ["model.score=concat"],
    "local-m general": ["model.score=general", "model.reach=local_m"],
    "local-p dot": ["model.score=dot", "model.reach=local_p"],
    "local-p general": ["model.score=general", "model.reach=local_p"],
}
EDGES = (8, 12, 16, 20)  # words of a source


@dataclass(frozen=True)
class Entrant:
    """A model that takes part: its name, its recipe, what of it is changed, and its published figure."""

    name: str
    recipe: str
    changes: list[str]
    published: float | None = None


@dataclass(frozen=True)
class Row:
    """What a model reached."""

    model: str
    parameters: int
    updates: int
    bleu: float
    interval: tuple[float, float]
    published: float | None
    by_length: dict[str, float]


def entrants(asked: argparse.Namespace) -> list[Entrant]:
    """Who takes part."""
    if asked.luong:
        if asked.only or asked.size != "reduced":
            raise SystemExit("--luong compares seven variants of one size: leave --only and --size out")
        return [Entrant(name, "luong", changes) for name, changes in LUONG.items()]
    found = []
    for recipe, figure in MODELS.items():
        sized = [] if asked.size == "reduced" or recipe == "transformer-de-en" else [f"model.size={asked.size}"]
        found.append(Entrant(recipe, recipe, sized, figure))
    return [entrant for entrant in found if not asked.only or entrant.name in asked.only]


def trained(entrant: Entrant, asked: argparse.Namespace) -> Path:
    """The run of a model, trained if it is not there."""
    run = asked.out / entrant.name.replace(" ", "-")
    if (run / "model").is_dir():
        stop = load_recipe(run).train.stop
        if stop != asked.budget:
            raise SystemExit(f"{run} was trained for {stop}, not {asked.budget}: take another --out, or remove it")
        return run
    changes = [f"data.dir={asked.data}", f"run={run}", f"train.stop={asked.budget}", *entrant.changes, *asked.changes]
    again = [str(run), "--resume"] if (run / "checkpoints").is_dir() else [entrant.recipe, *changes]
    done = subprocess.run([sys.executable, "-m", "transept", "train", *again], stdout=sys.stderr)
    if done.returncode:  # it said why
        raise SystemExit(done.returncode)
    return run


def scored(entrant: Entrant, run: Path, data: Path) -> Row:
    """BLEU of the test split, whole and by the length of the source, and what it took."""
    recipe = load_recipe(run)
    pairs = read_pairs(recipe.data.model_copy(update={"dir": data}), "test")
    loaded = transept.load(str(run))
    outputs = [str(text) for text in loaded.translate(pairs.source)]
    whole = bleu(outputs, pairs.target, tokenize="13a", case="lower", resamples=1000)
    by_length = {}
    words = [len(text.split()) for text in pairs.source]
    for low, high in zip((0, *EDGES), (*EDGES, 10_000), strict=True):
        rows = [i for i, n in enumerate(words) if low < n <= high]
        score = bleu([outputs[i] for i in rows], [pairs.target[i] for i in rows], tokenize="13a", case="lower")
        by_length[f"{low + 1}-{high}" if high < 10_000 else f"over {low}"] = round(score.value, 2)
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert whole.interval is not None
    low, high = (round(end, 2) for end in whole.interval)
    return Row(
        entrant.name,
        sum(p.numel() for p in loaded.model.parameters()),
        max(int(line.get("update", 0)) for line in log),
        round(whole.value, 2),
        (low, high),
        entrant.published,
        by_length,
    )


def draw(rows: list[Row], file: Path) -> None:
    """A line for each model over the length of the source."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(8, 4), layout="constrained")
    axes = picture.subplots()
    for row in rows:
        axes.plot(list(row.by_length), list(row.by_length.values()), "-o", ms=4, label=row.model)
    axes.set(xlabel="words of the source", ylabel="BLEU", ylim=(0, None))
    picture.legend(loc="outside right", frameon=False)
    picture.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="a folder with Multi30k's raw files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the runs are written")
    parser.add_argument("--size", default="reduced", help="reduced, or notebook: that of the published figures")
    parser.add_argument("--budget", default="2380u", help="of each model, in the words of train.stop")
    parser.add_argument("--luong", action="store_true", help="the seven variants of Luong et al. instead")
    parser.add_argument("--only", nargs="+", metavar="MODEL", help="some of the models alone")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="BLEU by the length of the source, as PNG or SVG")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each model")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes for every recipe, as train.threads=1")
    asked = parser.parse_args()
    there, rows = peers.machine(), []
    for entrant in entrants(asked):
        rows.append(scored(entrant, trained(entrant, asked), asked.data))
        if asked.json:
            print(json.dumps(asdict(rows[-1]) | {"budget": asked.budget, "machine": there}), flush=True)
    if asked.figure:
        draw(rows, asked.figure)
    if asked.json:
        return
    table = Table(title="Multi30k, German to English, greedy", caption=peers.described(there), title_justify="left")
    for column in ("model", "parameters", "updates", "BLEU", "interval", "published"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name in rows[0].by_length:
        table.add_column(f"{name} words", justify="right")
    for row in rows:
        low, high = row.interval
        lengths = [f"{value:.1f}" for value in row.by_length.values()]
        published = "" if row.published is None else f"{row.published:.1f}"
        shown = (row.model, f"{row.parameters:,}", f"{row.updates:,}", f"{row.bleu:.2f}")
        table.add_row(*shown, f"{low:.1f}-{high:.1f}", published, *lengths)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


if __name__ == "__main__":
    main()
