"""What a recipe says of several tasks that one model learns as text from text."""

from __future__ import annotations

from typing import Literal

from transept.data.config_tables import TablesData
from transept.decode.config import Search
from transept.tasks.settings.recipe import Recipe
from transept.tasks.settings.translation import Written


class Graded(Written):
    """How it is judged.

    `best`  which score of the validation decides the best checkpoint: "mean" is that of the tables' own measures.
    """

    best: Literal["mean", "loss", "ppl"] = "mean"


class TextToTextRecipe(Recipe):
    """From tables that are put into words (Raffel et al. 2020, section 2.4)."""

    data: TablesData
    search: Search = Search(method="greedy", max_ratio=0.0, max_extra=16)
    evaluate: Graded = Graded()


RECIPE = TextToTextRecipe
