"""Masking as BERT's pretraining does it (Devlin et al. 2019, section 3.1), drawn anew each time (Liu et al. 2019).

Shapes: B rows, S places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transept.data.tokenizer import Tokenizer
from transept.data.vocabularies import SPACE
from transept.errors import InvalidConfig

Bools = NDArray[np.bool_]
Table = NDArray[np.int64]

BYTE_SPACES = "\u0120\u010a\u0109\u010d"  # how a vocabulary of bytes spells a space, and ends of lines and tabs


@dataclass(frozen=True)
class Masking:
    """What is put in place of the chosen tokens.

    Of `rate` of a row's tokens, at least one, `masked` become `mask`, `drawn` a random id below `vocab`, and the rest
    stay. `begins` (V,) tells which tokens begin a word, where whole words are chosen; None where single tokens are.
    """

    mask: int
    vocab: int
    rate: float = 0.15
    masked: float = 0.8
    drawn: float = 0.1
    begins: Bools | None = None

    def apply(self, ids: Table, open_: Bools, generator: np.random.Generator) -> tuple[Table, Bools]:
        """The ids (B, S) with some replaced, and which those were, (B, S). Only where `open_` may a token be chosen."""
        if self.begins is None:
            chosen = choose(open_, self.rate, generator)
        else:
            chosen = choose_words(open_, self.begins[ids], self.rate, generator)
        draw = generator.random(ids.shape)
        other = generator.integers(0, self.vocab, ids.shape)
        replaced = np.where(draw < self.masked, self.mask, np.where(draw < self.masked + self.drawn, other, ids))
        return np.where(chosen, replaced, ids), chosen


def quota(count: NDArray[np.int64], rate: float) -> NDArray[np.int64]:
    """How many of so many are chosen: `rate` of them, rounded, and one at least where there is any."""
    wanted: NDArray[np.int64] = np.minimum(np.maximum(np.rint(count * rate).astype(np.int64), 1), count)
    return wanted


def choose(open_: Bools, rate: float, generator: np.random.Generator) -> Bools:
    """Of each row exactly `quota` of its open places, each choice as likely as any other. (B, S) -> (B, S)"""
    draw = np.where(open_, generator.random(open_.shape), 2.0)
    rank = draw.argsort(1, kind="stable").argsort(1, kind="stable")
    return open_ & (rank < quota(open_.sum(1), rate)[:, None])


def choose_words(open_: Bools, begins: Bools, rate: float, generator: np.random.Generator) -> Bools:
    """As `choose`, whole words at a time: a word that would go beyond the quota is passed over, as in BERT's code.

    A word is an open place that begins one and the open places behind it that begin none. (B, S) -> (B, S)
    """
    first = open_ & (begins | ~np.pad(open_[:, :-1], ((0, 0), (1, 0))))
    word = np.where(open_, first.cumsum(1) - 1, -1)
    chosen = np.zeros_like(open_)
    for row, wanted in enumerate(quota(open_.sum(1), rate)):
        count = int(word[row].max()) + 1
        sizes = np.bincount(word[row][open_[row]], minlength=count)
        taken, have = np.zeros(count, bool), 0
        for one in generator.permutation(count):
            if have + sizes[one] <= wanted:
                taken[one], have = True, have + int(sizes[one])
            if have == wanted:
                break
        if not have and count:  # every word is larger than the quota: one is better than none
            taken[int(sizes.argmin())] = True
        chosen[row] = open_[row] & taken[word[row]]
    return chosen


def word_begins(tokenizer: Tokenizer, where: str | None = None) -> Bools:
    """Which tokens of a vocabulary begin a word, (V,): by the signs of word pieces, bytes or SentencePiece.

    InvalidConfig, with the place `where` whole words were asked for, where the vocabulary has no such sign.
    """
    spelt = tokenizer.tokens(range(tokenizer.vocab))
    if any(token.startswith("##") for token in spelt):
        found = [not token.startswith("##") for token in spelt]
    elif any(token.startswith(SPACE) and len(token) > 1 for token in spelt):
        found = [token.startswith(SPACE) for token in spelt]
    elif any(token[0] in BYTE_SPACES and len(token) > 1 for token in spelt):
        found = [token[0] in BYTE_SPACES for token in spelt]
    else:
        raise InvalidConfig(
            "whole words are asked for, and no token of this vocabulary says where a word begins",
            where=where,
            remedy="Ask for words: pieces, or take word pieces, merged bytes or unigrams.",
        )
    around = np.array(sorted(tokenizer.around), np.int64)
    begins = np.array(found, bool)
    begins[around] = True
    return begins


def padded(rows: Sequence[NDArray[np.int64]], fill: int) -> tuple[Table, Bools]:
    """Rows side by side, (B, S), with `fill` behind the short ones, and which places are real."""
    lengths = np.array([len(row) for row in rows])
    real = np.arange(lengths.max()) < lengths[:, None]
    table = np.full(real.shape, fill, np.int64)
    table[real] = np.concatenate(rows)
    return table, real
