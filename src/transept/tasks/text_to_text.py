"""Text to text: several tables put into words, one model that writes the answers of all (Raffel et al. 2020)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from transept.data.batches import plan
from transept.data.cache import TokenPairs, tokenise, within
from transept.data.columnar import spoken
from transept.data.config import Split
from transept.data.config_tables import TablesData
from transept.data.files import find
from transept.data.mixing import drawn, shares
from transept.data.prompted import Prompted, TablePairs, cut_sources, pairs_of, read_prompted, read_rows
from transept.data.templates import Template
from transept.data.tokenizer import Tokenizer
from transept.decode.config import Search
from transept.decode.search import search
from transept.errors import InvalidData, UsageError, nearest
from transept.hub.beside import ids_of
from transept.hub.card import Record, Text
from transept.hub.directory import LONGEST, save
from transept.hub.generation import Generation
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.answers import graded, named
from transept.tasks.card import notes, recorded, sampled
from transept.tasks.exam import Asked, Exam, Subject
from transept.tasks.measure import Measured, demand_fitting, judging, mean_loss, pair_loss
from transept.tasks.score import RESAMPLES, Score
from transept.tasks.settings.text_to_text import TextToTextRecipe
from transept.tasks.start import called
from transept.tasks.translation import PairBatches, trial_of
from transept.tasks.writer import Writer, declared_writer, demand_room, taken_writer

SUMMARY, TRANSLATION = "summarization", "translation"  # what config.json calls what comes before a text


@dataclass(frozen=True, eq=False)
class SplitTables:
    """What a split is measured on: its tables, a pair for each answer, and the pair that each row is asked by."""

    tables: Sequence[Prompted]
    tokens: TokenPairs
    cut: int

    @cached_property
    def asked(self) -> list[int]:
        """The first pair of every row, table by table."""
        text = self.tokens.text
        assert isinstance(text, TablePairs)
        keys = list(zip(text.of, text.rows, strict=True))
        return [at for at, key in enumerate(keys) if at == 0 or key != keys[at - 1]]

    def names(self) -> str:
        """The files, without their folders."""
        return ", ".join(spoken(table.path) for table in self.tables)

    def __len__(self) -> int:
        return sum(map(len, self.tables))


class TextToText:
    """The task of a recipe: its tables, its vocabulary, its model. `say` hears what is found on the way."""

    name = "text_to_text"

    def __init__(self, recipe: TextToTextRecipe, *, say: Callable[[str], None] = print) -> None:
        self.recipe, self.data, self.say = recipe, recipe.data, say
        self.score: str = recipe.evaluate.best
        self.higher = self.score == "mean"
        tables = read_prompted(recipe.data, "train", say)
        self.begun = declared_writer(recipe, tables) if recipe.start is None else taken_writer(recipe, say)
        demand_room(self.begun, recipe)
        whole = self._read(tables)
        self.train, self.kept = within(whole.tokens, self.data.max_length)
        self.sizes = np.bincount(self._tables(), minlength=len(tables)).tolist()
        for table, count in zip(tables, self.sizes, strict=True):
            if not count:
                raise InvalidData("no row is short enough", where=table.path, remedy="Raise data.max_length.")
        self.shares = shares(self.sizes, self.data.limit, self.data.temperature)

    @property
    def verb(self) -> str:
        """Of an instance, not of the class: a model that lies alone is taken for one of pairs of texts."""
        measures = {table.main for table in self.data.chosen.values()}
        return "summarize" if all(measure.startswith("rouge") for measure in measures) else "translate"

    @property
    def spec(self) -> Seq2Seq:
        return self.begun.spec

    @property
    def tokenizer(self) -> Tokenizer:
        return self.begun.tokenizer

    # ------------------------------------------------------------------ data

    def _read(self, tables: Sequence[Prompted]) -> SplitTables:
        tokens, cut = tokenise(pairs_of(tables), self.tokenizer, self.data.cache, self.say), 0
        if self.data.long == "cut":
            empty = self.tokenizer.encode("")
            kept = next((at for at, token in enumerate(reversed(empty)) if token == self.tokenizer.bos), len(empty))
            tokens, cut = cut_sources(tokens, self.data.max_length, kept)
        if cut:
            files = ", ".join(spoken(table.path) for table in tables)
            self.say(
                f"{files}: {cut:,} of {len(tokens):,} sources were cut to {self.data.max_length} tokens (data.long)"
            )
        return SplitTables(tables, tokens, cut)

    @cached_property
    def valid(self) -> SplitTables:
        return self._measured("valid")

    @cached_property
    def test(self) -> SplitTables:
        return self._measured("test")

    def _measured(self, split: Split) -> SplitTables:
        found = self._read(read_prompted(self.data, split, self.say))
        demand_fitting(found.tokens, self.longest)
        return found

    @property
    def longest(self) -> int:
        """The most tokens on a side that the model takes."""
        return self.spec.limit() or max(LONGEST, self.data.max_length)

    def _tables(self) -> list[int]:
        """The table of each pair of training."""
        text = self.train.text
        assert isinstance(text, TablePairs)
        return [text.of[row] for row in self.train.rows.tolist()]

    @cached_property
    def fingerprint(self) -> str:
        """What the batches of training come from: tokens, vocabulary, limits, how tables are mixed, budget and seed."""
        settings = self.recipe.train
        told = (self.tokenizer.fingerprint, self.sizes, self.shares, settings.batch_tokens, settings.seed)
        digest = hashlib.sha256(repr(told).encode())
        for array in (self.train.ids, self.train.offsets, self.train.rows):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def facts(self) -> dict[str, str]:
        model, chosen, names = self.recipe.model, self.data.tokenizer, list(self.data.chosen)
        kind = ":".join(str(model[key]) for key in ("family", "size") if key in model)
        each = zip(names, self.shares, self.sizes, strict=True)
        mixed = ", ".join(f"{name} {share:,}" + (f" of {of:,}" if share != of else "") for name, share, of in each)
        made = f"of {chosen.kind}, learned here" if chosen.file is None else f"of {chosen.file}"
        start = self.recipe.start
        made = made if start is None else f"of {called(start)}"
        return {
            "title": f"text to text · {kind if start is None else called(start)}",
            "data": f"train {self.kept.report()} · valid {len(self.valid):,} rows",
            "an epoch": f"{mixed} pairs",
            "vocabulary": f"{self.tokenizer.vocab:,} tokens {made}",
        }

    def trial(self) -> list[tuple[str, str]]:
        """The test split where each table has one, and of each table the first row as it is read and answered."""
        tested = all(table.test is not None for table in self.data.chosen.values())
        told = [("test", f"{len(self.test):,} rows")] if tested else []
        for table in self.valid.tables:
            told.append((table.name, f"{table.sources[0]!r} → {table.answers[0][0]!r}"))
        texts = [table.sources[0] for table in self.valid.tables[:3]]
        return told + trial_of(self.tokenizer, self.valid.tokens.ids, texts)

    def build(self) -> nn.Module:
        return self.begun.build()

    def batches(self, split: str, epoch: int) -> PairBatches:
        settings = self.recipe.train
        if split != "train":
            tokens = {"valid": lambda: self.valid, "test": lambda: self.test}[split]().tokens
            budget = max(settings.batch_tokens, int(tokens.lengths.max()))
            return self._batches(tokens, plan(tokens.lengths, budget, settings.seed, 0, shuffle=False))
        of = np.array(self._tables())
        rows = []
        for table, (count, take) in enumerate(zip(self.sizes, self.shares, strict=True)):
            rows.append(np.flatnonzero(of == table)[drawn(count, take, settings.seed, epoch, table)])
        taken = np.concatenate(rows)
        planned = plan(self.train.lengths[taken], settings.batch_tokens, settings.seed, epoch)
        return self._batches(self.train, [taken[batch] for batch in planned])

    def _batches(self, tokens: TokenPairs, planned: Sequence[Any]) -> PairBatches:
        return PairBatches(tokens, planned, self.begun.start, self.begun.pad)

    # ------------------------------------------------------------------ loss, measures, samples

    def loss(self, model: nn.Module, batch: Any) -> Loss:
        settings = self.recipe.train
        return pair_loss(_seq2seq(model), batch, Smoothing(settings.smoothing, settings.smoothing_form))

    def evaluate(self, model: nn.Module, split: str = "valid") -> dict[str, float]:
        """loss, ppl, each table's measures under TABLE_MEASURE, and the mean of those that count."""
        judged = self.valid if split == "valid" else self.test
        return self.measure(model, judged, self.recipe.evaluate.searching(self.recipe.search)).values()

    def measure(self, model: nn.Module, judged: SplitTables, settings: Search, resamples: int = 0) -> Measured:
        """Everything about a model on some tables, intervals from so many resamples."""
        built, tokens = _seq2seq(model), judged.tokens
        loss, count = mean_loss(built, tokens, self.recipe.train.batch_tokens, self.begun.start, self.begun.pad)
        outputs = self.written(built, judged, judged.asked, settings)
        scores: dict[str, Score] = {}
        more: dict[str, float] = {}
        mean, first = 0.0, 0
        for table in judged.tables:
            own = outputs[first : first + len(table)]
            found, first = graded(table, own, self.recipe.evaluate.tokenize, resamples), first + len(table)
            scores |= {f"{table.name}_{name}": named(table.name, score) for name, score in found.scores.items()}
            if found.what:
                more[f"{table.name}_rows_without_a_{found.what}"] = float(found.missed)
            mean += found.scores[table.table.main].value / len(judged.tables)
        return Measured(loss, count, outputs, scores, {"mean": mean} | more)

    def written(self, model: Seq2SeqLayer, judged: SplitTables, pairs: Sequence[int], settings: Search) -> list[str]:
        """What the model writes for the sources of some pairs."""
        sources = [judged.tokens.source(pair).tolist() for pair in pairs]
        with judging(model):
            found = search(model, sources, settings, self.begun.special)
        return self.tokenizer.decode_batch([one[0].tokens for one in found])

    def samples(self, model: nn.Module) -> list[dict[str, str]]:
        asked, text = self.valid.asked, self.valid.tokens.text
        count = min(self.recipe.train.samples, len(asked))
        pairs = [asked[len(asked) * i // count] for i in range(count)]  # spread over the tables
        settings = self.recipe.evaluate.searching(self.recipe.search)
        outputs = self.written(_seq2seq(model), self.valid, pairs, settings)
        return [
            {"source": text.source[pair], "reference": text.target[pair], "output": output}
            for pair, output in zip(pairs, outputs, strict=True)
        ]

    # ------------------------------------------------------------------ a model to keep, and to score

    def save_model(self, model: nn.Module, directory: Path, record: Mapping[str, Any] | None) -> None:
        generation = Generation(self.recipe.search, self.begun.special, self.begun.pad, self.longest)
        beside = ids_of(self.spec, self.tokenizer, generation) | prefixes(self.data)
        card = None if record is None else self._card(model, record)
        save(directory, model, tokenizer=self.tokenizer, generation=generation, card=card, beside=beside)

    def _card(self, model: nn.Module, told: Mapping[str, Any]) -> Record:
        where = self.valid.names()
        found = self.measure(model, self.valid, self.recipe.search, RESAMPLES)
        words = [f"{name}: `{table.source}`." for name, table in self.data.chosen.items()]
        splits = (("train", len(self.train), self.train.text.files), ("valid", len(self.valid), None))
        return replace(
            recorded(told, found, where, [*notes(told, self.recipe.search), *words]),
            does="It answers texts by texts; the words before one say which task it is.",
            texts=[
                Text(split, where if files is None else ", ".join(map(spoken, files)), count, "rows")
                for split, count, files in splits
            ],
            samples=sampled(self, model),
        )

    @classmethod
    def exam(cls, subject: Subject, asked: Asked) -> Exam:
        """The tables that `transept eval` scores a model on. Raises UsageError where the recipe says of none."""
        model, tokenizer, recipe = subject.model, subject.tokenizer, asked.recipe
        if not isinstance(recipe, TextToTextRecipe):
            raise UsageError("the model has no run beside it that says how tables are put into words")
        if not isinstance(model, Seq2SeqLayer) or tokenizer is None:
            raise UsageError("only a model that writes text for text is scored so", where=subject.path)
        task = cls.__new__(cls)
        task.recipe, task.data, task.say = recipe, recipe.data, asked.say
        assert subject.generation is not None
        task.begun = Writer(model.spec, tokenizer, subject.generation.special, subject.generation.pad or 0)
        if asked.data:
            name, judged = "data", task._read(_named(recipe.data, asked.data, asked.say))
        else:
            tested = all(table.test is not None for table in recipe.data.chosen.values())
            name = asked.choose(tested)
            judged = task._read(read_prompted(recipe.data, name, asked.say))
        demand_fitting(judged.tokens, subject.longest)

        def take() -> Measured:
            return task.measure(model, judged, subject.search, RESAMPLES)

        return Exam(name, "rows", [table.path for table in judged.tables], len(judged), take)


def prefixes(data: TablesData) -> dict[str, Any]:
    """What config.json says of the words before a text, where they are all of a template: as T5's, for summaries and
    translations, which have verbs of their own."""
    found: dict[str, dict[str, str]] = {}
    for name, table in data.chosen.items():
        prefix = Template(table.source).prefix
        if prefix and not (table.choices or table.numbers):
            found[SUMMARY if table.main.startswith("rouge") else f"{TRANSLATION}_{name}"] = {"prefix": prefix}
    return {"task_specific_params": found} if found else {}


def _named(data: TablesData, given: Sequence[str], say: Callable[[str], None]) -> list[Prompted]:
    """Tables of the command line, NAME=FILE, or a file alone where the recipe has one table."""
    tables, found = data.chosen, []
    for entry in given:
        name, sign, file = entry.partition("=")
        if not sign and len(tables) == 1:
            name, file = next(iter(tables)), entry
        elif not sign or name not in tables:
            near = nearest(name, tables) if sign else ""
            raise UsageError(
                f"--data {entry} names no table of the recipe.{near}",
                remedy=f"Write --data NAME=FILE with one of: {', '.join(tables)}.",
            )
        found.append(read_rows(name, tables[name], find(None, file, "--data"), say))
    return found


def _seq2seq(model: nn.Module) -> Seq2SeqLayer:
    assert isinstance(model, Seq2SeqLayer), f"text_to_text needs two stacks, not {type(model).__name__}"
    return model


TASK = TextToText
