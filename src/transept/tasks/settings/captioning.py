"""What a recipe says of describing pictures."""

from __future__ import annotations

from pydantic import Field

from transept.data.config import CaptionsData
from transept.decode.config import Search
from transept.tasks.settings.recipe import Recipe, Settings
from transept.tasks.settings.translation import Evaluate


class Attend(Settings):
    """What the loss asks of attention, beside the words (Xu et al. 2015).

    `spread`    lambda of the doubly stochastic penalty, sum over places of (1 - sum over words of weight)^2 (4.2.1).
    `reward`    of hard attention by REINFORCE, how much what was drawn counts by how well it went (equation 12).
    `entropy`   of the same, how much to draw from what is less certain counts.
    """

    spread: float = Field(default=1.0, ge=0)
    reward: float = Field(default=1.0, ge=0)
    entropy: float = Field(default=0.002, ge=0)


class CaptioningRecipe(Recipe):
    """From pictures with texts."""

    data: CaptionsData = CaptionsData()
    attend: Attend = Attend()
    search: Search = Search(max_ratio=0.0)
    evaluate: Evaluate = Evaluate()


RECIPE = CaptioningRecipe
