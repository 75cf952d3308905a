"""What a recipe says of a masked language model: it tells the tokens that were masked, and whether texts follow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from transept.data.config import TextsData
from transept.tasks.settings.recipe import Recipe, Settings


class Mask(Settings):
    """What is asked of a text (Devlin et al. 2019, section 3.1). Masks are drawn anew each time a text is read.

    `rate`    the share of a row's tokens that are asked for, one at the least.
    `masked`, `drawn`  of those, the share that a mask stands for, and that a token drawn among all stands for; the rest
              stay as they are.
    `words`   what is chosen: "pieces", each token by itself, or "whole" words.
    `second`  what the second head tells of a row of two texts: "next", whether the second follows the first or is from
              another document (BERT); "order", whether they are in their order (ALBERT); "none": rows are one text.
    `sentences`  where the two texts may be parted: at the end of a "line", or behind a "stop" too.
    """

    rate: float = Field(default=0.15, gt=0, lt=1)
    masked: float = Field(default=0.8, ge=0, le=1)
    drawn: float = Field(default=0.1, ge=0, le=1)
    words: Literal["pieces", "whole"] = "pieces"
    second: Literal["none", "next", "order"] = "none"
    sentences: Literal["line", "stop"] = "stop"

    @model_validator(mode="after")
    def _shares(self) -> Mask:
        if self.masked + self.drawn > 1 + 1e-9:
            raise ValueError(f"masked {self.masked:g} and drawn {self.drawn:g} are more than all")
        return self


class Told(Settings):
    """How it is judged: `best` is the score of the validation that decides the best checkpoint."""

    best: Literal["loss", "ppl", "accuracy"] = "loss"


class MaskedRecipe(Recipe):
    """From running text."""

    data: TextsData = TextsData()
    mask: Mask = Mask()
    evaluate: Told = Told()


RECIPE = MaskedRecipe
