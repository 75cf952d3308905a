"""Whether positions from dependency trees reach attention: models that differ in nothing but how order is told.

    python benchmarks/structural_positions.py --data DIR      # DIR holds en_ewt-ud-{train,dev}.conllu[.gz]
    python benchmarks/structural_positions.py --quick         # made-up trees, a few seconds

For each word of a sentence two parts of speech are to be told: that of the word which it hangs from, and its own. The
trees of the treebank are given to the positions that read them, so the first is no parsing: a model that is told the
tree and cannot use it would do no better than one that is told the sequence, and one that uses it can look up the word
asked for. The second is the control, which hangs on the word and its neighbours and little on the tree.

Words are forms, lower-cased, those seen once unknown. Every model is BERT's encoder with two blocks and the beginning
of the 2017 Transformer, trained on the same batches from the same seed. Figures are of the dev part, of all its words;
seconds are the processor's.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import peers
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from transept.data.trees import Sentence, places, read_trees, tree_tensor
from transept.errors import InvalidData
from transept.families import bert
from transept.heads.classes import Tags
from transept.parts.initial import Xavier
from transept.parts.loss import IGNORED
from transept.spec import replace
from transept.topology import Built

ORDERS = {
    "none": "none",
    "sinusoid": "sinusoid",
    "rotary": "rotary",
    "relative (Shaw)": "relative(16)",
    "depth in the tree": "structural",
    "distance in the tree": "tree(16)",
    "Wang: both, and relative": "structural + relative(16) + tree(16)",
}
SIZE = {"width": 64, "hidden": 128, "heads": 4, "depth": 2, "dropout": 0.1, "length": 256}
TOY = {"width": 32, "hidden": 64, "heads": 2, "depth": 2, "length": 64}
PAD, UNKNOWN = 0, 1


@dataclass(frozen=True)
class Batch:
    """Words (B, S) with what is real of them, their trees, and the classes of the heads and of the words themselves."""

    words: Tensor
    valid: Tensor
    tree: Tensor
    heads: Tensor
    own: Tensor


@dataclass(frozen=True)
class Data:
    """Batches of both parts, and how many words and classes there are."""

    train: list[Batch]
    dev: list[Batch]
    vocab: int
    tags: int
    floor: tuple[float, float]  # what one reaches by the likeliest class of each form


def prepared(train: Sequence[Sentence], dev: Sequence[Sentence], room: int) -> Data:
    """Batches of at most `room` words, padding counted."""
    counts = Counter(word.lower() for sentence in train for word in sentence.words)
    vocab = {word: i for i, word in enumerate([w for w, n in counts.items() if n > 1], UNKNOWN + 1)}
    tags = {tag: i for i, tag in enumerate(sorted({t for s in (*train, *dev) for t in s.tags}), 1)}  # 0: a root's head

    def rows(part: Sequence[Sentence]) -> list[tuple[Sentence, list[int], list[int], list[int]]]:
        made = []
        for s in part:
            own = [tags[tag] for tag in s.tags]
            heads = [0 if head == i else own[head] for i, head in enumerate(s.heads)]
            made.append((s, [vocab.get(w.lower(), UNKNOWN) for w in s.words], heads, own))
        return made

    def batches(part: Sequence[Sentence]) -> list[Batch]:
        made: list[list[tuple[Sentence, list[int], list[int], list[int]]]] = []
        for row in sorted(rows(part), key=lambda row: len(row[1])):
            if not made or (len(made[-1]) + 1) * len(row[1]) > room:
                made.append([])
            made[-1].append(row)
        return [joined(group) for group in made]

    def joined(group: list[tuple[Sentence, list[int], list[int], list[int]]]) -> Batch:
        size = len(group[-1][1])
        filled = [
            torch.tensor([row[at] + [filler] * (size - len(row[at])) for row in group])  # type: ignore[operator,arg-type,list-item]
            for at, filler in ((1, PAD), (2, IGNORED), (3, IGNORED))
        ]
        tree = tree_tensor([places(row[0].heads) for row in group], size)
        return Batch(filled[0], filled[0] != PAD, tree, filled[1], filled[2])

    likeliest: list[dict[int, Counter[int]]] = [{}, {}]
    for _, words, *classes in rows(train):
        for found, told in zip(likeliest, classes, strict=True):
            for word, tag in zip(words, told, strict=True):
                found.setdefault(word, Counter())[tag] += 1
    right, count = [0, 0], 0
    for _, words, *classes in rows(dev):
        count += len(words)
        for i, (found, told) in enumerate(zip(likeliest, classes, strict=True)):
            best = [found.get(word, found.get(UNKNOWN, Counter({0: 1}))).most_common(1)[0][0] for word in words]
            right[i] += sum(a == b for a, b in zip(best, told, strict=True))
    floor = (right[0] / count, right[1] / count)
    return Data(batches(train), batches(dev), len(vocab) + 2, len(tags) + 1, floor)


def made_up(count: int, seed: int) -> list[Sentence]:
    """Sentences of 5 to 14 words whose forms tell their tags, hung from each other at random."""
    draws, made = random.Random(seed), []
    for _ in range(count):
        size = draws.randint(5, 14)
        order = draws.sample(range(size), size)
        heads = [0] * size
        for i, word in enumerate(order):
            heads[word] = order[draws.randrange(i)] if i else word
        forms = [draws.randrange(40) for _ in range(size)]
        tags = tuple(f"T{form % 6}" for form in forms)
        made.append(Sentence(tuple(f"w{form}" for form in forms), tags, tuple(heads), ("dep",) * size))
    return made


def built(data: Data, positions: str, size: dict[str, object]) -> Built:
    torch.manual_seed(0)
    spec = bert.declare(vocab=data.vocab, segments=0, head="tags", labels=data.tags, positions=positions, **size)  # type: ignore[arg-type]
    scaled = replace(spec.embed, scale=spec.width**0.5)  # words as large as sinusoids are
    return replace(spec, embed=scaled, second=Tags(data.tags), initial=Xavier()).build()


def passed(model: Built, batch: Batch) -> tuple[Tensor, Tensor]:
    """The scores of the heads' classes and of the words' own."""
    made = model(batch.words, batch.valid, **({"tree": batch.tree} if model.spec.reads_tree else {}))
    assert made.second is not None
    return made.logits, made.second


def learn(model: Built, data: Data, epochs: int, rate: float) -> float:
    """Train, and give the seconds that it took."""
    start, order = time.process_time(), random.Random(0)
    adam = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    total = epochs * len(data.train)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: min((step + 1) / 100, 1 - step / total))
    model.train()
    for _ in range(epochs):
        for batch in order.sample(data.train, len(data.train)):
            scores = passed(model, batch)
            loss = sum(
                F.cross_entropy(score.flatten(0, 1), told.flatten(), ignore_index=IGNORED)
                for score, told in zip(scores, (batch.heads, batch.own), strict=True)
            )
            adam.zero_grad()
            loss.backward()  # type: ignore[union-attr]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            adam.step()
            schedule.step()
    return time.process_time() - start


@torch.no_grad()
def measured(model: Built, batches: list[Batch]) -> tuple[float, float, int]:
    """The shares of words whose head's class, and whose own, is told right; and how many words there are."""
    model.eval()
    right, count = [0, 0], 0
    for batch in batches:
        count += int(batch.valid.sum())
        for i, (score, told) in enumerate(zip(passed(model, batch), (batch.heads, batch.own), strict=True)):
            right[i] += int((score.argmax(-1) == told)[batch.valid].sum())
    return right[0] / count, right[1] / count, count


