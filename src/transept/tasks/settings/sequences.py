"""What a recipe says of answering sequences of bits by an algorithm."""

from __future__ import annotations

from typing import Literal

from transept.data.config import SequencesData
from transept.tasks.settings.recipe import Recipe, Settings


class Judge(Settings):
    """How answers are judged.

    `best`  which measure of the validation decides the best checkpoint: the loss a vector; the "cost" of a sequence in
            bits, -log2 of the probability of its answer; or the "errors" of a sequence, bits that are wrong.
    """

    best: Literal["loss", "cost", "errors"] = "cost"


class SequencesRecipe(Recipe):
    """From sequences that are made on the spot."""

    data: SequencesData = SequencesData()
    evaluate: Judge = Judge()


RECIPE = SequencesRecipe
