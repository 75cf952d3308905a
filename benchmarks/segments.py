"""What states carried from segment to segment are worth: one Transformer-XL over characters, trained with and without.

    python benchmarks/segments.py --data FILE --out RUNS   # a text; four minutes for each of the two
    python benchmarks/segments.py --quick                  # seconds, on this repository's own pages

Both are `transept train transformer-xl-shakespeare`, with the same beginning, updates or time, and rows: by segments,
each of which goes on from the states of the one before it, and by windows, which hand nothing on. What the longer
attention costs is taken from the updates where the budget is a time. Each is then read over the last tenth of the text,
with no state carried, with as many as in training, and with more. Figures are bits for each character. Runs that are
there already are not trained again, and one that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import peers
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from transept.data.text_batches import TextBatch
from transept.heap import keep_freed_memory
from transept.hub.directory import read
from transept.models import ModelLayer
from transept.parts.loss import Smoothing
from transept.recipes.recipe import load_recipe
from transept.tasks.language import Language, next_token_loss

RECIPE = "transformer-xl-shakespeare"
PAGES = Path(__file__).parents[1] / "docs"
ROWS = {"alone": "windows", "carrying": "segments"}
QUICK = ["train.validate_every=8u", "evaluate.written=8", "train.batch_tokens=512"]
QUICK += ["model.width=32", "model.hidden=64", "model.depth=2", "train.schedule.warmup=2"]


def trained(how: str, asked: argparse.Namespace) -> Path:
    """The run of one way, trained if it is not there."""
    run = asked.out / how
    if (run / "model").is_dir():
        return run
    changes = [f"data.train={asked.data}", f"run={run}", f"data.rows={ROWS[how]}", f"train.stop={asked.budget}"]
    changes += [f"train.threads={asked.threads}", *(QUICK if asked.quick else []), *asked.changes]
    again = [str(run), "--resume"] if (run / "checkpoints").is_dir() else [RECIPE, *changes]
    done = subprocess.run([sys.executable, "-m", "transept", "train", *again], stdout=sys.stderr)
    if done.returncode:  # it said why
        raise SystemExit(done.returncode)
    return run


def segments(ids: Tensor, rows: int, length: int) -> Iterator[TextBatch]:
    """The text in `rows` pieces beside each other, segment by segment: what is read, and what comes next."""
    columns = (len(ids) - 1) // rows
    if columns < length:
        raise SystemExit(f"a text of {len(ids):,} characters is too short for {rows} rows of {length}")
    source, target = (part.view(rows, columns) for part in (ids[: rows * columns], ids[1 : rows * columns + 1]))
    for at in range(0, columns - length + 1, length):
        yield TextBatch(source[:, at : at + length], target[:, at : at + length], list(range(rows)), begins=at == 0)


@torch.no_grad()
def bits(model: ModelLayer, ids: Tensor, carried: int, rows: int, length: int) -> float:
    """Bits for each character of a text, read in segments with so many states carried."""
    model.eval()
    state, nll, count = model.carry(rows, carried), 0.0, 0
    for batch in segments(ids, rows, length):
        made = next_token_loss(model, batch, Smoothing(), state)
        nll, count = nll + float(made.nll), count + made.count
    return nll / count / math.log(2)


def scored(how: str, run: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """What one way took, and how it reads what it was never trained on."""
    recipe = load_recipe(run)
    task = Language(cast(Any, recipe), say=lambda line: None)
    model = cast(ModelLayer, read(run / "model").model)
    ids, length = torch.from_numpy(task.valid.ids[:].astype("int64")), task.length
    many = min(asked.streams, max(1, (len(ids) - 1) // (4 * length)))
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "trained": how,
        "updates": max(int(line.get("update", 0)) for line in log),
        "parameters": sum(p.numel() for p in model.parameters()),
        "length": length,
        "bits": {str(n): round(bits(model, ids, n, many, length), 4) for n in (0, length, 2 * length, 4 * length)},
    }


def compare(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Both ways of training, each read in all ways."""
    rows = []
    for how in ROWS:
        rows.append(scored(how, trained(how, asked), asked))
        print(f"trained {how}: {rows[-1]['updates']:,} updates, {rows[-1]['bits']}", file=sys.stderr)
    return rows


def show(rows: list[dict[str, Any]], asked: argparse.Namespace) -> None:
    table = Table(title=f"bits a character; segments of {rows[0]['length']}, {asked.budget} for each")
    table.add_column("trained")
    for column in ("updates", *(f"{n} carried" for n in rows[0]["bits"])):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row["trained"], f"{row['updates']:,}", *(f"{value:.3f}" for value in row["bits"].values()))
    console = Console()
    console.print(table)
    console.print(f"{rows[0]['parameters']:,} parameters; {peers.described(peers.machine())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FILE", help="a text, .gz or not")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the runs are kept")
    parser.add_argument("--budget", default="4min", help="of each way, in the words of train.stop: 4min, 2000u")
    parser.add_argument("--streams", type=int, default=16, help="pieces that the text is read in, beside each other")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few updates of a small model")
    parser.add_argument("--json", action="store_true", help="a line for each way of training")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes for both, as model.width=64")
    asked = parser.parse_args()
    if asked.data is None and not asked.quick:
        parser.error("name a text with --data FILE, or see that it works with --quick")
    torch.set_num_threads(asked.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        asked.out = asked.out or Path(folder)
        if asked.data is None:
            asked.data = Path(folder) / "pages.txt"
            pages = [page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md"))]
            asked.data.write_text("\n".join(pages), encoding="utf-8")
        asked.data = asked.data.resolve()
        asked.budget = "8u" if asked.quick else asked.budget
        rows = compare(asked)
    if asked.json:
        there = peers.machine()
        for row in rows:
            print(json.dumps(row | {"budget": asked.budget, "machine": there}))
    else:
        show(rows, asked)


if __name__ == "__main__":
    main()
