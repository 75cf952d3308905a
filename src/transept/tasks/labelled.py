"""From a recipe to examples with labels: which classes there are, which rows are of which split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from transept.data.classes import amounts, by_number, class_names, numbered
from transept.data.config import Split
from transept.data.config_senses import Augment, Perturb
from transept.data.doubts import demand_labels
from transept.data.held import Rows
from transept.data.labelled_texts import LabelledTexts, read_labelled_texts
from transept.data.listing import SOUNDS, Listing, place_of, read_listing
from transept.data.pictures import Preparation
from transept.data.sights import Pictures, Sights, read_pictures
from transept.data.tokenizer import Tokenizer
from transept.data.waves import Waves
from transept.errors import InvalidConfig, InvalidData
from transept.hub.directory import Stored
from transept.hub.processor import Processor
from transept.inputs.seen import Seen
from transept.inputs.waveform import Waveform
from transept.models import Model
from transept.tasks.begun import hearing_of
from transept.tasks.examples import Examples, PictureSource, SoundSource, Source, TextSource
from transept.tasks.settings.classification import ClassificationRecipe
from transept.tasks.splits import halved
from transept.tasks.worded import all_texts, tokenizer_for

Say = Callable[[str], None]
Kind = Literal["pictures", "sound", "text", "documents"]
WRITTEN = ("text", "documents")  # kinds that a tokenizer reads
Found = Pictures | LabelledTexts
How = Processor | Tokenizer  # how an example becomes what a model takes


@dataclass(frozen=True)
class Labelled:
    """What a recipe names, read: the rows of training and of validation lie in one source where one was held out."""

    recipe: ClassificationRecipe
    kind: Kind
    say: Say
    judged: bool = False  # whether the classes are those of a model that is scored, whatever a recipe says

    def read(self, split: Split) -> Found:
        """The examples of a split with their labels; texts that speak of a place speak of the file's."""
        found = self._read(split)
        if self.recipe.classify.target == "class" and self.recipe.data.classes is None:
            demand_labels(found.said["label"], found.where)
        return found

    def _read(self, split: Split) -> Found:
        if self.kind in WRITTEN:
            return read_labelled_texts(place_of(self.recipe.data, split), self.recipe.data, self.say)
        if self.kind == "pictures":
            return read_pictures(self.recipe.data, split, self.say)
        return read_listing(place_of(self.recipe.data, split), self.recipe.data, ["label"], SOUNDS, self.say)

    @cached_property
    def train(self) -> Found:
        return self.read("train")

    @cached_property
    def halves(self) -> tuple[Rows, Rows | None]:
        """The rows to train on, and those of the same files that validate; None where others do."""
        data, found = self.recipe.data, self.train
        labels = found.said["label"] if self.recipe.classify.target == "class" else None
        if labels is not None and data.classes is not None:
            _ = self.asked  # a label that is no class is told as that, and not as a class with a single example
        rows, held = halved(data, found, labels, found.said.get("speaker"))
        if data.labels is not None:
            rows = some_of_each_class(rows, data.labels, labels, self.recipe.train.seed)
        return rows, held

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes, in order; none where labels are numbers."""
        if self.recipe.classify.target == "number":
            return ()
        if self.recipe.data.classes is not None:
            return tuple(self.recipe.data.classes)
        if self.train.classes:
            return self.train.classes
        labels = self.train.said["label"]
        names = class_names([labels[row] for row in self.halves[0]])
        if len(names) < 2:
            raise InvalidData(
                f"every label is {names[0]!r}: there is nothing to tell apart",
                where=self.train.where(0),
                remedy="Are the folders or the column those of classes? data.columns.label names a column.",
            )
        return names

    def answers(self, found: Found) -> np.ndarray:
        """What is asked of each row."""
        labels, where = found.said["label"], found.where
        if self.recipe.classify.target == "number":
            return amounts(labels, where)
        own = self.recipe.data.classes is not None and not self.judged
        whose = "the model's classes" if self.judged else "data.classes" if own else "the training's classes"
        labels = by_number(labels, self.names, found.classes, found.files[0], whose, self.say)
        return numbered(labels, self.names, where, whose, " data.classes=null takes those of the table." if own else "")

    @cached_property
    def asked(self) -> np.ndarray:
        """What is asked of each row of training, and of those held out of it."""
        return self.answers(self.train)

    def demand_count(self, count: int) -> None:
        """Refuse data whose classes a model of `count` does not score: InvalidData with the first that is beyond."""
        own = self.asked
        if len(self.names) > count:
            row = int(np.flatnonzero(own >= count)[0]) if (own >= count).any() else 0
            raise InvalidData(
                f"the label {self.train.said['label'][row]!r} is out of range: the model scores {count} classes"
                f" (model.labels), and there are {len(self.names)}",
                where=self.train.where(row),
                remedy="Leave model.labels out, or take the class out.",
            )
        if len(self.names) < count:
            raise InvalidConfig(
                f"model.labels is {count}, and there are {len(self.names)} classes: {', '.join(self.names[:12])}",
                where=self.recipe.where("model.labels"),
                remedy="Leave model.labels out, or name them all by data.classes.",
            )

    def tokenizer(self, stored: Stored | None, causal: bool) -> Tokenizer:
        """What makes texts tokens. Raises InvalidConfig where the recipe changes what texts have not."""
        data = self.recipe.data
        for key, plain in (("augment", Augment()), ("perturb", Perturb())):
            if getattr(data, key) != plain:
                where = self.recipe.where(f"data.{key}")
                raise InvalidConfig(f"data.{key} changes pictures or sounds, and this model reads text", where=where)
        assert isinstance(self.train, LabelledTexts)
        texts = all_texts(self.train, self.halves[0].tolist()) if stored is None else []
        return tokenizer_for(self.recipe, data, stored, texts, causal)

    def source(self, found: Found, spec: Model, how: How) -> Source:
        """What batches are made from."""
        data = self.recipe.data
        if isinstance(how, Tokenizer):
            assert isinstance(found, LabelledTexts)
            return TextSource(found, how, spec, data, self.say)
        assert not isinstance(found, LabelledTexts)
        if isinstance(how, Preparation):
            assert isinstance(spec.embed, Seen)
            return PictureSource(Sights(found, how, spec.embed.channels), data.augment)
        assert isinstance(spec.embed, Waveform) and isinstance(found, Listing)
        waves = Waves(found, how.rate, how.normalise, spec.embed.features.least(), self.say)
        return SoundSource(waves, data.perturb, spec.embed.features)

    def examples(self, spec: Model, how: How) -> tuple[Examples, Examples]:
        """Those to train on, and those to validate on."""
        rows, held = self.halves
        source, count = self.source(self.train, spec, how), len(self.names)
        whole = Examples(source, rows, self.asked, count)
        if held is not None:
            return whole, Examples(source, held, whole.answers, count)
        return whole, self.other("valid", spec, how)

    def other(self, split: Split, spec: Model, how: How) -> Examples:
        """A split with files of its own."""
        found = self.read(split)
        source = self.source(found, spec, how)
        return Examples(source, np.arange(len(found)), self.answers(found), len(self.names))


def some_of_each_class(rows: Rows, count: int, labels: Sequence[str] | None, seed: int) -> Rows:
    """So many of some rows for each class, in order; drawn by `seed`, so that fewer are among more. Without `labels`
    all are of one class.

    Raises InvalidConfig where a class has fewer.
    """
    order = rows[np.random.default_rng(seed).permutation(len(rows))]
    groups: dict[str, list[int]] = {}
    for row in order.tolist():
        groups.setdefault("" if labels is None else labels[row], []).append(row)
    for name, own in sorted(groups.items()):
        if len(own) < count:
            of = "there are" if labels is None else f"the class {name!r} has"
            raise InvalidConfig(f"{count:,} examples are wanted, and {of} {len(own):,} to train on", key="data.labels")
    return np.array(sorted(row for own in groups.values() for row in own[:count]), np.int64)


def prepared_by(spec: Model, recipe: ClassificationRecipe, stored: Stored | None, say: Say) -> Processor:
    """How examples become what a model takes: as the model that is taken up had it, else as the recipe says."""
    data = recipe.data
    if isinstance(spec.embed, Waveform):
        return hearing_of(stored, data.rate, recipe, say)
    if stored is not None and isinstance(stored.processor, Preparation):
        own = (listed(stored.processor.mean), listed(stored.processor.std))
        if data.mean is not None and (data.mean, data.std) != own:
            say(f"pictures are prepared as the model of {recipe.start} had them: data.mean and data.std have no say")
        return stored.processor
    assert isinstance(spec.embed, Seen)
    for key, values in (("mean", data.mean), ("std", data.std)):
        if values is not None and len(values) != spec.embed.channels:
            raise InvalidConfig(
                f"data.{key} has {len(values)} values, and pictures {spec.embed.channels} channels",
                where=recipe.where(f"data.{key}"),
            )
    mean, std = (None if values is None else tuple(values) for values in (data.mean, data.std))
    return Preparation(size=spec.embed.size, mean=mean, std=std)


def listed(values: tuple[float, ...] | None) -> list[float] | None:
    return None if values is None else list(values)
