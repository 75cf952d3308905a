"""Examples with a class or a number each, whatever enters: what a batch of them is, and which rows go together.

Shapes: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from transept.data.augment import augmented, erased, mixed
from transept.data.batches import plan
from transept.data.config_senses import Augment, Perturb
from transept.data.sights import Sights
from transept.data.waves import Waves, longest_of
from transept.parts.convolution import Convolutions

Rows = NDArray[np.int64]
Draws = np.random.Generator


@dataclass(frozen=True, eq=False)
class ClassBatch:
    """Inputs as the model takes them, with `valid` where not all of them is real.

    `targets` are (B,) int64 classes, (B, C) shares of classes where examples were mixed, or (B,) numbers. `rows` are
    the examples' numbers in their split.
    """

    inputs: Tensor
    targets: Tensor
    rows: list[int]
    valid: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Examples: each asks for one answer."""
        return len(self.rows)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on a device."""
        valid = None if self.valid is None else self.valid.to(device)
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device), valid=valid)


class Source(Protocol):
    """What examples are made from: every row of what was read, whichever split it is of."""

    unit: str  # what they are called, several of them

    @property
    def files(self) -> Sequence[Path]: ...

    @property
    def fingerprint(self) -> str: ...

    def where(self, row: int) -> str: ...

    def name(self, row: int) -> str: ...

    def lengths(self, training: bool) -> NDArray[np.int32]:
        """What each row counts for in a batch."""

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> tuple[Tensor, Tensor | None]:
        """What a model takes of some rows, changed by `draws` while it trains; and what of it is real."""

    def mix(self) -> float:
        """How examples are mixed while training: see `transept.data.config_senses.Augment`."""


class PictureSource:
    """Pictures. A batch counts them."""

    unit = "pictures"

    def __init__(self, sights: Sights, augment: Augment) -> None:
        self.sights, self.augment = sights, augment

    @property
    def files(self) -> Sequence[Path]:
        return self.sights.pictures.files

    @property
    def fingerprint(self) -> str:
        return f"{self.sights.pictures.fingerprint} {self.sights.preparation} {self.sights.channels} {self.augment!r}"

    def where(self, row: int) -> str:
        return self.sights.pictures.where(row)

    def name(self, row: int) -> str:
        return self.sights.pictures.name(row)

    def lengths(self, training: bool) -> NDArray[np.int32]:
        return np.ones(len(self.sights.pictures), np.int32)

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> tuple[Tensor, Tensor | None]:
        pixels, how = self.sights.pixels(rows), self.sights.preparation
        if draws is None:
            return torch.from_numpy(how.numbers(pixels)), None
        x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
        x = augmented(x, self.augment, draws) * (1.0 if how.scale is None else how.scale)
        if how.mean is not None and how.std is not None:
            x = (x - torch.tensor(how.mean)[:, None, None]) / torch.tensor(how.std)[:, None, None]
        return erased(x, self.augment.erase, draws) if self.augment.erase else x, None

    def mix(self) -> float:
        return self.augment.mixup


class SoundSource:
    """Sounds. A batch counts frames."""

    unit = "sounds"

    def __init__(self, waves: Waves, perturb: Perturb, features: Convolutions) -> None:
        self.waves, self.perturb, self.features = waves, perturb, features

    @property
    def files(self) -> Sequence[Path]:
        return self.waves.listing.files

    @property
    def fingerprint(self) -> str:
        return f"{self.waves.listing.fingerprint} {self.waves.rate} {self.waves.normalise} {self.perturb!r}"

    def where(self, row: int) -> str:
        return self.waves.listing.where(row)

    def name(self, row: int) -> str:
        return self.waves.listing.name(row)

    def lengths(self, training: bool) -> NDArray[np.int32]:
        perturb = self.perturb if training else Perturb()
        return longest_of(self.waves.lengths, perturb, self.waves.rate, self.features.frames)

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> tuple[Tensor, Tensor | None]:
        return self.waves.batch(rows, self.perturb, draws, [self.features.least()] * len(rows))

    def mix(self) -> float:
        return 0.0


@dataclass(frozen=True, eq=False)
class Examples:
    """Some rows of a source, in order, with what is asked of each: `answers` (of every row of the source) are classes,
    of which there are `count`, or numbers where that is 0."""

    source: Source
    rows: Rows
    answers: NDArray[np.int64] | NDArray[np.float64]
    count: int

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: Rows) -> Examples:
        """Only these, in this order."""
        return replace(self, rows=self.rows[rows])

    def where(self, row: int) -> str:
        return self.source.where(int(self.rows[row]))

    def name(self, row: int) -> str:
        return self.source.name(int(self.rows[row]))

    def names(self) -> str:
        """The files behind it, without their folders: a card is read on other machines."""
        return ", ".join(path.name for path in self.source.files)

    @property
    def own(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """What is asked of these rows."""
        return self.answers[self.rows]

    def plan(self, budget: int, seed: int, epoch: int, training: bool) -> list[Rows]:
        """The rows of each batch: see `transept.data.batches.plan`."""
        lengths = self.source.lengths(training)[self.rows]
        budget = budget if training else max(budget, int(lengths.max()))
        return plan(np.stack([lengths, lengths], 1), budget, seed, epoch, training, where=self.where)

    def batch(self, rows: Rows, draws: Draws | None = None) -> ClassBatch:
        """Some of them; changed by `draws`, which training has."""
        own = self.rows[rows].tolist()
        inputs, valid = self.source.inputs(own, draws)
        targets = torch.from_numpy(self.answers[own])
        targets = targets if self.count else targets.float()
        if draws is not None and self.source.mix():
            shares = F.one_hot(targets, self.count).float()
            inputs, targets = mixed(inputs, shares, self.source.mix(), draws)
        return ClassBatch(inputs, targets, [int(row) for row in rows], valid)


@dataclass(frozen=True, eq=False)
class ClassBatches:
    """The batches of an epoch, each made when it is asked for; what is drawn for one hangs on its place alone."""

    data: Examples
    plan: Sequence[Rows]
    place: tuple[int, int] | None = None  # (seed, epoch) of training

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> ClassBatch:
        draws = None if self.place is None else np.random.default_rng([*self.place, index])
        return self.data.batch(self.plan[index], draws)

    def largest(self) -> int:
        """The batch with the most to compute."""
        lengths = self.data.source.lengths(self.place is not None)[self.data.rows]
        sizes = [len(rows) * int(lengths[rows].max()) for rows in self.plan]
        return max(range(len(sizes)), key=sizes.__getitem__)
