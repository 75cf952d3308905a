"""Scores for classes: of a whole row, or of every position in it; and the vector of a row, which nothing scores.

Shapes: B batch, S length, D width, C classes.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.heads.head import Head, HeadLayer
from transept.parts.dense import Dense
from transept.parts.dropout import dropout
from transept.parts.entered import Entered
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.queried import Queried

Pool = Literal["first", "second", "last", "mean"]


def pooled(states: Tensor, valid: Tensor | None, pool: Pool) -> Tensor:
    """One state for each row: its first real one, the second, the last, or their mean. (B, S, D) -> (B, D)"""
    if valid is None:
        return states.mean(1) if pool == "mean" else states[:, {"first": 0, "second": 1, "last": -1}[pool]]
    if pool == "mean":
        real = valid[..., None].to(states.dtype)
        return (states * real).sum(1) / real.sum(1).clamp(min=1)
    order = torch.arange(valid.size(1), device=valid.device)
    column = order.where(valid, -1).amax(1) if pool == "last" else order.where(valid, valid.size(1)).amin(1)
    column = column + (pool == "second")
    column = column.clamp(0, valid.size(1) - 1)  # a row without anything real has no such column
    return states[torch.arange(len(states), device=states.device), column]


class Pooled(Head):
    """The vector of a row: BERT's pooler, sentence embeddings. `dense` None hands the pooled state on as it is."""

    pool: Pool = "first"
    dense: Dense | None = None

    def build(self, width: int) -> "PooledLayer":
        return PooledLayer(self, width)


class PooledLayer(HeadLayer):
    def __init__(self, spec: Pooled, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.dense = spec.dense.build(width) if spec.dense else nn.Identity()

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        """(B, S, D) -> (B, D)"""
        vector: Tensor = self.dense(pooled(states, entered.valid, self.spec.pool))
        return vector


class States(Head):
    """No head: the states themselves, (B, S, D)."""

    def build(self, width: int) -> "StatesLayer":
        return StatesLayer()


class StatesLayer(HeadLayer):
    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        return states


class Classes(Head):
    """drop(dense(pooled state)) W + b: a score for each class of a row, (B, C).

    `drop` "out" drops before W alone, as BERT; "both" before the dense matrix too, as RoBERTa and BART. `narrow` is a
    width to which states are projected before they are pooled, as wav2vec 2.0 for whole sounds; W reads that. `pool`
    may be a learned query in place of a rule.
    """

    count: int
    pool: Pool | Queried = "first"
    dense: Dense | None = None
    dropout: float = 0.0
    drop: Literal["out", "both"] = "out"
    bias: bool = True
    narrow: int | None = None

    def validate(self) -> None:
        self.hold(1, "count", "narrow")
        self.hold(0, "dropout", below=1)

    def build(self, width: int) -> "ClassesLayer":
        return ClassesLayer(self, width)


class ClassesLayer(HeadLayer):
    def __init__(self, spec: Classes, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.project = nn.Linear(width, spec.narrow) if spec.narrow else nn.Identity()
        width = spec.narrow or width
        self.pool = spec.pool.build(width) if isinstance(spec.pool, Queried) else None
        self.dense = spec.dense.build(width) if spec.dense else nn.Identity()
        self.score = nn.Linear(width, spec.count, spec.bias)

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        drop = self.spec.dropout if self.training else 0.0
        states = self.project(states)
        if isinstance(self.spec.pool, Queried):
            assert self.pool is not None
            vector: Tensor = self.pool(states, entered.valid)
        else:
            vector = pooled(states, entered.valid, self.spec.pool)
        vector = self.dense(dropout(vector, drop) if self.spec.drop == "both" else vector)
        scores: Tensor = self.score(dropout(vector, drop))
        return scores


class Averaged(Head):
    """The mean of what several heads give: DeiT's answer is that of its class and of its distillation token.

    `each` of the built head gives theirs apart, as training needs them.
    """

    heads: tuple[Head, ...]

    def validate(self) -> None:
        if not self.heads:
            raise InvalidConfig("Averaged.heads are none")
        if any(head.needs_table for head in self.heads):
            raise InvalidConfig("Averaged.heads must not score with the embeddings")

    def build(self, width: int) -> "AveragedLayer":
        return AveragedLayer(self, width)


class AveragedLayer(HeadLayer):
    def __init__(self, spec: Averaged, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(head.build(width) for head in spec.heads)

    def each(self, states: Tensor, entered: Entered) -> list[Tensor]:
        """What each head gives."""
        return [head(states, entered) for head in self.heads]

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        return torch.stack(self.each(states, entered)).mean(0)


class Tags(Head):
    """A score for each class at every position, (B, S, C): parts of speech, names."""

    count: int
    dropout: float = 0.0

    def validate(self) -> None:
        self.hold(1, "count")
        self.hold(0, "dropout", below=1)

    def build(self, width: int) -> "TagsLayer":
        return TagsLayer(width, self.count, self.dropout)


class Spans(Head):
    """A score for every position as the first and as the last of an answer, (B, S, 2) (Devlin et al. 2019, 4.2).

    With `feed` the states first go through one more feed-forward network, norm(x + drop(feed(drop(x)))), and no dropout
    follows it (BigBird, Zaheer et al. 2020).
    """

    dropout: float = 0.0
    feed: FeedForward | None = None
    norm: Norm = Norm()

    def validate(self) -> None:
        self.hold(0, "dropout", below=1)

    def build(self, width: int) -> "TagsLayer":
        return TagsLayer(width, 2, self.dropout) if self.feed is None else FedSpansLayer(self, width)


class TagsLayer(HeadLayer):
    def __init__(self, width: int, count: int, drop: float) -> None:
        super().__init__()
        self.drop, self.score = drop, nn.Linear(width, count)

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        scores: Tensor = self.score(dropout(states, self.drop if self.training else 0.0))
        return scores


class FedSpansLayer(TagsLayer):
    def __init__(self, spec: Spans, width: int) -> None:
        super().__init__(width, 2, spec.dropout)
        assert spec.feed is not None
        self.feed, self.norm = spec.feed.build(width), spec.norm.build(width)

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        drop = self.drop if self.training else 0.0
        scores: Tensor = self.score(self.norm(states + dropout(self.feed(dropout(states, drop)), drop)))
        return scores
