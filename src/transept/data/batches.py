"""Which pairs go together, and the padded tensors that they become.

Shapes: B pairs, S source tokens, T target tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.data.cache import Rows, TokenPairs
from transept.errors import InvalidConfig, InvalidData

IGNORED = -100


MULTIPLE = 8  # rows of a batch, where there are more


@dataclass(frozen=True, eq=False)
class PairBatch:
    """Pairs padded on the right. Target position t reads `target[:, t]` and is asked for `labels[:, t]`.

    source (B, S) int64, source_valid (B, S) bool; target (B, T) int64 = bos y1 .. yn, target_valid (B, T) bool;
    labels (B, T) int64 = y1 .. yn eos, -100 where there is no token. `rows` are the pairs' numbers in their data.
    """

    source: Tensor
    source_valid: Tensor
    target: Tensor
    target_valid: Tensor
    labels: Tensor
    rows: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def tokens(self) -> int:
        """How many target tokens are asked for."""
        return int((self.labels != IGNORED).sum())

    def to(self, device: torch.device | str) -> "PairBatch":
        """The same batch on a device."""
        return PairBatch(
            self.source.to(device),
            self.source_valid.to(device),
            self.target.to(device),
            self.target_valid.to(device),
            self.labels.to(device),
            self.rows,
        )

    def split(self, count: int) -> list["PairBatch"]:
        """Up to `count` batches of whole pairs, as even as can be, each cut to its own longest pair."""
        assert count > 0
        bounds = [len(self) * part // count for part in range(count + 1)]
        return [self._part(first, last) for first, last in pairwise(bounds) if first < last]

    def _part(self, first: int, last: int) -> "PairBatch":
        across = int(self.source_valid[first:last].sum(1).max())
        along = int(self.target_valid[first:last].sum(1).max())
        source, target = (slice(first, last), slice(across)), (slice(first, last), slice(along))
        return PairBatch(
            self.source[source],
            self.source_valid[source],
            self.target[target],
            self.target_valid[target],
            self.labels[target],
            self.rows[first:last],
        )


def collate(tokens: TokenPairs, rows: Rows, *, bos: int, pad: int) -> PairBatch:
    """The batch of some pairs, in the order given."""
    picked = [int(row) for row in rows]
    return side_by_side(
        [tokens.source(row) for row in picked], [tokens.target(row) for row in picked], picked, bos, pad
    )


def side_by_side(
    sources: Sequence[NDArray[np.integer[Any]]],
    targets: Sequence[NDArray[np.integer[Any]]],
    picked: list[int],
    bos: int,
    pad: int,
) -> PairBatch:
    """The batch of sources with their targets, each with its end; `bos` opens what the decoder reads."""
    source, source_valid = _padded(sources, pad)
    labels, valid = _padded(targets, pad)
    # The target is the labels moved right by one: eos falls out at the end of the row, or turns into padding.
    target = torch.cat([labels.new_full((len(picked), 1), bos), labels[:, :-1]], dim=1).masked_fill(~valid, pad)
    return PairBatch(source, source_valid, target, valid, labels.masked_fill(~valid, IGNORED), picked)


def plan(
    lengths: NDArray[np.int32],
    batch_tokens: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
    max_sentences: int | None = None,
    where: Callable[[int], str] | None = None,
) -> list[Rows]:
    """The rows of each batch of an epoch: every row once; a pure function of the arguments.

    `lengths` is (N, 2). The longer side of a batch's longest pair, times its pairs, is at most `batch_tokens`. Pairs
    of the same longer side and nearly the same difference of sides are shuffled, and so are the batches, by (seed,
    epoch); unshuffled, the longest come first. `where` names a row in the error for a pair beyond the budget.
    """
    longest = lengths.max(axis=1)
    over = np.flatnonzero(longest > batch_tokens)
    if len(over):
        row = int(over[0])
        raise InvalidData(
            f"pair {row} has {longest[row]:,} tokens on a side, more than a batch of {batch_tokens:,} takes",
            where=where(row) if where else None,
            remedy="Raise the tokens of a batch, or take the pair out; lowering data.max_length does so in training.",
        )
    if max_sentences is not None and max_sentences < 1:
        raise InvalidConfig(f"a batch of {max_sentences} sentences cannot be")
    generator = np.random.default_rng([seed, epoch])
    order = _order(lengths, generator if shuffle else None)
    batches = _cut(order, longest[order], batch_tokens, max_sentences or len(order))
    if shuffle:
        batches = [batches[index] for index in generator.permutation(len(batches))]
    return batches


def waste(lengths: NDArray[np.int32], batches: Sequence[Rows]) -> float:
    """The share of padding among all positions of the batches, both sides counted."""
    padded = sum(len(rows) * int(lengths[rows].max(axis=0).sum()) for rows in batches)
    return 1 - sum(int(lengths[rows].sum()) for rows in batches) / padded if padded else 0.0


def _order(lengths: NDArray[np.int32], generator: np.random.Generator | None) -> Rows:
    """Rows from the longest to the shortest, so that neighbours are alike on both sides.

    The first key is the longer side, which the budget counts; the second the difference of the sides, up and down in
    turn, so that it does not jump where the first key steps.
    """
    longest = lengths.max(axis=1)
    tilt = (lengths[:, 1] - lengths[:, 0]).astype(np.float64)
    start = np.arange(len(lengths))
    if generator is not None:
        start = generator.permutation(len(lengths))
        tilt += generator.uniform(-1, 1, len(lengths))
    tilt = np.where(longest % 2 == 0, tilt, -tilt)
    return start[np.lexsort((tilt[start], -longest[start]))]


def _cut(order: Rows, longest: NDArray[np.int32], budget: int, sentences: int) -> list[Rows]:
    batches, first = [], 0
    while first < len(order):
        # Sorted from the longest, so the first row of a batch is its longest.
        count = min(budget // int(longest[first]), sentences)
        assert count > 0, "a row beyond the budget"
        # Of the same length, batches then have the same number of rows, whatever was left over before: matrix kernels
        # are compiled for each shape that they meet, and keep what they compiled.
        count -= count % MULTIPLE if count > MULTIPLE else 0
        batches.append(order[first : first + count])
        first += count
    return batches


def _padded(rows: Sequence[NDArray[np.integer[Any]]], pad: int) -> tuple[Tensor, Tensor]:
    """Rows of ids as (B, L) int64 and which of them are real, (B, L) bool."""
    lengths = np.array([len(row) for row in rows])
    valid = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(valid.shape, pad, np.int64)
    ids[valid] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(valid)
