"""Spans that are hidden at random, so that a model learns to tell them from what is around."""

import torch
from torch import Tensor

from transept.errors import InvalidConfig
from transept.spec import Part


class Masking(Part):
    """`share` of the places are drawn to be hidden, in spans of `span`, at least `least` spans of them in a row.

    The spans begin at different places and may overlap, so that fewer are hidden in the end: with wav2vec 2.0's share
    of 0.65 and spans of 10, half of them (Baevski et al. 2020, section 4.2). SpecAugment hides in the same way
    (Park et al. 2019).
    """

    share: float = 0.0
    span: int = 10
    least: int = 0

    def validate(self) -> None:
        self.hold(0, "share", "least")
        if self.share > 1:
            raise InvalidConfig(f"Masking.share is a share of all places, 1 at the most, not {self.share:g}")
        self.hold(1, "span")

    def draw(self, lengths: list[int], size: int, draws: torch.Generator | None = None) -> Tensor:
        """What is hidden, (B, size), true only in the first lengths[i] places of row i. A short row has no span.

        `draws` is the processor's generator, torch's own where there is none.
        """
        hidden = torch.zeros(len(lengths), size, dtype=torch.bool)
        extra = float(torch.rand((), generator=draws))  # so that the share is met in expectation
        for row, length in zip(hidden, lengths, strict=True):
            starts = length - self.span + 1
            count = min(max(int(self.share * length / self.span + extra), self.least), length // self.span)
            if count > 0:
                first = torch.randperm(starts, generator=draws)[:count]
                row[(first[:, None] + torch.arange(self.span)).flatten()] = True
        return hidden
