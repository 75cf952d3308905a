"""How fast a translation model trains: target tokens a second of whole steps, beside Hugging Face's MarianMTModel.

Every side has the same weights to begin with, the same batches, dropout and label smoothing, and Adam; a step is
forward, loss, backward and optimiser. Transept's step is the one that `transept train` takes. Hugging Face's is a plain
loop with their model in each of its attentions and number formats, and with both of torch's AdamW.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast

import peers
import torch
from peers import HUGGING_FACE, OURS, Figure, Row, Side
from safetensors.torch import load_file, save_file
from texts import Texts, texts
from torch import nn

from transept.data.batches import PairBatch
from transept.errors import UsageError, nearest
from transept.families.transformer import SIZES, declare
from transept.heap import keep_freed_memory
from transept.hub.directory import read, save
from transept.models import Seq2SeqLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.measure import judging, pair_loss
from transept.tasks.task import Task
from transept.train.config import Optimizer
from transept.train.flat import Flat
from transept.train.optimizer import FlatAdam
from transept.train.update import gather
from transept.train.workers import Workers

UNIT = "target tokens/s"
SMOOTHING, RATE, BETAS, EPS = Smoothing(0.1), 1e-3, (0.9, 0.98), 1e-9
# How far the loss before training may be from the others'; what is further computes something else.
LIMIT = {"float32": 1e-4, "bfloat16": 2e-2}
Step = Callable[[PairBatch], float]


# ------------------------------------------------------------------ the sides


class Question:
    """What is differentiated: all that an update asks of a task."""

    def loss(self, model: nn.Module, batch: PairBatch) -> Loss:
        return pair_loss(cast(Seq2SeqLayer, model), batch, SMOOTHING)


def our_step(model: nn.Module, dtype: torch.dtype, rate: Callable[[int], float] = lambda update: RATE) -> Step:
    """A step of `transept train`; returns the mean loss. `rate` is the learning rate of an update, from 1."""
    flat = Flat(model, dtype)
    adam = FlatAdam(flat, Optimizer(betas=BETAS, eps=EPS))
    task, workers = cast("Task[PairBatch]", Question()), Workers()
    model.train()
    count = 0

    def step(batch: PairBatch) -> float:
        nonlocal count
        count += 1
        sums = gather(task, model, flat, cast(Any, [batch]), range(1), (count, 0), workers)
        adam.step(rate(count), sums.tokens)
        return sums.total / sums.tokens

    return step


def their_loss(model: Any, batch: PairBatch, dtype: torch.dtype) -> torch.Tensor:
    """As their users write it. The logits' loss is torch's own: theirs has no smoothing."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = model(
            input_ids=batch.source,
            attention_mask=batch.source_valid.long(),
            decoder_input_ids=batch.target,
            use_cache=False,
        ).logits
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=SMOOTHING.amount
        )


def plain_step(model: nn.Module, loss_of: Callable[[PairBatch], torch.Tensor], fused: bool) -> Step:
    """A step of a plain loop over somebody's model."""
    # Without decay AdamW is Adam.
    adam = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, eps=EPS, weight_decay=0.0, fused=fused)
    model.train()

    def step(batch: PairBatch) -> float:
        adam.zero_grad()
        loss = loss_of(batch)
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def work(side: Side, folder: Path) -> list[Figure]:
    """The figures of one side, in this process."""
    batches, settings = read_batches(folder / "batches.safetensors"), json.loads((folder / "settings.json").read_text())
    dtype: torch.dtype = getattr(torch, side.format)
    if side.options["keep"]:
        keep_freed_memory()
    torch.manual_seed(0)
    if side.who == OURS:
        ours = cast(Seq2SeqLayer, read(folder / "model").model)
        with judging(ours):
            at_first = pair_loss(ours, batches[0], SMOOTHING)
        start = float(at_first.total) / at_first.count
        return [timed(our_step(ours, dtype), batches, settings["warm_up"], "", start)]
    from transformers import MarianMTModel

    found = []
    for fused in side.options["fused"]:
        model = MarianMTModel.from_pretrained(
            folder / "model", attn_implementation=side.options["attention"], dtype=torch.float32
        )
        with judging(model):
            start = float(their_loss(model, batches[0], dtype))
        how = "fused AdamW" if fused else "AdamW"
        step = plain_step(model, partial(their_loss, model, dtype=dtype), fused)
        found.append(timed(step, batches, settings["warm_up"], how, start))
    return found


