"""What one segment of a long text hands to the next: states of its last tokens, keys and values remembered longer, or
the one state of a recurrent network.

    carried = model.carry(batch)
    for segment in segments:                                    # (B, S) each, in the order of the text
        states, entered = model.hidden(segment, cache=carried)  # no gradient goes beyond this segment

Dai et al. 2019, section 3.2: h~ = [SG(m) ; h], keys and values of h~, queries of h; m is then the end of h~. A state
that runs on is given no gradient either: truncated backpropagation through time.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from transept.errors import InvalidData, UsageError
from transept.parts.cache import Slot, Slots, pick
from transept.parts.stack import Stack
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View, count_positions


class Carried:
    """Slots, and the positions and validity of the last `length` tokens of each row; all are replaced in each pass.

    Positions go on counting from segment to segment, so that distances are right. `segment` is the length that all
    segments but the last must have, where the model finds what it remembers by segments; None where any will do.
    """

    def __init__(
        self,
        batch: int,
        length: int,
        begin: Callable[[int], Slots],
        device: torch.device,
        segment: int | None = None,
    ) -> None:
        self.slots, self.begin, self.segment = begin(batch), begin, segment
        self.positions = torch.zeros(batch, length, dtype=torch.long, device=device)
        self.valid = torch.zeros(batch, length, dtype=torch.bool, device=device)
        self.seen = torch.zeros(batch, dtype=torch.long, device=device)  # real tokens so far
        self.ended = False  # a segment came that was shorter than it must be
        self.run = False  # states came out of a segment, whose gradient ends with it

    def used(self) -> list[Slot]:
        """The slots that hold something."""
        return [slot for block in self.slots for slot in block if slot is not None]

    def open(self, count: int, valid: Tensor | None = None, bias: nn.Module | None = None) -> View:
        """Take the next segment of `count` tokens, and return the view that sees it and what was carried."""
        self._demand(count)
        self._let_go()
        self.run = True
        real = self.valid.new_ones(self.valid.size(0), count) if valid is None else valid
        positions = count_positions(real, self.seen[:, None])
        self.seen = self.seen + real.sum(1)
        keys = torch.cat([self.positions, positions], 1), torch.cat([self.valid, real], 1)
        self.positions, self.valid = (known[:, count:] for known in keys)
        return View(positions, valid, None, bias, None, keys)

    def _demand(self, count: int) -> None:
        if self.segment is None:
            return
        if count > self.segment:
            raise UsageError(
                f"a segment of {count} tokens is longer than the {self.segment} by which this model remembers",
                remedy=f"Read the text in segments of {self.segment} tokens.",
            )
        if self.ended:
            raise UsageError(
                f"a segment of fewer than {self.segment} tokens came before, and only the last may be shorter",
                remedy="Begin anew with model.carry(batch), or carried.forget(rows) where all rows begin a text.",
            )
        self.ended = count < self.segment

    def _let_go(self) -> None:
        """End the gradient of states that a segment left; a first state that is learned keeps its own."""
        for slot in self.used() if self.run else ():
            if slot.kind == "state":
                slot.tensors = {name: tensor.detach() for name, tensor in slot.tensors.items()}

    def forget(self, rows: Tensor) -> None:
        """Let some rows begin a text: nothing that came before is seen there again. rows (B,) bool."""
        self._let_go()
        self.run = False
        for block, new in zip(self.slots, self.begin(len(rows)), strict=True):
            for slot, first in zip(block, new, strict=True):
                if slot is not None and first is not None and slot.kind == "state":
                    slot.tensors = {
                        name: torch.where(rows.view(-1, *[1] * (tensor.dim() - 1)), first.tensors[name], tensor)
                        for name, tensor in slot.tensors.items()
                    }
        self.valid = self.valid & ~rows[:, None]
        self.seen = self.seen.masked_fill(rows, 0)
        self.ended = self.ended and not bool(rows.all())

    def tensors(self) -> dict[str, Tensor]:
        """All of it by names, for a file: `load` takes it up."""
        slots = ((f"{i}.{j}", slot) for i, block in enumerate(self.slots) for j, slot in enumerate(block))
        found = {f"{at}.{name}": t for at, slot in slots if slot is not None for name, t in slot.tensors.items()}
        ended = torch.tensor(self.ended, device=self.seen.device)
        found |= {"positions": self.positions, "valid": self.valid, "seen": self.seen, "ended": ended}
        return {name: t.detach().contiguous() for name, t in found.items()}  # a file holds no views

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what `tensors` gave, of the same model and as many rows, in whatever precision it ran."""
        there = self.tensors()
        if {name: t.shape for name, t in tensors.items()} != {name: t.shape for name, t in there.items()}:
            raise InvalidData(
                "what segments handed on is of another model, or of another number of rows",
                remedy="Take up what the same description gave, or begin the text anew with model.carry(batch).",
            )
        own = {name: t.to(self.seen.device, there[name].dtype) for name, t in tensors.items()}
        for i, block in enumerate(self.slots):
            for j, slot in enumerate(block):
                if slot is not None:
                    slot.tensors = {name: own[f"{i}.{j}.{name}"] for name in slot.tensors}
        self.positions, self.valid, self.seen = own["positions"], own["valid"], own["seen"]
        self.ended, self.run = bool(own["ended"]), True

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes the old row rows[i]; there may be more rows or fewer."""
        for slot in self.used():
            slot.tensors = {name: pick(tensor, rows) for name, tensor in slot.tensors.items()}
        self.positions, self.valid, self.seen = (pick(t, rows) for t in (self.positions, self.valid, self.seen))


def demand_carrying(trunk: Trunk, limit: int | None, length: int | None = None) -> int | None:
    """Refuse, by UsageError, a trunk that hands nothing on; `carry` has the arguments.

    What it gives is the length that segments must have, where the trunk remembers by segments, else None.
    """
    recalls = [attention.recall for attention in trunk.attentions() if attention.recall is not None]
    carries = trunk.carries if isinstance(trunk, Stack) else None
    if not trunk.hands_on or (carries is None and length):
        raise UsageError(
            "this model carries no states from one segment of a text to the next",
            remedy="Describe it with replace(stack, carries=150) and an order that is told by distances.",
        )
    if limit is not None:
        raise UsageError(
            f"this model has {limit} positions, and positions go on counting over segments",
            remedy="Describe it with an order that is told by distances, such as Buckets on the stack.",
        )
    if length is not None and length < 0:
        raise UsageError(f"{length} states cannot be carried", remedy="Carry as many as a segment has, or more.")
    return min((recall.segment for recall in recalls), default=None)


def carry(
    layer: TrunkLayer, trunk: Trunk, limit: int | None, batch: int, length: int | None, device: torch.device
) -> Carried:
    """What a built trunk hands on, empty. `limit` is how many positions the input part has.

    `length` is how many states each attention reads again, None for as many as the trunk was described with. Raises
    UsageError where nothing can be carried.
    """
    segment = demand_carrying(trunk, limit, length)
    carries = trunk.carries if isinstance(trunk, Stack) else None
    kept = (carries or 0) if length is None else length
    sizes = (attention.recall.size for attention in trunk.attentions() if attention.recall is not None)
    return Carried(batch, max([kept, *sizes]), lambda rows: layer.new_carried(rows, kept), device, segment)
