"""One row that a model reads, with its tokens and words, and an output of it that is asked about.

Everything that explains an output takes an `Example` and a `Choice`. `transept.load(...).explain(text)` makes one of a
text or of a picture; made by hand, it needs no tokenizer.

Shapes: S tokens of the source, T of the target, V vocabulary, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from transept.errors import UsageError
from transept.inspect.words import Word
from transept.models import ModelLayer, Seq2SeqLayer
from transept.topology import Built, Output

Measure = Literal["logit", "logprob", "probability"]


@dataclass(frozen=True)
class Row:
    """What one side reads: `inputs` (1, S) token ids (or a picture, or sound, as the input part takes it).

    `tokens` are S names, as the vocabulary spells them, and `words` which of them are a word. A target begins with the
    token that opens it, so that the token at 3 is predicted by the column before it.
    """

    inputs: Tensor
    tokens: Sequence[str]
    words: Sequence[Word] = ()
    text: str = ""

    @staticmethod
    def of(ids: Sequence[int], tokens: Sequence[str] | None = None) -> "Row":
        """A row of token ids, each a word of its own."""
        names = [str(one) for one in ids] if tokens is None else list(tokens)
        return Row(torch.tensor([list(ids)]), names, [Word(name, 0, 0, (at,)) for at, name in enumerate(names)])

    @property
    def parked(self) -> list[int]:
        """The words that are no content: what stands around the text, and its signs."""
        return [at for at, word in enumerate(self.words) if word.special or word.is_sign]


@dataclass(frozen=True)
class Choice:
    """An output: class or token `index`, in column `at` of the scores, None where a whole row is scored.

    `against` is another one: then what is explained is why this one rather than that, the difference of the two.
    """

    index: int
    at: int | None = None
    against: int | None = None


@dataclass(frozen=True)
class Example:
    """A row (two, for a model of two stacks) with the model that reads it. `more` is what else its input part takes.

    `right` is what is right, where a text that is written does not say it: a class (), a number (), or (T,) tokens.
    """

    model: Built
    source: Row
    target: Row | None = None
    more: Mapping[str, Tensor] = field(default_factory=dict)
    right: Tensor | None = None

    def __post_init__(self) -> None:
        if isinstance(self.model, Seq2SeqLayer) != (self.target is not None):
            raise UsageError("an example has a target where the model has two stacks, and only there")

    @property
    def sides(self) -> dict[str, Row]:
        """What is read, by the side that reads it."""
        return {"source": self.source} | ({} if self.target is None else {"target": self.target})

    def output(self) -> Output:
        """One pass in evaluation mode."""
        model, training = self.model, self.model.training
        model.train(False)
        try:
            if self.target is not None:
                return model(self.source.inputs.to(model.device), self.target.inputs.to(model.device))
            assert isinstance(model, ModelLayer)
            return model(self.source.inputs.to(model.device), **{k: v.to(model.device) for k, v in self.more.items()})
        finally:
            model.train(training)

    def logits(self) -> Tensor:
        """The scores: (T, V), or (C,) where a whole row is scored."""
        return self.output().logits[0].float()

    def score(self, choice: Choice, measure: Measure = "probability") -> Tensor:
        """A number for an output, with its gradient where gradients are on: its logit, log-probability or probability.

        Of a choice against another it is the difference of their logits (which is that of their log-probabilities), or
        of their probabilities.
        """
        return scored(self.logits(), choice, measure)

    def probability(self, choice: Choice) -> Tensor:
        """How probable an output is."""
        return self.score(choice)

    @torch.no_grad()
    def best(self, at: int | None = None) -> Choice:
        """The likeliest output of a column, or of the row."""
        logits = self.logits()
        if (at is None) == (logits.dim() == 2):
            raise UsageError("`at` is the column that scores a token; a row that is scored as a whole has none")
        return Choice(int(logits[at].argmax() if at is not None else logits.argmax()), at)

    def predicted(self, token: int) -> Choice:
        """The choice that a token of the target (or of a text that is continued) was: the column before it made it."""
        row = self.source if self.target is None else self.target
        if not 1 <= token < len(row.tokens):
            raise UsageError(f"tokens 1 to {len(row.tokens) - 1} were predicted here, not {token}")
        return Choice(int(row.inputs[0, token]), token - 1)


def scored(logits: Tensor, choice: Choice, measure: Measure) -> Tensor:
    """A number for an output of scores (T, V) or (C,). Raises UsageError for one that is not there."""
    if (choice.at is None) == (logits.dim() == 2):
        what = (
            "a column for each token: say which by at" if choice.at is None else "one for the whole row: leave at out"
        )
        raise UsageError(f"the scores of this model are {what}")
    if choice.at is not None:
        if not -len(logits) <= choice.at < len(logits):
            raise UsageError(f"column {choice.at} is not among the {len(logits)} that are scored")
        logits = logits[choice.at]
    for index in (choice.index, choice.against):
        if index is not None and not 0 <= index < len(logits):
            raise UsageError(f"output {index} is not among the {len(logits)} that are scored")
    if measure == "logit" or (measure == "logprob" and choice.against is not None):
        values = logits
    else:
        values = logits.log_softmax(-1) if measure == "logprob" else logits.softmax(-1)
    return values[choice.index] if choice.against is None else values[choice.index] - values[choice.against]
