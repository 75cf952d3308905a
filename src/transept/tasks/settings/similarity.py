"""What a recipe says of how alike two texts are."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from transept.data.config_senses import PairsOfTexts
from transept.tasks.settings.recipe import Recipe, Settings


class Alike(Settings):
    """How a pair is judged: by the cosine of the vectors of its texts, each read alone (Reimers and Gurevych 2019).

    `scores`  the least and the greatest number of a pair: the cosine is asked for 0 at the one and 1 at the other.
    `pool`    what makes one vector of a text's states: their "mean", that of the "class" token, the first, or the
              "last"; null: as the model's modules.json says, else the mean.
    """

    scores: tuple[float, float] = (0.0, 1.0)
    pool: Literal["mean", "class", "last"] | None = None

    @model_validator(mode="after")
    def _rises(self) -> Alike:
        if not self.scores[0] < self.scores[1]:
            raise ValueError(f"scores {list(self.scores)} must rise")
        return self


class EvaluateSimilarity(Settings):
    """`best`  which score of the validation decides the best checkpoint."""

    best: Literal["spearman", "pearson", "loss"] = "spearman"


class SimilarityRecipe(Recipe):
    """From pairs of texts with a number each, by squared error. `train.batch_tokens` counts the tokens of both."""

    data: PairsOfTexts = PairsOfTexts()
    similarity: Alike = Alike()
    evaluate: EvaluateSimilarity = EvaluateSimilarity()


RECIPE = SimilarityRecipe
