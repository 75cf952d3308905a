"""Who copies beyond the lengths of training: Neural Turing Machines, an LSTM, a Transformer, all trained to length 20.

    python benchmarks/copying.py --out RUNS                      # 1,500 updates each
    python benchmarks/copying.py --out RUNS --only lstm --updates 20000
    python benchmarks/copying.py --out RUNS --quick              # minutes: what the table looks like, and no more

All are the recipe `ntm-copy` with another `model`: sequences, batches, optimizer and updates are the same. The table
is of the bits of an answer that are wrong, and of -log2 of its probability, means over sequences of each length that
training never saw. Runs that are there already are not trained again, and one that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import peers
from rich.console import Console
from rich.table import Table

import transept
from transept.recipes.recipe import load_recipe
from transept.tasks.sequences import measure
from transept.tasks.settings.sequences import SequencesRecipe

MODELS: dict[str, list[str]] = {
    "ntm, feed-forward": [],
    "ntm, LSTM": ["model.size=copy-lstm"],
    # Graves et al. 2014, table 3: three layers of 256.
    "lstm": ["model={family: lstm, form: language_model, width: 64, hidden: 256, depth: 3}"],
    "transformer": [
        "model={family: transformer, form: language_model, width: 128, hidden: 512, heads: 4, depth: 4, norm: before,"
        " dropout: 0.0}",
        "train.schedule.warmup=200",
    ],
}
LENGTHS = (10, 20, 30, 50, 100, 120)
COUNT = 100  # sequences of each length
QUICK = ["train.validate_every=20u", "data.valid=2", "data.rows=4"]


def trained(name: str, asked: argparse.Namespace) -> Path:
    """The run of a model, trained if it is not there."""
    run: Path = asked.out / name.replace(", ", "-").lower()
    stop = f"{asked.updates}u"
    if (run / "model").is_dir():
        if (there := load_recipe(run).train.stop) != stop:
            raise SystemExit(f"{run} was trained for {there}, not {stop}: take another --out, or remove it")
        return run
    changes = [f"run={run}", f"train.stop={stop}", *MODELS[name], *(QUICK if asked.quick else []), *asked.changes]
    again = [str(run), "--resume"] if (run / "checkpoints").is_dir() else ["ntm-copy", *changes]
    done = subprocess.run([sys.executable, "-m", "transept", "train", *again], stdout=sys.stderr)
    if done.returncode:  # it said why
        raise SystemExit(done.returncode)
    return run


def scored(name: str, run: Path, count: int) -> dict[str, object]:
    """Wrong bits and cost of each length, and what it took."""
    recipe, loaded = load_recipe(run), transept.load(str(run))
    assert isinstance(recipe, SequencesRecipe)
    data = recipe.data.model_copy(update={"lengths": list(LENGTHS), "valid": count})
    told = measure(loaded.model, data, "test").told()
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "model": name,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "updates": max(int(line.get("update", 0)) for line in log),
        "errors": {length: told[f"errors_{length}"] for length in LENGTHS},
        "cost": {length: told[f"cost_{length}"] for length in LENGTHS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the runs are written")
    parser.add_argument("--updates", type=int, help="of each model: 1,500, or 20 with --quick")
    parser.add_argument("--quick", action="store_true", help="few updates of few sequences")
    parser.add_argument("--only", nargs="+", metavar="MODEL", choices=MODELS, help=f"some of: {', '.join(MODELS)}")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each model")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes for every run, as train.threads=1")
    asked = parser.parse_args()
    asked.updates = asked.updates or (20 if asked.quick else 1500)
    there, rows = peers.machine(), []
    for name in asked.only or MODELS:
        rows.append(scored(name, trained(name, asked), 4 if asked.quick else COUNT))
        if asked.json:
            print(json.dumps(rows[-1] | {"machine": there}), flush=True)
    if asked.json:
        return
    table = Table(
        title="Copying 8-bit vectors after training to length 20: wrong bits a sequence (and its cost in bits)",
        caption=peers.described(there),
        title_justify="left",
    )
    for column in ("model", "parameters", "updates", *map(str, LENGTHS)):
        table.add_column(column, justify="left" if column == "model" else "right")
    for row in rows:
        errors, cost = row["errors"], row["cost"]
        assert isinstance(errors, dict)
        assert isinstance(cost, dict)
        shown = [f"{errors[length]:.2f} ({cost[length]:.2f})" for length in LENGTHS]
        table.add_row(str(row["model"]), f"{row['parameters']:,}", f"{row['updates']:,}", *shown)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


if __name__ == "__main__":
    main()
