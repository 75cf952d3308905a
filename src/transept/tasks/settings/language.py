"""What a recipe says of a language model: it tells the next token of running text."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from transept.data.config import TextsData
from transept.decode.config import Search
from transept.tasks.settings.recipe import Recipe, Settings


class Judged(Settings):
    """How a language model is judged.

    `best`    which score of the validation decides the best checkpoint.
    `stride`  of windows: how many new tokens each one scores, with the rest of it to look back on; null: all of them,
              so that the first of a window have little before them.
    `prompt`  tokens of the validation text that a sample goes on from.
    `written` tokens of a sample.
    """

    best: Literal["loss", "ppl", "bits_per_character"] = "loss"
    stride: int | None = Field(default=None, ge=1)
    prompt: int = Field(default=16, ge=1)
    written: int = Field(default=64, ge=1)


class LanguageRecipe(Recipe):
    """From running text."""

    data: TextsData = TextsData()
    search: Search = Search(method="sample", temperature=0.8, top_k=200, max_ratio=0.0, max_extra=256)
    evaluate: Judged = Judged()


RECIPE = LanguageRecipe
