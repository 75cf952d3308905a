"""Small tables of texts, pairs and tagged sentences whose answers a tiny model can learn."""

import json
import random
from pathlib import Path

GOOD, BAD, THINGS = ["fine", "lovely", "warm"], ["dull", "grim", "cold"], ["film", "play", "song", "tale", "day"]
TINY = "model={family: bert, width: 16, hidden: 32, heads: 2, depth: 1, length: 32}"


def write_reviews(folder: Path, count: int = 60, seed: int = 0) -> Path:
    """train.tsv and dev.tsv: a sentence and whether it praises, 1 or 0; no names of columns."""
    draws = random.Random(seed)
    for split, rows in (("train", count), ("dev", count // 3)):
        lines = []
        for i in range(rows):
            word = draws.choice(GOOD if i % 2 else BAD)
            more = " and long" * draws.randint(0, 3)
            lines.append(f"a {word} {draws.choice(THINGS)}{more}\t{i % 2}\n")
        (folder / f"{split}.tsv").write_text("".join(lines))
    return folder


def write_alike(folder: Path, count: int = 60, seed: int = 0) -> Path:
    """train.csv and dev.csv: two sentences, and how many of five words they share; no names of columns."""
    draws = random.Random(seed)
    words = [*GOOD, *BAD, *THINGS]
    for split, rows in (("train", count), ("dev", count // 2)):
        lines = []
        for _ in range(rows):
            first = draws.sample(words, 5)
            shared = draws.randint(0, 5)
            others = [word for word in words if word not in first]
            second = first[:shared] + draws.sample(others, draws.randint(5 - shared, 6))
            lines.append(f'"{", ".join(first)}","{" ".join(second)}",{shared:.1f}\n')
        (folder / f"{split}.csv").write_text("".join(lines))
    return folder


def write_tagged(folder: Path, count: int = 60, seed: int = 0, spans: bool = False) -> Path:
    """train.tsv and dev.tsv: a word and its tag a line; with `spans` a thing and what praises it are one."""
    draws = random.Random(seed)
    for split, rows in (("train", count), ("dev", count // 3)):
        lines = []
        for _ in range(rows):
            good = draws.random() < 0.5
            pair = [(draws.choice(GOOD if good else BAD), "ADJ"), (draws.choice(THINGS), "NOUN")]
            if spans:
                name = "GOOD" if good else "BAD"
                pair = [(pair[0][0], f"B-{name}"), (pair[1][0], f"I-{name}")]
            outside = "O" if spans else "DET"
            end = "O" if spans else "PUNCT"
            lines.append("".join(f"{w}\t{t}\n" for w, t in [("a", outside), *pair, (".", end)]) + "\n")
        (folder / f"{split}.tsv").write_text("".join(lines))
    return folder


def write_questions(folder: Path, count: int = 40, empty: bool = False) -> Path:
    """train.jsonl and dev.jsonl: what is said of a thing, among several."""
    draws = random.Random(1)
    for split, rows in (("train", count), ("dev", count // 2)):
        lines = []
        for i in range(rows):
            things, words = draws.sample(THINGS, 3), draws.sample([*GOOD, *BAD], 3)
            context = ", ".join(f"the {thing} was {word}" for thing, word in zip(things, words, strict=True)) + "."
            asked = draws.randrange(3)
            none = empty and i % 4 == 0
            start = context.index(f"{things[asked]} was ") + len(f"{things[asked]} was ")
            answers = {"text": [] if none else [words[asked]], "answer_start": [] if none else [start]}
            lines.append(json.dumps({"question": f"how was the {'cat' if none else things[asked]}?",
                                     "context": context, "answers": answers}))  # fmt: skip
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder
