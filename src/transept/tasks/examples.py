"""Examples with a class or a number each, whatever enters: what a batch of them is, and which rows go together.

Shapes: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from transept.data.augment import augmented, erased, mixed
from transept.data.columnar import spoken
from transept.data.config_senses import Augment, Perturb, TextsOfTables
from transept.data.labelled_texts import LabelledTexts
from transept.data.parted import parted, places, stacked
from transept.data.sights import Sights
from transept.data.text_batches import filled
from transept.data.tokenizer import Encoding, Tokenizer, shortened
from transept.data.waves import Waves, longest_of
from transept.errors import InvalidData
from transept.inputs.sentences import Sentences
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.convolution import Convolutions
from transept.tasks.batched import largest, planned

Rows = NDArray[np.int64]
Draws = np.random.Generator


@dataclass(frozen=True, eq=False)
class ClassBatch:
    """Inputs as the model takes them, with `valid` where not all of them is real, and `more` of its input part's.

    `targets` are (B,) int64 classes, (B, C) shares of classes where examples were mixed, or (B,) numbers. `rows` are
    the examples' numbers in their split.
    """

    inputs: Tensor
    targets: Tensor
    rows: list[int]
    valid: Tensor | None = None
    more: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Examples: each asks for one answer."""
        return len(self.rows)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on a device."""
        valid = None if self.valid is None else self.valid.to(device)
        more = {name: tensor.to(device) for name, tensor in self.more.items()}
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device), valid=valid, more=more)


@dataclass(frozen=True, eq=False)
class Entering:
    """What a model takes of some rows: `inputs`, what of it is `valid` (None: all), and `more` of its input part's."""

    inputs: Tensor
    valid: Tensor | None = None
    more: Mapping[str, Tensor] = field(default_factory=dict)


class Source(Protocol):
    """What examples are made from: every row of what was read, whichever split it is of."""

    unit: str  # what they are called, several of them

    @property
    def together(self) -> int | None:
        """The most of them in a batch of training, whatever they count for; None: any number."""

    @property
    def files(self) -> Sequence[Path]: ...

    @property
    def fingerprint(self) -> str: ...

    def where(self, row: int) -> str: ...

    def name(self, row: int) -> str: ...

    def lengths(self, training: bool) -> NDArray[np.int32]:
        """What each row counts for in a batch."""

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> Entering:
        """What a model takes of some rows, changed by `draws` while it trains."""

    def mix(self) -> float:
        """How examples are mixed while training: see `transept.data.config_senses.Augment`."""


class PictureSource:
    """Pictures. A batch counts them."""

    unit = "pictures"
    together = None

    def __init__(self, sights: Sights, augment: Augment) -> None:
        self.sights, self.augment = sights, augment

    @property
    def files(self) -> Sequence[Path]:
        return self.sights.pictures.files

    @property
    def fingerprint(self) -> str:
        sights = self.sights
        return f"{sights.pictures.fingerprint} {sights.preparation} {sights.channels} {self.augment.changed()}"

    def where(self, row: int) -> str:
        return self.sights.pictures.where(row)

    def name(self, row: int) -> str:
        return self.sights.pictures.name(row)

    def lengths(self, training: bool) -> NDArray[np.int32]:
        return np.ones(len(self.sights.pictures), np.int32)

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> Entering:
        pixels, how = self.sights.pixels(rows), self.sights.preparation
        if draws is None:
            return Entering(torch.from_numpy(how.numbers(pixels)))
        x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
        x = augmented(x, self.augment, draws) * (1.0 if how.scale is None else how.scale)
        if how.mean is not None and how.std is not None:
            x = (x - torch.tensor(how.mean)[:, None, None]) / torch.tensor(how.std)[:, None, None]
        return Entering(erased(x, self.augment.erase, draws) if self.augment.erase else x)

    def mix(self) -> float:
        return self.augment.mixup


class SoundSource:
    """Sounds. A batch counts frames."""

    unit = "sounds"
    together = None

    def __init__(self, waves: Waves, perturb: Perturb, features: Convolutions) -> None:
        self.waves, self.perturb, self.features = waves, perturb, features

    @property
    def files(self) -> Sequence[Path]:
        return self.waves.listing.files

    @property
    def fingerprint(self) -> str:
        return f"{self.waves.listing.fingerprint} {self.waves.rate} {self.waves.normalise} {self.perturb.changed()}"

    def where(self, row: int) -> str:
        return self.waves.listing.where(row)

    def name(self, row: int) -> str:
        return self.waves.listing.name(row)

    def lengths(self, training: bool) -> NDArray[np.int32]:
        perturb = self.perturb if training else Perturb()
        return longest_of(self.waves.lengths, perturb, self.waves.rate, self.features.frames)

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> Entering:
        return Entering(*self.waves.batch(rows, self.perturb, draws, [self.features.least()] * len(rows)))

    def mix(self) -> float:
        return 0.0


