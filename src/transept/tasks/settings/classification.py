"""What a recipe says of classification: of texts, of pictures, or of whole sounds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from transept.data.config_senses import LabelledData
from transept.tasks.settings.recipe import Recipe, Settings


class Tune(Settings):
    """How a model that was trained before is taken up.

    `wait`    for so many updates the head alone learns.
    `times`, `channels`  of sound: which share of frames and of channels training hides; null: as the model has it.
    """

    wait: int = Field(default=0, ge=0)
    times: float | None = Field(default=None, ge=0, le=1)
    channels: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _frozen_by_training(cls, given: Any) -> Any:
        """Runs of older versions wrote `freeze` out, which nothing but "nothing" may stay of."""
        if not isinstance(given, dict) or "freeze" not in given:
            return given
        names = {"all": "[embed, stack]", "features": "[embed.features]"}.get(str(given["freeze"]), "[NAME, ...]")
        if given["freeze"] != "nothing":
            raise ValueError(f"freeze is train.freeze now, which takes names: train.freeze={names}")
        return {key: value for key, value in given.items() if key != "freeze"}


class Classify(Settings):
    """What is learned of an example.

    `target`   "class", by cross-entropy; "number", by squared error: labels are numbers then.
    `weights`  what an example counts for: "equal"; "balanced", so that every class counts for as much in sum; or a
               number for each class, in order or by its name.
    """

    target: Literal["class", "number"] = "class"
    weights: Literal["equal", "balanced"] | list[float] | dict[str, float] = "equal"

    @model_validator(mode="after")
    def _classes_alone(self) -> Classify:
        if self.target == "number" and self.weights != "equal":
            raise ValueError("weights are of classes, and the target is a number")
        given = list(self.weights.values()) if isinstance(self.weights, dict) else self.weights
        if isinstance(given, list) and (not all(w >= 0 for w in given) or not any(given)):
            raise ValueError(f"weights {self.weights} must be 0 or more, and not all 0")
        return self


class EvaluateClasses(Settings):
    """`best`  which score of the validation decides the best checkpoint; null: accuracy, or pearson for numbers."""

    best: Literal["accuracy", "f1", "mcc", "loss", "pearson", "spearman"] | None = None


class ClassificationRecipe(Recipe):
    """From examples with labels. `train.batch_tokens` counts the tokens of texts, pictures, or the frames of sounds."""

    data: LabelledData = LabelledData()
    classify: Classify = Classify()
    tune: Tune = Tune()
    evaluate: EvaluateClasses = EvaluateClasses()

    @model_validator(mode="after")
    def _fits(self) -> ClassificationRecipe:
        numbers = self.classify.target == "number"
        best = self.evaluate.best
        if best not in (None, "loss") and (best in ("pearson", "spearman")) != numbers:
            raise ValueError(f"evaluate.best is {best}, and classify.target a {self.classify.target}")
        if numbers and self.data.augment.mixup:
            raise ValueError("data.augment.mixup mixes classes, and classify.target is a number")
        return self


RECIPE = ClassificationRecipe
