"""What a recipe says of a translation."""

from __future__ import annotations

from typing import Literal

from transept.data.config import PairsData
from transept.decode.config import Search
from transept.tasks.settings.recipe import Recipe, Settings

Tokenize = Literal["13a", "none", "intl", "char", "zh", "ja-mecab", "ko-mecab", "spm", "flores101", "flores200"]


class Written(Settings):
    """How texts that a model writes are scored.

    `tokenize`  sacreBLEU's tokeniser: "13a" for plain text, "none" for text that is tokenised already.
    `search`    how they are written while training: "greedy", or the "same" as `search`.
    """

    tokenize: Tokenize = "13a"
    search: Literal["greedy", "same"] = "greedy"

    def searching(self, search: Search) -> Search:
        """How texts are written while training: by the recipe's own search, or by one hypothesis within its limits."""
        if self.search == "same":
            return search
        return Search(method="greedy", **search.model_dump(include={"max_ratio", "max_extra", "batch_tokens"}))


class Evaluate(Written):
    """The same of translations, and of descriptions of pictures.

    `best`      which score of the validation decides the best checkpoint.
    """

    best: Literal["bleu", "chrf", "exact_match", "loss", "ppl"] = "bleu"


class TranslationRecipe(Recipe):
    """From pairs of texts."""

    data: PairsData = PairsData()
    search: Search = Search()
    evaluate: Evaluate = Evaluate()


RECIPE = TranslationRecipe
