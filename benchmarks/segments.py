"""What states carried from segment to segment are worth: one Transformer-XL over characters, trained with and without.

    python benchmarks/segments.py --data FILE              # a text; four minutes for each of the two
    python benchmarks/segments.py --quick                  # seconds, on this repository's own pages

Both begin with the same weights and read the same segments in the same order, and both are given the same time of the
processor: what the longer attention costs is taken from the updates. Each is then read over the last tenth of the text,
with no state carried, with as many as in training, and with more. Figures are bits for each character.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import peers
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from transept.families import transformer_xl
from transept.heap import keep_freed_memory
from transept.models import ModelLayer
from transept.parts.loss import Loss, Smoothing

PAGES = Path(__file__).parents[1] / "docs"
HEADS, DROPOUT = 4, 0.1
SHARE = 0.1  # of the text, its end, that is never trained on
RISING = 0.05  # of the time, in which the learning rate rises


def read(path: Path | None) -> str:
    """A text, gzip'd or not; this repository's pages where none is named."""
    if path is None:
        return "\n".join(page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md")))
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")


def numbered(text: str) -> tuple[Tensor, int]:
    """Characters as numbers, and how many different ones there are."""
    letters = {letter: i for i, letter in enumerate(sorted(set(text)))}
    return torch.tensor([letters[letter] for letter in text]), len(letters)


def segments(ids: Tensor, rows: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The text in `rows` pieces beside each other, segment by segment: what is read, and what comes next."""
    columns = (len(ids) - 1) // rows
    if columns < length:
        raise SystemExit(f"a text of {len(ids):,} characters is too short for {rows} rows of {length}")
    source, target = (part.view(rows, columns) for part in (ids[: rows * columns], ids[1 : rows * columns + 1]))
    for at in range(0, columns - length + 1, length):
        yield source[:, at : at + length], target[:, at : at + length]


def loss(model: ModelLayer, ids: Tensor, labels: Tensor, carried: Any) -> Loss:
    states, entered = model.hidden(ids, cache=carried)
    return cast(Any, model.head).loss(states, entered, labels, Smoothing())


def train(model: ModelLayer, ids: Tensor, carries: bool, asked: argparse.Namespace) -> dict[str, Any]:
    """Train for so many seconds of this process's processors; what it took."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=asked.rate, betas=(0.9, 0.99), weight_decay=0.01)
    begun, updates, epochs = time.process_time(), 0, 0
    model.train()
    while True:
        carried = model.carry(asked.rows) if carries else None  # the text begins again
        for source, target in segments(ids, asked.rows, asked.length):
            spent = (time.process_time() - begun) / asked.seconds
            if spent >= 1:
                return {"updates": updates, "epochs": epochs}
            for group in optimizer.param_groups:
                group["lr"] = asked.rate * min(spent / RISING, 0.5 + 0.5 * math.cos(math.pi * spent)) + 1e-6
            made = loss(model, source, target, carried)
            optimizer.zero_grad()
            (made.total / made.count).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            updates += 1
        epochs += 1


@torch.no_grad()
def bits(model: ModelLayer, ids: Tensor, carried: int, asked: argparse.Namespace) -> float:
    """Bits for each character of a text, read in segments with so many states carried."""
    model.eval()
    state, nll, count = model.carry(asked.rows, carried), 0.0, 0
    for source, target in segments(ids, asked.rows, asked.length):
        made = loss(model, source, target, state)
        nll, count = nll + float(made.nll), count + made.count
    return nll / count / math.log(2)


def compare(asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Both ways of training, each read in all ways."""
    ids, vocab = numbered(read(asked.data))
    cut = int(len(ids) * (1 - SHARE))
    print(f"{cut:,} characters to learn, {len(ids) - cut:,} to read, {vocab} different ones", file=sys.stderr)
    lengths = [0, *(asked.length * n for n in (1, 2, 4))]
    rows = []
    for carries in (False, True):
        torch.manual_seed(asked.seed)
        size = {"width": asked.width, "heads": HEADS, "depth": asked.depth, "hidden": 4 * asked.width}
        model = transformer_xl.declare(vocab=vocab, carries=asked.length, dropout=DROPOUT, **size).build()
        took = train(model, ids[:cut], carries, asked)
        read_with = {str(n): round(bits(model, ids[cut:], n, asked), 4) for n in lengths}
        parameters = sum(p.numel() for p in model.parameters())
        rows.append(
            {"trained": "carrying" if carries else "alone", **took, "parameters": parameters, "bits": read_with}
        )
        print(f"trained {rows[-1]['trained']}: {took['updates']:,} updates, {read_with}", file=sys.stderr)
    return rows


def show(rows: list[dict[str, Any]], asked: argparse.Namespace) -> None:
    table = Table(title=f"bits a character; segments of {asked.length}, {asked.seconds:g} s of a processor for each")
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
    parser.add_argument("--seconds", type=float, default=240, help="of a processor, to train each")
    parser.add_argument(
        "--length", type=int, default=64, help="characters of a segment, and states carried in training"
    )
    parser.add_argument("--rows", type=int, default=16, help="pieces of the text that are read beside each other")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2e-3, help="the highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few seconds")
    parser.add_argument("--json", action="store_true", help="a line for each way of training")
    asked = parser.parse_args()
    if asked.data is None and not asked.quick:
        parser.error("name a text with --data FILE, or see that it works with --quick")
    if asked.quick:
        asked.seconds = min(asked.seconds, 5)
    torch.set_num_threads(asked.threads)
    keep_freed_memory()
    rows = compare(asked)
    if asked.json:
        there = peers.machine()
        for row in rows:
            print(json.dumps(row | {"length": asked.length, "seconds": asked.seconds, "machine": there}))
    else:
        show(rows, asked)


if __name__ == "__main__":
    main()
