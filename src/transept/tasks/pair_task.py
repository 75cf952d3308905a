"""What the tasks of an encoder and a decoder have in common, whatever the encoder reads: texts or pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Generic, TypeVar

from torch import Tensor, nn

from transept.data.config import Split
from transept.data.subwords import Subwords
from transept.decode.config import Search
from transept.hub.directory import LONGEST
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.tasks.score import Case
from transept.tasks.settings.captioning import CaptioningRecipe
from transept.tasks.settings.translation import TranslationRecipe
from transept.tasks.start import declared_pair, started_pair

Told = TypeVar("Told", TranslationRecipe, CaptioningRecipe)
Data = TypeVar("Data")


class PairTask(Generic[Told, Data]):
    """A task that writes texts with a vocabulary learned here, with its splits in memory.

    `spec`, `tokenizer` and `begin`, the weights to go on from, are the recipe's own or those of where it starts.
    """

    name = ""
    recipe: Told
    train: Data
    spec: Seq2Seq
    tokenizer: Subwords
    begin: dict[str, Tensor] | None

    def start(self, recipe: Told, texts: Callable[[], Sequence[str]], say: Callable[[str], None]) -> None:
        """Take the recipe, and begin with the model and the vocabulary that it says; one is learned from `texts`."""
        self.recipe, self.say = recipe, say
        self.score: str = recipe.evaluate.best
        self.higher = self.score not in ("loss", "ppl")
        if recipe.start is None:
            self.tokenizer, self.begin = Subwords.train(texts(), recipe.data.vocabulary), None
            self.spec = declared_pair(recipe, self.tokenizer.vocab)
        else:
            self.spec, self.tokenizer, self.begin = started_pair(recipe, say)

    def build(self) -> nn.Module:
        model = self.spec.build()
        if self.begin is not None:
            model.load_state_dict(self.begin)
        return model

    @property
    def longest(self) -> int:
        """The most tokens on a side that the model takes."""
        return self.spec.limit() or max(LONGEST, self.recipe.data.max_length)

    @property
    def kind(self) -> str:
        """The model's family and size, as the recipe names them."""
        return ":".join(str(self.recipe.model[key]) for key in ("family", "size") if key in self.recipe.model)

    def measured(self, split: Split) -> Data:
        """All of a split that models are measured on. Raises InvalidData where something of it does not fit."""
        raise NotImplementedError(type(self).__name__)

    @cached_property
    def valid(self) -> Data:
        return self.measured("valid")

    @cached_property
    def test(self) -> Data:
        return self.measured("test")

    def split(self, name: str) -> Data:
        """What a split has; training's without what is beyond its limits."""
        return {"train": lambda: self.train, "valid": lambda: self.valid, "test": lambda: self.test}[name]()

    @property
    def case(self) -> Case:
        """How what is written and its references are compared: a lower-cased vocabulary writes no capital."""
        return "lower" if self.recipe.data.vocabulary.lower else "mixed"

    def validation_search(self) -> Search:
        """How texts are written while training: within the recipe's limits on length, but one hypothesis."""
        return self.recipe.evaluate.searching(self.recipe.search)

    def pair(self, model: nn.Module) -> Seq2SeqLayer:
        """The model, known for one of two stacks."""
        assert isinstance(model, Seq2SeqLayer), f"{self.name} takes an encoder and a decoder: {type(model).__name__}"
        return model
