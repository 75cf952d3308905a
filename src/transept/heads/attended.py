"""Classes by what a picture's whole looks at in its places (Jetley et al. 2018).

Shapes: B batch, D width, N places of a level, C its channels.
"""

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.heads.head import Head, HeadLayer
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.memory import Memory
from transept.parts.view import View
from transept.spec import replace


class Attended(Head):
    """[g^1, g^2, ...] W + b, g^s = sum a_i l_i^s, a = softmax_i of how well l_i^s suits the whole g (section 3).

    `channels` are those of the levels that the input hands on. `attend` compares: with `Reference` by the dot product,
    with `Summed` by u . (l + g). g is projected to a level's channels where they are other than its own; it takes no
    part in the classes itself.
    """

    count: int
    channels: tuple[int, ...]
    attend: Attention
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "count")
        self.hold(0, "dropout", below=1)
        if not self.channels or self.attend.source != "memory" or self.attend.project:
            raise InvalidConfig("Attended.attend looks at a level: its source is 'memory', and it projects nothing")

    @property
    def needs_levels(self) -> tuple[int, ...]:
        return self.channels

    def build(self, width: int) -> "AttendedLayer":
        return AttendedLayer(self, width)


class AttendedLayer(HeadLayer):
    def __init__(self, spec: Attended, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.attend = nn.ModuleList(
            replace(spec.attend, project="" if channels == width else "q").build(width, channels)
            for channels in spec.channels
        )
        self.score = nn.Linear(sum(spec.channels), spec.count)

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        """(B, 1, D) -> (B, classes)"""
        assert entered.levels is not None, "an input that hands levels on"
        found = list[Tensor]()
        for attend, level in zip(self.attend, entered.levels, strict=True):
            assert isinstance(attend, AttentionLayer)
            found.append(attend(states, View.of(states, memory=Memory(level)))[:, 0])
        scores: Tensor = self.score(dropout(torch.cat(found, -1), self.spec.dropout if self.training else 0.0))
        return scores