class TextSource:
    """Texts, or pairs of texts in one row; or documents, for a model that reads sentence by sentence. A batch counts
    tokens, of documents with their padding. `say` hears how many were cut."""

    def __init__(
        self, texts: LabelledTexts, tokenizer: Tokenizer, spec: Model, how: TextsOfTables, say: Callable[[str], None]
    ) -> None:
        words = spec.embed.words if isinstance(spec.embed, Sentences) else spec.embed
        assert isinstance(words, Tokens)
        self.texts, self.tokenizer, self.together = texts, tokenizer, how.together
        self.unit = "texts" if texts.others is None else "pairs of texts"
        self.segments = words.segments > 1
        if isinstance(spec.embed, Sentences) and texts.others is not None:
            raise InvalidData("rows are pairs of texts, and this model reads documents", where=texts.where(0))
        limits = [limit for limit in (spec.limit(), how.length) if limit is not None]
        self.most, self.pad = min(limits, default=None), tokenizer.pad or 0
        self.rows = tokenizer.encodings(texts.texts, texts.others)
        long = [i for i, row in enumerate(self.rows) if self.most is not None and len(row.ids) > self.most]
        if long and how.long == "refuse":
            raise InvalidData(
                f"the row has {len(self.rows[long[0]].ids):,} tokens, and may have {self.most:,}"
                f" ({len(long):,} of {len(texts):,} have more)",
                where=texts.where(long[0]),
                remedy="Split it, or leave the last tokens of such rows out: data.long=cut.",
            )
        for i in long:
            assert self.most is not None
            self.rows[i] = shortened(self.rows[i], self.most)
        if long:
            say(f"{texts.source}: {len(long):,} of {len(texts):,} {self.unit} were cut to {self.most:,} tokens")
        for i, row in enumerate(self.rows):
            if not any(of is not None for of in row.texts):
                raise InvalidData(f"the tokenizer leaves nothing of {texts.name(i)[:40]!r}", where=texts.where(i))
        self.documents: list[list[list[int]]] | None = None
        if isinstance(spec.embed, Sentences):
            self.unit = "documents"
            self.documents = [parted(text, row) for text, row in zip(texts.texts, self.rows, strict=True)]

    @property
    def files(self) -> Sequence[Path]:
        return self.texts.files

    @property
    def fingerprint(self) -> str:
        return f"{self.texts.fingerprint} {self.tokenizer.fingerprint} {self.most} {self.together}"

    def where(self, row: int) -> str:
        return self.texts.where(row)

    def name(self, row: int) -> str:
        return self.texts.name(row)

    @cached_property
    def _lengths(self) -> NDArray[np.int32]:
        if self.documents is not None:
            return np.array([places(document) for document in self.documents], np.int32)
        return np.array([len(row.ids) for row in self.rows], np.int32)

    def lengths(self, training: bool) -> NDArray[np.int32]:
        return self._lengths

    def select(self, rows: Sequence[int]) -> TextSource:
        """Only these texts, in this order."""
        made = copy(self)
        made.__dict__.pop("_lengths", None)
        made.texts, made.rows = self.texts.select(rows), [self.rows[row] for row in rows]
        made.documents = None if self.documents is None else [self.documents[row] for row in rows]
        return made

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> Entering:
        if self.documents is not None:
            ids, valid = stacked([self.documents[row] for row in rows], self.pad)
            return Entering(ids, None if valid.all() else valid)
        return self.beside([self.rows[row] for row in rows])

    def beside(self, chosen: Sequence[Encoding]) -> Entering:
        """Encodings as rows beside each other."""
        return beside(chosen, self.pad, self.segments)

    def mix(self) -> float:
        return 0.0


def beside(chosen: Sequence[Encoding], pad: int, segments: bool) -> Entering:
    """Encodings as rows beside each other, padded on the right, with `segments` where a model is told them."""
    ids = filled([np.array(row.ids) for row in chosen], pad)
    lengths = torch.tensor([len(row.ids) for row in chosen])
    more = {"segments": filled([np.array(row.segments) for row in chosen], 0)} if segments else {}
    valid = torch.arange(ids.size(1)) < lengths[:, None]
    return Entering(ids, None if valid.all() else valid, more)


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
        return ", ".join(map(spoken, self.source.files))

    @property
    def own(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """What is asked of these rows."""
        return self.answers[self.rows]

    def plan(self, budget: int, seed: int, epoch: int, training: bool) -> list[Rows]:
        """The rows of each batch: see `transept.data.batches.plan`."""
        lengths = self.source.lengths(training)[self.rows]
        return planned(lengths, budget, seed, epoch, training, self.source.together, self.where)

    def batch(self, rows: Rows, draws: Draws | None = None) -> ClassBatch:
        """Some of them; changed by `draws`, which training has."""
        own = self.rows[rows].tolist()
        entering = self.source.inputs(own, draws)
        inputs = entering.inputs
        targets = torch.from_numpy(self.answers[own])
        targets = targets if self.count else targets.float()
        if draws is not None and self.source.mix():
            shares = F.one_hot(targets, self.count).float()
            inputs, targets = mixed(inputs, shares, self.source.mix(), draws)
        return ClassBatch(inputs, targets, [int(row) for row in rows], entering.valid, entering.more)


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
        return largest(self.plan, self.data.source.lengths(self.place is not None)[self.data.rows])
