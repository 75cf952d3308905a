"""What tasks from running text share: their documents, their vocabulary, their model, and how they are told of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from torch import Tensor, nn

from transept.data.config import TextsData
from transept.data.documents import Documents, Sentences, read_documents, read_files
from transept.data.foreign import read_tokenizer
from transept.data.learned import Signs, learn
from transept.data.texts import TokenTexts, tokenise_texts
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.families.declared import declared
from transept.hub.card import Record, Text
from transept.hub.kinds import rows_of
from transept.models import Model, kept_apart
from transept.tasks.card import recorded, sampled, weights_of
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.measure import Measured
from transept.tasks.settings.recipe import Recipe
from transept.tasks.start import called, demand_treeless, started, taken_weights, tokenizer_of
from transept.topology import Topology, outline

LONGEST, BATCH = 512, 4096  # tokens of a row, and of a batch, to judge by where no recipe says
SomeRecipe = TypeVar("SomeRecipe", bound=Recipe)


@dataclass(frozen=True)
class Begun:
    """What a run begins with: a description, a tokenizer, and the weights of a model that was there, else None."""

    spec: Topology
    tokenizer: Tokenizer
    weights: Mapping[str, Tensor] | None = None


class TextTask(Generic[SomeRecipe]):
    """The part of a task that reads running text. A task says what rows are, what is asked, and what is measured."""

    name: ClassVar[str]
    settings: ClassVar[type[Recipe]]
    unit: ClassVar[str] = "documents"
    data: TextsData

    def __init__(self, recipe: SomeRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.say, self.data = recipe, say, _texts_of(recipe)
        self.score: str = _best_of(recipe)
        self.higher = self.score not in ("loss", "ppl", "bits_per_character")
        documents = read_documents(self.data, "train")
        self.begun = self._begin(documents)
        self.spec, self.tokenizer = self.begun.spec, self.begun.tokenizer
        self.check(self.spec, self.tokenizer, recipe.where)
        self.train = self._tokenised(documents)

    # ------------------------------------------------------------------ for a task to say

    def signs(self) -> Signs:
        """The special tokens of a vocabulary that is learned."""
        raise NotImplementedError

    def check(self, spec: Topology, tokenizer: Tokenizer, where: Callable[[str], str | None]) -> None:
        """Refuse a model or a vocabulary that the task cannot train. InvalidConfig names the key."""
        raise NotImplementedError

    def taken(self, spec: Topology) -> Topology:
        """A model that was there, as this task goes on with it."""
        return spec

    def end(self) -> int | None:
        """The token that parts documents in the row of all ids, or None."""
        return None

    def sentences(self) -> Sentences:
        """What the parts of a document are."""
        return "none"

    def measure(self, model: nn.Module, tokens: TokenTexts) -> Measured:
        """What a model is worth on documents."""
        raise NotImplementedError

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        raise NotImplementedError

    # ------------------------------------------------------------------ what is the same for all

    def _begin(self, documents: Documents) -> Begun:
        recipe, settings = self.recipe, self.data.tokenizer
        if recipe.start is not None:
            stored = started(recipe, self.say)
            tokenizer = tokenizer_of(stored, recipe)
            self.say(f"the model and its vocabulary come from {recipe.start}: model and data.tokenizer have no say")
            spec, weights = self.taken(stored.model.spec), taken_weights(stored)
            return Begun(spec, tokenizer, {name: weights[name] for name in outline(spec).state_dict()})
        if settings.file is None:
            tokenizer = learn(self._learned_from(documents), settings, self.signs())
        else:
            tokenizer = tokenizer_at(settings.file, recipe.where("data.tokenizer.file"))
        spec = declared(recipe.model, tokenizer.vocab, least=tokenizer.vocab, where=recipe.where)
        demand_treeless(spec, recipe)
        outline(spec)  # what cannot be built is refused now, and without its memory
        return Begun(spec, tokenizer)

    def _learned_from(self, documents: Documents) -> Sequence[str]:
        """The texts that a vocabulary is learned from: training's; of characters also what is held out of the same
        files, since each must be there, and which there are tells next to nothing of a text."""
        if self.data.tokenizer.kind != "character" or self.data.valid is not None or not self.data.hold_out:
            return documents.texts
        return [*documents.texts, *read_documents(self.data, "valid").texts]

    def _tokenised(self, documents: Documents) -> TokenTexts:
        return tokenise_texts(documents, self.tokenizer, self.end(), self.sentences(), self.data.cache, self.say)

    @cached_property
    def valid(self) -> TokenTexts:
        return self._tokenised(read_documents(self.data, "valid"))

    @cached_property
    def test(self) -> TokenTexts:
        return self._tokenised(read_documents(self.data, "test"))

    def tokens(self, split: str) -> TokenTexts:
        """The documents of a split."""
        found = {"train": lambda: self.train, "valid": lambda: self.valid, "test": lambda: self.test}
        assert split in found, split
        return found[split]()

    @property
    def length(self) -> int:
        """Tokens of a row."""
        return self.data.length

    @property
    def in_batch(self) -> int:
        """Full rows of a batch."""
        return max(self.recipe.train.batch_tokens // self.length, 1)

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: tokens, vocabulary, how rows are made, and the seed."""
        told = {
            "tokenizer": self.tokenizer.fingerprint,
            "rows": [self.length, self.data.rows, self.recipe.train.batch_tokens, self.recipe.train.seed],
            **self.laid_out(),
            "sections": {k: v for k, v in self.recipe.sections().items() if k in ("mask", "noise")},
        }
        return hashlib.sha256((json.dumps(told, sort_keys=True) + self.train.fingerprint).encode()).hexdigest()

    def laid_out(self) -> dict[str, Any]:
        """What else the order of the batches hangs on, where it is not as usual."""
        return {}

    def facts(self) -> dict[str, str]:
        kind = ":".join(str(self.recipe.model[key]) for key in ("family", "size") if key in self.recipe.model)
        chosen = self.data.tokenizer
        made = f"of {chosen.kind}, learned here" if chosen.file is None else f"of {chosen.file}"
        start = self.recipe.start
        made = made if start is None else f"of {called(start)}"
        return {
            "title": f"{self.name} · {kind if start is None else called(start)}",
            "data": f"train {self.train.text.report()}: {len(self.train.ids):,} tokens"
            f" · valid {self.valid.text.report()}: {len(self.valid.ids):,} tokens",
            "vocabulary": f"{self.tokenizer.vocab:,} tokens {made}",
        }

    def trial(self) -> list[tuple[str, str]]:
        """The test split where there is one, what the vocabulary does not know, and the beginning of a text."""
        told = [("test", self.test.text.report())] if self.data.test is not None else []
        unknown = self.tokenizer.unk
        if unknown is not None and unknown != self.tokenizer.eos:  # GPT-2's are one token
            missed = int((np.asarray(self.valid.ids) == unknown).sum())
            told.append(
                ("coverage", f"{missed:,} of {len(self.valid.ids):,} tokens of the validation text are unknown")
            )
        ids = self.valid.document(0)[:12].tolist()
        return [*told, ("reads", f"{' '.join(map(repr, self.tokenizer.tokens(ids)))} …")]

    def build(self) -> nn.Module:
        """The model that is trained, with the weights to go on from where there are such."""
        model = self.trained().build()
        if self.begun.weights is not None:
            model.load_state_dict(self.begun.weights)
        return model

    def trained(self) -> Topology:
        """The description that is trained, of the same weights as `spec`, which is what is handed on."""
        return self.spec

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss, ppl and the task's own."""
        return self.measure(model, self.tokens(split)).values()

    def card(self, model: nn.Module, told: Mapping[str, Any], does: str, typed: bool = True) -> Record:
        """The record for the card. `told` is training's: the keys of `transept.train.finish.write_model`.

        `typed` tells whether the samples are of a kind that a person would type.
        """
        found = recorded(told, self.measure(model, self.valid), self.valid.text.names, weights_of(told))
        splits = (("train", self.train), ("valid", self.valid))
        texts = [Text(split, tokens.text.names, len(tokens), self.unit) for split, tokens in splits]
        samples = sampled(self, model) if typed else []
        lines = [line.strip() for source, _ in samples for line in source.splitlines() if line.strip()]
        return replace(found, does=does, texts=texts, samples=samples, example=lines[0] if lines else "")

    # ------------------------------------------------------------------ `transept eval`

    @classmethod
    def exam(cls, subject: Subject, asked: Asked) -> Exam:
        """The documents that `transept eval` scores a model on. Raises UsageError where the task has no such model."""
        if subject.tokenizer is None:
            raise UsageError("the model has no tokenizer, so no text can be scored", where=subject.path)
        recipe: Any = asked.recipe
        if recipe is None:
            length = min(subject.longest, LONGEST)
            recipe = cls.settings.plain(max(BATCH, length), data={"length": length})
        data = _texts_of(recipe)
        if asked.data:
            name, documents = "data", _named(data.model_copy(update={"dir": None}), asked.data)
        else:
            split = asked.choose(data.test is not None)
            name, documents = split, read_documents(data, split)
        task = cls.judging(recipe, subject, asked.say)
        asked.say(documents.report())
        tokens = task._tokenised(documents)

        def take() -> Measured:
            found: Measured = task.measure(subject.model, tokens)
            return found

        return Exam(name, cls.unit, documents.files, len(tokens), take, searched=False, answers=False)

    @classmethod
    def judging(cls, recipe: Any, subject: Subject, say: Callable[[str], None]) -> Any:
        """The task around a model that is there, to judge it: nothing of training is read."""
        task = cls.__new__(cls)
        task.recipe, task.say, task.data = recipe, say, _texts_of(recipe)
        assert subject.tokenizer is not None
        task.begun = Begun(subject.model.spec, subject.tokenizer)
        task.spec, task.tokenizer = task.begun.spec, task.begun.tokenizer
        try:
            task.check(task.spec, task.tokenizer, lambda key: None)
        except (InvalidConfig, InvalidData) as error:
            raise UsageError(**error.fields(where=subject.path)) from None
        return task