def timed(step: Step, batches: list[PairBatch], warm_up: int, how: str, start: float) -> Figure:
    """Steps over all batches; those of the warm-up do not count."""
    for batch in batches[:warm_up]:
        step(batch)
    begun = peers.clock()
    losses = [step(batch) for batch in batches[warm_up:]]
    seconds = peers.clock() - begun
    loss = sum(losses) / len(losses)
    facts = {"first loss": start, "loss": loss, "seconds": seconds, "note": f"mean loss {loss:.2f}"}
    return Figure(sum(batch.tokens for batch in batches[warm_up:]) / seconds, how, facts)


# ------------------------------------------------------------------ what they are given


def write_batches(path: Path, batches: list[PairBatch]) -> None:
    """The same batches for everybody."""
    names = [item.name for item in fields(PairBatch) if item.name != "rows"]
    save_file({f"{i}.{name}": getattr(batch, name) for i, batch in enumerate(batches) for name in names}, path)


def read_batches(path: Path) -> list[PairBatch]:
    """What `write_batches` wrote."""
    tensors = load_file(path)
    batches: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".")
        batches.setdefault(int(index), {})[name] = tensor
    return [PairBatch(**batches[i], rows=list(range(len(batches[i]["source"])))) for i in sorted(batches)]


def new_model(size: str, vocab: int, **changes: Any) -> Seq2SeqLayer:
    """A model of a published size, or with something changed, with fresh weights."""
    if size not in SIZES:
        raise UsageError(f"there is no size {size!r}.{nearest(size, SIZES)}", remedy=f"There are {', '.join(SIZES)}.")
    torch.manual_seed(0)
    return declare(vocab=vocab, **SIZES[size] | changes).build()


def sides() -> list[Side]:
    """All of them, in the order of their turns."""
    found = []
    for kind in ("float32", "bfloat16"):
        found.append(Side(OURS, kind, "ours", kind, {"keep": True}))
        for attention in ("sdpa", "eager"):
            name = kind if kind == "float32" else f"{kind} autocast"
            told = {"attention": attention}
            plain, kept = told | {"fused": [True, False], "keep": False}, told | {"fused": [True], "keep": True}
            found.append(Side(HUGGING_FACE, f"{attention}, {name}", "peer", kind, plain))
            found.append(Side(HUGGING_FACE, f"{attention}, {name}, our malloc setting", "extra", kind, kept))
    return found


def check(rows: list[Row]) -> None:
    """Refuse figures of models that are not the same."""
    true = next(row for row in rows if row.role == "peer").facts["first loss"]
    for row in rows:
        if abs(row.facts["first loss"] - true) > LIMIT[row.format] * true:
            raise SystemExit(f"{row.who}, {row.how} begins at a loss of {row.facts['first loss']:.6f}, not {true:.6f}")


def prepare(asked: argparse.Namespace, folder: Path) -> None:
    """Make the batches and the model, give them to all sides, print what comes back."""
    there = peers.machine()
    given: Texts = texts(asked.data)
    warm_up, steps = (2, 5) if asked.quick else (3, asked.steps)
    batches = given.batches(asked.batch_tokens, warm_up + steps)
    write_batches(folder / "batches.safetensors", batches)
    (folder / "settings.json").write_text(json.dumps({"warm_up": warm_up}))
    model = new_model(asked.size, given.vocab)
    save(folder / "model", model)
    settings = {
        "size": asked.size,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "text": given.name,
        "steps": steps,
        "target tokens a step": round(sum(batch.tokens for batch in batches[warm_up:]) / steps),
    }
    rows = peers.measure(Path(__file__), peers.chosen(sides(), asked), folder, asked.rounds)
    check(rows)
    if asked.json:
        peers.show_json("train_translation", UNIT, rows, settings, there)
    else:
        peers.show("train_translation", "Training a translation model", UNIT, rows, settings, there)


def main() -> None:
    parser = peers.arguments("How fast a translation model trains, beside Hugging Face's MarianMTModel.")
    parser.add_argument("--steps", type=int, default=20, help="measured steps of a turn")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="a batch's longer side, padding counted")
    peers.main(parser, prepare, work)


if __name__ == "__main__":
    main()
