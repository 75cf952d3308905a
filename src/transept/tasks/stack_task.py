"""What the tasks of one stack have in common: where the model begins, its splits, and how many updates were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from torch import nn

from transept.models import Model
from transept.tasks.begun import Begun
from transept.tasks.settings.recipe import Recipe
from transept.tasks.start import called

Told = TypeVar("Told", bound=Recipe)
Data = TypeVar("Data")


class StackTask(Generic[Told, Data]):
    """A task that begins with `begun` and has its splits in memory, training's without what is beyond its limits.

    Its loss depends on how many updates were made, which it counts, and which is saved with the weights: it is what
    `transept.tasks.task.Remembers` asks.
    """

    name = ""
    updates = 0
    notes = 0
    recipe: Told
    begun: Begun
    train: Data
    valid: Data

    @property
    def spec(self) -> Model:
        return self.begun.spec

    def build(self) -> nn.Module:
        """A fresh model, with the weights to go on from where there are such."""
        return self.begun.build()

    @property
    def fresh(self) -> frozenset[str]:
        """The parameters that begin anew, which are trained where all else is only adapted."""
        return self.begun.fresh

    @property
    def test(self) -> Data:
        """The test split, read when it is asked for."""
        raise NotImplementedError(type(self).__name__)

    def split(self, name: str) -> Data:
        """What a split has."""
        return {"train": lambda: self.train, "valid": lambda: self.valid, "test": lambda: self.test}[name]()

    @property
    def title(self) -> str:
        """The task and the model, in a few words."""
        model, start = self.recipe.model, self.recipe.start
        kind = ":".join(str(model[key]) for key in ("family", "size") if key in model)
        return f"{self.name} · {kind if start is None else called(start)}"

    def heed(self, noted: Sequence[float]) -> None:
        self.updates += 1

    def remembered(self) -> dict[str, Any]:
        return {"updates": self.updates}

    def recall(self, kept: Mapping[str, Any]) -> None:
        self.updates = int(kept.get("updates", 0))
