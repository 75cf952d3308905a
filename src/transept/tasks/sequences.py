"""Sequences of bits that an algorithm answers: copies, repeated copies, associative recall (Graves et al. 2014)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from transept.data.config import SequencesData
from transept.data.sequences import SPLITS, SequenceBatch, channels, columns, drawn, make
from transept.errors import InvalidConfig, UsageError
from transept.families.declared import declared
from transept.heads.bits import Bits, BitsLayer, wrong
from transept.hub.card import Measure, Record, Text
from transept.hub.directory import save
from transept.inputs.tokens import Tokens
from transept.inputs.vectors import Vectors
from transept.models import Model, ModelLayer
from transept.parts.loss import Loss
from transept.tasks.card import sampled
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.measure import Measured, judging
from transept.tasks.settings.sequences import SequencesRecipe
from transept.tasks.start import started, taken_weights
from transept.topology import Topology, outline


@dataclass(frozen=True)
class SequenceBatches:
    """The batches of one epoch, each made when it is asked for: sequences of one length, as many as are allowed."""

    data: SequencesData
    split: int
    epoch: int
    budget: int

    def __len__(self) -> int:
        return self.data.batches

    def _sizes(self, index: int) -> tuple[int, int, int]:
        length, repeats = drawn(self.data, (self.split, self.epoch, index))
        fitting = self.budget // columns(self.data, length, repeats)
        return min(self.data.rows, max(1, fitting)), length, repeats

    def __getitem__(self, index: int) -> SequenceBatch:
        return make(self.data, *self._sizes(index), (self.split, self.epoch, index, 1))

    def largest(self) -> int:
        """The batch with the most columns, which are steps that a recurrent model keeps."""
        sizes = [self._sizes(index) for index in range(len(self))]
        return max(range(len(sizes)), key=lambda index: columns(self.data, *sizes[index][1:]))


class Sequences:
    """The task of a recipe: what is shown and answered, and its model. `say` hears what is found on the way."""

    name, verb, higher, each = "sequences", "", False, "vector"

    def __init__(self, recipe: SequencesRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.data = recipe, recipe.data
        self.score: str = recipe.evaluate.best
        self.begin: dict[str, Tensor] | None = None
        if recipe.start is None:
            self.spec = answering(declared(recipe.model, channels(self.data)[0], where=recipe.where), recipe)
        else:
            stored = started(recipe, say)
            self.spec, self.begin = answering(stored.model.spec, recipe), taken_weights(stored)
            say(f"the model comes from {recipe.start}: model has no say")
        if (limit := self.spec.limit()) is not None and (most := self._columns(max(self._lengths()))) > limit:
            raise InvalidConfig(
                f"a sequence has {most:,} columns, and the model takes {limit:,}",
                where=recipe.where("data.lengths") or recipe.where("data.most"),
            )

    def _columns(self, length: int) -> int:
        return columns(self.data, length, self.data.repeats)

    def _lengths(self) -> list[int]:
        """Every length that is measured."""
        return sorted({*range(self.data.least, self.data.most + 1), *self.data.lengths})

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from."""
        told = f"{self.data.model_dump(exclude={'lengths', 'valid'})!r} {self.recipe.train.batch_tokens}"
        return hashlib.sha256(told.encode()).hexdigest()

    def facts(self) -> dict[str, str]:
        kind = ":".join(str(self.recipe.model[key]) for key in ("family", "size") if key in self.recipe.model)
        shown, answered = channels(self.data)
        unit = "items" if self.data.kind == "recall" else "vectors"
        beyond = f", beyond that {', '.join(map(str, self.data.lengths))}" if self.data.lengths else ""
        return {
            "title": f"{self.data.kind.replace('_', ' ')} · {kind}",
            "data": f"{self.data.least} to {self.data.most} {unit} of {self.data.bits} random bits, made on the spot;"
            f" measured on {self.data.valid} of each length{beyond}",
            "sequence": f"{shown} numbers a column, {answered} bits answered, {self._columns(self.data.most)} columns"
            " at most",
        }

    def trial(self) -> list[tuple[str, str]]:
        """A short sequence as it is shown and answered."""
        batch = make(self.data, 1, max(self.data.least, 2), self.data.repeats, (SPLITS.index("valid"), 0))
        return [("shown", _said(batch.inputs[0])), ("answered", _said(batch.labels[0][batch.told[0]]))]

    def build(self) -> nn.Module:
        model = self.spec.build()
        if self.begin is not None:
            model.load_state_dict(self.begin)
        return model

    def batches(self, split: str, epoch: int) -> SequenceBatches:
        number = SPLITS.index(split)
        return SequenceBatches(self.data, number, epoch if split == "train" else 0, self.recipe.train.batch_tokens)

    def loss(self, model: nn.Module, batch: SequenceBatch) -> Loss:
        """The cross-entropy of all bits that are answered; what is counted are vectors."""
        return answered(model, batch)[0]

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss in nats a vector, cost in bits a sequence, errors in bits a sequence, over training's lengths; and cost
        and errors of each other length, as "cost_120"."""
        return measure(model, self.data, split).told()

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        count, found = self.recipe.train.samples, []
        lengths = range(self.data.least, self.data.most + 1)
        with judging(model):
            for i in range(min(count, len(lengths))):
                batch = fixed(self.data, "valid", lengths[len(lengths) * (i + 1) // count - 1])
                _, logits = answered(model, batch.to(next(model.parameters()).device))
                due = batch.told[0]
                answer = (logits[0].cpu() > 0)[due]
                found.append(
                    {
                        "source": _said(batch.inputs[0][~due]),
                        "reference": _said(batch.labels[0][due]),
                        "output": _said(answer.float()),
                    }
                )
        return found

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        save(directory, model, card=None if record is None else self._card(model, record))

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        found = measure(model, self.data, "valid")
        names = {"loss": "loss, nats a vector", "cost": "cost, bits a sequence", "errors": "wrong bits a sequence"}
        measures = []
        for name, value in found.told().items():
            word, _, length = name.partition("_")
            measures.append(Measure(names[word] + (f" of length {length}" if length else ""), "valid", value))
        count = self.data.valid * len(found.inside)
        return Record(
            title=str(told["data"]["title"]),
            does=f"It answers sequences of bits by an algorithm: {self.data.kind.replace('_', ' ')}.",
            facts=told["data"],
            texts=[Text("valid", "made on the spot", count, "sequences")],
            measures=measures,
            curve=told["curve"],
            score=told["score"],
            samples=sampled(self, model),
            command=told["command"],
            recipe=told["recipe"],
            versions=told["versions"],
            notes=[f"{told['tokens']:,} vectors were answered in {told['seconds']:,.0f} seconds of training."],
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The sequences that `transept eval` scores a model on, those of its recipe. Raises UsageError without one."""
        if asked.data:
            raise UsageError("these sequences are made on the spot, and no file holds them", remedy="Leave --data out.")
        split, recipe = asked.choose(True), asked.recipe
        assert isinstance(recipe, SequencesRecipe)
        answering(subject.model.spec, recipe)
        count = recipe.data.valid * len({*range(recipe.data.least, recipe.data.most + 1), *recipe.data.lengths})

        def take() -> Measured:
            return measure(subject.model, recipe.data, split).as_measured()

        return Exam(split, "sequences", [], count, take, searched=False, answers=False)


