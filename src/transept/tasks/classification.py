"""Classification: texts, pictures or sounds with labels, the loss of a class, and how often a model is right."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transept.data.pictures import Preparation
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidConfig, UsageError, nearest
from transept.heads.attended import Attended
from transept.heads.classes import Averaged, Classes
from transept.hub.card import Measure, Record, Text
from transept.hub.directory import save
from transept.hub.kinds import reads
from transept.inputs.pictures import across
from transept.models import Model
from transept.parts.loss import Loss, Smoothing
from transept.spec import replace as changed
from transept.tasks.begun import Begun, count_of, declared_model, opened, refused, scoring, taken, tuned
from transept.tasks.card import recorded, results_of, sampled, weights_of
from transept.tasks.classifying import measure_classes, one_stack, task_loss
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.examples import ClassBatch, ClassBatches, Examples
from transept.tasks.grades import often_confused
from transept.tasks.labelled import WRITTEN, How, Kind, Labelled, prepared_by
from transept.tasks.measure import Measured, judging
from transept.tasks.score import RESAMPLES
from transept.tasks.settings.classification import ClassificationRecipe
from transept.tasks.splits import chosen
from transept.tasks.stack_task import StackTask
from transept.tasks.texts import demand_vocabulary
from transept.tasks.worded import told_of_rows

SCORING = Classes | Attended | Averaged
VERBS: dict[Kind, str] = {"pictures": "see", "sound": "hear", "text": "classify", "documents": "classify"}


class Classification(StackTask[ClassificationRecipe, Examples]):
    """The task of a recipe: its examples, its classes, its model. `say` hears what is found on the way."""

    name, verb, verbs = "classification", "see", tuple(dict.fromkeys(VERBS.values()))
    each = "example"

    def __init__(self, recipe: ClassificationRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.say = recipe, say
        numbers = recipe.classify.target == "number"
        self.score: str = recipe.evaluate.best or ("pearson" if numbers else "accuracy")
        self.higher = self.score != "loss"
        stored = opened(recipe, say)
        was = stored.model.spec if stored else self._declared(2)
        assert isinstance(was, Model)
        kind = kind_of(was, recipe)
        self.verb = VERBS[kind]
        data = Labelled(recipe, kind, say)
        self.labels, count = data.names, max(len(data.names), 1)
        tokenizer = data.tokenizer(stored, was.stack.causal) if kind in WRITTEN else None
        if stored is None:
            vocab = tokenizer.vocab if tokenizer else 2
            if "labels" in recipe.model and not numbers:
                data.demand_count(count_of(self._declared(count).head))
            self.begun = Begun(tuned(self._declared(count, vocab), recipe.tune, recipe))
        else:
            whole = isinstance(was.head, SCORING) and (
                stored.labels == self.labels or (numbers and count_of(was.head) == 1)
            )
            head = was.head if whole else scoring(was, count, stored.beside.get("model_type"))
            spec = tuned(changed(was, head=head, second=None), recipe.tune, recipe)
            self.begun = taken(stored, spec, whole, recipe, say)
        if tokenizer:
            demand_vocabulary(self.spec, tokenizer, recipe.where("model.vocab"))
        self.preparation: How = tokenizer or prepared_by(self.spec, recipe, stored, say)
        self.data = data
        self.train, self.valid = data.examples(self.spec, self.preparation)
        self.weights = self._weights()

    def _declared(self, count: int, vocab: int = 2) -> Model:
        """What the recipe declares for so many classes, with a head that scores them."""
        words = {"labels": count, "vocab": vocab}
        spec = declared_model(self.recipe, words, "classification")
        if not isinstance(spec.head, SCORING):
            spec = declared_model(self.recipe, words | {"head": "classes"}, "classification")
        if not isinstance(spec.head, SCORING):
            raise refused(self.recipe, Classes)
        return spec

    @property
    def counts(self) -> str:
        """What the size of a batch is counted in."""
        if isinstance(self.preparation, Tokenizer):
            return "tokens"
        return "pictures" if isinstance(self.preparation, Preparation) else "frames"

    @property
    def unit(self) -> str:
        """What examples are called."""
        return self.train.source.unit

    def _weights(self) -> Tensor | None:
        """What each class counts for; in the mean over training's examples an example counts for 1."""
        given, names = self.recipe.classify.weights, self.labels
        if given == "equal" or not names:
            return None
        if isinstance(given, dict):
            given = weights_by_name(given, names, self.recipe.where("classify.weights"))
        counts = np.bincount(self.train.own.astype(np.int64), minlength=len(names))
        if given == "balanced":
            if not counts.all():
                name = names[int(np.flatnonzero(counts == 0)[0])]
                raise InvalidConfig(f"no example of training is of the class {name!r}", key="classify.weights")
            weights = 1 / counts
        else:
            weights = np.array(given)
            if len(weights) != len(names):
                raise InvalidConfig(
                    f"classify.weights has {len(weights)} numbers, and there are {len(names)} classes",
                    where=self.recipe.where("classify.weights"),
                    remedy=f"One for each of: {', '.join(names[:12])}.",
                )
        return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)

    @cached_property
    def test(self) -> Examples:
        return self.data.other("test", self.spec, self.preparation)

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: examples, classes, how they are changed, budget and seed."""
        settings = self.recipe.train
        told = (self.train.source.fingerprint, self.labels, settings.batch_tokens, settings.seed)
        digest = hashlib.sha256(repr(told).encode())
        digest.update(np.ascontiguousarray(self.train.rows).data)
        return digest.hexdigest()

    def facts(self) -> dict[str, str]:
        held = " held out" if self.recipe.data.hold else ""
        told = {
            "title": self.title,
            "data": f"train {len(self.train):,} {self.unit} · valid {len(self.valid):,}{held}",
        }
        if isinstance(self.preparation, Preparation):
            how, channels = self.preparation, getattr(self.spec.embed, "channels", 3)
            size = "as they are" if how.size is None else f"{across(how.size)} pixels"
            told["pictures"] = f"{size}, {channels} channel{'s' if channels > 1 else ''}"
        elif isinstance(self.preparation, Tokenizer):
            lengths = self.train.source.lengths(True)[self.train.rows].tolist()
            told["tokens"] = told_of_rows(lengths, self.preparation, self.recipe, self.recipe.data)
        else:
            told["sound"] = f"{self.preparation.rate:,} samples a second"
        if self.labels:
            counts = np.bincount(self.train.own.astype(np.int64), minlength=len(self.labels))
            named = ", ".join(self.labels[:10]) + (", ..." if len(self.labels) > 10 else "")
            told["classes"] = f"{len(self.labels):,} ({named}), {counts.min():,} to {counts.max():,} examples each"
            there = set(self.valid.own.astype(np.int64).tolist())
            if lacking := [name for i, name in enumerate(self.labels) if i not in there]:
                told["valid"] = f"has no example of {', '.join(lacking[:10])}" + (", ..." if lacking[10:] else "")
        return told

    def trial(self) -> list[tuple[str, str]]:
        """The test split, where there is one."""
        return [("test", f"{len(self.test):,} {self.unit}")] if self.recipe.data.test is not None else []

    def batches(self, split: str, epoch: int) -> ClassBatches:
        settings, training = self.recipe.train, split == "train"
        data = self.split(split)
        planned = data.plan(settings.batch_tokens, settings.seed, epoch if training else 0, training)
        return ClassBatches(data, planned, (settings.seed, epoch) if training else None)

    def loss(self, model: nn.Module, batch: ClassBatch) -> Loss:
        settings = self.recipe.train
        weights = None if self.weights is None else self.weights.to(batch.inputs.device)
        return task_loss(
            one_stack(model),
            batch,
            self.train.count,
            Smoothing(settings.smoothing, settings.smoothing_form),
            weights,
            learning=self.updates >= self.recipe.tune.wait,
        )

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss, accuracy, f1 and mcc; of numbers loss, pearson, spearman and rmse."""
        return self.measure(model, split).values()

    def measure(self, model: nn.Module, split: str, resamples: int = 0) -> Measured:
        """Everything about a model on a split, intervals from so many resamples."""
        budget = self.recipe.train.batch_tokens
        return measure_classes(one_stack(model), self.split(split), self.labels, budget, resamples)[0]

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        data = self.valid
        count = min(self.recipe.train.samples, len(data))
        chosen = data.select(np.array([len(data) * i // count for i in range(count)], np.int64))
        with judging(model):
            found, _ = measure_classes(one_stack(model), chosen, self.labels, self.recipe.train.batch_tokens)
        return [
            {"source": chosen.name(row), "reference": self.spoken(chosen, row), "output": output}
            for row, output in enumerate(found.outputs)
        ]

    def spoken(self, data: Examples, row: int) -> str:
        """What is right of an example, in words."""
        return self.labels[int(data.own[row])] if self.labels else f"{data.own[row]:.6g}"

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        card, how = None if record is None else self._card(model, record), self.preparation
        words, processor = (how, None) if isinstance(how, Tokenizer) else (None, how)
        save(directory, model, tokenizer=words, labels=self.labels, processor=processor, card=card)

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        budget, where = self.recipe.train.batch_tokens, self.valid.names()
        found, answers = measure_classes(one_stack(model), self.valid, self.labels, budget, RESAMPLES)
        said = [*weights_of(told, "examples"), results_of()]
        if self.labels and (
            pairs := often_confused(answers.astype(np.int64), self.valid.own.astype(np.int64), self.labels)
        ):
            said.append(f"Most often wrong on the validation split: {', '.join(pairs)}.")
        made = recorded(told, found, where, said)
        loss = "cross-entropy, nats an example" if self.labels else "mean squared error"
        splits = (("train", self.train), ("valid", self.valid))
        kind = "tells the class" if self.labels else "tells a number"
        return replace(
            made,
            does=f"It {kind} of {self.unit}.",
            measures=[*made.measures[:-1], Measure(loss, where, found.loss)],
            texts=[Text(split, data.names(), len(data), self.unit) for split, data in splits],
            samples=sampled(self, model),
            example={"see": "picture.png", "hear": "sound.wav"}.get(self.verb, ""),
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The examples that `transept eval` scores a model on. Raises UsageError where a model classifies none."""
        spec = subject.model.spec
        if not isinstance(spec, Model) or not isinstance(spec.head, SCORING) or reads(spec) not in VERBS:
            raise UsageError("only a model that classifies texts, pictures or sounds is scored so", where=subject.path)
        recipe = asked.recipe
        if recipe is None or not isinstance(recipe, ClassificationRecipe):
            recipe = plain(subject)
        how = subject.tokenizer if reads(spec) in WRITTEN else subject.processor
        if how is None:
            raise UsageError("nobody says how its examples are prepared", where=subject.path)
        which = chosen(asked, recipe.data, "a table or a folder is one")
        names = list(subject.labels) if recipe.classify.target == "class" else None
        recipe = recipe.model_copy(update={"data": which.data.model_copy(update={"classes": names})})
        labelled = Labelled(recipe, kind_of(spec, recipe), asked.say, judged=True)
        data = labelled.examples(spec, how)[1] if which.held else labelled.other(which.split, spec, how)

        def take() -> Measured:
            model, budget = one_stack(subject.model), recipe.train.batch_tokens
            return measure_classes(model, data, subject.labels, budget, RESAMPLES)[0]

        return Exam(which.name, data.source.unit, data.source.files, len(data), take, searched=False)


def kind_of(spec: Any, recipe: ClassificationRecipe) -> Kind:
    """What enters a model; InvalidConfig where it is none of what a class is told of."""
    for kind in VERBS:
        if reads(spec) == kind:
            return kind
    named = recipe.where("model.family") if recipe.start is None else recipe.start
    raise InvalidConfig(
        f"classification is of texts, documents, pictures or sounds here, and this model reads {reads(spec)}",
        where=named,
    )


def weights_by_name(given: Mapping[str, float], names: Sequence[str], where: str | None) -> list[float]:
    """The weight of each class, in order. InvalidConfig names a class that is not there, or that has none."""
    for name in given:
        if name not in names:
            has = f"There are: {', '.join(names[:12])}."
            raise InvalidConfig(
                f"there is no class {name!r}.{nearest(name, names)}", key="classify.weights", where=where, remedy=has
            )
    if missing := [name for name in names if name not in given]:
        raise InvalidConfig(f"classify.weights has nothing for the class {missing[0]!r}", where=where)
    return [given[name] for name in names]


def plain(subject: Subject) -> ClassificationRecipe:
    """What is said of a model without a run beside it: how many examples go together, and whether they are numbers."""
    target = "number" if len(subject.labels) == 1 else "class"
    together = 2048 if isinstance(subject.processor, Preparation) else 20_000
    together = 4096 if reads(subject.model.spec) in WRITTEN else together
    return ClassificationRecipe.plain(together, classify={"target": target})


TASK = Classification
