"""Documents become a vector for each sentence, made of its words by a trunk and an attention.

Shapes: B documents, L sentences, W words, E width of the words' embeddings, D width.
"""

from torch import Tensor

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.inputs.entry import Entry, EntryLayer
from transept.inputs.tokens import Tokens
from transept.parts.entered import Entered
from transept.parts.queried import Queried
from transept.parts.trunk import Trunk
from transept.parts.view import View


class Sentences(Entry):
    """s_i = attention over the states of a sentence's words, of embeddings of `inner` features (Yang et al. 2016, 2.2).

    What leaves the `trunk` of words is the width of the model.
    """

    words: Tokens
    inner: int
    trunk: Trunk
    pool: Queried

    def validate(self) -> None:
        self.hold(1, "inner")

    def limit(self) -> int | None:
        return None  # of sentences; the words of one have the trunk's and the tokens' own

    def build(self, width: int) -> "SentencesLayer":
        if (leaves := self.trunk.leaves(self.inner)) != width:
            raise InvalidConfig(
                f"sentences of {leaves} features cannot enter a model of width {width}", remedy="Make them equal."
            )
        return SentencesLayer(self, width)


class SentencesLayer(EntryLayer):
    def __init__(self, spec: Sentences, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.words = spec.words.build(spec.inner)
        self.trunk = spec.trunk.build(spec.inner)
        self.pool = spec.pool.build(width)

    def forward(
        self, ids: Tensor, valid: Tensor | None = None, positions: Tensor | None = None, **more: Tensor
    ) -> Entered:
        """ids (B, L, W) int64, valid (B, L, W) or None -> x (B, L, D); a sentence is real if a word of it is."""
        if positions is not None or more:
            given = ["positions"] * (positions is not None) + list(more)
            raise UsageError(f"{' and '.join(given)} cannot be given with documents", remedy="Leave it out.")
        if ids.dim() != 3:
            raise InvalidData(f"documents are (rows, sentences, words), not {tuple(ids.shape)}")
        real = None if valid is None else valid.flatten(0, 1)
        x = self.words(ids.flatten(0, 1), real).x  # (B, L, W) -> (B * L, W, E)
        states = self.trunk(x, View.of(x, real, bias=self.trunk.position))
        sentences = self.pool(states, real).unflatten(0, ids.shape[:2])
        return Entered(sentences, None if valid is None else valid.any(-1))
