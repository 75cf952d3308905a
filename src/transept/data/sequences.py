"""Sequences of random bits with what an algorithm answers (Graves et al. 2014, sections 4.1 to 4.3).

While the answer is due nothing is shown: the model has to know it. Shapes: B sequences, S columns, V vectors that are
shown, C channels, O bits of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.data.config import SequencesData, Split

Floats = NDArray[np.float32]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True)
class SequenceBatch:
    """inputs (B, S, C), labels (B, S, O) of 0 and 1, told (B, S): where an answer is due. All are of one length."""

    inputs: Tensor
    labels: Tensor
    told: Tensor
    length: int
    rows: Sequence[int]

    @property
    def tokens(self) -> int:
        """Vectors that are answered."""
        return int(self.told.sum())

    def to(self, device: torch.device) -> Self:
        inputs, labels, told = (tensor.to(device) for tensor in (self.inputs, self.labels, self.told))
        return replace(self, inputs=inputs, labels=labels, told=told)


def channels(data: SequencesData) -> tuple[int, int]:
    """How many numbers are shown in a column, and how many bits are answered."""
    return data.bits + (1 if data.kind == "copy" else 2), data.bits + (data.kind == "repeat_copy")


def drawn(data: SequencesData, place: Sequence[int]) -> tuple[int, int]:
    """The length of the sequences of a batch of training, and how often they are repeated."""
    draws = np.random.default_rng([data.seed, *place])
    length = int(draws.integers(data.least, data.most + 1))
    return length, int(draws.integers(1, data.repeats + 1)) if data.kind == "repeat_copy" else 1


def columns(data: SequencesData, length: int, repeats: int) -> int:
    """How many columns a sequence has, with its answer."""
    match data.kind:
        case "copy":
            return 2 * length + 1
        case "repeat_copy":
            return length + 1 + length * repeats + 1
        case "recall":
            return length * (1 + data.item) + 2 + 2 * data.item


def make(data: SequencesData, count: int, length: int, repeats: int, place: Sequence[int]) -> SequenceBatch:
    """`count` sequences of a length, a pure function of what is given; `place` seeds it, beside the data's own seed."""
    draws = np.random.default_rng([data.seed, *place])
    wide, out = channels(data)
    size = columns(data, length, repeats)
    inputs, labels = np.zeros((count, size, wide), np.float32), np.zeros((count, size, out), np.float32)
    vectors = length * data.item if data.kind == "recall" else length
    shown = draws.integers(0, 2, (count, vectors, data.bits)).astype(np.float32)
    match data.kind:
        case "copy":
            due = _copy(inputs, labels, shown)
        case "repeat_copy":
            due = _repeat_copy(inputs, labels, shown, repeats, data.repeats)
        case "recall":
            due = _recall(inputs, labels, shown, data.item, draws.integers(0, length - 1, count))
    told = torch.zeros(count, size, dtype=torch.bool)
    told[:, -due:] = True
    return SequenceBatch(torch.from_numpy(inputs), torch.from_numpy(labels), told, length, range(count))


# Each fills what is shown and what is answered, and returns how many columns the answer has, the last ones.


def _copy(inputs: Floats, labels: Floats, shown: Floats) -> int:
    """The vectors, a mark, and then nothing while they are said again."""
    _, length, bits = shown.shape
    inputs[:, :length, :bits] = shown
    inputs[:, length, bits] = 1
    labels[:, length + 1 :] = shown
    return int(length)


def _repeat_copy(inputs: Floats, labels: Floats, shown: Floats, times: int, most: int) -> int:
    """As a copy; with the mark stands how often, with mean 0 and variance 1; the answer has a mark of its end."""
    _, length, bits = shown.shape
    spread = ((most**2 - 1) / 12) ** 0.5 or 1.0  # of the whole numbers from 1 to `most`, all alike likely
    inputs[:, :length, :bits] = shown
    inputs[:, length, bits] = 1
    inputs[:, length, bits + 1] = (times - (most + 1) / 2) / spread
    labels[:, length + 1 : -1, :bits] = np.tile(shown, (1, times, 1))
    labels[:, -1, bits] = 1
    return int(length) * times + 1


def _recall(inputs: Floats, labels: Floats, shown: Floats, item: int, chosen: NDArray[np.int64]) -> int:
    """Items, each behind a mark; then the chosen one of each row between marks of another kind; the next is due."""
    count, vectors, bits = shown.shape
    items = shown.reshape(count, vectors // item, item, bits)
    each, rows = 1 + item, np.arange(count)
    for i in range(items.shape[1]):
        inputs[:, i * each, bits] = 1
        inputs[:, i * each + 1 : (i + 1) * each, :bits] = items[:, i]
    asked = items.shape[1] * each
    inputs[:, [asked, asked + each], bits + 1] = 1
    inputs[:, asked + 1 : asked + each, :bits] = items[rows, chosen]
    labels[:, -item:] = items[rows, chosen + 1]
    return item
