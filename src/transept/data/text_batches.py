"""Rows of text as the tensors that a model of one stack trains on.

Shapes: B rows, S tokens of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transept.data.batches import IGNORED
from transept.data.texts import Ids

ALONE = -1  # the document of a place without a token


@dataclass(frozen=True, eq=False)
class TextBatch:
    """Rows padded on the right: `inputs` (B, S) int64 are read, and at each place `labels` (B, S) are asked for.

    A label is -100 where nothing is asked. `valid` (B, S) bool tells the real tokens, None where it need not be told:
    all are real, or no real token could see another. `documents` (B, S) int64 number the documents of a row, -1 where
    there is no token, where rows have several; `segments` (B, S) int64 tell the text of a pair that a token is of, and
    `classes` (B,) int64 what is asked of a row. `rows` are the rows' numbers in their epoch. `begins` tells of segments
    of longer texts whether they are the first ones; None where rows stand alone. `tree` (B, S, 3) int64 is where each
    token stands in its sentence's tree (`parts.tree`), where a model reads it.
    """

    inputs: Tensor
    labels: Tensor
    rows: list[int]
    valid: Tensor | None = None
    documents: Tensor | None = None
    segments: Tensor | None = None
    classes: Tensor | None = None
    begins: bool | None = None
    tree: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tokens(self) -> int:
        """How many tokens are asked for."""
        return int((self.labels != IGNORED).sum())

    def to(self, device: torch.device | str) -> "TextBatch":
        """The same batch on a device."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in found.items()}
        return TextBatch(**moved)


def filled(rows: Sequence[Ids], fill: int, width: int = 0) -> Tensor:
    """Rows of numbers side by side, (B, S) int64 with `fill` behind the short ones; S is `width` at the least."""
    table = np.full((len(rows), max(width, *map(len, rows))), fill, np.int64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return torch.from_numpy(table)


def numbered(rows: Sequence[Sequence[int]], width: int = 0) -> Tensor:
    """The documents of rows that hold so many tokens of one after another: (B, S) int64, from 0, -1 behind them."""
    return filled([np.repeat(np.arange(len(row)), row) for row in rows], ALONE, width)
