"""Speech written down: sounds with texts, the loss of connectionist temporal classification, word errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from transept.data.letters import Letters
from transept.decode.ctc import best_path
from transept.errors import InvalidData, UsageError
from transept.heads import letters as spelling_head
from transept.hub.card import Measure, Record, Text
from transept.hub.directory import save
from transept.hub.processor import Hearing
from transept.inputs.waveform import Waveform
from transept.models import Model, ModelLayer
from transept.parts.loss import Loss
from transept.spec import replace as changed
from transept.tasks.begun import Begun, declared_model, demand_sound, hearing_of, opened, refused, taken, tuned
from transept.tasks.card import recorded, results_of, sampled, weights_of
from transept.tasks.classifying import one_stack
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.measure import Measured, judging
from transept.tasks.score import RESAMPLES, exact_match
from transept.tasks.settings.speech import SpeechRecipe
from transept.tasks.spelling import cer, wer
from transept.tasks.splits import chosen
from transept.tasks.stack_task import StackTask
from transept.tasks.utterances import SoundBatch, SoundBatches, Spoken, Utterances

EXAM = 20_000  # frames that are scored together, where no recipe says it


class Speech(StackTask[SpeechRecipe, Utterances]):
    """The task of a recipe: its sounds and texts, its letters, its model. `say` hears what is found on the way."""

    name, verb, counts = "speech", "transcribe", "frames"
    each = "letter"

    def __init__(self, recipe: SpeechRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.say = recipe, say
        self.score: str = recipe.evaluate.best
        self.higher = self.score == "exact_match"
        stored = opened(recipe, say)
        was = stored.model.spec if stored else self._declared(2)
        assert isinstance(was, Model)
        self.hears = hearing_of(stored, recipe.data.rate, recipe, say)
        spoken = Spoken(recipe.data, self.hears, demand_sound(was, recipe).features, ("text",), say)
        train, valid = spoken.both()
        if recipe.data.labels is not None:
            train = train.some_in_all(recipe.data.labels, recipe.train.seed)
        self.spoken, old = spoken, stored.tokenizer if stored else None
        said = [train.text(row) for row in range(len(train))]
        upper = recipe.data.case == "upper"
        goes_on = isinstance(was.head, spelling_head.Letters) and isinstance(old, Letters) and spells(old, said)
        self.letters = old if goes_on and isinstance(old, Letters) else Letters.train(said, upper)
        if stored is None:
            self.begun = Begun(tuned(self._declared(self.letters.vocab), recipe.tune, recipe))
        else:
            head = was.head if goes_on else spelling_head.Letters(self.letters.vocab, dropout=dropped(was))
            spec = tuned(changed(was, head=head, second=None), recipe.tune, recipe)
            self.begun = taken(stored, spec, goes_on, recipe, say)
        self.train, self.valid = train.lettered(self.letters), valid.lettered(self.letters)
        self._tell_strange()

    def _declared(self, letters: int) -> Model:
        spec = declared_model(self.recipe, {"vocab": letters, "head": "letters"}, "speech")
        demand_sound(spec, self.recipe)
        if not isinstance(spec.head, spelling_head.Letters):
            raise refused(self.recipe, spelling_head.Letters)
        return spec

    def _tell_strange(self) -> None:
        """Say which letters of the validation nobody can learn."""
        known = set(self.letters.tokens(range(self.letters.vocab)))
        said = "".join(self.valid.text(row) for row in range(len(self.valid)))
        said = said.upper() if self.letters.upper else said
        if strange := sorted(set(said) - known - {" "}):
            self.say(f"the validation has letters that training has not: {' '.join(strange[:20])}")

    @cached_property
    def test(self) -> Utterances:
        return self.spoken.read("test").lettered(self.letters)

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: sounds, texts, letters, budget and seed."""
        settings = self.recipe.train
        told = f"{self.train.fingerprint} {self.letters.fingerprint} {settings.batch_tokens} {settings.seed}"
        return hashlib.sha256(told.encode()).hexdigest()

    def facts(self) -> dict[str, str]:
        told = heard_facts(self.train, self.valid, self.recipe.data.longest, bool(self.recipe.data.hold))
        signs = "".join(self.letters.tokens(range(5, self.letters.vocab)))
        return {
            "title": self.title,
            **told,
            "letters": f"{self.letters.vocab:,} with the signs around: {signs[:60]}",
        }

    def trial(self) -> list[tuple[str, str]]:
        """The test split where there is one, and three texts through the letters and back."""
        told = [("test", f"{len(self.test):,} sounds")] if self.recipe.data.test is not None else []
        for row in range(min(3, len(self.valid))):
            ids = self.letters.encode(self.valid.text(row))
            told.append(("letters", f"{self.valid.text(row)} -> {self.letters.decode(ids)}"))
        return told

    def batches(self, split: str, epoch: int) -> SoundBatches:
        settings, training = self.recipe.train, split == "train"
        data = self.split(split)
        planned = data.plan(settings.batch_tokens, settings.seed, epoch if training else 0, training)
        return SoundBatches(data, planned, (settings.seed, epoch) if training else None)

    def loss(self, model: nn.Module, batch: SoundBatch) -> Loss:
        """-log p of the texts, summed; a letter is what it is counted in."""
        return ctc_loss(one_stack(model), batch, learning=self.updates >= self.recipe.tune.wait)

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss (nats a letter), wer, cer and exact_match, by the best letter at every frame."""
        return self.measure(model, split).values()

    def measure(self, model: nn.Module, split: str, resamples: int = 0) -> Measured:
        """Everything about a model on a split, intervals from so many resamples."""
        budget = self.recipe.train.batch_tokens
        return measure_speech(one_stack(model), self.split(split), self.letters, budget, resamples)

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        data = self.valid
        count = min(self.recipe.train.samples, len(data))
        chosen = data.select(np.array([len(data) * i // count for i in range(count)], np.int64))
        found = measure_speech(one_stack(model), chosen, self.letters, self.recipe.train.batch_tokens)
        return [
            {"source": chosen.name(row), "reference": chosen.text(row), "output": output}
            for row, output in enumerate(found.outputs)
        ]

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        save(
            directory,
            model,
            tokenizer=self.letters,
            processor=self.hears,
            card=None if record is None else self._card(model, record),
        )

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        where = self.valid.names()
        found = self.measure(model, "valid", RESAMPLES)
        made = recorded(
            told, found, where, [*weights_of(told, "letters"), results_of("by the best letter at every frame")]
        )
        splits = (("train", self.train), ("valid", self.valid))
        return replace(
            made,
            does="It writes down what is said.",
            measures=[*made.measures[:-1], Measure("loss, nats a letter", where, found.loss)],
            texts=[Text(split, data.names(), len(data), "sounds") for split, data in splits],
            samples=sampled(self, model),
            example="speech.wav",
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The sounds that `transept eval` scores a model on. Raises UsageError where a model writes none down."""
        spec, letters, hears = subject.model.spec, subject.tokenizer, subject.processor
        embed = spec.embed if isinstance(spec, Model) and isinstance(spec.head, spelling_head.Letters) else None
        if not isinstance(embed, Waveform):
            raise UsageError(
                "only a model that scores letters at every frame of sound is scored so", where=subject.path
            )
        if not isinstance(letters, Letters) or not isinstance(hears, Hearing):
            raise InvalidData("its letters, or how sound is prepared for it, are not there", where=subject.path)
        recipe = asked.recipe if isinstance(asked.recipe, SpeechRecipe) else SpeechRecipe.plain(EXAM)
        features = embed.features
        which = chosen(asked, recipe.data, "a table or a folder is one")
        spoken = Spoken(which.data, hears, features, ("text",), asked.say)
        data = (spoken.both()[1] if which.held else spoken.read(which.split)).lettered(letters)

        def take() -> Measured:
            budget = recipe.train.batch_tokens
            return measure_speech(one_stack(subject.model), data, letters, budget, RESAMPLES)

        return Exam(which.name, "sounds", data.waves.listing.files, len(data), take, searched=False)


