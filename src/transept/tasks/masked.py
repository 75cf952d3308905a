"""Masked language modelling: text with masks, the loss of what they hide, and whether two texts follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from transept.data.batches import IGNORED, plan
from transept.data.documents import Sentences
from transept.data.following import text_pairs
from transept.data.learned import BART, BERT, Signs
from transept.data.masking import Bools, Masking, padded, word_begins
from transept.data.rows import chunks, pack, pieces, shifted, windows
from transept.data.text_batches import TextBatch, numbered
from transept.data.texts import TokenTexts
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidConfig
from transept.heads.classes import Classes
from transept.heads.vocabulary import Vocabulary, VocabularyLayer
from transept.hub.directory import save
from transept.inputs.tokens import Tokens
from transept.models import Model, ModelLayer, kept_apart
from transept.parts.entered import Entered
from transept.parts.loss import Loss, Smoothing
from transept.spec import replace
from transept.tasks.measure import Measured, judging
from transept.tasks.settings.masked import MaskedRecipe
from transept.tasks.texts import TextTask, demand_apart, demand_rows, demand_signs, demand_vocabulary
from transept.topology import Topology

Row = NDArray[np.int64]


@dataclass(frozen=True)
class Framed:
    """A row before its masks: ids with the signs around them; the lengths of its documents; where a second text begins;
    and what is asked of the row."""

    ids: Row
    parts: tuple[int, ...]
    second: int | None = None
    answer: int = IGNORED


@dataclass(frozen=True)
class MaskedBatches:
    """The batches of one epoch. `frame` makes row i; `place` is the seed, the epoch and the split, which say the masks.

    `around` (V,) tells the special tokens, which are never asked for.
    """

    frame: Callable[[int], Framed]
    plan: Sequence[NDArray[np.int64]]
    lengths: NDArray[np.int64]
    masking: Masking
    around: Bools
    pad: int
    place: tuple[int, int, int]
    packed: bool = False
    segments: bool = False

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> TextBatch:
        chosen = self.plan[index].tolist()
        rows = [self.frame(row) for row in chosen]
        ids, real = padded([row.ids for row in rows], self.pad)
        generator = np.random.default_rng([*self.place, index])
        masked, asked = self.masking.apply(ids, real & ~self.around[ids], generator)
        answers = np.array([row.answer for row in rows])
        return TextBatch(
            torch.from_numpy(masked),
            torch.from_numpy(np.where(asked, ids, IGNORED)),
            chosen,
            valid=None if self.packed or real.all() else torch.from_numpy(real),
            documents=numbered([row.parts for row in rows]) if self.packed else None,
            segments=self._segments(rows, ids.shape) if self.segments else None,
            classes=torch.from_numpy(answers) if (answers != IGNORED).any() else None,
        )

    def _segments(self, rows: Sequence[Framed], shape: tuple[int, ...]) -> Tensor:
        table = np.zeros(shape, np.int64)
        for i, row in enumerate(rows):
            if row.second is not None:
                table[i, row.second : len(row.ids)] = 1
        return torch.from_numpy(table)

    def largest(self) -> int:
        """The batch with the most places."""
        sizes = [len(rows) * int(self.lengths[rows].max()) for rows in self.plan]
        return max(range(len(sizes)), key=sizes.__getitem__)


class Masked(TextTask[MaskedRecipe]):
    """The task of a recipe: its texts, its vocabulary, its model. `say` hears what is found on the way."""

    name, verb, settings = "masked", "fill", MaskedRecipe

    def signs(self) -> Signs:
        return BERT if self.data.tokenizer.kind == "wordpiece" else BART  # RoBERTa's are BART's

    def taken(self, spec: Topology) -> Topology:
        """Without the second head where nothing is asked of it."""
        if self.recipe.mask.second != "none" or not isinstance(spec, Model) or spec.second is None:
            return spec
        self.say("its second head is let go: mask.second=none asks nothing of it")
        return replace(spec, second=None)

    def end(self) -> int | None:
        """Windows go from one document into the next, with the sign that parts texts between."""
        alone = self.data.rows != "windows" or self.recipe.mask.second != "none" or self.data.documents == "whole"
        return None if alone else self.tokenizer.sep

    def sentences(self) -> Sentences:
        return "none" if self.recipe.mask.second == "none" else self.recipe.mask.sentences

    def check(self, spec: Topology, tokenizer: Tokenizer, where: Callable[[str], str | None]) -> None:
        if not isinstance(spec, Model) or not isinstance(spec.head, Vocabulary) or spec.stack.causal:
            raise InvalidConfig(
                "masks are filled by one stack that looks both ways and scores a vocabulary",
                key="model.family",
                remedy="bert, roberta and distilbert are such, with model.head=masked or pretraining.",
            )
        demand_signs(tokenizer, ("pad", "cls", "sep", "mask"), "masked text", where("data.tokenizer.file"))
        demand_vocabulary(spec, tokenizer, where("model.vocab"))
        demand_rows(self.recipe, self.data, spec)
        second = self.recipe.mask.second
        if second == "none" and spec.second is not None:
            raise InvalidConfig(
                "the model has a second head, and mask.second=none gives it nothing to learn",
                key="model.head",
                where=where("model.head") or where("mask.second"),
                remedy="Take model.head=masked, or mask.second=next, or order.",
            )
        if second != "none" and not (isinstance(spec.second, Classes) and spec.second.count == 2):
            raise InvalidConfig(
                f"{second} is told by a second head of two classes, and the model has none",
                key="mask.second",
                remedy="Of bert, model.head=pretraining has one.",
            )
        if second != "none" and self.data.rows != "padded":
            raise InvalidConfig(
                f"rows of two texts are padded, not {self.data.rows}",
                key="data.rows",
                remedy="Take data.rows=padded, or mask.second=none.",
            )
        demand_apart(self.data, spec)

    def trained(self) -> Topology:
        return kept_apart(self.spec) if self.data.rows == "packed" and isinstance(self.spec, Model) else self.spec

    # ------------------------------------------------------------------ batches

    @cached_property
    def masking(self) -> Masking:
        settings, mask = self.recipe.mask, self.tokenizer.mask
        assert mask is not None
        begins = word_begins(self.tokenizer, self.recipe.where("mask.words")) if settings.words == "whole" else None
        return Masking(mask, self.tokenizer.vocab, settings.rate, settings.masked, settings.drawn, begins)

    @cached_property
    def around(self) -> Bools:
        found = np.zeros(self.tokenizer.vocab, bool)
        found[sorted(self.tokenizer.around)] = True
        return found

    def batches(self, split: str, epoch: int) -> MaskedBatches:
        """An epoch of a split, masks and all, a pure function of the seed and the epoch."""
        training = split == "train"
        return self.laid(self.tokens(split), epoch if training else 0, training)

    def laid(self, tokens: TokenTexts, epoch: int, training: bool) -> MaskedBatches:
        """Documents as rows; but for training, in order and always with the same masks."""
        seed = self.recipe.train.seed
        generator = np.random.default_rng([seed, epoch, int(training)])
        if self.recipe.mask.second != "none":
            return self._paired(tokens, epoch, training, generator)
        room, ids = self.length - 2, tokens.ids
        if self.data.rows == "windows":
            spans = shifted(len(ids), room, generator) if training and len(ids) > room else windows(len(ids), room)
        else:
            spans = pieces(tokens.bounds, room)
        lengths = spans[:, 1] - spans[:, 0] + 2

        def framed(row: int) -> Row:
            first, last = spans[row]
            return self._framed(ids[first:last])

        if self.data.rows == "packed":
            rows = pack(lengths, self.length, generator if training else None)

            def frame(row: int) -> Framed:
                parts = [framed(piece) for piece in rows[row]]
                return Framed(np.concatenate(parts), tuple(map(len, parts)))

            full = np.full(len(rows), self.length, np.int64)
            return self._made(frame, self._even(len(rows)), full, epoch, training, packed=True)

        def alone(row: int) -> Framed:
            made = framed(row)
            return Framed(made, (len(made),))

        planned = self._even(len(spans)) if self.data.rows == "windows" else self._uneven(lengths, epoch, training)
        return self._made(alone, planned, lengths, epoch, training)

    def _paired(self, tokens: TokenTexts, epoch: int, training: bool, generator: np.random.Generator) -> MaskedBatches:
        relation = self.recipe.mask.second
        assert relation != "none"
        pairs = text_pairs(tokens, relation, self.length - 3, generator)
        lengths = np.array([len(pair.first) + len(pair.second) + 3 for pair in pairs])

        def frame(row: int) -> Framed:
            pair = pairs[row]
            first = self._framed(pair.first)
            both = np.concatenate([first, pair.second, first[-1:]])
            return Framed(both, (len(both),), len(first), pair.answer)

        return self._made(frame, self._uneven(lengths, epoch, training), lengths, epoch, training)

    def _framed(self, ids: NDArray[Any]) -> Row:
        cls, sep = self.tokenizer.cls, self.tokenizer.sep
        return np.concatenate([[cls], ids, [sep]]).astype(np.int64)

    def _made(
        self,
        frame: Callable[[int], Framed],
        planned: Sequence[NDArray[np.int64]],
        lengths: NDArray[np.int64],
        epoch: int,
        training: bool,
        packed: bool = False,
    ) -> MaskedBatches:
        pad, spec = self.tokenizer.pad, self.spec
        assert pad is not None and isinstance(spec, Model)
        told = self.recipe.mask.second != "none" and isinstance(spec.embed, Tokens) and spec.embed.segments > 1
        place = (self.recipe.train.seed, epoch, int(training))
        return MaskedBatches(frame, planned, lengths, self.masking, self.around, pad, place, packed, told)

    def _even(self, count: int) -> list[NDArray[np.int64]]:
        order = np.arange(count)
        return [order[part] for part in chunks(count, self.in_batch)]

    def _uneven(self, lengths: NDArray[np.int64], epoch: int, training: bool) -> list[NDArray[np.int64]]:
        settings = self.recipe.train
        sides = np.stack([lengths, lengths], 1).astype(np.int32)
        return plan(sides, settings.batch_tokens, settings.seed, epoch, training)

    # ------------------------------------------------------------------ loss, measures, samples

    def loss(self, model: nn.Module, batch: TextBatch) -> Loss:
        settings = self.recipe.train
        return masked_loss(model, batch, Smoothing(settings.smoothing, settings.smoothing_form))

    def measure(self, model: nn.Module, tokens: TokenTexts) -> Measured:
        """Cross-entropy in nats a masked token, and which share of them, and of the rows, is told right, in percent."""
        built, batches = _one_stack(model), self.laid(tokens, 0, training=False)
        nll, count, hits, right, rows = 0.0, 0, 0, 0, 0
        with judging(model):
            for index in range(len(batches)):
                batch = batches[index].to(built.device)
                states, entered = _states(built, batch)
                loss = _vocabulary(built).loss(states, entered, batch.labels, Smoothing())
                nll, count = nll + float(loss.nll), count + loss.count
                asked = batch.labels != IGNORED
                hits += int((told(built, states[asked], entered) == batch.labels[asked]).sum())
                if batch.classes is not None:
                    right += int((_second(built, states, entered).argmax(1) == batch.classes).sum())
                    rows += len(batch)
        more = {"accuracy": 100 * hits / max(count, 1)}
        if rows:
            more[f"{self.recipe.mask.second}_accuracy"] = 100 * right / rows
        return Measured(nll / max(count, 1), count, [], {}, more)

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        """Rows of the validation text with their masks, what is asked for, and what the model says."""
        built, batch, found = _one_stack(model), self.batches("valid", 0)[0], list[dict[str, str]]()
        asked = batch.labels != IGNORED
        with judging(model):
            states, entered = _states(built, batch.to(built.device))
            answers = torch.zeros_like(batch.labels)
            answers[asked] = told(built, states[asked.to(built.device)], entered).cpu()
        for row in range(min(self.recipe.train.samples, len(batch))):
            real = slice(None) if batch.valid is None else batch.valid[row]
            words = {"reference": batch.labels[row], "output": answers[row]}
            spelt = {name: " ".join(self.tokenizer.tokens(ids[asked[row]].tolist())) for name, ids in words.items()}
            found.append({"source": self.tokenizer.shown(batch.inputs[row][real].tolist()), **spelt})
        return found

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        plain = self.spec.build().to(_one_stack(model).device).eval()
        plain.load_state_dict(model.state_dict())
        does = "It tells which tokens fit where a text has masks."
        card = None if record is None else self.card(model, record, does, typed=False)
        save(directory, plain, tokenizer=self.tokenizer, card=card)


def masked_loss(model: nn.Module, batch: TextBatch, smoothing: Smoothing) -> Loss:
    """The loss of the masked tokens, and of what is asked of each row.

    The latter weighs as many tokens as the row has masked: so the loss is a sum over rows, however they are parted into
    batches, and where all rows have as many it is the sum of two means (Devlin et al. 2019, appendix A.2).
    """
    built = _one_stack(model)
    states, entered = _states(built, batch)
    loss = _vocabulary(built).loss(states, entered, batch.labels, smoothing)
    if batch.classes is None:
        return loss
    each = F.cross_entropy(_second(built, states, entered).float(), batch.classes, reduction="none")
    weights = (batch.labels != IGNORED).sum(1)
    return Loss(loss.total + (each * weights).sum(), loss.nll, loss.count)


def told(model: ModelLayer, states: Tensor, entered: Entered) -> Tensor:
    """The likeliest token for each state, (N, D) -> (N,)."""
    scores: Tensor = _vocabulary(model)(states[None], entered)[0]
    return scores.argmax(1)


def _states(model: ModelLayer, batch: TextBatch) -> tuple[Tensor, Entered]:
    more = {} if batch.segments is None else {"segments": batch.segments}
    return model.hidden(batch.inputs, batch.valid, None, batch.documents, None, **more)


def _second(model: ModelLayer, states: Tensor, entered: Entered) -> Tensor:
    assert model.second is not None, "two heads"
    scores: Tensor = model.second(states, entered)
    return scores


def _vocabulary(model: ModelLayer) -> VocabularyLayer:
    assert isinstance(model.head, VocabularyLayer), "what fills masks scores a vocabulary"
    return model.head


def _one_stack(model: nn.Module) -> ModelLayer:
    assert isinstance(model, ModelLayer), f"masks are filled by one stack, not {type(model).__name__}"
    return model


TASK = Masked
