"""Sentences with tags as rows of tokens, the scores of their words, and what a model that tags is worth.

Shapes: B sentences, S tokens, C tags, W words of all sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.data.batches import IGNORED
from transept.data.classes import by_number, numbered
from transept.data.labelled_texts import LabelledTexts
from transept.data.spans import begin_and_go_on
from transept.data.tagged import TaggedTexts, first_tokens, words_of
from transept.data.text_batches import TextBatch, filled
from transept.data.tokenizer import Tokenizer
from transept.data.trees import Place, places, token_places, tree_tensor
from transept.errors import InvalidData
from transept.models import Model, ModelLayer
from transept.parts.loss import Smoothing
from transept.tasks.batched import Batches, planned
from transept.tasks.classifying import class_loss
from transept.tasks.examples import TextSource
from transept.tasks.grades import accuracy, entity_f1
from transept.tasks.measure import Measured, judging
from transept.tasks.score import Score
from transept.tasks.settings.tagging import TaggingRecipe

UNSEEN = -1  # what is found of a word of which the tokenizer leaves nothing


@dataclass(frozen=True, eq=False)
class TaggedRows:
    """Sentences as rows of tokens; `places` tell the first token of each word, None where it has none, and `tags` (W,)
    the number of each word's tag, sentence after sentence, which begin at `bounds`. `trees` tell where each token
    stands in its sentence's tree, None where the model does not ask."""

    texts: TaggedTexts
    source: TextSource
    places: Sequence[Sequence[int | None]]
    tags: NDArray[np.int64]
    bounds: NDArray[np.int64]
    names: tuple[str, ...]
    trees: Sequence[Sequence[Place]] | None = None

    @classmethod
    def of(
        cls,
        texts: TaggedTexts,
        source: TextSource,
        names: tuple[str, ...],
        whose: str,
        say: Callable[[str], None],
        trees: Sequence[Sequence[Place]] | None = None,
    ) -> TaggedRows:
        """`say` hears of tags that count as others. Raises InvalidData with the place of one that is not in `names`."""
        bounds = np.cumsum([0, *map(len, texts.words)])
        flat = by_number([tag for tags in texts.tags for tag in tags], names, texts.classes, texts.source, whose, say)
        tags = numbered(
            flat, names, lambda word: texts.where(int(np.searchsorted(bounds, word, side="right")) - 1), whose
        )
        places = [first_tokens(words, row) for words, row in zip(texts.words, source.rows, strict=True)]
        return cls(texts, source, places, tags, bounds, names, trees)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def unseen(self) -> int:
        """How many words have no token of their own."""
        return sum(place is None for places in self.places for place in places)

    def own(self, row: int) -> NDArray[np.int64]:
        """The tags of a sentence."""
        return self.tags[self.bounds[row] : self.bounds[row + 1]]

    def batch(self, rows: NDArray[np.int64]) -> TextBatch:
        """Some sentences; a label at each word's first token, and nowhere else."""
        chosen = rows.tolist()
        entering = self.source.inputs(chosen, None)
        labels = filled([self._labels(row) for row in chosen], IGNORED)
        tree = None
        if self.trees is not None:
            tree = tree_tensor([self.trees[row] for row in chosen], entering.inputs.size(1))
        return TextBatch(
            entering.inputs, labels, chosen, entering.valid, None, entering.more.get("segments"), tree=tree
        )

    def _labels(self, row: int) -> NDArray[np.int64]:
        labels = np.full(len(self.source.rows[row].ids), IGNORED, np.int64)
        for place, tag in zip(self.places[row], self.own(row), strict=True):
            if place is not None:
                labels[place] = tag
        return labels

    @property
    def lengths(self) -> NDArray[np.int32]:
        """The tokens of each sentence."""
        return self.source.lengths(False)

    def select(self, rows: Sequence[int]) -> TaggedRows:
        """Only these sentences, in this order."""
        tags = np.concatenate([self.own(row) for row in rows])
        bounds = np.cumsum([0, *(len(self.texts.words[row]) for row in rows)])
        places = [self.places[row] for row in rows]
        trees = None if self.trees is None else [self.trees[row] for row in rows]
        return TaggedRows(self.texts.select(rows), self.source.select(rows), places, tags, bounds, self.names, trees)

    def plan(self, budget: int, seed: int, epoch: int, training: bool) -> list[NDArray[np.int64]]:
        """The rows of each batch: see `transept.data.batches.plan`."""
        return planned(self.lengths, budget, seed, epoch, training, self.source.together, self.texts.where)


def rows_of(
    texts: TaggedTexts,
    tokenizer: Tokenizer,
    spec: Model,
    recipe: TaggingRecipe,
    names: tuple[str, ...],
    whose: str,
    say: Callable[[str], None],
) -> TaggedRows:
    """Sentences as rows of tokens with the numbers of their tags, and with their trees where the model reads them.

    Raises InvalidData where there are none.
    """
    listed = LabelledTexts(texts.source, {"text": texts.texts}, texts.lines, {})
    source = TextSource(listed, tokenizer, spec, recipe.data, say)
    if not spec.reads_tree:
        return TaggedRows.of(texts, source, names, whose, say)
    if texts.heads is None:
        raise InvalidData(
            "the positions of this model are places in dependency trees, and this file holds none",
            where=texts.source,
            remedy="Name a treebank in CoNLL-U (.conllu), or tell order otherwise: model.positions=sinusoid.",
        )
    told = zip(texts.words, texts.heads, source.rows, strict=True)
    trees = [token_places(places(heads), words_of(words, row)) for words, heads, row in told]
    return TaggedRows.of(texts, source, names, whose, say, trees)


def word_scores(model: ModelLayer, batch: TextBatch, *, learning: bool = True) -> Tensor:
    """Scores (N, C) in float32 of the N words of a batch that have a token, sentence after sentence.

    Without `learning` no gradient goes below the head.
    """
    more = {} if batch.segments is None else {"segments": batch.segments}
    with torch.set_grad_enabled(learning and torch.is_grad_enabled()):
        states, entered = model.hidden(batch.inputs, batch.valid, None, None, None, batch.tree, **more)
    scores: Tensor = model.head(states, entered)
    return scores[batch.labels != IGNORED].float()


def measure_tags(model: ModelLayer, data: TaggedRows, budget: int, resamples: int = 0) -> Measured:
    """Everything about a model on these sentences; the loss is cross-entropy in nats a word that has a token."""
    found, total, count = np.full(len(data.tags), UNSEEN), 0.0, 0
    with judging(model):
        batches = Batches(data, data.plan(budget, 0, 0, False))
        for i in range(len(batches)):
            batch = batches[i]
            at = [
                int(data.bounds[row]) + word
                for row in batch.rows
                for word, place in enumerate(data.places[row])
                if place is not None
            ]
            scores = word_scores(model, batch.to(model.device)).cpu()
            loss = class_loss(scores, torch.from_numpy(data.tags[at]), Smoothing())
            total, count = total + float(loss.nll), count + loss.count
            found[at] = scores.argmax(-1).numpy()
    told = [
        ["?" if tag == UNSEEN else data.names[tag] for tag in found[data.bounds[row] : data.bounds[row + 1]]]
        for row in range(len(data))
    ]
    scored: dict[str, Score] = {"accuracy": accuracy(found, data.tags)}
    more: dict[str, float] = {}
    if begin_and_go_on(data.names):
        scored["entity_f1"], more["precision"], more["recall"] = entity_f1(told, data.texts.tags, resamples)
    return Measured(total / max(count, 1), count, [" ".join(tags) for tags in told], scored, more, "word")
