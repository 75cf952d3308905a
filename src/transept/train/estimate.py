"""What a run will need, told before it begins."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from transept.errors import TranseptError
from transept.tasks.task import AnyBatch, Task, article, each_of
from transept.train.adapting import build, shares, trained
from transept.train.amount import Amount
from transept.train.checkpoint import megabytes, size_of
from transept.train.config import TrainConfig
from transept.train.device import Precision, choose_device, choose_precision, memory_used
from transept.train.flat import Flat
from transept.train.optimizer import FlatAdam, LossScale
from transept.train.run import RunDirectory
from transept.train.update import gather
from transept.train.workers import Workers

_UNITS = {"u": "updates", "e": "epochs", "Mt": "million tokens", "min": "minutes", "h": "hours"}


@dataclass(frozen=True)
class Estimate:
    """What one pass over the largest batch showed. Sizes in bytes, time in seconds."""

    parameters: int
    precision: Precision
    device: torch.device
    updates_per_epoch: int
    rows: int
    tokens: int
    seconds: float
    loss: float
    state: int
    peak: int
    checkpoint: int
    once: int
    trains: str = ""
    each: str = "token"

    def lines(self) -> Mapping[str, str]:
        """The same for people."""
        asked = f", {self.tokens:,} supervised tokens" if self.each == "token" else ""
        return {
            **({"trains": self.trains} if self.trains else {}),
            "model": f"{self.parameters:,} parameters · {self.precision} · {self.device}",
            "epoch": f"{self.updates_per_epoch:,} updates",
            "largest batch": f"{self.rows:,} examples{asked}: forward, backward and step in {self.seconds:.2f} s, "
            f"loss {self.loss:.3f} {article(self.each)} {self.each}",
            "memory": f"{megabytes(self.peak)} at most, {megabytes(self.state)} of it weights, gradients and moments",
            "disk": f"{megabytes(self.checkpoint)} a checkpoint"
            + (f", and {megabytes(self.once)} once of what is frozen" if self.once else ""),
        }


def estimate(task: Task[AnyBatch], config: TrainConfig) -> Estimate:
    """Build the model and take one update on the batch that needs the most memory. Nothing is written.

    Raises OutOfMemory with a remedy where it does not fit.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device)
    torch.manual_seed(config.seed)
    model = build(task, config).to(device)
    flat = Flat(model, precision.dtype, config.optimizer.decay)
    optimizer = FlatAdam(flat, config.optimizer, config.clip, shares(model, config.optimizer))
    batches = task.batches("train", 0)
    largest = batches.largest()
    batch, begun = batches[largest], time.monotonic()
    scale = LossScale() if precision.dtype == torch.float16 else None
    model.train()
    chosen = range(largest, largest + 1)
    sums = gather(task, model, flat, batches, chosen, (config.seed, 0), Workers(), scale)
    optimizer.step(0.0, sums.tokens)  # a rate of nothing: the moments are touched, the weights stay
    saved, once = size_of(flat.changing()) + size_of(optimizer.tensors()), size_of(flat.frozen())
    return Estimate(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        trains=trained(model),
        each=each_of(task),
        precision=precision,
        device=device,
        updates_per_epoch=updates_of(len(batches), config.accumulate),
        rows=len(batch.rows),
        tokens=sums.tokens,
        seconds=time.monotonic() - begun,
        loss=sums.nll / max(sums.tokens, 1),
        state=saved + once + flat.size_of_work(),
        peak=memory_used(device),
        checkpoint=saved,
        once=once,
    )


def updates_of(batches: int, accumulate: int) -> int:
    """Updates of an epoch; the last may have fewer batches."""
    return -(-batches // accumulate)


def facts(
    task: Task[AnyBatch],
    config: TrainConfig,
    precision: Precision,
    device: torch.device,
    run: RunDirectory,
    checkpoint: int,
    trains: str = "",
) -> dict[str, str]:
    """The head of a run: what is trained on what, in which steps, and what it leaves on the disk."""
    told = dict(task.facts())
    where = counted(torch.get_num_threads(), "thread") if device.type == "cpu" else str(device)
    each = updates_of(len(task.batches("train", 0)), config.accumulate)
    times = f" × {config.accumulate} = {config.batch_tokens * config.accumulate:,}" if config.accumulate > 1 else ""
    counts = getattr(task, "counts", "tokens")
    kept = f"best + last {config.keep}" + (f" + {config.average} to average" if config.average else "")
    return {
        "title": f"{told.pop('title')} · {precision} · {where}",
        **told,
        **({"trains": trains} if trains else {}),
        "update": f"{config.batch_tokens:,} {counts}{times} at most · {each:,} updates an epoch",
        **({"rate": idle} if (idle := config.idle()) else {}),
        "plan": f"{spoken(config.stop_at)} · seed {config.seed} · writes {run.path} "
        f"({megabytes(checkpoint)} a checkpoint; keeps {kept})",
    }


def counted(number: int, thing: str) -> str:
    """ "2 threads"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def spoken(amount: Amount) -> str:
    """ "20,000 updates"."""
    return f"{float(amount.number):,g} {_UNITS[amount.unit]}"


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Raise before the first update where not even one checkpoint would fit."""
    if (free := shutil.disk_usage(folder).free) < needed:
        raise TranseptError(
            f"a checkpoint needs {megabytes(needed)}, and {megabytes(free)} are free",
            where=folder,
            remedy="Make room, or take another place by run=ANOTHER.",
        )