def heard_facts(train: Utterances, valid: Utterances, longest: float, held: bool) -> dict[str, str]:
    """What is said of the sounds at the head of a run."""
    total = len(train.waves) - (len(valid) if held else 0)
    left = total - len(train)
    out = f"; left out: {left:,} longer than {longest:g} seconds (data.longest)" if left else ""
    data = f"train {len(train):,} sounds, {train.seconds / 60:,.1f} minutes{out}"
    rate, hop = train.waves.rate, int(np.prod(train.features.strides))
    return {
        "data": f"{data} · valid {len(valid):,}{' held out' if held else ''}, {valid.seconds / 60:,.1f} minutes",
        "sound": f"{rate:,} samples a second, {rate / hop:.4g} frames a second",
    }


def spells(letters: Letters, texts: list[str]) -> bool:
    """Whether some letters are enough for some texts."""
    return all(letters.unk not in letters.encode(text) for text in texts)


def dropped(spec: Model) -> float:
    """How much of what its head reads a model drops in training; 0 where it says nothing."""
    return float(getattr(spec.head, "dropout", 0.0))


def ctc_loss(model: ModelLayer, batch: SoundBatch, *, learning: bool = True) -> Loss:
    """-log p of each text, summed over the batch; without `learning` no gradient goes below the head."""
    with nullcontext() if learning else torch.no_grad():
        states, entered = model.hidden(batch.waves, batch.valid)
    head = model.head
    assert isinstance(head, spelling_head.LettersLayer)
    total = head.loss(states, entered, batch.labels).sum()
    return Loss(total, total.detach(), batch.tokens)


def measure_speech(model: ModelLayer, data: Utterances, letters: Letters, budget: int, resamples: int = 0) -> Measured:
    """Everything about a model on these sounds: texts are those of the best letter at every frame."""
    head, total, count = model.head, 0.0, 0
    assert isinstance(head, spelling_head.LettersLayer)
    outputs = [""] * len(data)
    batches = SoundBatches(data, data.plan(budget, 0, 0, False))
    with judging(model):
        for i in range(len(batches)):
            batch = batches[i].to(model.device)
            states, entered = model.hidden(batch.waves, batch.valid)
            total, count = total + float(head.loss(states, entered, batch.labels).sum()), count + batch.tokens
            found = best_path(head(states, entered), entered.valid, head.spec.blank)
            for row, ids in zip(batch.rows, found, strict=True):
                outputs[row] = letters.decode(ids)
    right = [spoken_of(letters, data.text(row)) for row in range(len(data))]
    scores = {
        "wer": wer(outputs, right, resamples),
        "cer": cer(outputs, right, resamples),
        "exact_match": exact_match(outputs, right),
    }
    return Measured(total / count, count, outputs, scores, each="letter")


def spoken_of(letters: Letters, text: str) -> str:
    """A text as these letters give it back: small, where they write capitals."""
    return text.lower() if letters.upper else text


TASK = Speech
