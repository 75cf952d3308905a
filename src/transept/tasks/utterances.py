"""Sounds for models that listen: with the letters of what is said, or with nothing but themselves.

Shapes: B sounds, N samples, L letters, F frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.data.batches import IGNORED, plan
from transept.data.columnar import spoken
from transept.data.config import Split
from transept.data.config_senses import Perturb, SpeechData
from transept.data.letters import Letters
from transept.data.listing import SOUNDS, Listing, place_of, read_listing
from transept.data.waves import Waves, longest_of
from transept.errors import InvalidConfig, InvalidData
from transept.hub.processor import Hearing
from transept.parts.convolution import Convolutions
from transept.tasks.splits import halved

Rows = NDArray[np.int64]
Draws = np.random.Generator
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class SoundBatch:
    """waves (B, N) float32, padded with zeros on the right; valid (B, N) bool; labels (B, L) int64, the letters of each
    text, -100 after its end (L is 0 where nothing is said). `rows` are the sounds' numbers in their split."""

    waves: Tensor
    valid: Tensor
    labels: Tensor
    rows: list[int]
    frames: int = 0  # real ones, where nothing is said

    @property
    def tokens(self) -> int:
        """Letters; frames, where nothing is said."""
        return int((self.labels != IGNORED).sum()) or self.frames

    def to(self, device: torch.device | str) -> Self:
        """The same batch on a device."""
        waves, valid, labels = (part.to(device) for part in (self.waves, self.valid, self.labels))
        return replace(self, waves=waves, valid=valid, labels=labels)


@dataclass(frozen=True, eq=False)
class Utterances:
    """Some sounds, in order: `rows` of `waves`. `texts` and `ids` (of every sound) are what is said, and in letters."""

    waves: Waves
    features: Convolutions
    perturb: Perturb
    rows: Rows
    texts: Sequence[str] = ()
    ids: Sequence[Sequence[int]] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: Rows) -> Utterances:
        """Only these, in this order."""
        return replace(self, rows=self.rows[rows])

    def where(self, row: int) -> str:
        return self.waves.listing.where(int(self.rows[row]))

    def name(self, row: int) -> str:
        return self.waves.listing.name(int(self.rows[row]))

    def names(self) -> str:
        """The files behind it, without their folders: a card is read on other machines."""
        return ", ".join(map(spoken, self.waves.listing.files))

    def text(self, row: int) -> str:
        return self.texts[int(self.rows[row])]

    @property
    def seconds(self) -> float:
        """How long all of it is."""
        return float(self.waves.lengths[self.rows].sum()) / self.waves.rate

    @property
    def fingerprint(self) -> str:
        told = (
            self.waves.listing.fingerprint,
            self.waves.rate,
            self.waves.normalise,
            self.perturb.changed(),
            self.texts,
        )
        return f"{told!r} {self.rows.tolist()}"

    def lettered(self, letters: Letters) -> Utterances:
        """The same with the letters of their texts. InvalidData where a text has more than its sound has frames."""
        made = replace(self, ids=[letters.encode(text) for text in self.texts])
        for row, own in enumerate(self.rows.tolist()):
            needed, frames = needs(made.ids[own]), self.features.frames(int(self.waves.lengths[own]))
            if needed > frames:
                raise InvalidData(
                    f"the text {self.texts[own]!r:.60} needs {needed} frames, and the sound has {frames}",
                    where=self.where(row),
                    remedy="Is it the text of this sound? Take it out, or use a model with more frames a second.",
                )
        return made

    def some_in_all(self, count: int, seed: int) -> Utterances:
        """So many of them all together, whatever their texts, which are drawn as evenly as they go. InvalidConfig where
        there are fewer."""
        if count > len(self):
            raise InvalidConfig(
                f"{count:,} sounds are wanted, and there are {len(self):,} to train on", key="data.labels"
            )
        order = np.random.default_rng(seed).permutation(len(self))
        met, before = Counter[str](), list[int]()  # how often its text came before each
        for row in order.tolist():
            before.append(met[self.text(row)])
            met[self.text(row)] += 1
        return self.select(np.sort(order[np.argsort(before, kind="stable")[:count]]))

    def within(self, seconds: float) -> Utterances:
        """Those that are at most so long. InvalidData where none is left."""
        kept = np.flatnonzero(self.waves.lengths[self.rows] <= seconds * self.waves.rate)
        if not len(kept):
            raise InvalidData(
                f"every sound is longer than {seconds:g} seconds",
                where=self.waves.listing.source,
                remedy="Raise data.longest.",
            )
        return self.select(kept)

    def lengths(self, training: bool) -> NDArray[np.int32]:
        """The most frames of each sound."""
        perturb = self.perturb if training else Perturb()
        return longest_of(self.waves.lengths[self.rows], perturb, self.waves.rate, self.features.frames)

    def plan(self, budget: int, seed: int, epoch: int, training: bool) -> list[Rows]:
        """The rows of each batch: see `transept.data.batches.plan`."""
        lengths = self.lengths(training)
        budget = budget if training else max(budget, int(lengths.max()))
        return plan(np.stack([lengths, lengths], 1), budget, seed, epoch, training, where=self.where)

    def batch(self, rows: Rows, draws: Draws | None = None) -> SoundBatch:
        """Some of them; changed by `draws`, which training has."""
        own = self.rows[rows].tolist()
        ids = [self.ids[row] for row in own] if self.ids else [[] for _ in own]
        least = [self.features.least(max(needs(text), 1)) for text in ids]
        waves, valid = self.waves.batch(own, self.perturb, draws, least)
        labels = np.full((len(own), max(map(len, ids))), IGNORED, np.int64)
        for row, text in zip(labels, ids, strict=True):
            row[: len(text)] = text
        frames = 0 if self.ids else sum(self.features.frames(int(count)) for count in valid.sum(1))
        return SoundBatch(waves, valid, torch.from_numpy(labels), [int(row) for row in rows], frames)


