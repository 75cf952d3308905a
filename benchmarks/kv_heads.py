"""What fewer key/value heads cost and save: multi-head, grouped and multi-query attention of one small decoder.

The same GPT-2 shape with 8, 4, 2 and 1 key/value heads, and the one with 8 converted to each (`transept convert`): the
bytes that its cache keeps, tokens that it decodes a second, and its loss on texts that it was not trained on, after as
many updates from the same beginning. What is converted is trained on for a tenth of the updates more; beside it stands
the whole one, trained on as long. Texts are the letters of Multi30k's English side, or of sentences that are made here.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import peers
from peers import OURS, Figure, Side
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, HEADS, DEPTH, LENGTH = 128, 8, 4, 128
GROUPS = (8, 4, 2, 1)
BATCH, UPDATES, RATE = 8, 600, 2e-3
QUICK = 20  # updates of a short round
ROWS, TOKENS, PROMPT = 32, 96, 512  # decoded at once, each after a prompt
LETTERS = 96  # printable ones of ASCII, and the end of a line


def texts(data: Path | None) -> tuple[Tensor, Tensor]:
    """Letters to train on and to be judged by, as ids."""
    if data is None:
        lines = made()
        return ids_of(lines[: len(lines) * 9 // 10]), ids_of(lines[len(lines) * 9 // 10 :])
    from transept.data.config import PairsData
    from transept.data.pairs import read_pairs

    told = PairsData(dir=data, source="en", target="de", train="train.lc.norm.tok", valid="val.lc.norm.tok")
    return ids_of(read_pairs(told, "train").source), ids_of(read_pairs(told, "valid").source)


def ids_of(lines: Sequence[str]) -> Tensor:
    """Lines one after the other, a letter each id; letters beyond ASCII are left out."""
    import torch

    each = [[ord(letter) - 32 for letter in line if " " <= letter <= "~"] + [LETTERS - 1] for line in lines]
    return torch.tensor([letter for line in each for letter in line])


def made(count: int = 12_000) -> list[str]:
    """Sentences whose last words follow from their first: there is something to attend to."""
    import random

    draws = random.Random(0)
    names = [a + b for a in ("ka", "lo", "mi", "ne", "ru", "so") for b in ("bar", "den", "fil", "gos", "hut", "jam")]
    verbs = ("sees", "helps", "calls", "paints", "follows", "thanks")
    lines = []
    for _ in range(count):
        one, two, three = draws.sample(names, 3)
        verb, other = draws.sample(verbs, 2)
        lines.append(f"{one} {verb} {two} and {other} {three}: so {two} and {three} know {one}.")
    return lines


def spec(groups: int) -> Any:
    """The description with so many key/value heads."""
    from transept.families.gpt2 import declare
    from transept.hub.grouping import grouped

    return grouped(declare(vocab=LETTERS, width=WIDTH, heads=HEADS, depth=DEPTH, length=PROMPT + TOKENS), groups)


def train(model: Any, ids: Tensor, updates: int, rate: float, seed: int) -> None:
    """Adam over random pieces of the text; the rate falls to a tenth along a line."""
    import torch
    from torch.nn import functional as F

    draws = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=rate, betas=(0.9, 0.95), fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, updates)
    for _ in range(updates):
        at = torch.randint(len(ids) - LENGTH, (BATCH, 1), generator=draws) + torch.arange(LENGTH + 1)
        rows = ids[at]
        logits = model(rows[:, :-1]).logits
        F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()


def loss_of(model: Any, ids: Tensor, rows: int = 160) -> float:
    """The mean of minus the logarithm of what the model gives each letter of the other texts, in nats."""
    import torch
    from torch.nn import functional as F

    pieces = ids[: len(ids) // (LENGTH + 1) * (LENGTH + 1)].view(-1, LENGTH + 1)[:rows]
    with torch.no_grad():
        parts = [
            F.cross_entropy(model(part[:, :-1]).logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum")
            for part in pieces.split(BATCH)
        ]
    return float(sum(parts)) / (pieces.size(0) * LENGTH)


def decode(model: Any) -> tuple[float, int]:
    """Tokens a second of steps with a full cache, and the bytes that it keeps of keys and values."""
    import torch

    with torch.no_grad():
        ids = torch.randint(LETTERS, (ROWS, PROMPT), generator=torch.Generator().manual_seed(0))
        cache = model.cache(ROWS, PROMPT + TOKENS)
        token = model.decode(ids, cache=cache, last=True).argmax(-1)
        kept = sum(tensor.nbytes for slot in cache.used() for tensor in slot.tensors.values())
        at = peers.clock()
        for _ in range(TOKENS - 1):
            token = model.decode(token, cache=cache).argmax(-1)
    return ROWS * (TOKENS - 1) / (peers.clock() - at), kept


def work(side: Side, folder: Path) -> list[Figure]:
    """One number of key/value heads: trained from the beginning, and made of the whole one."""
    import torch

    from transept.hub.grouping import group_heads

    asked, groups = side.options, side.options["groups"]
    seen, unseen = texts(Path(asked["data"]) if asked["data"] else None)
    torch.manual_seed(asked["seed"])
    model = spec(groups).build()
    train(model, seen, asked["updates"], RATE, asked["seed"])
    speed, kept = decode(model)
    facts: dict[str, Any] = {"loss": loss_of(model, unseen), "bytes": kept}
    state = folder / f"whole-{asked['seed']}.pt"
    if groups == HEADS:
        torch.save(model.state_dict(), state)
    whole = spec(HEADS).build().eval()
    whole.load_state_dict(torch.load(state, weights_only=True))
    small = group_heads(whole, groups)
    facts["converted"] = loss_of(small, unseen)
    train(small, seen, max(asked["updates"] // 10, 1), RATE / 2, asked["seed"] + 1)
    facts["trained on"] = loss_of(small, unseen)
    return [Figure(speed, facts=facts)]


def show(rows: list[dict[str, Any]], machine: dict[str, Any]) -> None:
    console = Console(width=None if os.isatty(1) else 130, highlight=False)
    title = f"{DEPTH} layers, width {WIDTH}, {HEADS} heads; {ROWS} rows, each after {PROMPT} tokens"
    table = Table(title=title, title_justify="left")
    for name in ("key/value heads", "cache", "to 8 heads", "tokens/s", "loss", "converted", "and trained on"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["groups"]),
            f"{row['bytes'] / 2**20:.1f} MiB",
            f"{row['bytes'] / rows[0]['bytes']:.3f}",
            f"{row['value']:,.0f}",
            f"{row['loss']:.4f}",
            f"{row['converted']:.4f}",
            f"{row['trained on']:.4f}",
        )
    console.print(table)
    console.print(peers.described(machine))


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    updates = QUICK if asked.quick else asked.updates
    found: dict[int, list[Figure]] = {}
    for turn in range(asked.rounds):
        for groups in GROUPS:  # the whole one first, of which the others are made
            options = {"groups": groups, "updates": updates, "seed": turn, "data": asked.data and str(asked.data)}
            side = Side(OURS, f"{groups} key/value heads", "ours", "float32", options)
            (figure,) = peers.run(Path(__file__), side, folder)
            found.setdefault(groups, []).append(figure)
            peers.say(f"round {turn + 1} of {asked.rounds}: {groups} key/value heads: {figure.facts['loss']:.4f}")
    rows = []
    for groups, figures in found.items():
        facts = {name: mean(figure.facts[name] for figure in figures) for name in figures[0].facts}
        rows.append({"groups": groups, "updates": updates, "value": median(f.value for f in figures)} | facts)
    for row in rows:
        if row["bytes"] * HEADS != rows[0]["bytes"] * row["groups"]:
            raise SystemExit(f"{row['groups']} key/value heads keep {row['bytes']:,} bytes, which is not in proportion")
    if not asked.json:
        show(rows, peers.machine())
        return
    for row in rows:
        print(json.dumps(row | {"machine": peers.machine()}))


def main() -> None:
    parser = peers.arguments("What fewer key/value heads cost and save.")
    parser.set_defaults(rounds=1)
    parser.add_argument("--updates", type=int, default=UPDATES, help="of each training")
    peers.main(parser, prepare, work)


if __name__ == "__main__":
    main()
