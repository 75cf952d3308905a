"""Captioning: pictures with texts, the loss of a text given its picture, and what the descriptions are worth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from transept.data.batches import plan
from transept.data.captions import CaptionBatch, Captions, read_captions, read_table
from transept.data.config import Split
from transept.data.digits import Grids
from transept.data.pictures import Preparation
from transept.data.subwords import Subwords
from transept.decode.config import Search
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.hub.card import Record, Text
from transept.hub.directory import save
from transept.hub.generation import Generation
from transept.inputs.pictures import across
from transept.inputs.seen import Seen
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.attending import Baseline, attentive_loss, draws
from transept.tasks.card import notes, recorded, sampled
from transept.tasks.describing import Pictured, described, measure_captions
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.measure import SPECIAL, Measured, judging
from transept.tasks.pair_task import PairTask
from transept.tasks.score import RESAMPLES
from transept.tasks.settings.captioning import CaptioningRecipe
from transept.tasks.translation import trial_of


@dataclass(frozen=True)
class CaptionBatches:
    """The batches of one epoch, each made when it is asked for."""

    data: Pictured
    plan: Sequence[NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> CaptionBatch:
        return self.data.batch(self.plan[index])

    def largest(self) -> int:
        """The batch with the most words; of equals the one with the most pictures."""
        sizes = [(len(rows) * int(self.data.lengths[rows].max()), len(rows)) for rows in self.plan]
        return max(range(len(sizes)), key=sizes.__getitem__)


class Captioning(PairTask[CaptioningRecipe, Pictured]):
    """The task of a recipe: its pictures and texts, its vocabulary, its model. `say` hears what is found on the way."""

    name, verb = "captioning", "caption"

    def __init__(self, recipe: CaptioningRecipe, *, say: Callable[[str], None] = print) -> None:
        found = read_captions(recipe.data, "train")
        self.start(recipe, lambda: found.texts, say)
        self.entry, self.preparation = pictures_of(self.spec, recipe), preparation_of(self.spec, recipe)
        whole = self._pictured(found)
        self.train = whole.within(recipe.data.max_length)
        self.total, self.baseline = len(whole), Baseline()

    def _pictured(self, captions: Captions) -> Pictured:
        if isinstance(captions, Grids) and (size := (captions.pixels, captions.pixels)) != self.entry.size:
            raise InvalidConfig(
                f"data.grid makes pictures of {across(size)} pixels, and the model takes {across(self.entry.size)}",
                where=self.recipe.where("data.grid.cell") or self.recipe.where("data.grid"),
                remedy="Make them equal: data.grid.side times data.grid.cell is model.image.",
            )
        return Pictured.of(captions, self.tokenizer, self.preparation, self.entry.channels)

    def measured(self, split: Split) -> Pictured:
        return self._pictured(read_captions(self.recipe.data, split)).demand_fitting(self.longest)

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: pictures, texts, vocabulary, limits, budget and seed."""
        train, settings = self.train, self.recipe.train
        told = (train.captions.fingerprint, self.tokenizer.fingerprint, self.preparation, self.entry.channels)
        digest = hashlib.sha256(f"{told!r} {settings.batch_tokens} {settings.seed}".encode())
        digest.update(np.ascontiguousarray(train.rows).data)
        return digest.hexdigest()

    def facts(self) -> dict[str, str]:
        limit, left = self.recipe.data.max_length, self.total - len(self.train)
        out = f"; left out: {left:,} with more than {limit} tokens (data.max_length)" if left else ""
        longest = f"the longest text {int(self.train.lengths.max())} tokens"
        rows, columns = self.entry.grid()
        colours = f"{self.entry.channels} channel{'s' if self.entry.channels > 1 else ''}"
        return {
            "title": f"captioning · {self.kind}",
            "data": f"train {len(self.train):,} of {self.total:,} pictures with a text, {longest}{out}"
            f" · valid {len(self.valid):,}",
            "pictures": f"{across(self.entry.size)} pixels, {colours}, looked at in {rows} x {columns} places",
            "vocabulary": f"{self.tokenizer.vocab:,} tokens, of {self.recipe.data.vocabulary.kind}",
        }

    def trial(self) -> list[tuple[str, str]]:
        """The test split where there is one, and three texts through the vocabulary and back."""
        data = self.recipe.data
        told = [("test", f"{len(self.test):,} pictures")] if data.test is not None or data.grid is not None else []
        ids = np.concatenate([np.array(ids) for ids in self.valid.ids])
        return told + trial_of(self.tokenizer, ids, self.valid.captions.texts[:3])

    def batches(self, split: str, epoch: int) -> CaptionBatches:
        data, settings, training = self.split(split), self.recipe.train, split == "train"
        budget = settings.batch_tokens if training else max(settings.batch_tokens, int(data.lengths.max()))
        sides = np.stack([data.lengths, data.lengths], 1)
        planned = plan(sides, budget, settings.seed, epoch if training else 0, training, where=data.where)
        return CaptionBatches(data, planned)

    def loss(self, model: nn.Module, batch: CaptionBatch) -> Loss:
        settings = self.recipe.train
        smoothing = Smoothing(settings.smoothing, settings.smoothing_form)
        return attentive_loss(self.pair(model), batch, self.recipe.attend, smoothing, self.baseline.value)

    # What REINFORCE keeps between updates: see `transept.tasks.task.Remembers`.

    @property
    def notes(self) -> int:
        return 2 if draws(self.spec) else 0

    def heed(self, noted: Sequence[float]) -> None:
        if noted:
            self.baseline.move(noted[0], noted[1])

    def remembered(self) -> dict[str, Any]:
        return {"baseline": self.baseline.value}

    def recall(self, kept: Mapping[str, Any]) -> None:
        self.baseline.value = float(kept.get("baseline", 0.0))

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss, ppl, bleu, chrf and exact_match; described greedily unless `evaluate.search` says otherwise."""
        return self.measure(model, split, self.validation_search()).values()

    def measure(self, model: nn.Module, split: str, settings: Search, resamples: int = 0) -> Measured:
        """Everything about a model on a split, intervals from so many resamples."""
        return measure_captions(
            self.pair(model),
            self.split(split),
            settings,
            tokenize=self.recipe.evaluate.tokenize,
            case=self.case,
            batch_tokens=self.recipe.train.batch_tokens,
            resamples=resamples,
        )

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        data = self.valid
        count = min(self.recipe.train.samples, len(data))
        chosen = data.select(np.array([len(data) * i // count for i in range(count)], np.int64))
        with judging(model):
            outputs = described(self.pair(model), chosen, range(count), self.validation_search())
        return [
            {"source": chosen.where(row), "reference": chosen.text(row), "output": output}
            for row, output in enumerate(outputs)
        ]

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        generation = Generation(self.recipe.search, SPECIAL, Subwords.pad, self.longest)
        save(
            directory,
            model,
            tokenizer=self.tokenizer,
            generation=generation,
            processor=self.preparation,
            card=None if record is None else self._card(self.pair(model), record),
        )

    def _card(self, model: Seq2SeqLayer, told: Mapping[str, Any]) -> Record:
        found = self.measure(model, "valid", self.recipe.search, RESAMPLES)
        where, splits = self.valid.names(), (("train", self.train), ("valid", self.valid))
        return replace(
            recorded(told, found, where, notes(told, self.recipe.search)),
            does="It describes pictures.",
            texts=[Text(split, data.names(), len(data), "pictures") for split, data in splits],
            samples=sampled(self, model),
            example="picture.png",
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The pictures that `transept eval` scores a model on. Raises UsageError where a model is none of pictures."""
        model, tokenizer, recipe = subject.model, subject.tokenizer, asked.recipe
        if not isinstance(model, Seq2SeqLayer) or not isinstance(tokenizer, Subwords) or not _sees(model.spec):
            raise UsageError("only a model that was trained here to describe pictures is scored so", where=subject.path)
        if subject.preparation is None:
            raise InvalidData("nobody says how pictures are prepared for this model", where=subject.path)
        assert recipe is None or isinstance(recipe, CaptioningRecipe)
        name, captions = _chosen(recipe, asked)
        entry = model.spec.source
        assert isinstance(entry, Seen)
        data = Pictured.of(captions, tokenizer, subject.preparation, entry.channels).demand_fitting(subject.longest)

        def take() -> Measured:
            return measure_captions(
                model,
                data,
                subject.search,
                tokenize=asked.tokenize or (recipe.evaluate.tokenize if recipe else "13a"),
                case="lower" if recipe and recipe.data.vocabulary.lower else "mixed",
                batch_tokens=subject.search.batch_tokens,
                resamples=RESAMPLES,
            )

        return Exam(name, "pictures", captions.files, len(data.groups()), take)


