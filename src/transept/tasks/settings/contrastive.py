"""What a recipe says of learning from sounds alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from transept.data.config_senses import SpeechData
from transept.tasks.settings.recipe import Recipe, Settings


class Contrast(Settings):
    """How codes are drawn, and how fast the features learn (Baevski et al. 2020, section 4.2).

    `temperature`  of the draws, where it begins; `decay` at each update, down to `floor`.
    `features`     by how much the gradient of the convolutions over sound is scaled.
    """

    temperature: float = Field(default=2.0, gt=0)
    decay: float = Field(default=0.999995, gt=0, le=1)
    floor: float = Field(default=0.5, gt=0)
    features: float = Field(default=0.1, gt=0)

    @model_validator(mode="after")
    def _falls(self) -> Contrast:
        if self.floor > self.temperature:
            raise ValueError(f"floor {self.floor:g} is above temperature {self.temperature:g}")
        return self

    def at(self, update: int) -> float:
        """The temperature after so many updates."""
        return max(self.temperature * self.decay**update, self.floor)


class EvaluateContrast(Settings):
    """`best`  which score of the validation decides the best checkpoint."""

    best: Literal["loss", "accuracy"] = "loss"


class ContrastiveRecipe(Recipe):
    """From sounds alone. `train.batch_tokens` counts frames."""

    data: SpeechData = SpeechData()
    contrast: Contrast = Contrast()
    evaluate: EvaluateContrast = EvaluateContrast()


RECIPE = ContrastiveRecipe
