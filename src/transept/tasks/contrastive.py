"""Learning from sounds alone: some of what is heard is hidden, and told from what else was hidden (wav2vec 2.0).

Shapes: B sounds, F frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig, UsageError
from transept.heads.contrast import Contrast, Contrasted, ContrastLayer, draw_negatives
from transept.hub.card import Measure, Record, Text
from transept.hub.directory import save
from transept.hub.processor import Hearing
from transept.inputs.waveform import Waveform, WaveformLayer
from transept.models import Model, ModelLayer
from transept.parts.loss import Loss
from transept.tasks.begun import Begun, declared_model, demand_sound, hearing_of, opened, refused, taken
from transept.tasks.card import recorded, results_of, weights_of
from transept.tasks.classifying import one_stack
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.measure import Measured, judging
from transept.tasks.score import Score, wilson
from transept.tasks.settings.contrastive import ContrastiveRecipe
from transept.tasks.speech import heard_facts
from transept.tasks.stack_task import StackTask
from transept.tasks.utterances import SoundBatch, SoundBatches, Spoken, Utterances

SEED = 12345  # of what is hidden while a model is measured


class Contrastive(StackTask[ContrastiveRecipe, Utterances]):
    """The task of a recipe: its sounds, its model. `say` hears what is found on the way."""

    name, verb, counts = "contrastive", "show", "frames"
    each = "hidden frame"

    def __init__(self, recipe: ContrastiveRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.say = recipe, say
        self.score: str = recipe.evaluate.best
        self.higher = self.score == "accuracy"
        stored = opened(recipe, say)
        if stored is None:
            self.begun = Begun(self._declared())
        else:
            was = stored.model.spec
            if not isinstance(was, Model) or not isinstance(was.head, Contrast):
                raise InvalidConfig(
                    "this model has no head that tells hidden frames apart", where=recipe.start, remedy="Begin anew."
                )
            self.begun = taken(stored, was, True, recipe, say)
        embed = demand_sound(self.spec, recipe)
        if not embed.times.share:
            raise InvalidConfig("nothing is hidden from this model", where=recipe.where("model.masked"))
        self.hears = hearing_of(stored, recipe.data.rate, recipe, say)
        self.spoken = Spoken(recipe.data, self.hears, embed.features, (), say)
        self.train, self.valid = self.spoken.both()
        if not (self.valid.lengths(False) >= 2 * embed.times.span).any():
            longest = int(self.valid.lengths(False).max())
            raise InvalidConfig(
                f"the longest sound of the validation has {longest} frames, and {embed.times.span} are hidden in a row:"
                " there is nothing else to tell them from",
                remedy="Take longer sounds, or a model with more frames a second.",
            )

    def _declared(self) -> Model:
        spec = declared_model(self.recipe, {"head": "contrast"}, "contrastive")
        demand_sound(spec, self.recipe)
        if not isinstance(spec.head, Contrast):
            raise refused(self.recipe, Contrast)
        return spec

    @cached_property
    def test(self) -> Utterances:
        return self.spoken.read("test")

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: sounds, budget and seed."""
        settings = self.recipe.train
        return hashlib.sha256(f"{self.train.fingerprint} {settings.batch_tokens} {settings.seed}".encode()).hexdigest()

    def facts(self) -> dict[str, str]:
        told = heard_facts(self.train, self.valid, self.recipe.data.longest, bool(self.recipe.data.hold))
        head, embed = self.spec.head, demand_sound(self.spec, self.recipe)
        assert isinstance(head, Contrast)
        return {
            "title": self.title,
            **told,
            "hidden": f"a share of {embed.times.share:g} in spans of {embed.times.span} frames, each told from"
            f" {head.negatives} others; {head.groups} books of {head.codes} codes",
        }

    def trial(self) -> list[tuple[str, str]]:
        return [("test", f"{len(self.test):,} sounds")] if self.recipe.data.test is not None else []

    def build(self) -> nn.Module:
        """The model; the gradient of its convolutions over sound arrives scaled."""
        model, factor = self.begun.build(), self.recipe.contrast.features
        assert isinstance(model.embed, WaveformLayer)
        if factor != 1.0:
            for parameter in model.embed.features.parameters():
                parameter.register_hook(lambda gradient: gradient * factor)
        return model

    def batches(self, split: str, epoch: int) -> SoundBatches:
        settings, training = self.recipe.train, split == "train"
        data = self.split(split)
        planned = data.plan(settings.batch_tokens, settings.seed, epoch if training else 0, training)
        return SoundBatches(data, planned, (settings.seed, epoch) if training else None)

    def loss(self, model: nn.Module, batch: SoundBatch) -> Loss:
        """The contrast and the diversity of codes, summed over hidden frames; `nll` is the contrast alone."""
        found = contrasted(one_stack(model), batch, self.recipe.contrast.at(self.updates))
        return Loss(found.total, found.contrast, found.count)

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss (nats a hidden frame), accuracy and codes."""
        return self.measure(model, split).values()

    def measure(self, model: nn.Module, split: str) -> Measured:
        """Everything about a model on a split; what is hidden is drawn, and always the same."""
        return measure_contrast(one_stack(model), self.split(split), self.recipe.train.batch_tokens)

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        return []

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        save(directory, model, processor=self.hears, card=None if record is None else self._card(model, record))

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        found, where = self.measure(model, "valid"), self.valid.names()
        made = recorded(told, found, where, [*weights_of(told, "hidden frames"), results_of()])
        splits = (("train", self.train), ("valid", self.valid))
        return replace(
            made,
            does="It has learned from sounds alone, and is there to be trained further: `transept train ... --from`.",
            measures=[*made.measures[:-1], Measure("contrast, nats a hidden frame", where, found.loss)],
            texts=[Text(split, data.names(), len(data), "sounds") for split, data in splits],
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The sounds that `transept eval` scores a model on."""
        spec, hears = subject.model.spec, subject.processor
        embed = spec.embed if isinstance(spec, Model) and isinstance(spec.head, Contrast) else None
        if not isinstance(embed, Waveform) or not isinstance(hears, Hearing):
            raise UsageError("only a model that tells hidden frames of sound apart is scored so", where=subject.path)
        recipe = asked.recipe if isinstance(asked.recipe, ContrastiveRecipe) else None
        if recipe is None or asked.data:
            raise UsageError("it is scored on the splits of its own run", where=subject.path, remedy="Use --split.")
        split = asked.choose(recipe.data.test is not None)
        spoken = Spoken(recipe.data, hears, embed.features, (), asked.say)
        held = split == "valid" and recipe.data.hold is not None
        data = spoken.both()[1] if held else spoken.read(split)

        def take() -> Measured:
            return measure_contrast(one_stack(subject.model), data, recipe.train.batch_tokens)

        files = data.waves.listing.files
        return Exam(split, "sounds", files, len(data), take, searched=False, answers=False)


