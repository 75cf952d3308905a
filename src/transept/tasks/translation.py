"""Translation: pairs of texts, the loss of the target given the source, and what the translations are worth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from transept.data.batches import PairBatch, collate, plan
from transept.data.cache import Rows, TokenPairs, tokenise, within
from transept.data.config import PairsData, Split
from transept.data.pairs import Pairs, read_entry, read_pairs
from transept.data.subwords import Subwords
from transept.data.tokenizer import Tokenizer
from transept.decode.config import Search
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.hub.directory import save
from transept.hub.generation import Generation
from transept.models import Seq2SeqLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.card import record_of
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.measure import SPECIAL, Measured, demand_fitting, judging, measure, pair_loss, translate
from transept.tasks.pair_task import PairTask
from transept.tasks.registry import elsewhere
from transept.tasks.score import RESAMPLES
from transept.tasks.settings.translation import TranslationRecipe


class PairBatches:
    """The batches of one epoch, each padded when it is asked for. `bos` opens a target, `pad` fills rows up."""

    def __init__(
        self, tokens: TokenPairs, plan: Sequence[Rows], bos: int = Subwords.bos, pad: int = Subwords.pad
    ) -> None:
        self.tokens, self.plan, self.bos, self.pad = tokens, plan, bos, pad

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> PairBatch:
        return collate(self.tokens, self.plan[index], bos=self.bos, pad=self.pad)

    def largest(self) -> int:
        """The batch with the most positions, padding counted; of equals the one with the longest pair."""
        lengths = [self.tokens.lengths[rows].max(axis=0) for rows in self.plan]
        sizes = [
            (len(rows) * int(sides.sum()), int(sides.max())) for rows, sides in zip(self.plan, lengths, strict=True)
        ]
        return max(range(len(sizes)), key=sizes.__getitem__)


class Translation(PairTask[TranslationRecipe, TokenPairs]):
    """The task of a recipe: its texts, its vocabulary, its model. `say` hears what is found on the way."""

    name, verb = "translation", "translate"

    def __init__(self, recipe: TranslationRecipe, *, say: Callable[[str], None] = print) -> None:
        text = read_pairs(recipe.data, "train")  # whose report is in `facts`
        self.start(recipe, lambda: [*text.source, *text.target], say)
        everything = tokenise(text, self.tokenizer, recipe.data.cache, say)
        self.train, self.kept = within(everything, recipe.data.max_length, recipe.data.max_ratio)

    def measured(self, split: Split) -> TokenPairs:
        pairs = read_pairs(self.recipe.data, split)
        if report := pairs.report():
            self.say(report)
        return demand_fitting(tokenise(pairs, self.tokenizer, self.recipe.data.cache, self.say), self.longest)

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: tokens, vocabulary, limits, budget and seed."""
        train, settings = self.train, self.recipe.train
        digest = hashlib.sha256(f"{self.tokenizer.fingerprint} {settings.batch_tokens} {settings.seed}".encode())
        for array in (train.ids, train.offsets, train.rows):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def facts(self) -> dict[str, str]:
        data = self.recipe.data
        sides = f"{data.source}→{data.target}" if data.source and data.target else "translation"
        return {
            "title": f"{sides} · {self.kind}",
            "data": f"train {self.kept.report()} · valid {len(self.valid):,} pairs",
            "vocabulary": f"{self.tokenizer.vocab:,} tokens for both sides, of {data.vocabulary.kind}",
        }

    def batches(self, split: str, epoch: int) -> PairBatches:
        tokens, settings = self.split(split), self.recipe.train
        training = split == "train"
        budget = settings.batch_tokens if training else max(settings.batch_tokens, int(tokens.lengths.max()))
        planned = plan(tokens.lengths, budget, settings.seed, epoch if training else 0, training, where=tokens.where)
        return PairBatches(tokens, planned)

    def loss(self, model: nn.Module, batch: PairBatch) -> Loss:
        settings = self.recipe.train
        return pair_loss(self.pair(model), batch, Smoothing(settings.smoothing, settings.smoothing_form))

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss, ppl, bleu, chrf and exact_match; translated greedily unless `evaluate.search` says otherwise."""
        return self.measure(model, split, self.validation_search()).values()

    def measure(self, model: nn.Module, split: str, settings: Search, resamples: int = 0) -> Measured:
        """Everything about a model on a split, intervals from so many resamples."""
        return measure(
            self.pair(model),
            self.tokenizer,
            self.split(split),
            settings,
            tokenize=self.recipe.evaluate.tokenize,
            case=self.case,
            batch_tokens=self.recipe.train.batch_tokens,
            resamples=resamples,
        )

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        text = self.valid.text
        count = min(self.recipe.train.samples, len(text))
        rows = [len(text) * i // count for i in range(count)]  # spread over the split
        sources, references = [text.source[row] for row in rows], [text.target[row] for row in rows]
        with judging(model):
            outputs = translate(self.pair(model), self.tokenizer, sources, self.validation_search())
        keys = ("source", "reference", "output")
        return [dict(zip(keys, sample, strict=True)) for sample in zip(sources, references, outputs, strict=True)]

    def trial(self) -> list[tuple[str, str]]:
        """The test split where there is one, and three pairs through the vocabulary and back."""
        told = [("test", f"{len(self.test):,} pairs")] if self.recipe.data.test is not None else []
        return told + trial_of(self.tokenizer, self.valid.ids, self.valid.text.source[:3])

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The pairs that `transept eval` scores a model on. Raises UsageError where a model is none of texts."""
        model, tokenizer, recipe = subject.model, subject.tokenizer, asked.recipe
        if not isinstance(model, Seq2SeqLayer) or not isinstance(tokenizer, Subwords):
            raise UsageError(
                "only a model whose vocabulary was learned here, from text to text, is scored so",
                where=subject.path,
                remedy=elsewhere("translate"),
            )
        assert recipe is None or isinstance(recipe, TranslationRecipe)
        name, pairs = _chosen(recipe, asked)
        if report := pairs.report():
            asked.say(report)

        def take() -> Measured:
            return measure(
                model,
                tokenizer,
                demand_fitting(tokenise(pairs, tokenizer, None, asked.say), subject.longest),
                subject.search,
                tokenize=asked.tokenize or (recipe.evaluate.tokenize if recipe else "13a"),
                case="lower" if recipe and recipe.data.vocabulary.lower else "mixed",
                batch_tokens=subject.search.batch_tokens,
                resamples=RESAMPLES,
            )

        return Exam(name, "pairs", pairs.files, len(pairs), take)

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        card = None if record is None else record_of(self, self.pair(model), record)
        generation = Generation(self.recipe.search, SPECIAL, Subwords.pad, self.longest)
        save(directory, model, tokenizer=self.tokenizer, generation=generation, card=card)


