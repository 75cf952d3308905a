"""The tokens around each token, found by positions and never by columns: what is padding is nobody's neighbour.

Shapes: B batch, S tokens of this pass, T columns that are known, K taps of a kernel, C features. `offsets` are those of
the K taps from the token itself, ascending: (-1, 0, 1), or (-2, -1, 0) where nothing ahead is seen.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from transept.parts.cache import Slot
from transept.parts.view import View


class Neighbours:
    """Between `enter` and `leave` all convolutions work in one order of tokens, which need not be the columns'."""

    def enter(self, x: Tensor) -> Tensor:
        return x

    def leave(self, x: Tensor) -> Tensor:
        return x

    def around(self, x: Tensor, offsets: tuple[int, ...], slot: Slot | None) -> Tensor:
        """What is at each offset, beside each other, and zeros where no token is. (B, S, C) -> (B, S, K*C)"""
        raise NotImplementedError(type(self).__name__)


class Whole(Neighbours):
    """Of a pass without a cache. Rows with padding are closed up to the left, wherever it stands."""

    def __init__(self, view: View) -> None:
        self.valid, self.moved = view.valid, False
        if view.valid is None or closed(view.valid):
            return
        self.moved = True
        self.order = (~view.valid).long().argsort(stable=True, dim=1)  # real tokens first
        self.back = self.order.argsort(1)
        self.valid = view.valid.gather(1, self.order)

    def enter(self, x: Tensor) -> Tensor:
        return x.gather(1, self.order[..., None].expand_as(x)) if self.moved else x

    def leave(self, x: Tensor) -> Tensor:
        return x.gather(1, self.back[..., None].expand_as(x)) if self.moved else x

    def around(self, x: Tensor, offsets: tuple[int, ...], slot: Slot | None) -> Tensor:
        if offsets == (0,):
            return x
        if self.valid is not None:
            x = x.masked_fill(~self.valid[..., None], 0.0)
        before, after = max(-offsets[0], 0), max(offsets[-1], 0)
        beside = F.pad(x, (0, 0, before, after))
        return torch.cat([beside[:, before + offset : before + offset + x.size(1)] for offset in offsets], -1)


def closed(valid: Tensor) -> bool:
    """Whether all padding is known to stand on the right.

    Looks at the values: for processors only, where that waits for nothing, and for no compiled graph.
    """
    if valid.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return not bool((valid[:, 1:] > valid[:, :-1]).any())


class Stepped(Neighbours):
    """Of a pass that goes on from a cache: what a layer was given lies in its slot, column by column.

    So a crop, its holes and a new order of rows are no case of their own: they change who stands at a position.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        positions, valid = view.keys or (view.positions, view.valid)
        count = positions.size(1)
        at = torch.arange(count, device=positions.device).expand_as(positions)
        # The column of each position; what is no token is put into one more, which is never read.
        told = positions if valid is None else positions.where(valid, positions.new_full((), count))
        self.columns = torch.zeros_like(told).new_zeros(len(told), count + 1).scatter_(1, told, at)
        self.first = torch.arange(len(told), device=told.device)[:, None, None] * count
        self._found: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def find(self, offsets: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The place of each neighbour among all columns of all rows, (B, S, K), and whether there is none."""
        if offsets not in self._found:
            taps = torch.tensor(offsets, device=self.columns.device)
            wanted = self.view.positions[..., None] + taps
            columns = self.columns.gather(1, wanted.clamp(min=0).flatten(1)).view_as(wanted)
            self._found[offsets] = (columns + self.first, wanted < 0)
        return self._found[offsets]

    def around(self, x: Tensor, offsets: tuple[int, ...], slot: Slot | None) -> Tensor:
        if offsets == (0,):
            return x
        assert slot is not None
        assert self.view.at is not None
        slot.tensors["x"].index_copy_(2, self.view.at, x[:, None])
        known = x if self.view.keys is None else slot.tensors["x"]  # (B, 1, T, C)
        places, missing = self.find(offsets)
        rows = known.reshape(-1, x.size(-1)).index_select(0, places.flatten())
        return rows.view(*places.shape, -1).masked_fill(missing[..., None], 0.0).flatten(2)


def neighbours(view: View, cached: bool) -> Neighbours:
    return Stepped(view) if cached else Whole(view)
