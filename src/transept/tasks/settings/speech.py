"""What a recipe says of speech that is written down."""

from __future__ import annotations

from typing import Literal

from transept.data.config_senses import SpokenData
from transept.tasks.settings.classification import Tune
from transept.tasks.settings.recipe import Recipe, Settings


class EvaluateSpeech(Settings):
    """`best`  which score of the validation decides the best checkpoint."""

    best: Literal["wer", "cer", "exact_match", "loss"] = "wer"


class SpeechRecipe(Recipe):
    """From sounds with texts, by connectionist temporal classification. `train.batch_tokens` counts frames."""

    data: SpokenData = SpokenData()
    tune: Tune = Tune()
    evaluate: EvaluateSpeech = EvaluateSpeech()


RECIPE = SpeechRecipe
