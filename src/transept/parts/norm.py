"""Normalisation of one token's features, independent of every other token."""

from typing import Literal

from torch import nn

from transept.spec import Part


class Norm(Part):
    """Layer normalisation (Ba et al. 2016) or root mean square normalisation (Zhang & Sennrich 2019).

    `eps` is added to the variance (to the mean square for "rms") under the root; the variance is the biased one.
    """

    form: Literal["layer", "rms"] = "layer"
    eps: float = 1e-5

    def validate(self) -> None:
        self.hold(0, "eps")

    def build(self, width: int) -> nn.Module:
        return nn.LayerNorm(width, self.eps) if self.form == "layer" else nn.RMSNorm(width, self.eps)
