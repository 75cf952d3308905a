"""What a decoder's state, its context and the token before become before they are scored."""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.spec import Part


class Readout(Part):
    """One matrix over all that is given, beside each other.

    "maxout": the larger of each pair of 2 `hidden` features (Goodfellow et al. 2013), as Cho et al. 2014 and Bahdanau
    et al. 2015 have. "tanh": Luong et al. 2015, equation 5. "linear": no more than the matrix. "added": the matrix is
    over all but the second given, which is added to what it makes (Xu et al. 2015, equation 7).
    """

    hidden: int
    form: Literal["maxout", "tanh", "linear", "added"] = "tanh"
    bias: bool = False

    def validate(self) -> None:
        self.hold(1, "hidden")

    def build(self, *widths: int) -> "ReadoutLayer":
        """`widths` are those of what is given."""
        if self.form != "added":
            return ReadoutLayer(self, sum(widths))
        if widths[1] != self.hidden:
            raise InvalidConfig(
                f"what is added to a readout of {self.hidden} features has {widths[1]}: make them equal"
            )
        return ReadoutLayer(self, sum(widths) - self.hidden)


class Beside(nn.Module):
    """All that is given, side by side."""

    def forward(self, *given: Tensor) -> Tensor:
        return torch.cat(given, -1)


def joined(readout: Readout | None, *widths: int) -> nn.Module:
    """What reads out what is given of these widths: a readout, or nothing but their being beside each other."""
    return readout.build(*widths) if readout else Beside()


class ReadoutLayer(nn.Module):
    def __init__(self, spec: Readout, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.linear = nn.Linear(width, spec.hidden * (2 if spec.form == "maxout" else 1), spec.bias)

    def forward(self, *given: Tensor) -> Tensor:
        """Each (B, S, ...) -> (B, S, hidden)"""
        if self.spec.form == "added":
            first, added, *others = given
            made: Tensor = self.linear(torch.cat([first, *others], -1))
            return made + added
        y: Tensor = self.linear(torch.cat(given, -1))
        if self.spec.form == "maxout":
            return torch.maximum(*y.unflatten(-1, (-1, 2)).unbind(-1))
        return y.tanh() if self.spec.form == "tanh" else y
