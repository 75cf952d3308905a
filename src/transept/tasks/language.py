"""Language modelling: running text, the loss of each token given those before it, and what the model writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from transept.data.batches import IGNORED, plan
from transept.data.learned import END, NOTHING, Signs
from transept.data.rows import Spans, chunks, pack, pieces, shifted, streams, windows
from transept.data.text_batches import TextBatch, filled, numbered
from transept.data.texts import TokenTexts
from transept.data.tokenizer import Tokenizer
from transept.decode.hypothesis import Special
from transept.decode.search import extend
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.heads.vocabulary import VocabularyLayer
from transept.hub.directory import LONGEST, save
from transept.hub.generation import Generation
from transept.hub.kinds import writes_text
from transept.models import Model, ModelLayer, kept_apart
from transept.parts.carried import Carried, demand_carrying
from transept.parts.loss import Loss, Smoothing
from transept.tasks.measure import Measured, judging
from transept.tasks.settings.language import LanguageRecipe
from transept.tasks.texts import TextTask, demand_apart, demand_rows, demand_vocabulary
from transept.topology import Topology


@dataclass(frozen=True)
class LanguageBatches:
    """The batches of one epoch. Row i is made of the spans `rows[i]`, each a document where there are several.

    A span (first, last) asks for the tokens `ids[first:last]` and reads, before each, the one before it. `fresh` are
    how many tokens at the end of each row are asked for; the others are there to look back on. `width` is the least
    number of places. Where batches `follow` each other, row i of one goes on where row i of the one before it ended.
    """

    tokens: TokenTexts
    rows: Sequence[Spans]
    plan: Sequence[NDArray[np.int64]]
    packed: bool = False
    width: int = 0
    fresh: Sequence[int] | None = None
    follow: bool = False

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> TextBatch:
        chosen, ids = self.plan[index].tolist(), self.tokens.ids
        spans = [self.rows[row] for row in chosen]
        read = [np.concatenate([ids[a - 1 : b - 1] for a, b in row]) for row in spans]
        asked = [np.concatenate([ids[a:b] for a, b in row]) for row in spans]
        labels = filled(asked, IGNORED, self.width)
        if self.fresh is not None:
            for i, row in enumerate(chosen):
                labels[i, : len(asked[i]) - self.fresh[row]] = IGNORED
        documents = numbered([[b - a for a, b in row.tolist()] for row in spans], self.width) if self.packed else None
        # What fills a row up is never seen: it stands behind all that is asked for, and the model looks back.
        begins = index == 0 if self.follow else None
        return TextBatch(filled(read, 0, self.width), labels, chosen, documents=documents, begins=begins)

    def largest(self) -> int:
        """The batch with the most places."""
        sizes = [
            len(rows) * max(int((self.rows[row][:, 1] - self.rows[row][:, 0]).sum()) for row in rows)
            for rows in self.plan
        ]
        return max(range(len(sizes)), key=sizes.__getitem__)


LONG = 8  # segments of a stream at the least, where the text has so many: few tokens have little before them


class Language(TextTask[LanguageRecipe]):
    """The task of a recipe: its texts, its vocabulary, its model. `say` hears what is found on the way."""

    name, verb, settings = "language", "generate", LanguageRecipe
    state: Carried | None = None  # what the last segment of training handed on

    def signs(self) -> Signs:
        return NOTHING if self.data.documents == "whole" else END

    def end(self) -> int | None:
        """The token behind each document; whole files have no end."""
        return None if self.data.documents == "whole" else self.tokenizer.eos

    def check(self, spec: Topology, tokenizer: Tokenizer, where: Callable[[str], str | None]) -> None:
        if not isinstance(spec, Model) or not writes_text(spec):
            raise InvalidConfig(
                "a language model is one stack that looks back and scores a vocabulary, and this is none",
                key="model.family",
                remedy="gpt2, gpt, gpt3 and llama are such; of elman, lstm, gru and convs2s model.form=language_model.",
            )
        demand_vocabulary(spec, tokenizer, where("model.vocab"))
        demand_rows(self.recipe, self.data, spec, follows=True)
        if self.data.rows == "segments":
            demand_segments(spec, self.data.length, self.recipe.evaluate.stride)
        if self.data.documents != "whole" and tokenizer.eos is None:
            raise InvalidConfig(
                "the tokenizer has no token that ends a document",
                where=where("data.tokenizer.file"),
                remedy="Take each file as one text without an end: data.documents=whole.",
            )
        if self.data.rows in ("packed", "padded") and self.data.documents == "whole":
            raise InvalidConfig(
                f"{self.data.rows} lays out documents, and data.documents=whole has none",
                key="data.rows",
                remedy="Take data.rows=windows, or say where documents end: data.documents=blank.",
            )
        demand_apart(self.data, spec)

    def facts(self) -> dict[str, str]:
        assert isinstance(self.spec, Model)
        if self.follows:
            return super().facts() | {"carried": self._running()}
        alone = "nothing: rows stand alone; by data.rows=segments the model would carry states from one to the next"
        try:
            demand_carrying(self.spec.stack, self.spec.embed.limit())
        except UsageError:  # there is nothing that it could carry
            return super().facts()
        return super().facts() | {"carried": alone}

    def laid_out(self) -> dict[str, Any]:
        many = self.in_streams(self.train)
        return {"streams": many} if self.follows and many < self.in_batch else {}

    def _running(self) -> str:
        """How the training text runs from segment to segment."""
        many, room = self.in_streams(self.train), self.in_batch
        steps = -(-(len(self.train.ids) - 1) // (many * self.length))
        runs = f"{many} streams of {steps:,} segments each" if many > 1 else f"one stream of {steps:,} segments"
        fewer = f"; a batch has room for {room} streams, and they would be shorter" if many < room else ""
        return f"from segment to segment: {runs}, of {self.length} tokens{fewer}"

    def trained(self) -> Topology:
        return kept_apart(self.spec) if self.data.rows == "packed" and isinstance(self.spec, Model) else self.spec

    # ------------------------------------------------------------------ batches

    def batches(self, split: str, epoch: int) -> LanguageBatches:
        """An epoch of a split, a pure function of the seed and the epoch; but for training, everything in order."""
        tokens = self.tokens(split)
        if split != "train":
            return self.in_order(tokens)
        settings = self.recipe.train
        generator = np.random.default_rng([settings.seed, epoch])
        if self.data.rows == "windows":
            _demand_window(tokens, self.length)
            spans = shifted(len(tokens.ids) - 1, self.length, generator) + 1
            rows = list(spans[:, None])
            return LanguageBatches(tokens, rows, self._cut(len(rows)))
        if self.data.rows == "segments":
            _demand_window(tokens, self.length, 2)
            first = int(generator.integers(0, min(self.length, len(tokens.ids) - self.length))) + 1
            return _in_streams(tokens, self.in_streams(tokens), self.length, first)
        found = pieces(tokens.bounds, self.length)
        lengths = found[:, 1] - found[:, 0]
        if self.data.rows == "packed":
            rows = [found[row] for row in pack(lengths, self.length, generator)]
            return LanguageBatches(tokens, rows, self._cut(len(rows)), packed=True, width=self.length)
        planned = plan(np.stack([lengths, lengths], 1).astype(np.int32), settings.batch_tokens, settings.seed, epoch)
        return LanguageBatches(tokens, list(found[:, None]), planned)

    def in_order(self, tokens: TokenTexts) -> LanguageBatches:
        """Every token of some documents once, for measuring: windows end to end, or documents one by one."""
        if self.data.rows in ("packed", "padded"):
            found = pieces(tokens.bounds, self.length)
            lengths = found[:, 1] - found[:, 0]
            budget = max(self.recipe.train.batch_tokens, self.length)
            sides = np.stack([lengths, lengths], 1).astype(np.int32)
            return LanguageBatches(tokens, list(found[:, None]), plan(sides, budget, 0, 0, shuffle=False))
        if len(tokens.ids) < 2:
            raise InvalidData("one token alone has nothing before it to tell it by", where=tokens.where(0))
        if self.data.rows == "segments":
            return _in_streams(tokens, self.in_streams(tokens), self.length, 1)
        step = min(self.recipe.evaluate.stride or self.length, self.length)
        ends = windows(len(tokens.ids) - 1, step) + 1
        firsts = np.maximum(ends[:, 1] - self.length, 1)
        firsts = np.minimum(firsts, ends[:, 0])
        rows = list(np.stack([firsts, ends[:, 1]], 1)[:, None])
        return LanguageBatches(tokens, rows, self._cut(len(rows)), fresh=(ends[:, 1] - ends[:, 0]).tolist())

    def in_streams(self, tokens: TokenTexts) -> int:
        """In how many streams a text runs: as many as a batch has rows, fewer where they would be short."""
        return max(1, min(self.in_batch, len(tokens.ids) // (LONG * self.length)))

    def _cut(self, count: int) -> list[NDArray[np.int64]]:
        order = np.arange(count)
        return [order[part] for part in chunks(count, self.in_batch)]

    # ------------------------------------------------------------------ loss, measures, samples

    def loss(self, model: nn.Module, batch: TextBatch) -> Loss:
        settings = self.recipe.train
        self.state = handed(model, batch, self.state)
        return next_token_loss(model, batch, Smoothing(settings.smoothing, settings.smoothing_form), self.state)

    @property
    def follows(self) -> bool:
        return self.data.rows == "segments"

    def carried(self) -> dict[str, Tensor]:
        return {} if self.state is None else self.state.tensors()

    def take_up(self, model: nn.Module, carried: Mapping[str, Tensor]) -> None:
        self.state = _one_stack(model).carry(len(carried["seen"]))
        self.state.load(carried)

    def measure(self, model: nn.Module, tokens: TokenTexts) -> Measured:
        """Cross-entropy in nats a token over everything, and bits a character of the text."""
        batches = self.in_order(tokens)
        total, count, state = 0.0, 0, None
        with judging(model):
            for index in range(len(batches)):
                batch = batches[index].to(_one_stack(model).device)
                state = handed(model, batch, state)
                loss = next_token_loss(model, batch, Smoothing(), state)
                total, count = total + float(loss.nll), count + loss.count
        characters = tokens.text.characters - (0 if tokens.end is not None else self._unasked(tokens))
        return Measured(total / count, count, [], {}, {"bits_per_character": total / math.log(2) / max(characters, 1)})

    def _unasked(self, tokens: TokenTexts) -> int:
        """Characters of the very first token, before which there is nothing to tell it by."""
        return len(self.tokenizer.decode(tokens.ids[:1].tolist()))

    @cached_property
    def prompts(self) -> list[list[int]]:
        """Beginnings from all over the validation text."""
        count, settings, ids = self.recipe.train.samples, self.recipe.evaluate, self.valid.ids
        longest = min(settings.prompt, self.longest - 1, len(ids))
        if self.valid.end is None:
            places = [(len(ids) - longest) * i // count for i in range(count)]
            return [ids[at : at + longest].tolist() for at in places]
        bounds = self.valid.bounds
        rows = [len(self.valid) * i // count for i in range(min(count, len(self.valid)))]
        return [ids[bounds[row] - 1 : bounds[row] - 1 + longest].tolist() for row in rows]

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        settings = self.recipe.search.model_copy(update={"max_ratio": 0.0, "max_extra": self.recipe.evaluate.written})
        with judging(model):
            found = extend(_one_stack(model), self.prompts, settings, self.special)
        texts = [self.tokenizer.decode(prompt) for prompt in self.prompts]
        outputs = [
            self.tokenizer.decode(prompt + one[0].tokens)[len(text) :]
            for prompt, text, one in zip(self.prompts, texts, found, strict=True)
        ]
        return [{"source": text, "output": output} for text, output in zip(texts, outputs, strict=True)]

    @property
    def special(self) -> Special:
        """What begins and ends a text."""
        own = self.tokenizer
        never = (own.pad, own.unk, own.bos)
        return Special(own.eos, own.eos, tuple(i for i in dict.fromkeys(never) if i not in (None, own.eos)))

    @property
    def longest(self) -> int:
        """The most tokens of a prompt with its answer."""
        return self.spec.limit() or max(LONGEST, self.length)

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        plain = self.spec.build().to(_one_stack(model).device).eval()
        plain.load_state_dict(model.state_dict())
        generation = Generation(self.recipe.search, self.special, self.tokenizer.pad, self.longest, alone=True)
        card = None if record is None else self.card(model, record, "It goes on with a text.")
        save(directory, plain, tokenizer=self.tokenizer, generation=generation, card=card)


def handed(model: nn.Module, batch: TextBatch, before: Carried | None) -> Carried | None:
    """What a batch takes up: of the batch before it, nothing yet where a text begins, None where rows stand alone."""
    if batch.begins is None:
        return None
    if not batch.begins:
        assert before is not None, "a segment follows another"
        return before
    return _one_stack(model).carry(len(batch))


def next_token_loss(model: nn.Module, batch: TextBatch, smoothing: Smoothing, carried: Carried | None = None) -> Loss:
    """The loss of each label given the tokens up to its place, and what earlier segments handed on."""
    built = _one_stack(model)
    states, entered = built.hidden(batch.inputs, batch.valid, carried, documents=batch.documents)
    assert isinstance(built.head, VocabularyLayer), "what writes text scores a vocabulary"
    return built.head.loss(states, entered, batch.labels, smoothing)


def _in_streams(tokens: TokenTexts, many: int, length: int, first: int) -> LanguageBatches:
    """The tokens from `first` on in so many streams, segment by segment."""
    spans = streams(len(tokens.ids), many, length, first)
    order = np.arange(len(spans) * many).reshape(-1, many)
    return LanguageBatches(tokens, list(spans.reshape(-1, 1, 2)), list(order), width=length, follow=True)


def demand_segments(spec: Model, length: int, stride: int | None) -> None:
    """Refuse segments for a model that hands nothing on, or that remembers by segments of another length."""
    try:
        segment = demand_carrying(spec.stack, spec.embed.limit())
    except UsageError as error:
        raise InvalidConfig(
            f"segments follow each other, and {error.reason()}",
            key="data.rows",
            remedy="Take transformer_xl, memorizing or a recurrent network, or leave rows alone: data.rows=windows.",
        ) from None
    if segment not in (None, length):
        raise InvalidConfig(
            f"segments have {length:,} tokens, and the model remembers by {segment:,}",
            key="data.length",
            remedy=f"Take data.length={segment}, or model.segment={length}.",
        )
    if stride is not None:
        raise InvalidConfig(
            "windows have a stride; segments are read one after the other",
            key="evaluate.stride",
            remedy="Leave it out.",
        )


def _demand_window(tokens: TokenTexts, length: int, segments: int = 1) -> None:
    """Refuse a text that is too short for a window, or for so many `segments` of which one hands on to the next."""
    if len(tokens.ids) <= segments * length:
        alone = segments == 1
        what = f"a window of {length:,}" if alone else f"{segments} segments of {length:,}, one after the other,"
        other = "lay documents out by data.rows=padded" if alone else "let rows stand alone: data.rows=windows"
        raise InvalidData(
            f"the text has {len(tokens.ids):,} tokens, too few for {what} and the token behind",
            where=tokens.where(0),
            remedy=f"Lower data.length, or {other}.",
        )


def _one_stack(model: nn.Module) -> ModelLayer:
    assert isinstance(model, ModelLayer), f"a language model is one stack, not {type(model).__name__}"
    return model


TASK = Language
