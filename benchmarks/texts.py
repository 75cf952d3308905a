"""The pairs that the benchmarks work on: Multi30k where it is at hand, else made-up ones of the same lengths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transept.data.batches import PairBatch, collate, plan
from transept.data.cache import Ids, TokenPairs, tokenise
from transept.data.config import PairsData, Vocabulary
from transept.data.pairs import Pairs, read_pairs
from transept.data.subwords import Subwords

VOCAB, LONGEST = 10_000, 60
SPECIAL, USED = 4, 8  # words of each class that occur
# Of the logarithm of Multi30k's lengths, 10,000 merges, the end token counted: mean and deviation of the source, and
# deviation of the target about its source.
MEAN, SOURCE, TARGET = 2.648, 0.285, 0.162


@dataclass(frozen=True)
class Texts:
    """Pairs to train on, sources to translate, as token ids; `tokenizer` None where they are made up."""

    name: str
    vocab: int
    train: TokenPairs
    test: list[list[int]]
    tokenizer: Subwords | None = None

    def batches(self, tokens: int, count: int) -> list[PairBatch]:
        """The first batches of an epoch, and of the next epochs where one has too few."""
        found: list[PairBatch] = []
        epoch = 0
        while len(found) < count:
            for rows in plan(self.train.lengths, tokens, seed=0, epoch=epoch)[: count - len(found)]:
                found.append(collate(self.train, rows, bos=Subwords.bos, pad=Subwords.pad))
            epoch += 1
        return found


def texts(data: Path | None, tokenizer: Subwords | None = None) -> Texts:
    """Multi30k, English to German, from a folder with the files of the published protocol; else `made_up`.

    The vocabulary is learned here unless a tokenizer is given.
    """
    if data is None:
        return made_up(29_000, 1000)
    told = PairsData(dir=data, source="en", target="de", train="train.lc.norm.tok", test="test_2016_flickr.lc.norm.tok")
    train, test = read_pairs(told, "train"), read_pairs(told, "test")
    known = tokenizer or Subwords.train([*train.source, *train.target], Vocabulary(merges=VOCAB))
    pairs = tokenise(train, known, None, print)
    return Texts("Multi30k", known.vocab, pairs, known.encode_batch(test.source), known)


def made_up(train: int, test: int, seed: int = 0) -> Texts:
    """Sources and targets as long as Multi30k's, of words that are no language's.

    A target counts down to its end: its words are any of the class "k words are left", and every word of its source is
    of the class that it begins with. So a model learns in a few hundred updates when to end, as one of a language does
    in hours, and has a choice of words all the way, as a search needs one.
    """
    draws = np.random.default_rng(seed)
    source = np.exp(draws.normal(MEAN, SOURCE, train + test))
    target = source * np.exp(draws.normal(0.0, TARGET, train + test))
    lengths = np.stack([source, target], 1).round().clip(3, LONGEST).astype(np.int64)
    each = (VOCAB - SPECIAL) // LONGEST  # words of a class
    share = 1 / np.arange(1, USED + 1)  # as often as Zipf has it

    def side(left: Ids) -> list[int]:
        words = draws.choice(len(share), len(left), p=share / share.sum())
        return [*(SPECIAL + left * each + words).tolist(), Subwords.eos]

    rows = [(side(np.full(s - 1, t - 1)), side(np.arange(t - 1, 0, -1))) for s, t in lengths.tolist()]
    sides = [ids for pair in rows[:train] for ids in pair]
    offsets = np.cumsum([0, *map(len, sides)])
    pairs = TokenPairs(np.concatenate(sides), offsets, np.arange(train), Pairs([], [], (), []))
    return Texts("made-up pairs of Multi30k's lengths", VOCAB, pairs, [source for source, _ in rows[train:]])
