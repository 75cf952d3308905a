"""Answering: where in a text the answer to a question stands, by a score of each token as its first and its last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from transept.data.columnar import spoken
from transept.data.config import Split
from transept.data.config_senses import QuestionsData
from transept.data.listing import place_of
from transept.data.questions import Questions, read_questions
from transept.errors import InvalidConfig, UsageError
from transept.heads.classes import Spans
from transept.hub.card import Measure, Record, Text
from transept.hub.described import headed
from transept.hub.directory import save
from transept.hub.kinds import reads
from transept.models import Model
from transept.parts.loss import Loss
from transept.spec import replace as changed
from transept.tasks.batched import Batches
from transept.tasks.begun import Begun, declared_model, opened, refused, taken, tuned
from transept.tasks.card import recorded, results_of, sampled, weights_of
from transept.tasks.classifying import one_stack
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.examples import ClassBatch
from transept.tasks.labelled import some_of_each_class
from transept.tasks.measure import Measured
from transept.tasks.score import RESAMPLES
from transept.tasks.settings.answering import AnsweringRecipe
from transept.tasks.splits import chosen, read_both
from transept.tasks.stack_task import StackTask
from transept.tasks.texts import demand_vocabulary
from transept.tasks.windows import Windows, measure_answers, span_loss, span_scores
from transept.tasks.worded import tokenizer_for, told_of_rows

EXAM = 4096  # tokens that are scored together, where no recipe says it


class Answering(StackTask[AnsweringRecipe, Windows]):
    """The task of a recipe: its questions, its model. `say` hears what is found on the way."""

    name, verb, counts = "answering", "answer", "tokens"
    each = "end"

    def __init__(self, recipe: AnsweringRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.say = recipe, say
        self.score: str = recipe.evaluate.best
        self.higher = self.score != "loss"
        stored = opened(recipe, say)
        train, valid = read_both(recipe.data, self._read)
        if recipe.data.labels is not None:
            kept = some_of_each_class(np.arange(len(train)), recipe.data.labels, None, recipe.train.seed)
            train = train.select(kept.tolist())
        was = stored.model.spec if stored else self._declared(2)
        assert isinstance(was, Model)
        if reads(was) != "text":
            named = recipe.where("model.family") if recipe.start is None else recipe.start
            raise InvalidConfig(f"answers stand in texts, and this model reads {reads(was)}", where=named)
        texts = [text for one in train.rows for text in (one.question, one.context)] if stored is None else []
        self.tokenizer = tokenizer_for(recipe, recipe.data, stored, texts, was.stack.causal)
        if stored is None:
            self.begun = Begun(tuned(self._declared(self.tokenizer.vocab), recipe.tune, recipe))
        else:
            whole = isinstance(was.head, Spans)
            kind = stored.beside.get("model_type")
            found = was.head if whole else headed(was, "ForQuestionAnswering", 2, kind)
            head = found if isinstance(found, Spans) else Spans()
            spec = tuned(changed(was, head=head, second=None), recipe.tune, recipe)
            self.begun = taken(stored, spec, whole, recipe, say)
        demand_vocabulary(self.spec, self.tokenizer, recipe.where("model.vocab"))
        self.train, self.valid = self._windows(train), self._windows(valid)

    def _read(self, split: Split) -> Questions:
        return read_questions(place_of(self.recipe.data, split), self.say)

    def _declared(self, vocab: int) -> Model:
        spec = declared_model(self.recipe, {"vocab": vocab, "head": "spans"}, "answering")
        if not isinstance(spec.head, Spans):
            raise refused(self.recipe, Spans)
        return spec

    def _windows(self, questions: Questions) -> Windows:
        data = self.recipe.data
        return Windows.made(questions, self.tokenizer, self.spec, data.length, data.together)

    @cached_property
    def test(self) -> Windows:
        return self._windows(self._read("test"))

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: questions, vocabulary, windows, budget and seed."""
        settings, data = self.recipe.train, self.recipe.data
        told = (self.train.questions.fingerprint, self.tokenizer.fingerprint, data.length, data.together)
        return hashlib.sha256(repr((told, settings.batch_tokens, settings.seed)).encode()).hexdigest()

    def facts(self) -> dict[str, str]:
        held = " held out" if self.recipe.data.hold else ""
        counted = [f"{len(data):,} questions in {len(data.rows):,} windows" for data in (self.train, self.valid)]
        without = int((self.train.places[:, 0] == 0).sum())
        return {
            "title": self.title,
            "data": f"train {counted[0]}, {without:,} without an answer · valid {counted[1]}{held}",
            "tokens": told_of_rows(self.train.lengths.tolist(), self.tokenizer, self.recipe, self.recipe.data),
        }

    def trial(self) -> list[tuple[str, str]]:
        """The test split where there is one."""
        return [("test", f"{len(self.test):,} questions")] if self.recipe.data.test is not None else []

    def batches(self, split: str, epoch: int) -> Batches[ClassBatch]:
        settings, training = self.recipe.train, split == "train"
        data = self.split(split)
        return Batches(data, data.plan(settings.batch_tokens, settings.seed, epoch if training else 0, training))

    def loss(self, model: nn.Module, batch: ClassBatch) -> Loss:
        """The mean of the cross-entropies of an answer's first and last token, summed over windows."""
        scores = span_scores(one_stack(model), batch, learning=self.updates >= self.recipe.tune.wait)
        return span_loss(scores, batch.targets)

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss, exact_match and f1 of words."""
        return self.measure(model, split).values()

    def measure(self, model: nn.Module, split: str, resamples: int = 0) -> Measured:
        """Everything about a model on a split, intervals from so many resamples."""
        data = self.split(split)
        return self._measured(model, data, data.unanswered, resamples)

    def _measured(self, model: nn.Module, data: Windows, unanswered: bool, resamples: int = 0) -> Measured:
        budget, longest = self.recipe.train.batch_tokens, self.recipe.evaluate.longest
        return measure_answers(one_stack(model), data, budget, longest, unanswered, resamples)

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        data = self.valid
        count = min(self.recipe.train.samples, len(data))
        shown = data.select([len(data) * i // count for i in range(count)])
        found = self._measured(model, shown, data.unanswered)
        return [
            {"source": one.question, "reference": one.answers[0][1] if one.answers else "", "output": output}
            for one, output in zip(shown.questions.rows, found.outputs, strict=True)
        ]

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        save(directory, model, tokenizer=self.tokenizer, card=None if record is None else self._card(model, record))

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        found, where = self.measure(model, "valid", RESAMPLES), spoken(self.valid.questions.source)
        made = recorded(told, found, where, [*weights_of(told, "windows"), results_of("by the likeliest span")])
        splits = (("train", self.train), ("valid", self.valid))
        return replace(
            made,
            does="It finds the answer to a question in a text.",
            measures=[*made.measures[:-1], Measure("cross-entropy, nats an end", where, found.loss)],
            texts=[Text(split, spoken(data.questions.source), len(data), "questions") for split, data in splits],
            samples=sampled(self, model),
            example="Who wrote this?",
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The questions that `transept eval` scores a model on. Raises UsageError where a model finds no answers."""
        spec = subject.model.spec
        if not isinstance(spec, Model) or not isinstance(spec.head, Spans) or subject.tokenizer is None:
            raise UsageError("only a model of one stack that finds answers is scored so", where=subject.path)
        recipe = asked.recipe if isinstance(asked.recipe, AnsweringRecipe) else AnsweringRecipe.plain(EXAM)

        def read(data: QuestionsData, split: Split) -> Questions:
            return read_questions(place_of(data, split), asked.say)

        which = chosen(asked, recipe.data, "questions are one file")
        found = which.read(read)
        data = Windows.made(found, subject.tokenizer, spec, recipe.data.length, None)

        def take() -> Measured:
            settings, longest = recipe.train, recipe.evaluate.longest
            return measure_answers(
                one_stack(subject.model), data, settings.batch_tokens, longest, data.unanswered, RESAMPLES
            )

        return Exam(which.name, "questions", (found.source,), len(data), take, searched=False)


TASK = Answering
