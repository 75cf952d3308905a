"""Denoising: text with noise in it, and the loss of what was there (T5's spans, BART's five kinds)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from transept.data.batches import IGNORED, PairBatch, plan, side_by_side
from transept.data.documents import Sentences
from transept.data.learned import BART, T5, Signs
from transept.data.masking import Bools, word_begins
from transept.data.noise import (
    Marks,
    corrupt_spans,
    delete_tokens,
    infill,
    mask_tokens,
    permute_sentences,
    raw_length,
    rotate,
)
from transept.data.rows import Spans, chunks, pieces, shifted, whole_sentences, windows
from transept.data.texts import TokenTexts
from transept.data.tokenizer import Tokenizer
from transept.decode.hypothesis import Special
from transept.decode.search import search
from transept.errors import InvalidConfig
from transept.heads.vocabulary import Vocabulary, VocabularyLayer
from transept.hub.directory import LONGEST, save
from transept.hub.generation import Generation
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.measure import Measured, judging, pair_loss
from transept.tasks.settings.denoising import DenoisingRecipe
from transept.tasks.texts import TextTask, demand_rows, demand_signs, demand_vocabulary
from transept.topology import Topology

Row = NDArray[np.int64]


@dataclass(frozen=True)
class NoisedBatches:
    """The batches of one epoch. `noised` makes the source and the target of a span, by a generator of its own.

    `place` is the seed, the epoch and the split; with the number of a row they say its noise.
    """

    tokens: TokenTexts
    spans: Spans
    plan: Sequence[NDArray[np.int64]]
    noised: Callable[[TokenTexts, int, int, np.random.Generator], tuple[Row, Row]]
    start: int
    pad: int
    place: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> PairBatch:
        sources, targets, chosen = list[Row](), list[Row](), self.plan[index].tolist()
        for row in chosen:
            first, last = self.spans[row].tolist()
            source, target = self.noised(self.tokens, first, last, np.random.default_rng([*self.place, row]))
            sources.append(source)
            targets.append(target)
        return side_by_side(sources, targets, chosen, self.start, self.pad)

    def largest(self) -> int:
        """The batch with the most places."""
        lengths = self.spans[:, 1] - self.spans[:, 0]
        sizes = [len(rows) * int(lengths[rows].max()) for rows in self.plan]
        return max(range(len(sizes)), key=sizes.__getitem__)


class Denoising(TextTask[DenoisingRecipe]):
    """The task of a recipe: its texts, its vocabulary, its model. `say` hears what is found on the way."""

    name, settings = "denoising", DenoisingRecipe

    @property
    def verb(self) -> str:
        """Of an instance, not of the class: a model that lies alone is taken for one of pairs of texts."""
        return "generate"

    @property
    def by_spans(self) -> bool:
        """Whether the target is the spans alone, T5's, and not the whole text."""
        return self.recipe.noise.kinds == ["spans"]

    def signs(self) -> Signs:
        return T5 if self.by_spans else BART

    def sentences(self) -> Sentences:
        return self.recipe.noise.sentences if "permute" in self.recipe.noise.kinds else "none"

    def check(self, spec: Topology, tokenizer: Tokenizer, where: Callable[[str], str | None]) -> None:
        fits = isinstance(spec, Seq2Seq) and isinstance(spec.head, Vocabulary) and spec.source_tokens is not None
        if not fits:
            raise InvalidConfig(
                "denoising needs an encoder that reads text and a decoder that writes it",
                key="model.family",
                remedy="t5, bart and transformer are such.",
            )
        demand_vocabulary(spec, tokenizer, where("model.vocab"))
        demand_rows(self.recipe, self.data, spec)
        roles = ("pad", "eos") if self.by_spans else ("pad", "bos", "eos", "mask")
        demand_signs(tokenizer, roles, "this noise", where("data.tokenizer.file"))
        if self.data.rows == "packed":
            raise InvalidConfig(
                "documents packed in one row are for models of one stack",
                key="data.rows",
                remedy="Take data.rows=padded, or windows.",
            )
        if self.by_spans and not self.sentinels:
            raise InvalidConfig(
                "the tokenizer has no <extra_id_0>, which spans are replaced by",
                where=where("data.tokenizer.file"),
                remedy="Take the tokenizer of a T5, or noise.kinds=[infill].",
            )
        if self.by_spans and (spans := self._most_spans()) > len(self.sentinels):
            raise InvalidConfig(
                f"a row of {self.length:,} tokens has {spans} spans, and the tokenizer {len(self.sentinels)} sentinels",
                where=where("data.length"),
                remedy="Lower data.length or noise.rate, or raise noise.span.",
            )

    def _most_spans(self) -> int:
        noise = self.recipe.noise
        raw, written = raw_length(self.length, noise.rate, noise.span)
        return written - 1 - min(max(round(raw * noise.rate), 1), raw - 1)

    @cached_property
    def sentinels(self) -> list[int]:
        """The ids of <extra_id_0> and on."""
        found = list[int]()
        while (index := self.tokenizer.id_of(f"<extra_id_{len(found)}>")) is not None:
            found.append(index)
        return found

    @cached_property
    def begins(self) -> Bools | None:
        """Which tokens begin a word, where infilling counts words."""
        noise = self.recipe.noise
        if "infill" not in noise.kinds or noise.words == "pieces":
            return None
        return word_begins(self.tokenizer, self.recipe.where("noise.words"))

    @property
    def start(self) -> int:
        """What the decoder begins with: T5's padding, BART's end."""
        return self.tokenizer.demand("pad" if self.by_spans else "eos")

    # ------------------------------------------------------------------ batches

    def batches(self, split: str, epoch: int) -> NoisedBatches:
        """An epoch of a split, noise and all, a pure function of the seed and the epoch."""
        training = split == "train"
        return self.laid(self.tokens(split), epoch if training else 0, training)

    def laid(self, tokens: TokenTexts, epoch: int, training: bool) -> NoisedBatches:
        """Documents as rows; but for training, in order and always with the same noise."""
        settings, noise = self.recipe.train, self.recipe.noise
        place = (settings.seed, epoch, int(training))
        room = raw_length(self.length, noise.rate, noise.span)[0] if self.by_spans else self.length - 2
        if self.data.rows == "windows":
            whole = training and len(tokens.ids) > room
            count = len(tokens.ids)
            spans = shifted(count, room, np.random.default_rng(place)) if whole else windows(count, room)
            order = np.arange(len(spans))
            planned = [order[part] for part in chunks(len(spans), self.in_batch)]
        else:
            cut = self.sentences() != "none"
            spans = whole_sentences(tokens.parts, tokens.documents, room) if cut else pieces(tokens.bounds, room)
            lengths = spans[:, 1] - spans[:, 0] + (0 if self.by_spans else 2)
            # A row of T5's has more raw tokens than it reads: `length` are read.
            lengths = np.minimum(lengths, self.length)
            sides = np.stack([lengths, lengths], 1).astype(np.int32)
            planned = plan(sides, settings.batch_tokens, settings.seed, epoch, training)
        pad = self.tokenizer.demand("pad")
        return NoisedBatches(tokens, spans, planned, self.noised, self.start, pad, place)

    def noised(self, tokens: TokenTexts, first: int, last: int, generator: np.random.Generator) -> tuple[Row, Row]:
        """What is read and what is written of the tokens from `first` to `last`, with the signs around both."""
        ids, noise, own = np.asarray(tokens.ids[first:last], np.int64), self.recipe.noise, self.tokenizer
        if self.by_spans:
            source, target = corrupt_spans(ids, self.sentinels, generator, noise.rate, noise.span)
            end = own.demand("eos")
            return np.append(source, end), np.append(target, end)
        read = ids
        for kind in noise.kinds:
            if kind == "permute":  # the first, if at all: then sentences are where they were
                inside = tokens.parts[(tokens.parts > first) & (tokens.parts < last)] - first
                read = np.concatenate(permute_sentences(np.split(read, inside), generator, noise.permute))
            elif kind == "mask":
                read = mask_tokens(read, self.marks, generator, noise.rate)
            elif kind == "delete":
                read = delete_tokens(read, generator, noise.rate)
            elif kind == "infill":
                begins = None if self.begins is None else self.begins[read]
                read = infill(read, begins, self.marks, generator, noise.rate, noise.span, self.length - 2)
            elif kind == "rotate" and generator.random() < noise.rotate:
                read = rotate(read, generator)
        return tuple(np.concatenate([[own.bos], row, [own.eos]]).astype(np.int64) for row in (read, ids))  # type: ignore[return-value]

    @cached_property
    def marks(self) -> Marks:
        return Marks(self.tokenizer.demand("mask"), self.tokenizer.vocab, self.recipe.noise.random)

    # ------------------------------------------------------------------ loss, measures, samples

    def loss(self, model: nn.Module, batch: PairBatch) -> Loss:
        settings = self.recipe.train
        return pair_loss(_two_stacks(model), batch, Smoothing(settings.smoothing, settings.smoothing_form))

    def measure(self, model: nn.Module, tokens: TokenTexts) -> Measured:
        """Cross-entropy in nats a token of the target, and which share of them is told right, in percent."""
        built, batches = _two_stacks(model), self.laid(tokens, 0, training=False)
        head = built.head
        assert isinstance(head, VocabularyLayer)
        nll, count, hits = 0.0, 0, 0
        with judging(model):
            for index in range(len(batches)):
                batch = batches[index].to(built.device)
                states, entered = built.hidden(batch.source, batch.target, batch.source_valid)
                loss = head.loss(states, entered, batch.labels, Smoothing())
                nll, count = nll + float(loss.nll), count + loss.count
                asked = batch.labels != IGNORED
                told: torch.Tensor = head(states[asked][None], entered)[0].argmax(1)
                hits += int((told == batch.labels[asked]).sum())
        return Measured(nll / count, count, [], {}, {"accuracy": 100 * hits / count})

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        """Rows of the validation text with their noise, what was there, and what the model writes."""
        batch, own = self.batches("valid", 0)[0], self.tokenizer
        count = min(self.recipe.train.samples, len(batch))
        sources = [batch.source[i][batch.source_valid[i]].tolist() for i in range(count)]
        targets = [batch.labels[i][batch.labels[i] != IGNORED].tolist() for i in range(count)]
        with judging(model):
            found = search(_two_stacks(model), sources, self.recipe.search, self.special)
        rows = zip(sources, targets, found, strict=True)
        return [
            {"source": own.shown(source), "reference": own.shown(target), "output": own.shown(told[0].tokens)}
            for source, target, told in rows
        ]

    @property
    def special(self) -> Special:
        """What begins and ends a text, and what is never written."""
        own, ends = self.tokenizer, self.tokenizer.demand("eos")
        never = dict.fromkeys((own.pad, own.unk, own.mask))
        return Special(self.start, ends, tuple(i for i in never if i not in (None, ends)))

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        does = "It writes what sentinels stand for." if self.by_spans else "It writes text again that has noise in it."
        longest = self.spec.limit() or max(LONGEST, self.length)
        generation = Generation(self.recipe.search, self.special, self.tokenizer.pad, longest)
        card = None if record is None else self.card(model, record, does, typed=False)
        save(directory, model, tokenizer=self.tokenizer, generation=generation, card=card)


def _two_stacks(model: nn.Module) -> Seq2SeqLayer:
    assert isinstance(model, Seq2SeqLayer), f"denoising needs two stacks, not {type(model).__name__}"
    return model


TASK = Denoising
