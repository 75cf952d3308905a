"""Sentences of like length decoded together, each leaving when it is done.

Shapes: B sentences of a batch, W hypotheses of each, P tokens of a start, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.decode.hypothesis import Hypothesis
from transept.decode.protocol import Decoder
from transept.decode.rules import Rules
from transept.decode.score import log_probabilities
from transept.parts.memory import Memory

NARROW = 16  # a processor's softmax and small products take rows of fewer numbers one by one, up to ten times slower
GROWTH = 8  # columns by which a cache grows: attention and reordering touch every column at every step
LEAVE = 8  # finished sentences leave when they are at least one in so many: leaving copies what the others own


@dataclass(frozen=True)
class Move:
    """The next token of each hypothesis and which one it continues, (B, W), and the sentences that are done, (B,).

    A hypothesis that is dead or done has some token that every model can read, the end where there is one.
    """

    tokens: NDArray[np.int64]
    parents: NDArray[np.int64]
    over: NDArray[np.bool_]


class Chooser(Protocol):
    """One search over one batch. It keeps its own account of every sentence, numbered from 0, on the host."""

    failed: NDArray[np.bool_]  # sentences whose scores were no numbers

    def choose(self, logprobs: Tensor, sentences: NDArray[np.int64]) -> Move:
        """Continue these sentences. logprobs (B, 1, V) at the first step, (B, W, V) after. What is over stays over."""
        ...

    def hypotheses(self, sentence: int) -> list[Hypothesis]:
        """The answers for a sentence that is over, best first."""
        ...


def plan(lengths: Sequence[tuple[int, int]], budget: int) -> list[list[int]]:
    """Positions of sentences in batches, longest first, so that a job too large for the memory fails at once.

    `lengths` holds source and start of each; the longest of a batch times its sentences is at most `budget`.
    """
    batches: list[list[int]] = []
    room = 0
    for i in sorted(range(len(lengths)), key=lambda i: lengths[i], reverse=True):
        if room == 0:
            batches.append([])
            room = max(1, budget // max(1, *lengths[i]))
        batches[-1].append(i)
        room -= 1
    return batches


def pad(rows: Sequence[Sequence[int]], device: torch.device, least: int = 1) -> tuple[Tensor, Tensor | None]:
    """Padded on the left, so that the last column is every row's last token. -> ids (B, S), valid (B, S) or None

    There are `least` columns or more.
    """
    size = max(least, *map(len, rows))
    ids = torch.tensor([[0] * (size - len(row)) + list(row) for row in rows], device=device)
    if all(len(row) == size for row in rows):
        return ids, None
    first = torch.tensor([size - len(row) for row in rows], device=device)
    return ids, torch.arange(size, device=device) >= first[:, None]


def decode_batch(
    model: Decoder,
    memory: Memory | None,
    starts: Sequence[Sequence[int]],
    limits: NDArray[np.int64],
    suppress: Tensor,
    chooser: Chooser,
    rules: Rules | None = None,
) -> Iterator[Move]:
    """Run a chooser until all its sentences are over, a step at a time: the model computes when the next is asked for.

    `limits` (B,) counts the tokens that it may choose; `rules` narrow them down.
    """
    start, valid = pad(starts, model.device)
    sentences, group, step = np.arange(len(starts)), 1, 0
    cache = model.cache(len(starts), max(NARROW, start.size(1) + GROWTH), memory)
    logits = model.decode(start, cache=cache, valid=valid, last=True)[:, -1]
    while True:
        logprobs = log_probabilities(logits if rules is None else rules.change(logits), suppress)
        logprobs = logprobs if rules is None else rules.restrict(logprobs)
        move = chooser.choose(logprobs.unflatten(0, (len(sentences), group)), sentences)
        step += 1
        yield move
        if move.over.all():
            return
        if rules is not None:
            rules.follow(move.parents, move.tokens)
        rows = move.parents + group * np.arange(len(sentences))[:, None]
        tokens = move.tokens
        if group != rows.shape[1] or not np.array_equal(rows.ravel(), np.arange(rows.size)):
            cache.reorder(_on(rows.ravel(), model.device), memory=False)
        group = rows.shape[1]
        gone = move.over
        if gone.sum() * LEAVE >= len(gone) or (limits[sentences[gone]] <= step).any():
            stay = np.flatnonzero(~gone)
            cache.keep(_on(stay, model.device), group)
            sentences, tokens = sentences[stay], tokens[stay]
            if rules is not None:
                rules.keep(stay)
        if start.size(1) + step > cache.size:
            cache.resize(cache.size + max(GROWTH, cache.size // 4))
        logits = model.decode(_on(tokens.reshape(-1, 1), model.device), cache=cache)[:, -1]


def _on(array: NDArray[np.int64], device: torch.device) -> Tensor:
    return torch.from_numpy(array).to(device)
