"""What every recipe says, whatever its task: where its run is written, the model, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator

from transept.errors import Where
from transept.train.config import TrainConfig, usual


class Settings(BaseModel):
    """A section of a recipe: unknown keys are refused, and no value is bent to a type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Recipe(Settings):
    """A task, where its run is written, and what it is made of. Each task has its own, with the sections that it reads.

    `start`  a model or run directory to go on from: its shape, its weights and its vocabulary are taken.
    """

    task: str = "translation"
    run: str = Field(min_length=1)
    start: str | None = None
    model: dict[str, Any]
    train: TrainConfig

    @field_validator("train")
    @classmethod
    def _adapts_what_is_there(cls, train: TrainConfig, info: ValidationInfo) -> TrainConfig:
        for key in ("lora", "freeze"):
            if getattr(train, key) and info.data.get("start") is None:
                raise ValueError(
                    f"{key} keeps what was learned before, and this run begins at nothing; name a model by --from MODEL"
                )
        return train

    _places: dict[str, Where] = PrivateAttr(default_factory=dict)

    def __eq__(self, other: object) -> bool:  # where it was read is no part of a recipe
        return isinstance(other, Recipe) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]  # a model is a dictionary

    @classmethod
    def plain(cls, batch_tokens: int, **sections: Mapping[str, Any]) -> Self:
        """A recipe of defaults but for some `sections`, to judge a model beside which none lies."""
        task = cls.__module__.rpartition(".")[2]  # each task's recipe stands in the file of its name
        train = {"stop": "1u", "batch_tokens": batch_tokens, "schedule": {"name": "constant", "rate": 1.0}}
        return cls.model_validate({"task": task, "run": "none", "model": {}, "train": train, **sections})

    def where(self, key: str) -> Where | None:
        """Where a dotted key was set, "recipe.yaml:12" or "data.dir=..." as it was typed; None: nowhere."""
        return self._places.get(key)

    def read_from(self, places: dict[str, Where]) -> None:
        """Remember where each dotted key was set."""
        self._places.update(places)

    @classmethod
    def usual(cls) -> dict[str, Any]:
        """What `sections` says where a recipe says nothing of them."""
        return {name: value for name, value in usual(cls).items() if name not in (*Recipe.model_fields, "data")}

    def sections(self) -> dict[str, Any]:
        """What the task has of its own beside its data, as plain data: how it searches and how it is judged."""
        return self.model_dump(mode="json", exclude={*Recipe.model_fields, "data"})
