"""How long it takes from an empty process to GPT-2's first answer, beside Hugging Face's `from_pretrained`.

Each side imports its library, loads the same directory, which Hugging Face wrote, and scores one short prompt: weights
that are only mapped into memory would not be read before. What the sides give is compared.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import peers
from peers import HUGGING_FACE, OURS, Figure, Row, Side

UNIT = "loads/min"
PROMPT = [[5, 6, 7, 8, 9, 10, 11, 12]]
SHOWN = 5  # logits of the last token that are compared


def load_ours(folder: Path) -> Any:
    import transept

    return transept.load(folder).model


def load_theirs(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def work(side: Side, folder: Path) -> list[Figure]:
    """The time from here to the answer: nothing heavy was imported before."""
    wall, began = time.perf_counter(), peers.clock()
    model = (load_ours if side.role == "ours" else load_theirs)(folder / "model")
    import torch

    loaded = peers.clock() - began
    with torch.inference_mode():
        logits = model(torch.tensor(PROMPT)).logits[0, -1, :SHOWN].tolist()
    seconds = peers.clock() - began
    facts = {"seconds": seconds, "loaded": loaded, "wall": time.perf_counter() - wall, "logits": logits}
    return [Figure(60 / seconds, facts=facts)]


def compare(rows: list[Row]) -> None:
    """Refuse sides that answer otherwise, and write the seconds into the notes."""
    first = rows[0].facts["logits"]
    for row in rows:
        far = max(abs(a - b) for a, b in zip(first, row.facts["logits"], strict=True))
        if far > 1e-4:
            raise SystemExit(f"{row.who} scores the prompt {far:.1e} away from {rows[0].who}")
        row.facts["note"] = f"{60 / row.value:.2f} s"


def write_theirs(folder: Path, size: str) -> int:
    """A GPT-2 of random weights, written by Hugging Face; how many parameters it has."""
    import transformers

    from transept.families.gpt2 import GOLDEN_VOCAB, SIZES

    words = SIZES[size]
    shape = {"n_embd": words["width"], "n_layer": words["depth"], "n_head": words["heads"]}
    config = transformers.GPT2Config(vocab_size=GOLDEN_VOCAB, n_positions=words["length"], **shape)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    return int(model.num_parameters())


def sides() -> list[Side]:
    return [
        Side(OURS, "transept.load", "ours", "float32", {}),
        Side(HUGGING_FACE, "from_pretrained", "peer", "float32", {}),
    ]


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """Write the model, give it to both sides, print what comes back."""
    if asked.data:
        peers.say("loading reads no texts: --data is not used")
    there = peers.machine()
    count = write_theirs(folder / "model", asked.size)
    rows = peers.measure(Path(__file__), sides(), folder, asked.rounds)
    compare(rows)
    settings = {"model": f"GPT-2 {asked.size}", "parameters": f"{count:,}", "prompt": f"{len(PROMPT[0])} tokens"}
    if asked.json:
        peers.show_json("load", UNIT, rows, settings, there)
    else:
        peers.show("load", "From an empty process to GPT-2's first answer", UNIT, rows, settings, there)


def main() -> None:
    parser = peers.arguments("How long it takes to import and to load GPT-2, beside Hugging Face.")
    parser.set_defaults(size="small", rounds=5)
    peers.main(parser, prepare, work)


if __name__ == "__main__":
    main()
