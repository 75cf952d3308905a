"""What writes text for text: the two stacks that a run begins with, declared by its recipe or taken from a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from transept.data.learned import BART, T5, learn
from transept.data.prompted import Prompted, pairs_of
from transept.data.tokenizer import Tokenizer
from transept.decode.hypothesis import Special
from transept.errors import InvalidConfig
from transept.heads.vocabulary import Vocabulary
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.tasks.settings.text_to_text import TextToTextRecipe
from transept.tasks.start import declared_pair, started, taken_weights, tokenizer_of
from transept.tasks.texts import demand_vocabulary, tokenizer_at


@dataclass(frozen=True)
class Writer:
    """A description, a tokenizer with what begins and ends a target, and the weights of a model that was there."""

    spec: Seq2Seq
    tokenizer: Tokenizer
    special: Special
    pad: int
    weights: Mapping[str, Tensor] | None = None

    @property
    def start(self) -> int:
        """What opens a target."""
        assert self.special.bos is not None
        return self.special.bos

    def build(self) -> Seq2SeqLayer:
        """The model, with the weights to go on from where there are such."""
        model = self.spec.build()
        if self.weights is not None:
            model.load_state_dict(self.weights)
        return model


def declared_writer(recipe: TextToTextRecipe, tables: Sequence[Prompted]) -> Writer:
    """What a recipe declares. A vocabulary is learned on sources and answers, with T5's signs for a T5, else BART's."""
    chosen, is_t5 = recipe.data.tokenizer, recipe.model.get("family") == "t5"
    if chosen.file is not None:
        own = tokenizer_at(chosen.file, recipe.where("data.tokenizer.file"))
    else:
        pairs = pairs_of(tables)
        own = learn(list(dict.fromkeys([*pairs.source, *pairs.target])), chosen, T5 if is_t5 else BART)
    pad, end = own.demand("pad"), own.demand("eos")
    never = dict.fromkeys((pad, own.unk, own.mask))
    start = pad if is_t5 else end  # T5's decoder begins with padding, BART's with the end
    special = Special(start, end, tuple(i for i in never if i not in (None, end)))
    return Writer(declared_pair(recipe, own.vocab), own, special, pad)


def taken_writer(recipe: TextToTextRecipe, say: Callable[[str], None]) -> Writer:
    """The model that a recipe starts from: its shape, its weights, its vocabulary, and the tokens that it knows."""
    stored, start = started(recipe, say), recipe.start
    model, asked = stored.model, stored.generation
    if not isinstance(model, Seq2SeqLayer) or asked is None:
        raise InvalidConfig("the model has no encoder and decoder of texts, as text_to_text needs", where=start)
    own = tokenizer_of(stored, recipe)
    if asked.special.bos is None:
        raise InvalidConfig("nothing says which token opens a target", where=start)
    say(f"the model and its vocabulary come from {start}: model and data.tokenizer have no say")
    return Writer(model.spec, own, asked.special, asked.pad or own.pad or 0, taken_weights(stored))


def demand_room(writer: Writer, recipe: TextToTextRecipe) -> None:
    """Refuse a model that reads or writes no text, a vocabulary or a side that is too large for it."""
    spec, longest, batch = writer.spec, recipe.data.max_length, recipe.train.batch_tokens
    if not isinstance(spec.head, Vocabulary) or spec.source_tokens is None:
        raise InvalidConfig(
            "text_to_text needs an encoder that reads text and a decoder that writes it",
            key="model.family",
            remedy="t5, bart and transformer are such.",
        )
    demand_vocabulary(spec, writer.tokenizer, recipe.where("model.vocab"))
    limit = spec.limit()
    if limit is not None and longest > limit:
        raise InvalidConfig(
            f"{longest:,} tokens, and the model has {limit:,} positions",
            key="data.max_length",
            remedy=f"Lower it to {limit}" + ("." if recipe.start else f", or raise model.length to {longest}."),
        )
    if longest > batch:
        raise InvalidConfig(
            f"{batch:,} tokens hold no side of {longest:,} (data.max_length)",
            key="train.batch_tokens",
            remedy=f"Raise it, or lower data.max_length to {batch}.",
        )