def needs(ids: Sequence[int]) -> int:
    """The frames that a text needs at least: one for each letter, and one between two that are alike."""
    return len(ids) + sum(a == b for a, b in pairwise(ids))


@dataclass(frozen=True, eq=False)
class SoundBatches:
    """The batches of an epoch, each made when it is asked for; what is drawn for one hangs on its place alone."""

    data: Utterances
    plan: Sequence[Rows]
    place: tuple[int, int] | None = None  # (seed, epoch) of training

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> SoundBatch:
        draws = None if self.place is None else np.random.default_rng([*self.place, index])
        return self.data.batch(self.plan[index], draws)

    def largest(self) -> int:
        """The batch with the most frames."""
        lengths = self.data.lengths(self.place is not None)
        sizes = [len(rows) * int(lengths[rows].max()) for rows in self.plan]
        return max(range(len(sizes)), key=sizes.__getitem__)


@dataclass(frozen=True)
class Spoken:
    """What a recipe names, read as a model hears it. `wanted` is what must be said of every sound."""

    data: SpeechData
    hears: Hearing
    features: Convolutions
    wanted: tuple[str, ...]
    say: Say

    def both(self) -> tuple[Utterances, Utterances]:
        """Those to train on, without those that are too long; and those to validate on, all of them."""
        listing = self.listing("train")
        whole = self.heard(listing)
        rows, held = halved(self.data, listing, None, listing.said.get("speaker"))
        trained = whole.select(rows).within(self.data.longest)
        return trained, self.read("valid") if held is None else whole.select(held)

    def read(self, split: Split) -> Utterances:
        """All of a split with files of its own."""
        return self.heard(self.listing(split))

    def listing(self, split: Split) -> Listing:
        return read_listing(place_of(self.data, split), self.data, self.wanted, SOUNDS, self.say)

    def heard(self, listing: Listing) -> Utterances:
        waves = Waves(listing, self.hears.rate, self.hears.normalise, self.features.least(), self.say)
        texts = [self.data.spell.get(text, text) for text in listing.said["text"]] if "text" in self.wanted else []
        return Utterances(waves, self.features, self.data.perturb, np.arange(len(listing)), texts)