def answering(spec: Topology, recipe: SequencesRecipe) -> Model:
    """A model that reads vectors and answers bits: what a recipe declares, its words in and out replaced by them.

    So every family with one stack that looks back alone can be compared. Raises InvalidConfig where it has none, and
    where a model of vectors has other channels.
    """
    named = recipe.where("model.family") if recipe.start is None else recipe.start
    if not isinstance(spec, Model) or not spec.stack.causal:
        raise InvalidConfig(
            "sequences are answered by one stack that looks back alone, and this model has none",
            where=named,
            remedy="Take another family, or the form that writes without a source: model.form=language_model.",
        )
    shown, bits = channels(recipe.data)
    if isinstance(spec.embed, Tokens):
        entry = Vectors(shown, spec.embed.position, spec.embed.dropout)
        spec = replace(spec, embed=entry, head=Bits(bits))
    if not isinstance(spec.embed, Vectors) or not isinstance(spec.head, Bits):
        raise InvalidConfig("this model does not read vectors and answer bits", where=named)
    if (spec.embed.size, spec.head.count) != (shown, bits):
        raise InvalidConfig(
            f"data.kind {recipe.data.kind} shows {shown} numbers and asks for {bits} bits, and the model reads"
            f" {spec.embed.size} and answers {spec.head.count}",
            where=recipe.where("model.channels") or recipe.where("model.size") or named,
            remedy=f"Set model.channels={shown} model.bits={bits}.",
        )
    outline(spec)  # what cannot be built is refused now, and without its memory
    return spec


