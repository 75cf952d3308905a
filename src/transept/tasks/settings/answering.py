"""What a recipe says of answers that stand in a text."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from transept.data.config_senses import QuestionsData
from transept.tasks.settings.classification import Tune
from transept.tasks.settings.recipe import Recipe, Settings


class EvaluateAnswers(Settings):
    """`best`  which score of the validation decides the best checkpoint; `longest` is the most tokens of an answer."""

    best: Literal["f1", "exact_match", "loss"] = "f1"
    longest: int = Field(default=30, ge=1)


class AnsweringRecipe(Recipe):
    """From questions with contexts in which the answer stands. `train.batch_tokens` counts the tokens of windows."""

    data: QuestionsData = QuestionsData()
    tune: Tune = Tune()
    evaluate: EvaluateAnswers = EvaluateAnswers()


RECIPE = AnsweringRecipe
