"""What a decoder's state, its context and the token before become before they are scored."""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.spec import Part


class Readout(Part):
    """One matrix over all that is given, beside each other.

    "maxout": the larger of each pair of 2 `hidden` features (Goodfellow et al. 2013), as Cho et al. 2014 and Bahdanau
    et al. 2015 have. "tanh": Luong et al. 2015, equation 5. "linear": no more than the matrix.
    """

    hidden: int
    form: Literal["maxout", "tanh", "linear"] = "tanh"
    bias: bool = False

    def validate(self) -> None:
        self.hold(1, "hidden")

    def build(self, *widths: int) -> "ReadoutLayer":
        """`widths` are those of what is given."""
        return ReadoutLayer(self, sum(widths))


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
        y: Tensor = self.linear(torch.cat(given, -1))
        if self.spec.form == "maxout":
            return torch.maximum(*y.unflatten(-1, (-1, 2)).unbind(-1))
        return y.tanh() if self.spec.form == "tanh" else y
