"""The mean of several checkpoints, which is often better than any of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from transept.errors import InvalidData, UsageError
from transept.train.checkpoint import MODEL, Checkpoints


def average(files: Sequence[Path], without: Collection[str] = ()) -> dict[str, Tensor]:
    """The arithmetic mean of the float tensors of some files; tensors of counts are those of the last file.

    Sums are kept in float64, so that the mean is right to the last bit of float32. Tensors named in `without` are left
    out. InvalidData where the files hold different models.
    """
    if not files:
        raise UsageError("there is no checkpoint to average")
    sums: dict[str, Tensor] = {}
    last: dict[str, Tensor] = {}
    for file in files:
        tensors = {name: tensor for name, tensor in load_file(file).items() if name not in without}
        if last and {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in last.items()}:
            raise InvalidData(f"its tensors are not those of {files[0]}", where=file, remedy="Average one run's only.")
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64)) + tensor.double()
        last = tensors
    return {name: (sums[name] / len(files)).to(t.dtype) if name in sums else t for name, t in last.items()}


def choose(checkpoints: Checkpoints, count: int, best: int | None, report: Callable[[str], None]) -> list[int]:
    """The updates that make the model: the last `count` regular ones, or the best alone where count is 0.

    Damaged ones are reported and passed over. A run too short for any of these gives its newest checkpoint.
    """
    if count:
        sound = checkpoints.sound(checkpoints.updates(), report)
        regular = list(islice((update for update in sound if checkpoints.state(update)["regular"]), count))
        if regular:
            return regular[::-1]
    elif best in checkpoints.updates() and list(checkpoints.sound([best], report)):
        return [best]
    newest = checkpoints.newest(report)
    if newest is None:
        raise checkpoints.none()
    return [newest]


def averaged(checkpoints: Checkpoints, updates: Sequence[int]) -> dict[str, Tensor]:
    """The mean of checkpoints; InvalidData names one that is damaged, and what is wrong with it."""
    folders = [checkpoints.whole(update) for update in updates]
    frozen = checkpoints.frozen(updates[-1])  # which older versions wrote into every checkpoint
    return average([folder / MODEL for folder in folders], frozen.keys()) | frozen