def _texts_of(recipe: Any) -> TextsData:
    assert isinstance(recipe.data, TextsData)
    return recipe.data


def _best_of(recipe: Any) -> str:
    return str(recipe.evaluate.best)


def _named(data: TextsData, names: Sequence[str]) -> Documents:
    """Files of the command line, which start from where you are, not from the recipe's folder."""
    try:
        return read_files(data, names, "--data")
    except InvalidConfig as error:
        raise InvalidData(**error.fields()) from None


def tokenizer_at(file: Path, where: str | None) -> Tokenizer:
    """A tokenizer that is there: in a directory, or in that of a tokenizer.json."""
    folder = file.expanduser()
    folder = folder.parent if folder.is_file() else folder
    if not folder.is_dir() or (found := read_tokenizer(folder)) is None:
        raise InvalidConfig(
            f"there is no tokenizer at {file}",
            key="data.tokenizer.file",
            where=where,
            remedy="Name a model directory, or a folder with a tokenizer.json.",
        )
    return found


def demand_rows(recipe: Recipe, data: TextsData, spec: Topology, *, follows: bool = False) -> None:
    """Refuse rows that the model cannot read, or that a batch cannot hold; segments, unless the task `follows` them."""
    if data.rows == "segments" and not follows:
        raise InvalidConfig(
            "segments hand on what a model that looks back has seen; the model of this task sees whole rows",
            key="data.rows",
            remedy="Take data.rows=windows.",
        )
    limit = spec.limit()
    if limit is not None and data.length > limit:
        raise InvalidConfig(
            f"a row has {data.length:,} tokens, and the model has {limit:,} positions",
            key="data.length",
            remedy=f"Lower it to {limit}, or raise model.length to {data.length}.",
        )
    if data.length > recipe.train.batch_tokens:
        raise InvalidConfig(
            f"{recipe.train.batch_tokens:,} tokens hold no row of {data.length:,} (data.length)",
            key="train.batch_tokens",
            remedy=f"Raise it: train.batch_tokens={data.length * 16}.",
        )