def hidden_of(model: ModelLayer, batch: SoundBatch, draws: torch.Generator | None = None) -> Tensor:
    """Which frames are hidden, (B, F): as the model's own scheme draws them among the real ones."""
    embed = model.spec.embed
    assert isinstance(embed, Waveform)
    frames = [embed.features.frames(int(samples)) for samples in batch.valid.sum(1).tolist()]
    return embed.times.draw(frames, embed.features.frames(batch.waves.size(1)), draws)


def contrasted(
    model: ModelLayer, batch: SoundBatch, temperature: float, draws: torch.Generator | None = None
) -> Contrasted:
    """The loss of a batch; what is hidden and what it is told from is drawn by `draws`, else by torch's generator."""
    head = model.head
    assert isinstance(head, ContrastLayer)
    hide = hidden_of(model, batch, draws)
    negatives = draw_negatives(hide, head.spec.negatives, draws).to(batch.waves.device)
    hide = hide.to(batch.waves.device)
    states, entered = model.hidden(batch.waves, batch.valid, hide=hide)
    return head.loss(states, entered, hide, negatives, temperature)


def measure_contrast(model: ModelLayer, data: Utterances, budget: int) -> Measured:
    """The contrast in nats a hidden frame, how often the true frame is the nearest, and how many codes are in use, in
    the mean over batches."""
    contrast, right, count, codes = 0.0, 0, 0, list[float]()
    batches = SoundBatches(data, data.plan(budget, 0, 0, False))
    with judging(model):
        for i in range(len(batches)):
            draws = torch.Generator().manual_seed(SEED + i)
            found = contrasted(model, batches[i].to(model.device), 1.0, draws)
            if found.count:
                contrast, right, count = contrast + float(found.contrast), right + int(found.right), count + found.count
                codes.append(float(found.perplexity))
    low, high = wilson(right, count)
    score = Score("accuracy", 100 * right / count, (100 * low, 100 * high), f"n:{count}|seed:{SEED}|interval:wilson")
    return Measured(
        contrast / count, count, [], {"accuracy": score}, {"codes": sum(codes) / len(codes)}, "hidden frame"
    )


TASK = Contrastive
