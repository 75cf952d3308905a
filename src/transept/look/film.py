"""A film of training: one text, and who looked at what in it at every checkpoint that a run kept.

A checkpoint's weights are read when its moment is first asked for, into the one model that the film has; what was seen
is kept as whole numbers, and the oldest goes where there is much of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from transept.errors import UsageError
from transept.look.reading import Read
from transept.look.scene import LABELLED, Scene, scene_of
from transept.topology import Built

ROOM = 256_000_000  # bytes of shares that are held


@dataclass(frozen=True)
class Moment:
    """A text at one update: the maps of all layers, packed as `Seen.packed(exact=True)`, and what their heads do.

    `labels` and `scores` are those of `Seen`, head by head; `probability` is the geometric mean over the tokens that
    were written, or of the first class; None where there is neither.
    """

    update: int
    packed: tuple[bytes, ...]
    labels: tuple[tuple[str, ...], ...]
    scores: tuple[tuple[float, ...], ...]
    probability: float | None

    def told(self) -> dict[str, Any]:
        """For the page: everything but the maps."""
        return {
            "update": self.update,
            "labels": self.labels,
            "scores": [[round(one, 6) for one in line] for line in self.scores],
            "probability": self.probability,
        }


class Film:
    """The moments of a run. `model_at` gives the model with the weights of an update; it may give one model again.

    `folder` is where the checkpoints lie, each called by its update, so that a program can name them; None where that
    is not known.
    """

    def __init__(self, updates: Sequence[int], model_at: Callable[[int], Built], folder: Path | None = None) -> None:
        self.updates, self.folder = tuple(sorted(updates)), folder
        self._model_at = model_at
        self._held: tuple[int, Built] | None = None
        self._kept: dict[tuple[int, int], Moment] = {}

    def moment(self, number: int, read: Read, scene: Scene, update: int) -> Moment:
        """A scene, by its number, at an update. Raises UsageError where the run kept no such checkpoint."""
        if update not in self.updates:
            raise UsageError(f"the run kept no checkpoint of update {update:,}")
        demand_short(scene)
        key = number, update
        if key not in self._kept:
            self._kept[key] = self._made(read, update)
        self._kept[key] = self._kept.pop(key)  # the last that was asked for goes last
        while len(self._kept) > 1 and sum(map(size_of, self._kept.values())) > ROOM:
            del self._kept[next(iter(self._kept))]
        return self._kept[key]

    def _made(self, read: Read, update: int) -> Moment:
        if self._held is None or self._held[0] != update:
            self._held = None  # the weights of the update before go as these come
            self._held = update, self._model_at(update)
        own = replace(read, example=replace(read.example, model=self._held[1]))
        seen = scene_of(own)
        return Moment(
            update,
            tuple(layer.packed(exact=True) for layer in seen.layers),
            tuple(layer.labels for layer in seen.layers),
            tuple(layer.scores for layer in seen.layers),
            likely(own),
        )


def size_of(moment: Moment) -> int:
    """Bytes of its maps."""
    return sum(map(len, moment.packed))


def shares_of(scene: Scene) -> int:
    """How many shares all maps of a scene have."""
    return sum(heads * rows * columns for heads, rows, columns in (layer.shape for layer in scene.layers))


def demand_short(scene: Scene) -> None:
    """Refuse a text whose maps are too many for a film."""
    if (count := shares_of(scene)) > LABELLED:
        raise UsageError(
            f"the maps of this text have {count:,} shares, and a film takes {LABELLED:,}", remedy="Take a shorter text."
        )


@torch.no_grad()
def likely(read: Read) -> float | None:
    """How probable a model finds what was written: the geometric mean of its tokens, or the first class."""
    if not read.asked:
        return None
    scores = read.example.logits().log_softmax(-1)
    asked = read.asked if read.writes else read.asked[:1]
    each = [(scores if one.at is None else scores[one.at])[one.index] for one in asked]
    return float(torch.stack(each).mean().exp())
