"""Letters at every frame, of which connectionist temporal classification makes a text (Graves et al. 2006).

Shapes: B batch, F frames, D width, V letters with the blank among them, L length of the longest text.
"""

from torch import Tensor
from torch.nn import functional as F

from transept.errors import InvalidConfig
from transept.heads.classes import TagsLayer
from transept.heads.head import Head
from transept.parts.entered import Entered
from transept.parts.loss import IGNORED


class Letters(Head):
    """A score for each letter and for the `blank`, which says nothing, at every frame, (B, F, V)."""

    count: int
    blank: int = 0
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "count")
        self.hold(0, "dropout", below=1)
        if not 0 <= self.blank < self.count:
            raise InvalidConfig(f"blank={self.blank} is none of {self.count} letters")

    def build(self, width: int) -> "LettersLayer":
        return LettersLayer(self, width)


class LettersLayer(TagsLayer):
    def __init__(self, spec: Letters, width: int) -> None:
        super().__init__(width, spec.count, spec.dropout)
        self.spec = spec

    def loss(self, states: Tensor, entered: Entered, labels: Tensor) -> Tensor:
        """-log p of each text, (B,): p sums over all ways in which frames may spell it.

        labels (B, L), IGNORED (-100) after the end of a text. Infinite where a text has no way: it is longer than the
        frames, counting one more between two equal letters.
        """
        logs = self(states, entered).float().log_softmax(-1).transpose(0, 1)  # (B, F, V) -> (F, B, V)
        real = labels != IGNORED
        frames = logs.new_full((logs.size(1),), logs.size(0)).long()
        if entered.valid is not None:
            frames = entered.valid.sum(1)
        return F.ctc_loss(
            logs, labels.masked_fill(~real, self.spec.blank), frames, real.sum(1), self.spec.blank, reduction="none"
        )
