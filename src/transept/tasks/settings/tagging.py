"""What a recipe says of tagging: a class for each word."""

from __future__ import annotations

from typing import Literal

from transept.data.config_senses import TaggedData
from transept.tasks.settings.classification import Tune
from transept.tasks.settings.recipe import Recipe, Settings


class EvaluateTags(Settings):
    """`best`  which score of the validation decides the best checkpoint; null: entity_f1 where tags are of spans (B-X,
    I-X, O), else accuracy."""

    best: Literal["accuracy", "entity_f1", "loss"] | None = None


class TaggingRecipe(Recipe):
    """From sentences with a tag for each word. `train.batch_tokens` counts the tokens of sentences."""

    data: TaggedData = TaggedData()
    tune: Tune = Tune()
    evaluate: EvaluateTags = EvaluateTags()


RECIPE = TaggingRecipe
