"""What a recipe says of denoising: an encoder reads text with noise, and a decoder writes what was there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from transept.data.config import TextsData
from transept.decode.config import Search
from transept.tasks.settings.masked import Told
from transept.tasks.settings.recipe import Recipe, Settings

Kind = Literal["spans", "permute", "rotate", "mask", "delete", "infill"]


class Noise(Settings):
    """What is done to a text, drawn anew each time it is read.

    `kinds`   "spans" alone: T5's, each span under a sentinel, and the decoder writes the spans (Raffel et al. 2020). Or
              any of BART's, in the order in which they are done, and the decoder writes the whole text (Lewis et al.
              2020): "permute" sentences, "mask" tokens, "delete" them, "infill" spans of them, "rotate" the text.
    `rate`    the share of tokens that spans, masks, deletions and infilling take.
    `span`    the mean length of a span, in tokens, or in words where those are "whole".
    `permute` the share of the sentences that are moved.
    `rotate`  the share of the texts that are rotated.
    `random`  the share of masks that are a token drawn among all.
    `words`   what infilling counts: "whole" words, as fairseq, or "pieces", each token.
    `sentences`  where one ends: at the end of a "line", or behind a "stop" too.
    """

    kinds: list[Kind] = Field(default=["spans"], min_length=1)
    rate: float = Field(default=0.15, gt=0, lt=1)
    span: float = Field(default=3.0, gt=0)
    permute: float = Field(default=1.0, gt=0, le=1)
    rotate: float = Field(default=1.0, gt=0, le=1)
    random: float = Field(default=0.0, ge=0, le=1)
    words: Literal["pieces", "whole"] = "whole"
    sentences: Literal["line", "stop"] = "stop"

    @model_validator(mode="after")
    def _one_kind_of_target(self) -> Noise:
        if "spans" in self.kinds and len(self.kinds) > 1:
            raise ValueError("spans have a target of their own, and go with no other kind of noise")
        if "permute" in self.kinds[1:]:
            raise ValueError("permute comes first: after other noise nobody knows where sentences are")
        if len(set(self.kinds)) != len(self.kinds):
            raise ValueError("a kind of noise is named twice")
        if self.kinds == ["spans"] and self.span < 1:
            raise ValueError(f"a span of {self.span:g} tokens corrupts none")
        return self


class DenoisingRecipe(Recipe):
    """From running text."""

    data: TextsData = TextsData(rows="padded")
    noise: Noise = Noise()
    search: Search = Search(method="greedy", max_ratio=1.0, max_extra=16)
    evaluate: Told = Told()


RECIPE = DenoisingRecipe
