"""Pairs of text for a model that tells whether one follows the other: BERT's next sentence, ALBERT's order.

The procedure is that of BERT's released code (create_pretraining_data), drawn anew for each epoch.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from transept.data.texts import TokenTexts

Row = NDArray[np.int64]
Relation = Literal["next", "order"]

FOLLOWS, OTHER = 0, 1  # the classes, numbered as in BERT's released weights
SHORT = 0.1  # the share of pairs that are shorter than they could be
TRIES = 10  # to draw another document


@dataclass(frozen=True)
class TextPair:
    """Two texts, and whether the second follows the first in a document (0) or not (1)."""

    first: Row
    second: Row
    answer: int


def text_pairs(tokens: TokenTexts, relation: Relation, room: int, generator: np.random.Generator) -> list[TextPair]:
    """The pairs of an epoch, from all documents in an order that is drawn; both together have at most `room` tokens.

    "next": in half of the pairs the second is from another document. "order": in half of them the two are exchanged
    (Lan et al. 2020, section 3.1); a single sentence is cut at a token that is drawn.
    """
    found = list[TextPair]()
    for row in generator.permutation(len(tokens)).tolist():
        found += _pairs_of(tokens, row, relation, room, generator)
    return found


def _pairs_of(
    tokens: TokenTexts, row: int, relation: Relation, room: int, generator: np.random.Generator
) -> list[TextPair]:
    sentences, found = tokens.sentences(row), list[TextPair]()
    wanted = _length(room, generator)
    pair: TextPair | None
    chunk, held, at = list[NDArray[Any]](), 0, 0
    while at < len(sentences):
        chunk.append(sentences[at])
        held += len(sentences[at])
        at += 1
        if at < len(sentences) and held < wanted:
            continue
        if relation == "next":
            pair, unused = _next(tokens, row, chunk, wanted, generator)
            at -= unused
        else:
            pair = _ordered(chunk, generator)
        found += [_cut(pair, room, generator)] if pair is not None else []
        chunk, held, wanted = [], 0, _length(room, generator)
    return found


def _length(room: int, generator: np.random.Generator) -> int:
    return int(generator.integers(2, room + 1)) if generator.random() < SHORT else room


def _next(
    tokens: TokenTexts, row: int, chunk: list[NDArray[Any]], wanted: int, generator: np.random.Generator
) -> tuple[TextPair, int]:
    """A pair from the sentences of a chunk, and how many of those were not used and come again."""
    end = 1 if len(chunk) == 1 else int(generator.integers(1, len(chunk)))
    first = _joined(chunk[:end])
    if len(chunk) > 1 and generator.random() >= 0.5:
        return TextPair(first, _joined(chunk[end:]), FOLLOWS), 0
    other = row
    for _ in range(TRIES):
        other = int(generator.integers(0, len(tokens)))
        if other != row:
            break
    sentences = tokens.sentences(other)
    begin = int(generator.integers(0, len(sentences)))
    second, length = list[NDArray[Any]](), 0
    for sentence in sentences[begin:]:
        second.append(sentence)
        length += len(sentence)
        if length >= wanted - len(first):
            break
    return TextPair(first, _joined(second), OTHER), len(chunk) - end


def _ordered(chunk: list[NDArray[Any]], generator: np.random.Generator) -> TextPair | None:
    """A pair in its order or turned; None of a single token."""
    if len(chunk) == 1:
        whole = _joined(chunk)
        if len(whole) < 2:
            return None
        at = int(generator.integers(1, len(whole)))
        first, second = whole[:at], whole[at:]
    else:
        end = int(generator.integers(1, len(chunk)))
        first, second = _joined(chunk[:end]), _joined(chunk[end:])
    if generator.random() < 0.5:
        return TextPair(second, first, OTHER)
    return TextPair(first, second, FOLLOWS)


def _cut(pair: TextPair, room: int, generator: np.random.Generator) -> TextPair:
    """The pair within `room` tokens: one after the other goes from the longer text, of its front or its back."""
    texts = [pair.first, pair.second]
    while (over := len(texts[0]) + len(texts[1]) - room) > 0:
        longer = 0 if len(texts[0]) > len(texts[1]) else 1
        # All that go before the other is the longer one, or before the pair fits; each is of the front with p = 1/2.
        count = min(over, max(len(texts[longer]) - len(texts[1 - longer]), 1))
        front = int(generator.binomial(count, 0.5))
        texts[longer] = texts[longer][front : len(texts[longer]) - (count - front)]
    return TextPair(texts[0], texts[1], pair.answer)


def _joined(sentences: list[NDArray[Any]]) -> Row:
    return np.concatenate(sentences).astype(np.int64)
