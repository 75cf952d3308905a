"""What a model that describes pictures is worth on given ones: its loss, its texts, where it looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.data.batches import plan
from transept.data.captions import CaptionBatch, Captions, collate
from transept.data.columnar import spoken
from transept.data.pictures import Preparation
from transept.data.subwords import Subwords
from transept.decode.config import Search
from transept.decode.search import describe
from transept.errors import InvalidData
from transept.inputs.annotations import Annotations
from transept.inputs.seen import Seen
from transept.models import Seq2SeqLayer
from transept.parts.looks import Looks
from transept.tasks.attending import plain_loss
from transept.tasks.measure import SPECIAL, Measured, judging, scored
from transept.tasks.score import Case

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pictured:
    """Pictures with the tokens of their texts. `rows` says which of `captions` these are, in order."""

    captions: Captions
    tokenizer: Subwords
    preparation: Preparation
    channels: int
    everything: list[list[int]]
    rows: Rows

    @classmethod
    def of(cls, captions: Captions, tokenizer: Subwords, preparation: Preparation, channels: int) -> Pictured:
        ids = tokenizer.encode_batch(captions.texts)
        return cls(captions, tokenizer, preparation, channels, ids, np.arange(len(captions)))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def ids(self) -> list[list[int]]:
        """The tokens of each text, eos at the end."""
        return [self.everything[row] for row in self.rows]

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """How many tokens each text has, eos counted."""
        return np.array([len(self.everything[row]) for row in self.rows], np.int32)

    def select(self, rows: Rows) -> Pictured:
        """Only these, in this order."""
        return replace(self, rows=self.rows[rows])

    def within(self, longest: int) -> Pictured:
        """Those whose texts have at most so many tokens. InvalidData where none is left."""
        kept = np.flatnonzero(self.lengths <= longest)
        if not len(kept):
            raise InvalidData(
                f"every text has more than {longest} tokens",
                where=self.captions.files[0],
                remedy="Raise data.max_length.",
            )
        return self if len(kept) == len(self) else self.select(kept)

    def demand_fitting(self, longest: int) -> Pictured:
        """These, if every text fits into the model: what is measured is never cut or left out."""
        row = int(self.lengths.argmax())
        if self.lengths[row] > longest:
            raise InvalidData(
                f"a text of {self.lengths[row]:,} tokens, and the model writes {longest:,}", where=self.where(row)
            )
        return self

    def where(self, row: int) -> str:
        """File and line, for messages."""
        return self.captions.where(int(self.rows[row]))

    def text(self, row: int) -> str:
        return self.captions.texts[int(self.rows[row])]

    def names(self) -> str:
        """The files behind it, without their folders: a card is read on other machines."""
        return ", ".join(map(spoken, self.captions.files))

    def groups(self) -> list[list[int]]:
        """The rows of each picture: one that has several texts is described once."""
        found: dict[int | str, list[int]] = {}
        for row, own in enumerate(self.rows.tolist()):
            found.setdefault(self.captions.identity(own), []).append(row)
        return list(found.values())

    def batch(self, rows: Rows) -> CaptionBatch:
        own = self.rows[rows]
        pad, bos = Subwords.pad, Subwords.bos
        made = collate(self.captions, self.everything, own.tolist(), self.preparation, self.channels, bos=bos, pad=pad)
        return replace(made, rows=[int(row) for row in rows])

    def picture(self, row: int) -> Tensor:
        """The numbers of a picture, (C, H, W)."""
        return torch.from_numpy(self.captions.picture(int(self.rows[row]), self.preparation, self.channels))


class Lazily(Sequence[Tensor]):
    """Pictures that are read when they are asked for: all of a split may be more than the memory holds."""

    def __init__(self, data: Pictured, rows: Sequence[int]) -> None:
        self.data, self.rows = data, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Tensor]: ...

    def __getitem__(self, index: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(index, slice):
            return Lazily(self.data, self.rows[index])
        return self.data.picture(self.rows[index])


def described(model: Seq2SeqLayer, data: Pictured, rows: Sequence[int], settings: Search) -> list[str]:
    """The best text for each of some pictures."""
    found = describe(model, Lazily(data, rows), places(model), settings, SPECIAL)
    return data.tokenizer.decode_batch([hypotheses[0].tokens for hypotheses in found])


def places(model: Seq2SeqLayer) -> int:
    """How many places of a picture a decoder can look at."""
    assert isinstance(model.spec.source, Seen)
    rows, columns = model.spec.source.grid()
    return rows * columns


@dataclass
class Aim:
    """How much of the attention, while a word that names a digit was chosen, was on the digit's cell."""

    total: float = 0.0
    count: int = 0

    def add(self, data: Pictured, batch: CaptionBatch, looks: Looks, grid: tuple[int, int]) -> None:
        weights = looks.weights(batch.target.size(1)).mean((1, 2)).cpu()  # (B, T, L)
        rows, columns = grid
        down = (torch.arange(rows) + 0.5) / rows  # the middle of each place, in shares of the picture
        right = (torch.arange(columns) + 0.5) / columns
        for i, row in enumerate(batch.rows):
            words = data.tokenizer.encodings([data.text(row)])[0].words
            for word, (top, left, bottom, end) in data.captions.cells(int(data.rows[row])) or ():
                inside = ((down > top) & (down < bottom))[:, None] & ((right > left) & (right < end))
                self.total += float(weights[i, words.index(word)][inside.flatten()].sum())
                self.count += 1


def mean_loss(model: Seq2SeqLayer, data: Pictured, batch_tokens: int) -> tuple[float, int, Aim]:
    """Unsmoothed nats a token over all texts, the number of tokens, and where the model looked."""
    total, count, aim = 0.0, 0, Aim()
    entry = model.spec.source
    grid = entry.grid() if isinstance(entry, Annotations) and data.captions.cells(int(data.rows[0])) else None
    sides = np.stack([data.lengths, data.lengths], 1)
    with judging(model):
        for rows in plan(sides, max(batch_tokens, int(data.lengths.max())), seed=0, epoch=0, shuffle=False):
            batch, looks = data.batch(rows).to(model.device), Looks() if grid else None
            loss = plain_loss(model, batch, looks)
            total, count = total + float(loss.nll), count + loss.count
            if looks is not None and grid is not None:
                aim.add(data, batch, looks, grid)
    return total / count, count, aim


def measure_captions(
    model: Seq2SeqLayer,
    data: Pictured,
    settings: Search,
    *,
    batch_tokens: int,
    tokenize: str = "13a",
    case: Case = "mixed",
    resamples: int = 0,
) -> Measured:
    """Everything about a model on these pictures; `on_the_cell` where it is known where a word is in its picture."""
    loss, count, aim = mean_loss(model, data, batch_tokens)
    groups = data.groups()
    outputs = described(model, data, [group[0] for group in groups], settings)
    references = [[data.text(row) for row in group] for group in groups]
    more = {"on_the_cell": 100 * aim.total / aim.count} if aim.count else {}
    return Measured(loss, count, outputs, scored(outputs, references, tokenize, case, resamples), more)
