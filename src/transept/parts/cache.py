"""What a decoder remembers between steps: fixed columns, with positions and validity for each row.

Who sees whom is decided by positions, never by columns, so that padding on either side, rows of different lengths and
rows that were cropped (holes) are one case. The size is fixed and the length a tensor, so one compiled graph serves
every step; `resize` makes room.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import UsageError
from transept.parts.memory import Memory
from transept.parts.view import View, count_positions


@dataclass
class Slot:
    """The state of one layer: tensors whose first axis is the batch.

    "keys" grow with the target and have columns (B, G, size, E); "memory" is made once from the encoder's states and
    may serve several target rows each; "state" is a recurrent layer's, replaced at every step; "carried" is what a
    segment handed to the next (`transept.parts.carried`).
    """

    tensors: dict[str, Tensor]
    kind: Literal["keys", "memory", "state", "carried"]

    def carry(self, name: str, new: Tensor, axis: int) -> Tensor:
        """What was carried and after it what is new; the end of both is carried on, and gives no gradient."""
        old = self.tensors[name]
        whole = torch.cat([old, new], axis)
        kept = old.size(axis)
        self.tensors[name] = whole.narrow(axis, whole.size(axis) - kept, kept).detach()
        return whole


Slots = list[list[Slot | None]]  # one list for each application of a block, one entry for each of its sublayers


class Cache:
    """The slots of a stack and the clock that they share. It owns its tensors: nothing else sees them change."""

    def __init__(self, batch: int, size: int, slots: Slots, memory: Memory | None, device: torch.device) -> None:
        self.slots, self.memory, self.size = slots, memory, size
        self.fresh = True  # nothing was written: the first pass needs no look at the columns
        self.length = torch.zeros((), dtype=torch.long, device=device)
        self.positions = torch.zeros(batch, size, dtype=torch.long, device=device)
        self.valid = torch.zeros(batch, size, dtype=torch.bool, device=device)
        self.seen = torch.zeros(batch, dtype=torch.long, device=device)  # real tokens so far
        contiguous = torch.contiguous_format  # of strided heads a product would make a copy at every step
        for slot in self.used():
            slot.tensors = {name: t.clone(memory_format=contiguous) for name, t in slot.tensors.items()}

    def used(self) -> list[Slot]:
        """The slots that hold something."""
        return [slot for block in self.slots for slot in block if slot is not None]

    def open(self, count: int, valid: Tensor | None = None, bias: nn.Module | None = None) -> View:
        """Take the next `count` columns, and return the view that writes them and sees all before them."""
        fresh, self.fresh = self.fresh, False
        real = self.valid.new_ones(self.valid.size(0), count) if valid is None else valid
        positions = count_positions(real, self.seen[:, None])
        at = self.length + torch.arange(count, device=self.length.device)
        self.positions.index_copy_(1, at, positions)
        self.valid.index_copy_(1, at, real)
        self.length.add_(count)
        self.seen.add_(real.sum(1))
        return View(positions, valid, self.memory, bias, at, None if fresh else (self.positions, self.valid))

    def reorder(self, rows: Tensor, memory: bool = True) -> None:
        """Row i becomes the old row rows[i]; there may be more rows or fewer.

        With memory=False only what the target owns moves: right while every row stays with its own row of the memory,
        as the hypotheses of a beam do.
        """
        for slot in self.used():
            if slot.kind != "memory" or memory:
                slot.tensors = {name: pick(tensor, rows) for name, tensor in slot.tensors.items()}
        self.positions, self.valid, self.seen = (pick(t, rows) for t in (self.positions, self.valid, self.seen))
        if memory and self.memory is not None:
            self.memory = self.memory.rows(rows)

    def keep(self, sentences: Tensor, group: int) -> None:
        """Keep some rows of the memory, and with each the `group` rows of the target that read it."""
        targets = (sentences[:, None] * group + torch.arange(group, device=sentences.device)).flatten()
        self.reorder(targets, memory=False)
        for slot in self.used():
            if slot.kind == "memory":
                slot.tensors = {name: pick(tensor, sentences) for name, tensor in slot.tensors.items()}
        if self.memory is not None:
            self.memory = self.memory.rows(sentences)

    def crop(self, length: int | Tensor) -> None:
        """Forget all columns from `length` on. A (B,) tensor keeps another count in each row, and leaves holes."""
        if any(slot.kind == "state" for slot in self.used()):
            raise UsageError("a recurrent state has no past to return to", remedy="Decode again from the start.")
        limit = torch.as_tensor(length, device=self.valid.device).reshape(-1, 1)
        self.valid &= torch.arange(self.size, device=self.valid.device) < limit
        self.seen.copy_(self.valid.sum(1))
        if isinstance(length, int):
            self.length.fill_(length)
            self.fresh = length == 0

    def resize(self, size: int) -> None:
        """Make room: attention reads every column at every step, so a long answer starts small and doubles."""
        if size < self.size:
            raise UsageError(f"a cache of {self.size} columns cannot shrink to {size}", remedy="Use crop to forget.")
        for slot in self.used():
            if slot.kind == "keys":
                slot.tensors = {name: _widen(tensor, 2, size) for name, tensor in slot.tensors.items()}
        self.positions, self.valid = _widen(self.positions, 1, size), _widen(self.valid, 1, size)
        self.size = size


def pick(tensor: Tensor, rows: Tensor) -> Tensor:
    """The old rows in this order; in place where the size allows, so that addresses stay for a captured graph, which no
    processor has.
    """
    new = tensor.index_select(0, rows)
    return tensor.copy_(new) if new.shape == tensor.shape and tensor.device.type != "cpu" else new


def _widen(tensor: Tensor, axis: int, size: int) -> Tensor:
    shape = list(tensor.shape)
    shape[axis] = size - shape[axis]
    return torch.cat([tensor, tensor.new_zeros(shape)], axis)