def _chosen(recipe: TranslationRecipe | None, asked: Asked) -> tuple[str, Pairs]:
    """What is scored, and its pairs."""
    if asked.data:
        asked.demand_few(2, "pairs are in one file or in two")
        # Files on the command line start from where you are, not from the recipe's folder.
        plain = recipe.data.model_copy(update={"dir": None}) if recipe else PairsData()
        try:
            return "data", read_entry(plain, asked.data[0] if len(asked.data) == 1 else list(asked.data), "--data")
        except InvalidConfig as error:
            raise InvalidData(**error.fields()) from None
    split = asked.choose(recipe is not None and recipe.data.test is not None)
    assert recipe is not None
    return split, read_pairs(recipe.data, split)


def trial_of(tokenizer: Tokenizer, ids: NDArray[Any], texts: Sequence[str]) -> list[tuple[str, str]]:
    """What a vocabulary does not know of tokens, and some texts through it and back."""
    missed = int((ids == tokenizer.unk).sum())
    told = [("coverage", f"{missed:,} of {len(ids):,} tokens of the validation text are unknown")]
    for text in texts:
        own = tokenizer.encode(text)
        told.append(("round trip", f"{text!r} → {' '.join(tokenizer.tokens(own)[:12])} … → {tokenizer.decode(own)!r}"))
    return told


TASK = Translation