def answered(model: nn.Module, batch: SequenceBatch) -> tuple[Loss, Tensor]:
    """The loss of a batch, and the scores of its bits, (B, S, O)."""
    assert isinstance(model, ModelLayer)
    assert isinstance(model.head, BitsLayer)
    states, entered = model.hidden(batch.inputs)
    logits = model.head(states, entered)
    return model.head.loss(logits, batch.labels, batch.told), logits


def fixed(data: SequencesData, split: str, length: int) -> SequenceBatch:
    """The sequences of a length that are measured: as often repeated as training has at the most."""
    repeats = data.repeats if data.kind == "repeat_copy" else 1
    return make(data, data.valid, length, repeats, (SPLITS.index(split), length))


@dataclass(frozen=True)
class Answers:
    """What was measured of each length: nats of all its sequences, vectors answered, bits that were wrong.

    `inside` are training's lengths, `beyond` the others that were asked for; `count` is the sequences of each.
    """

    inside: Mapping[int, tuple[float, int, int]]
    beyond: Mapping[int, tuple[float, int, int]]
    count: int

    def told(self) -> dict[str, float]:
        nats, vectors, errors = (sum(column) for column in zip(*self.inside.values(), strict=True))
        all_of_them = self.count * len(self.inside)
        told = {"loss": nats / vectors, "cost": nats / math.log(2) / all_of_them, "errors": errors / all_of_them}
        for length, (own, _, missed) in self.beyond.items():
            told |= {f"cost_{length}": own / math.log(2) / self.count, f"errors_{length}": missed / self.count}
        return told

    def as_measured(self) -> Measured:
        told = self.told()
        return Measured(
            told.pop("loss"), sum(vectors for _, vectors, _ in self.inside.values()), [], {}, told, "vector"
        )


def measure(model: nn.Module, data: SequencesData, split: str) -> Answers:
    """How well a model answers sequences of each length."""
    device, own = next(model.parameters()).device, range(data.least, data.most + 1)
    found = dict[int, tuple[float, int, int]]()
    with judging(model):
        for length in sorted({*own, *data.lengths}):
            batch = fixed(data, split, length).to(device)
            loss, logits = answered(model, batch)
            found[length] = (float(loss.nll), loss.count, int(wrong(logits, batch.labels, batch.told).sum()))
    inside = {length: found[length] for length in own}
    return Answers(inside, {length: found[length] for length in data.lengths}, data.valid)


def _said(vectors: Tensor) -> str:
    """Bits in a line, a vector a word; a number that is no bit is written out."""
    words = []
    for vector in vectors.tolist():
        words.append("".join(f"{bit:.0f}" if bit in (0.0, 1.0) else f"({bit:.2f})" for bit in vector))
    return " ".join(words)


TASK = Sequences