def found(folder: Path, part: str) -> list[Sentence]:
    files = sorted(folder.glob(f"*-{part}.conllu*"))
    if not files:
        raise SystemExit(f"{folder} holds no *-{part}.conllu or *-{part}.conllu.gz")
    return read_trees(files[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with a CoNLL-U treebank's train and dev")
    parser.add_argument("--quick", action="store_true", help="toy models; without --data on made-up trees")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--only", nargs="+", metavar="ORDER", help="some orders alone, as --only none 'tree(16)'")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each model")
    asked = parser.parse_args()
    if asked.data is None and not asked.quick:
        raise SystemExit("--data names no treebank: give its folder, or --quick for made-up trees")
    torch.set_num_threads(1)
    try:
        parts = (
            [found(asked.data, part) for part in ("train", "dev")] if asked.data else [made_up(900, 1), made_up(60, 2)]
        )
    except InvalidData as error:
        raise SystemExit(str(error)) from None
    if asked.quick and asked.data:
        parts = [parts[0][:600], parts[1][:200]]
    data = prepared(*parts, 400 if asked.quick else 2000)
    size, there, rows = TOY if asked.quick else SIZE, peers.machine(), []
    for name, positions in ORDERS.items():
        if asked.only and positions not in asked.only and name not in asked.only:
            continue
        model = built(data, positions, size)
        seconds = learn(model, data, asked.epochs, asked.rate)
        head, own, count = measured(model, data.dev)
        numbers = {
            "head": round(100 * head, 2),
            "own": round(100 * own, 2),
            "words": count,
            "seconds": round(seconds, 1),
        }
        weights = sum(p.numel() for p in model.parameters())
        rows.append({"order": name, "positions": positions, "parameters": weights, **numbers})
        if asked.json:
            print(json.dumps(rows[-1] | {"machine": there}), flush=True)
    floor = {"head": round(100 * data.floor[0], 2), "own": round(100 * data.floor[1], 2)}
    if asked.json:
        print(json.dumps({"order": "the likeliest of each form", **floor, "machine": there}))
        return
    table = Table(title="The part of speech of each word's head, and its own", caption=peers.described(there))
    for column in ("order", "positions", "parameters", "head's", "own", "seconds"):
        table.add_column(column, justify="left" if column in ("order", "positions") else "right")
    table.add_row("the likeliest of each form", "", "", f"{floor['head']:.2f}", f"{floor['own']:.2f}", "")
    for row in rows:
        shown = (f"{row['parameters']:,}", f"{row['head']:.2f}", f"{row['own']:.2f}", f"{row['seconds']:.0f}")
        table.add_row(str(row["order"]), str(row["positions"]), *shown)
    Console(width=None if sys.stdout.isatty() else 140, highlight=False).print(table)


if __name__ == "__main__":
    main()
