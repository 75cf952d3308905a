"""The gradient of one update: of the summed loss over every batch of it, in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from transept.errors import OutOfMemory, is_out_of_memory
from transept.tasks.task import AnyBatch, Batches, Remembers, Task
from transept.train.flat import Flat
from transept.train.optimizer import LossScale
from transept.train.workers import Workers


@dataclass(frozen=True)
class Sums:
    """Over all processes: the loss that was differentiated, the unsmoothed one, supervised tokens, wishes to stop, and
    what a task noted for itself."""

    total: float
    nll: float
    tokens: int
    interrupts: int = 0
    terminations: int = 0
    seconds: float = 0.0
    noted: tuple[float, ...] = ()


def seed_of(seed: int, epoch: int, index: int) -> int:
    """The seed of a batch's random numbers: a pure function of its place, so that nothing need be saved to repeat it.

    A batch therefore draws the same numbers in whichever process, and after however many interruptions, it is met.
    """
    place = f"{seed}/{epoch}/{index}".encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest(), "big") >> 1


def seed_generator(seed: int, device: torch.device) -> None:
    """Seed what a device draws from. `torch.manual_seed` seeds every kind of device and keeps a trace of each call."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(seed)


def gather(
    task: Task[AnyBatch],
    model: nn.Module,
    flat: Flat,
    batches: Batches[AnyBatch],
    chosen: range,
    place: tuple[int, int],
    workers: Workers,
    scale: LossScale | None = None,
    wishes: Callable[[], tuple[float, float, float]] = lambda: (0.0, 0.0, 0.0),
) -> Sums:
    """Fill the flat gradient with that of the loss summed over the chosen batches; its mean is for the step to take.

    `place` is (seed, epoch). `wishes`, asked once the gradient is there, gives this process's
    interrupts, terminations and seconds, which are summed on the way.
    """
    device = flat.master.device
    flat.clear()
    totals, nlls, tokens = list[torch.Tensor](), list[torch.Tensor](), 0
    noted = torch.zeros(task.notes if isinstance(task, Remembers) else 0, dtype=torch.float64)
    for index in workers.shares_of(chosen):
        batch = batches[index]
        seed_generator(seed_of(*place, index), device)
        try:
            loss = task.loss(model, batch.to(device))
            if not loss.count:
                continue
            # float16 has room for the gradient of a mean, and little more; the others take the sum as it is.
            factor = scale.scale / loss.count if scale else 1.0
            (loss.total * factor).backward()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise out_of_memory(batch.tokens, error) from error
            raise
        flat.collect(1 / factor)
        totals.append(loss.total.detach())
        nlls.append(loss.nll)
        tokens += loss.count
        if loss.noted is not None:
            noted += loss.noted.cpu()
    both = torch.stack([torch.stack(totals).sum(), torch.stack(nlls).sum()]).tolist() if totals else [0.0, 0.0]
    sums = torch.tensor([*both, tokens, *wishes(), *noted.tolist()], dtype=torch.float64, device=device)
    workers.sum(flat.gradient)
    workers.sum(sums)
    total, nll, count, interrupts, terminations, seconds, *own = sums.tolist()
    return Sums(total, nll, round(count), round(interrupts), round(terminations), seconds, tuple(own))


def out_of_memory(tokens: int, error: BaseException) -> OutOfMemory:
    """The message that says how the same update fits."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return OutOfMemory(
        f"a batch of {tokens:,} supervised tokens does not fit into memory: {reason}",
        remedy="Halve train.batch_tokens and double train.accumulate: the updates stay the same, the memory halves.",
    )
