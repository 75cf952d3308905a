"""Tagging: a class for each word of a sentence, told by the word's first token."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from transept.data.batches import IGNORED
from transept.data.classes import class_names
from transept.data.columnar import spoken
from transept.data.config import Split
from transept.data.config_senses import TaggedData
from transept.data.listing import place_of
from transept.data.spans import begin_and_go_on
from transept.data.tagged import TaggedTexts, read_tagged
from transept.data.text_batches import TextBatch
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.heads.classes import Tags
from transept.hub.card import Measure, Record, Text
from transept.hub.described import headed
from transept.hub.directory import save
from transept.hub.kinds import reads
from transept.models import Model
from transept.parts.loss import Loss, Smoothing
from transept.spec import replace as changed
from transept.tasks.batched import Batches
from transept.tasks.begun import Begun, declared_model, opened, refused, taken, tuned
from transept.tasks.card import recorded, results_of, sampled, weights_of
from transept.tasks.classifying import class_loss, one_stack
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.labelled import some_of_each_class
from transept.tasks.measure import Measured
from transept.tasks.score import RESAMPLES
from transept.tasks.settings.tagging import TaggingRecipe
from transept.tasks.splits import chosen, read_both
from transept.tasks.stack_task import StackTask
from transept.tasks.tags import TaggedRows, measure_tags, rows_of, word_scores
from transept.tasks.texts import demand_vocabulary
from transept.tasks.worded import tokenizer_for, told_of_rows

EXAM = 4096  # tokens that are scored together, where no recipe says it


class Tagging(StackTask[TaggingRecipe, TaggedRows]):
    """The task of a recipe: its sentences, its tags, its model. `say` hears what is found on the way."""

    name, verb, counts = "tagging", "tag", "tokens"
    each = "word"

    def __init__(self, recipe: TaggingRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.say = recipe, say
        stored = opened(recipe, say)
        train, valid = read_both(recipe.data, self._read)
        if recipe.data.labels is not None:
            kept = some_of_each_class(np.arange(len(train)), recipe.data.labels, None, recipe.train.seed)
            train = train.select(kept.tolist())
        self.labels = names_of(recipe, train)
        spans = begin_and_go_on(self.labels)
        self.score: str = recipe.evaluate.best or ("entity_f1" if spans else "accuracy")
        self.higher = self.score != "loss"
        if self.score == "entity_f1" and not spans:
            raise InvalidConfig(
                f"evaluate.best is entity_f1, and the tags are not those of spans (B-X, I-X, O): {self.labels[0]!r}",
                where=recipe.where("evaluate.best"),
            )
        was = stored.model.spec if stored else self._declared(2, len(self.labels))
        assert isinstance(was, Model)
        if reads(was) != "text":
            named = recipe.where("model.family") if recipe.start is None else recipe.start
            raise InvalidConfig(f"tagging is of texts, and this model reads {reads(was)}", where=named)
        self.tokenizer = tokenizer_for(recipe, recipe.data, stored, train.texts, was.stack.causal)
        if stored is None:
            self.begun = Begun(tuned(self._declared(self.tokenizer.vocab, len(self.labels)), recipe.tune, recipe))
        else:
            whole = isinstance(was.head, Tags) and stored.labels == self.labels
            head = was.head if whole else self._head(was, stored.beside.get("model_type"))
            spec = tuned(changed(was, head=head, second=None), recipe.tune, recipe)
            self.begun = taken(stored, spec, whole, recipe, say)
        demand_vocabulary(self.spec, self.tokenizer, recipe.where("model.vocab"))
        self.train, self.valid = self._rows(train), self._rows(valid)

    def _read(self, split: Split) -> TaggedTexts:
        return read_tagged(place_of(self.recipe.data, split), self.recipe.data, self.say)

    def _declared(self, vocab: int, count: int) -> Model:
        words = {"vocab": vocab, "labels": count, "head": "tags"}
        spec = declared_model(self.recipe, words, "tagging", trees=True)
        if not isinstance(spec.head, Tags):
            raise refused(self.recipe, Tags)
        if spec.head.count != count:
            raise InvalidConfig(
                f"model.labels is {spec.head.count}, and there are {count} tags",
                where=self.recipe.where("model.labels"),
                remedy="Leave model.labels out.",
            )
        return spec

    def _head(self, was: Model, kind: str | None) -> Tags:
        count = len(self.labels)
        found = headed(was, "ForTokenClassification", count, kind)
        return found if isinstance(found, Tags) else Tags(count, float(getattr(was.embed, "dropout", 0.0)))

    def _rows(self, texts: TaggedTexts) -> TaggedRows:
        whose = "data.classes" if self.recipe.data.classes is not None else "the training's tags"
        return rows_of(texts, self.tokenizer, self.spec, self.recipe, self.labels, whose, self.say)

    @cached_property
    def test(self) -> TaggedRows:
        return self._rows(self._read("test"))

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: sentences, tags, vocabulary, budget and seed."""
        settings, source = self.recipe.train, self.train.source
        told = (self.train.texts.fingerprint, source.fingerprint, self.labels, settings.batch_tokens, settings.seed)
        if self.train.trees is not None:
            return hashlib.sha256(repr((*told, self.train.trees)).encode()).hexdigest()
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def facts(self) -> dict[str, str]:
        held = " held out" if self.recipe.data.hold else ""
        counted = [f"{len(data):,} sentences of {len(data.tags):,} words" for data in (self.train, self.valid)]
        named = ", ".join(self.labels[:10]) + (", ..." if len(self.labels) > 10 else "")
        return {
            "title": self.title,
            "data": f"train {counted[0]} · valid {counted[1]}{held}",
            "tokens": told_of_rows(
                self.train.source.lengths(True).tolist(), self.tokenizer, self.recipe, self.recipe.data
            ),
            "tags": f"{len(self.labels)} ({named})",
        }

    def trial(self) -> list[tuple[str, str]]:
        """The test split where there is one, tags that the validation has not, and words without a token."""
        told = [("test", f"{len(self.test):,} sentences")] if self.recipe.data.test is not None else []
        there = set(self.valid.tags.tolist())
        if lacking := [name for i, name in enumerate(self.labels) if i not in there]:
            told.append(("valid", f"has no word of {', '.join(lacking)}"))
        if unseen := self.valid.unseen:
            told.append(("valid", f"{unseen:,} words have no token of their own, and count as wrong"))
        return told

    def batches(self, split: str, epoch: int) -> Batches[TextBatch]:
        settings, training = self.recipe.train, split == "train"
        data = self.split(split)
        return Batches(data, data.plan(settings.batch_tokens, settings.seed, epoch if training else 0, training))

    def loss(self, model: nn.Module, batch: TextBatch) -> Loss:
        """Cross-entropy of each word's tag, summed; a word is what it is counted in."""
        settings = self.recipe.train
        scores = word_scores(one_stack(model), batch, learning=self.updates >= self.recipe.tune.wait)
        targets = batch.labels[batch.labels != IGNORED]
        return class_loss(scores, targets, Smoothing(settings.smoothing, settings.smoothing_form))

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss and accuracy; of spans entity_f1, precision and recall."""
        return self.measure(model, split).values()

    def measure(self, model: nn.Module, split: str, resamples: int = 0) -> Measured:
        """Everything about a model on a split, intervals from so many resamples."""
        return measure_tags(one_stack(model), self.split(split), self.recipe.train.batch_tokens, resamples)

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        data = self.valid
        count = min(self.recipe.train.samples, len(data))
        shown = data.select([len(data) * i // count for i in range(count)])
        found = measure_tags(one_stack(model), shown, self.recipe.train.batch_tokens)
        return [
            {"source": text, "reference": " ".join(tags), "output": output}
            for text, tags, output in zip(shown.texts.texts, shown.texts.tags, found.outputs, strict=True)
        ]

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        card = None if record is None else self._card(model, record)
        save(directory, model, tokenizer=self.tokenizer, labels=self.labels, card=card)

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        found, where = self.measure(model, "valid", RESAMPLES), spoken(self.valid.texts.source)
        made = recorded(told, found, where, [*weights_of(told, "words"), results_of("by each word's first token")])
        splits = (("train", self.train), ("valid", self.valid))
        return replace(
            made,
            does="It tells the tag of each word.",
            measures=[*made.measures[:-1], Measure("cross-entropy, nats a word", where, found.loss)],
            texts=[Text(split, spoken(data.texts.source), len(data), "sentences") for split, data in splits],
            samples=sampled(self, model),
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The sentences that `transept eval` scores a model on. Raises UsageError where a model tags none."""
        spec = subject.model.spec
        if not isinstance(spec, Model) or not isinstance(spec.head, Tags) or subject.tokenizer is None:
            raise UsageError("only a model that tags words is scored so", where=subject.path)
        recipe = asked.recipe if isinstance(asked.recipe, TaggingRecipe) else TaggingRecipe.plain(EXAM)

        def read(data: TaggedData, split: Split) -> TaggedTexts:
            return read_tagged(place_of(data, split), data, asked.say)

        which = chosen(asked, recipe.data, "tagged sentences are one file")
        texts = which.read(read)
        data = rows_of(texts, subject.tokenizer, spec, recipe, subject.labels, "the model's tags", asked.say)

        def take() -> Measured:
            return measure_tags(one_stack(subject.model), data, recipe.train.batch_tokens, RESAMPLES)

        return Exam(which.name, "sentences", (texts.source,), len(data), take, searched=False)


def names_of(recipe: TaggingRecipe, train: TaggedTexts) -> tuple[str, ...]:
    """The tags, in order."""
    if recipe.data.classes is not None:
        return tuple(recipe.data.classes)
    if train.classes:
        return train.classes
    names = class_names([tag for tags in train.tags for tag in tags])
    if len(names) < 2:
        raise InvalidData(f"every tag is {names[0]!r}: there is nothing to tell apart", where=train.where(0))
    return names


TASK = Tagging