def _sees(spec: Seq2Seq) -> bool:
    return isinstance(spec.source, Seen)


def pictures_of(spec: Seq2Seq, recipe: CaptioningRecipe) -> Seen:
    """What a model sees pictures by; InvalidConfig where it sees none."""
    if not isinstance(spec.source, Seen):
        named = recipe.where("model.family") if recipe.start is None else recipe.start
        raise InvalidConfig("this model sees no pictures, as captioning needs", where=named)
    return spec.source


def preparation_of(spec: Seq2Seq, recipe: CaptioningRecipe) -> Preparation:
    """How pictures become what a model takes. InvalidConfig where a mean is of other channels."""
    entry, data = pictures_of(spec, recipe), recipe.data
    for key, values in (("mean", data.mean), ("std", data.std)):
        if values is not None and len(values) != entry.channels:
            raise InvalidConfig(
                f"data.{key} has {len(values)} values, and pictures {entry.channels} channels",
                where=recipe.where(f"data.{key}"),
            )
    mean, std = (None if values is None else tuple(values) for values in (data.mean, data.std))
    return Preparation(size=entry.size, mean=mean, std=std)


def _chosen(recipe: CaptioningRecipe | None, asked: Asked) -> tuple[str, Captions]:
    if asked.data:
        asked.demand_few(1, "a table is one file")
        return "data", read_table(Path(asked.data[0]).expanduser())
    tested = recipe is not None and (recipe.data.test is not None or recipe.data.grid is not None)
    split = asked.choose(tested)
    assert recipe is not None
    return split, read_captions(recipe.data, split)


TASK = Captioning
