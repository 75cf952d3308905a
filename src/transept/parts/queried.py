"""One vector of many states: what a learned query finds among them.

Shapes: B rows, S states, D width.
"""

from torch import Tensor, nn

from transept.parts.attention import Attention
from transept.parts.memory import Memory
from transept.parts.scores import Additive
from transept.parts.view import View
from transept.spec import Part


class Queried(Part):
    """s = sum a_t h_t, a = softmax_t(u . tanh(W h_t + b)), u learned (Yang et al. 2016, equations 5 to 7).

    It is additive attention whose query is nothing: u is the vector that the core scores with. `align` is its width.
    """

    align: int
    attend: Attention = Attention(1, source="memory", core=Additive(), bias="qkv", scale=1.0, project="k")

    def validate(self) -> None:
        self.hold(1, "align")

    def build(self, width: int) -> "QueriedLayer":
        return QueriedLayer(self, width)


class QueriedLayer(nn.Module):
    """`attend.k` is W and b, `attend.core.v` u. The weights are read where those of every attention are."""

    def __init__(self, spec: Queried, width: int) -> None:
        super().__init__()
        self.align = spec.align
        self.attend = spec.attend.build(spec.align, width)

    def forward(self, states: Tensor, valid: Tensor | None) -> Tensor:
        """(B, S, D), (B, S) -> (B, D); zero where nothing is real"""
        query = states.new_zeros(len(states), 1, self.align)
        found: Tensor = self.attend(query, View.of(query, memory=Memory(states, valid)))
        return found[:, 0]
