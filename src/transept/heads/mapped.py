"""A score for every token by a matrix with gains, over states that are dropped."""

from torch import Tensor

from transept.errors import InvalidConfig
from transept.heads.vocabulary import Vocabulary, VocabularyLayer
from transept.parts.dropout import dropout
from transept.parts.mapped import Weights, mapped


class MappedVocabulary(Vocabulary):
    """A vocabulary's own matrix, with a gain for each token where `weights` are "normalised" (Gehring et al. 2017).

    `dropout` is on the states that it scores.
    """

    weights: Weights = "normalised"
    dropout: float = 0.0

    def validate(self) -> None:
        super().validate()
        self.hold(0, "dropout", below=1)
        if self.tied:
            raise InvalidConfig("MappedVocabulary has a matrix of its own", remedy="Take Vocabulary for a tied one.")

    def build(self, width: int) -> "MappedVocabularyLayer":
        return MappedVocabularyLayer(self, width)


class MappedVocabularyLayer(VocabularyLayer):
    def __init__(self, spec: MappedVocabulary, width: int) -> None:
        super().__init__(spec, width)
        self.drop = spec.dropout
        self.score = mapped(width, spec.size, spec.weights, bias=False, variance=1 - spec.dropout)

    def ready(self, states: Tensor) -> Tensor:
        return super().ready(dropout(states, self.drop if self.training else 0.0))