def demand_apart(data: TextsData, spec: Topology) -> None:
    """Refuse to pack documents for a model that cannot keep them apart."""
    if data.rows != "packed" or not isinstance(spec, Model):
        return
    try:
        outline(kept_apart(spec))
    except InvalidConfig as error:
        raise InvalidConfig(**error.fields(key="data.rows")) from None


def demand_signs(tokenizer: Tokenizer, roles: Sequence[str], task: str, where: str | Path | None) -> None:
    """Refuse a vocabulary without a special token that the task needs."""
    missing = [role for role in roles if role not in tokenizer.special]
    if missing:
        has = ", ".join(tokenizer.special) or "no special tokens"
        raise InvalidConfig(
            f"the tokenizer has no {missing[0]} token, which {task} needs; it has {has}",
            where=where,
            remedy="Take the tokenizer of a model that was trained so, or leave data.tokenizer.file out to learn one.",
        )


def demand_vocabulary(spec: Topology, tokenizer: Tokenizer, where: str | Path | None) -> None:
    """Refuse a vocabulary of more tokens than the model has rows for."""
    rows = rows_of(spec)
    if rows is not None and tokenizer.vocab > rows:
        raise InvalidConfig(f"the tokenizer has {tokenizer.vocab:,} tokens, and the model {rows:,} rows", where=where)
