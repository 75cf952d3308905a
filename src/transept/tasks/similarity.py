"""Similarity: how alike two texts are, by the cosine of their vectors, each made of one text alone (Sentence-BERT).

Shapes: B pairs, S tokens, D width. A batch holds the first texts of its pairs, and behind them the second, 2B rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from transept.data.classes import amounts
from transept.data.config import Split
from transept.data.config_senses import PairsOfTexts
from transept.data.labelled_texts import LabelledTexts, read_labelled_texts
from transept.data.listing import place_of
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.heads.classes import Pooled, States, pooled
from transept.hub.card import Measure, Record, Text
from transept.hub.described import headed
from transept.hub.directory import locate, save
from transept.hub.kinds import reads
from transept.hub.pooling import KINDS, MODULES, Embedding, declared, written
from transept.hub.sentences import read_sentences
from transept.models import Model, ModelLayer
from transept.parts.loss import Loss
from transept.spec import replace as changed
from transept.tasks.begun import Begun, declared_model, opened, taken
from transept.tasks.card import recorded, results_of, sampled, weights_of
from transept.tasks.classifying import one_stack
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.examples import ClassBatch, ClassBatches, Draws, Entering, Examples, TextSource
from transept.tasks.grades import correlations
from transept.tasks.labelled import some_of_each_class
from transept.tasks.measure import Measured, judging
from transept.tasks.score import RESAMPLES
from transept.tasks.settings.similarity import SimilarityRecipe
from transept.tasks.splits import chosen, halved
from transept.tasks.stack_task import StackTask
from transept.tasks.texts import demand_vocabulary
from transept.tasks.worded import all_texts, tokenizer_for, told_of_rows

EXAM = 8192  # tokens that are scored together, where no recipe says it


class PairSource:
    """Pairs of texts, each text in a row of its own. A batch counts the tokens of both, padding too."""

    unit = "pairs of texts"

    def __init__(self, first: TextSource, second: TextSource) -> None:
        self.first, self.second, self.together = first, second, first.together

    @property
    def files(self) -> Sequence[Path]:
        return self.first.files

    @property
    def fingerprint(self) -> str:
        return f"{self.first.fingerprint} {self.second.fingerprint}"

    def where(self, row: int) -> str:
        return self.first.where(row)

    def name(self, row: int) -> str:
        return f"{self.first.name(row)}\t{self.second.name(row)}"

    def lengths(self, training: bool) -> NDArray[np.int32]:
        return 2 * np.maximum(self.first.lengths(training), self.second.lengths(training))

    def inputs(self, rows: Sequence[int], draws: Draws | None) -> Entering:
        return self.first.beside([*(self.first.rows[row] for row in rows), *(self.second.rows[row] for row in rows)])

    def mix(self) -> float:
        return 0.0


class Similarity(StackTask[SimilarityRecipe, Examples]):
    """The task of a recipe: its pairs, its model. `say` hears what is found on the way."""

    name, verb, counts = "similarity", "embed", "tokens"
    each = "pair"

    def __init__(self, recipe: SimilarityRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.say = recipe, say
        self.score: str = recipe.evaluate.best
        self.higher = self.score != "loss"
        stored = opened(recipe, say)
        files = stored.sentences if stored else {}
        self.how = declared(files, Path(recipe.start or ""))
        if recipe.similarity.pool is not None:
            self.how = replace(self.how, pool=recipe.similarity.pool, source="similarity.pool says so")
        demand_pooled_whole(self.how, recipe.start)
        found = read_pairs(recipe.data, "train", say)
        rows, held = halved(recipe.data, found)
        if recipe.data.labels is not None:
            rows = some_of_each_class(rows, recipe.data.labels, None, recipe.train.seed)
        was = stored.model.spec if stored else declared_model(recipe, {}, "similarity")
        assert isinstance(was, Model)
        if reads(was) != "text":
            named = recipe.where("model.family") if recipe.start is None else recipe.start
            raise InvalidConfig(f"similarity is of texts, and this model reads {reads(was)}", where=named)
        texts = all_texts(found, rows.tolist()) if stored is None else []
        self.tokenizer = tokenizer_for(recipe, recipe.data, stored, texts, was.stack.causal)
        if stored is None:
            self.begun = Begun(bare(declared_model(recipe, {"vocab": self.tokenizer.vocab}, "similarity")))
        else:
            spec = bare(was, stored.beside.get("model_type"))
            self.begun = taken(stored, spec, spec == was, recipe, say)
        demand_vocabulary(self.spec, self.tokenizer, recipe.where("model.vocab"))
        self.sentences = self._sentences(files, Path(recipe.start or ""))
        self.train = self.examples(found, rows)
        if held is not None:
            self.valid = replace(self.train, rows=held)
        else:
            self.valid = self.examples(read_pairs(recipe.data, "valid", say))

    def _sentences(self, files: Mapping[str, str], root: Path) -> Mapping[str, str]:
        """The files by which others embed as this model does: those that it had, where they say it."""
        if MODULES in files and declared(files, root).pool == self.how.pool:
            return files
        return written(self.how, self.spec.stack.leaves(self.spec.width), self.how.longest or self.spec.limit())

    def examples(self, found: LabelledTexts, rows: NDArray[np.int64] | None = None) -> Examples:
        """Pairs with their numbers, all of them or some rows."""
        source = source_of(found, self.tokenizer, self.spec, self.how, self.recipe.data, self.say)
        chosen = np.arange(len(found)) if rows is None else rows
        return Examples(source, chosen, scaled(found, self.recipe.similarity.scores), 0)

    @cached_property
    def test(self) -> Examples:
        return self.examples(read_pairs(self.recipe.data, "test", self.say))

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: pairs, vocabulary, budget and seed."""
        settings = self.recipe.train
        told = (self.train.source.fingerprint, self.recipe.similarity.scores, settings.batch_tokens, settings.seed)
        digest = hashlib.sha256(repr(told).encode())
        digest.update(np.ascontiguousarray(self.train.rows).data)
        return digest.hexdigest()

    def facts(self) -> dict[str, str]:
        held = " held out" if self.recipe.data.hold else ""
        lengths = (self.train.source.lengths(True)[self.train.rows] // 2).tolist()
        return {
            "title": self.title,
            "data": f"train {len(self.train):,} pairs of texts · valid {len(self.valid):,}{held}",
            "tokens": told_of_rows(lengths, self.tokenizer, self.recipe, self.recipe.data),
            "vectors": str(self.how),
        }

    def trial(self) -> list[tuple[str, str]]:
        """The test split where there is one."""
        return [("test", f"{len(self.test):,} pairs of texts")] if self.recipe.data.test is not None else []

    def build(self) -> nn.Module:
        """The model; no head reads its vectors, so what there is of one stays as it was."""
        model = self.begun.build()
        model.head.requires_grad_(False)
        return model

    def batches(self, split: str, epoch: int) -> ClassBatches:
        settings, training = self.recipe.train, split == "train"
        data = self.split(split)
        planned = data.plan(settings.batch_tokens, settings.seed, epoch if training else 0, training)
        return ClassBatches(data, planned, (settings.seed, epoch) if training else None)

    def loss(self, model: nn.Module, batch: ClassBatch) -> Loss:
        """The squared error of the cosines, summed over pairs."""
        total = (cosines(one_stack(model), batch, self.how) - batch.targets).square().sum()
        return Loss(total, total.detach(), batch.tokens)

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss (the mean squared error), pearson and spearman."""
        return self.measure(model, split).values()

    def measure(self, model: nn.Module, split: str, resamples: int = 0) -> Measured:
        """Everything about a model on a split, intervals from so many resamples."""
        return measure_pairs(one_stack(model), self.split(split), self.how, self.recipe.train.batch_tokens, resamples)

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        data = self.valid
        count = min(self.recipe.train.samples, len(data))
        chosen = data.select(np.array([len(data) * i // count for i in range(count)], np.int64))
        found = measure_pairs(one_stack(model), chosen, self.how, self.recipe.train.batch_tokens)
        return [
            {"source": chosen.name(row), "reference": f"{chosen.own[row]:.3f}", "output": output}
            for row, output in enumerate(found.outputs)
        ]

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        card = None if record is None else self._card(model, record)
        save(directory, model, tokenizer=self.tokenizer, sentences=self.sentences, card=card)

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        found, where = self.measure(model, "valid", RESAMPLES), self.valid.names()
        made = recorded(told, found, where, [*weights_of(told, "pairs"), results_of("by the cosine of two vectors")])
        splits = (("train", self.train), ("valid", self.valid))
        return replace(
            made,
            does="It makes a vector of a text; the cosine of two tells how alike texts are.",
            measures=[*made.measures[:-1], Measure("mean squared error", where, found.loss)],
            texts=[Text(split, data.names(), len(data), "pairs of texts") for split, data in splits],
            samples=sampled(self, model),
            example=self.valid.name(0).split("\t")[0],
        )

    @staticmethod
    def exam(subject: Subject, asked: Asked) -> Exam:
        """The pairs that `transept eval` scores a model on. Raises UsageError where a model reads no text."""
        spec = subject.model.spec
        if not isinstance(spec, Model) or reads(spec) != "text" or subject.tokenizer is None:
            raise UsageError("only a model of one stack that reads texts is scored so", where=subject.path)
        given = asked.recipe
        recipe = given if isinstance(given, SimilarityRecipe) else SimilarityRecipe.plain(EXAM)
        root = locate(subject.path)
        how = declared(read_sentences(root), root)
        demand_pooled_whole(how, subject.path)
        which = chosen(asked, recipe.data, "a table is one")
        found = which.read(lambda data, split: read_pairs(data, split, asked.say))
        source = source_of(found, subject.tokenizer, spec, how, which.data, asked.say)
        # Correlations are what is scored; the numbers of a table that nobody describes may be on any scale.
        scores = recipe.similarity.scores if given is not None else None
        data = Examples(source, np.arange(len(found)), scaled(found, scores), 0)

        def take() -> Measured:
            return measure_pairs(one_stack(subject.model), data, how, recipe.train.batch_tokens, RESAMPLES)

        return Exam(which.name, source.unit, source.files, len(data), take, searched=False)


def read_pairs(data: PairsOfTexts, split: Split, say: Callable[[str], None]) -> LabelledTexts:
    """The pairs of a split. Raises InvalidData with file and line, also where rows have one text alone."""
    found = read_labelled_texts(place_of(data, split), data, say)
    if found.others is None:
        raise InvalidData(
            "similarity is of pairs, and no column is the second text",
            where=f"{found.source}:1",
            remedy="Name it by data.columns.other=NAME.",
        )
    return found


def scaled(found: LabelledTexts, scores: tuple[float, float] | None) -> NDArray[np.float64]:
    """The numbers of pairs, the least and the greatest of `scores` as 0 and 1; None leaves them as they are.

    Raises InvalidData with the place of one that is beyond.
    """
    numbers = amounts(found.said["label"], found.where)
    if scores is None:
        return numbers
    low, high = scores
    beyond = np.flatnonzero((numbers < low) | (numbers > high))
    if len(beyond):
        row = int(beyond[0])
        raise InvalidData(
            f"the number {numbers[row]:g} is out of range: similarity.scores says {low:g} to {high:g}",
            where=found.where(row),
        )
    return (numbers - low) / (high - low)


def source_of(
    found: LabelledTexts,
    tokenizer: Tokenizer,
    spec: Model,
    how: Embedding,
    data: PairsOfTexts,
    say: Callable[[str], None],
) -> PairSource:
    """Pairs as rows of tokens, as the verb `embed` has them: prompt, small letters and limits are the model's."""
    words = tokenizer.lowered() if how.lower else tokenizer
    limits = [limit for limit in (data.length, how.longest) if limit is not None]
    settings = data.model_copy(update={"length": min(limits, default=None)})
    sides = []
    for texts in (found.texts, found.others):
        assert texts is not None
        said = {"text": [how.prompt + text for text in texts]}
        sides.append(TextSource(replace(found, said=said), words, spec, settings, say))
    return PairSource(*sides)


def bare(spec: Model, kind: str | None = None) -> Model:
    """The model without a head that scores: as Hugging Face's bare class of the model_type `kind` has it, if any."""
    if isinstance(spec.head, Pooled | States) and spec.second is None:
        return spec
    return changed(spec, head=headed(spec, "Model", 2, kind) or States(), second=None)


def demand_pooled_whole(how: Embedding, where: str | None) -> None:
    """Refuse vectors of which the prompt is no part."""
    if how.prompt and how.beside:
        raise InvalidConfig(
            "the vectors of this model leave its prompt out (include_prompt), which is not trained here",
            where=where,
            remedy="Set default_prompt_name to null in config_sentence_transformers.json.",
        )


def cosines(model: ModelLayer, batch: ClassBatch, how: Embedding) -> Tensor:
    """The cosine of each pair of vectors, (B,) in float32."""
    states, entered = model.hidden(batch.inputs, batch.valid, None, None, None, None, **batch.more)
    vectors = pooled(states, entered.valid, KINDS[how.pool]).float()
    first, second = vectors.chunk(2)
    return F.cosine_similarity(first, second, dim=-1)


def measure_pairs(model: ModelLayer, data: Examples, how: Embedding, budget: int, resamples: int = 0) -> Measured:
    """Everything about a model on these pairs: the mean squared error of its cosines, and their correlations."""
    found, right = np.empty(len(data)), data.own.astype(np.float64)
    with judging(model):
        batches = ClassBatches(data, data.plan(budget, 0, 0, False))
        for i in range(len(batches)):
            batch = batches[i].to(model.device)
            found[batch.rows] = cosines(model, batch, how).cpu().numpy()
    error = float(np.square(found - right).mean())
    outputs, scores = [f"{value:.4f}" for value in found], correlations(found, right, resamples)
    return Measured(error, len(data), outputs, scores, each="pair", unit="squared error")


TASK = Similarity
