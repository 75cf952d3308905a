"""Questions as rows of tokens with the places of their answers, and what a model that answers is worth.

Shapes: B windows, S tokens.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from transept.data.questions import Questions, best_span, tokens_of, windows
from transept.data.tokenizer import Encoding, Tokenizer
from transept.errors import InvalidData
from transept.inputs.tokens import Tokens
from transept.models import Model, ModelLayer
from transept.parts.loss import Loss
from transept.tasks.batched import Batches, planned
from transept.tasks.examples import ClassBatch, beside
from transept.tasks.measure import Measured, judging
from transept.tasks.score import Score, redrawn, wilson

NOWHERE = (0, 0)  # the answer of a window without one: its first token (Devlin et al. 2019, section 4.3)


@dataclass(frozen=True, eq=False)
class Windows:
    """Questions in windows of their contexts: `rows[i]` is of question `of[i]`, and its first answer stands there from
    token `places[i, 0]` to `places[i, 1]`; where it does not, or not as a whole, both are 0."""

    questions: Questions
    rows: Sequence[Encoding]
    of: NDArray[np.int64]
    places: NDArray[np.int64]
    pad: int
    segments: bool
    together: int | None

    @classmethod
    def made(
        cls, questions: Questions, tokenizer: Tokenizer, spec: Model, length: int | None, together: int | None
    ) -> Windows:
        """Raises InvalidData with the place of a question that leaves no room, or an answer without a token."""
        assert isinstance(spec.embed, Tokens)
        limits = [limit for limit in (length, spec.limit()) if limit is not None]
        asked = [one.question for one in questions.rows]
        wholes = tokenizer.encodings(asked, [one.context for one in questions.rows])
        rows, of, places = list[Encoding](), list[int](), list[tuple[int, int]]()
        for number, (one, whole) in enumerate(zip(questions.rows, wholes, strict=True)):
            try:
                found = windows(whole, min(limits, default=len(whole.ids)))
            except InvalidData as error:
                raise InvalidData(**error.fields(where=one.where)) from None
            span = (one.answers[0][0], one.answers[0][0] + len(one.answers[0][1])) if one.answers else None
            count = len(tokens_of(whole, *span)) if span else 0
            if span and not count:
                raise InvalidData(f"the tokenizer leaves nothing of {one.answers[0][1]!r}", where=one.where)
            for row in found:
                own = tokens_of(row, *span) if span else []
                rows.append(row)
                of.append(number)
                places.append((own[0], own[-1]) if count and len(own) == count else NOWHERE)
        segments = spec.embed.segments > 1
        return cls(questions, rows, np.array(of), np.array(places), tokenizer.pad or 0, segments, together)

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        return np.array([len(row.ids) for row in self.rows], np.int32)

    def where(self, row: int) -> str:
        return self.questions.where(int(self.of[row]))

    @property
    def unanswered(self) -> bool:
        """Whether some questions have no answer, so that this is among what a model may say."""
        return any(not one.answers for one in self.questions.rows)

    def select(self, questions: Sequence[int]) -> Windows:
        """Some questions with their windows, in this order."""
        rows = np.concatenate([np.flatnonzero(self.of == number) for number in questions])
        of = np.concatenate([np.full(int((self.of == n).sum()), i) for i, n in enumerate(questions)])
        kept = [self.rows[row] for row in rows.tolist()]
        return replace(self, questions=self.questions.select(questions), rows=kept, of=of, places=self.places[rows])

    def plan(self, budget: int, seed: int, epoch: int, training: bool) -> list[NDArray[np.int64]]:
        """The windows of each batch: see `transept.data.batches.plan`."""
        return planned(self.lengths, budget, seed, epoch, training, self.together, self.where)

    def batch(self, rows: NDArray[np.int64]) -> ClassBatch:
        """Some windows; targets (B, 2) are the first and the last token of the answer."""
        chosen = rows.tolist()
        entering = beside([self.rows[row] for row in chosen], self.pad, self.segments)
        places = torch.from_numpy(self.places[rows])
        return ClassBatch(entering.inputs, places, chosen, entering.valid, entering.more)


def span_scores(model: ModelLayer, batch: ClassBatch, *, learning: bool = True) -> Tensor:
    """Scores (B, S, 2) in float32 of each token as an answer's first and last; padding has none.

    Without `learning` no gradient goes below the head.
    """
    with torch.set_grad_enabled(learning and torch.is_grad_enabled()):
        states, entered = model.hidden(batch.inputs, batch.valid, None, None, None, None, **batch.more)
    scores = model.head(states, entered).float()
    return scores if entered.valid is None else scores.masked_fill(~entered.valid[..., None], float("-inf"))


def span_loss(scores: Tensor, places: Tensor) -> Loss:
    """The mean of the cross-entropies of both ends, summed over windows (Devlin et al. 2019, section 4.2)."""
    total = F.cross_entropy(scores, places, reduction="sum") / 2
    return Loss(total, total.detach(), len(scores))


def measure_answers(
    model: ModelLayer, data: Windows, budget: int, longest: int, unanswered: bool, resamples: int = 0
) -> Measured:
    """Everything about a model on these questions; the loss is cross-entropy in nats an end.

    An answer is the likeliest span of all windows of a question; where questions of the split are `unanswered`, that
    there is none is among what a model may say.
    """
    best: list[tuple[float, int, int]] = [(-1.0, 0, 0)] * len(data)
    none, total = np.full(len(data), np.inf), 0.0
    with judging(model):
        batches = Batches(data, data.plan(budget, 0, 0, False))
        for i in range(len(batches)):
            batch = batches[i].to(model.device)
            scores = span_scores(model, batch)
            total += float(span_loss(scores, batch.targets).nll)
            for window, own in zip(batch.rows, scores.cpu(), strict=True):
                row, question = data.rows[window], int(data.of[window])
                found, nothing = best_span(own[: len(row.ids)], row, longest)
                best[question], none[question] = max(best[question], found), min(none[question], nothing)
    outputs = [
        "" if unanswered and none[i] > best[i][0] else one.context[best[i][1] : best[i][2]]
        for i, one in enumerate(data.questions.rows)
    ]
    right = [[text for _, text in one.answers] or [""] for one in data.questions.rows]
    return Measured(total / len(data.rows), len(data.rows), outputs, answered(outputs, right, resamples), each="end")


def answered(outputs: Sequence[str], right: Sequence[Sequence[str]], resamples: int = 0) -> dict[str, Score]:
    """Exact match and F1 of words beside the best of several answers, as SQuAD's own script (Rajpurkar et al. 2016)."""
    exact = [any(plain(output) == plain(one) for one in each) for output, each in zip(outputs, right, strict=True)]
    shared = np.array([max(word_f1(output, one) for one in each) for output, each in zip(outputs, right, strict=True)])
    count = len(outputs)
    low, high = wilson(sum(exact), count)
    interval, end = redrawn(count, resamples, lambda rows: 100 * float(shared[rows].mean()))
    share = 100 * sum(exact) / count
    return {
        "exact_match": Score("exact match", share, (100 * low, 100 * high), f"n:{count}|squad|interval:wilson"),
        "f1": Score("F1", 100 * float(shared.mean()), interval, f"n:{count}|squad{end}"),
    }


def plain(text: str) -> str:
    """In small letters, without signs, articles and more than one space."""
    kept = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def word_f1(output: str, right: str) -> float:
    """F1 of the words of two texts; of empty ones 1 where both are."""
    mine, theirs = plain(output).split(), plain(right).split()
    if not mine or not theirs:
        return float(mine == theirs)
    hits = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * hits / (len(mine) + len(theirs))
