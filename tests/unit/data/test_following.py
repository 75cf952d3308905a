"""Pairs of texts: whether the second follows, how long they are, and that no sentence is lost."""

from pathlib import Path

import numpy as np
import pytest

from transept.data.config import Tokens
from transept.data.documents import Documents
from transept.data.following import FOLLOWS, OTHER, TextPair, text_pairs
from transept.data.learned import END, learn
from transept.data.texts import TokenTexts, tokenise_texts


def tokens(count: int = 30) -> TokenTexts:
    """Documents of sentences; every token tells its document and its place in it."""
    generator = np.random.default_rng(0)
    texts = [
        "".join(f"{chr(0x100 + i)}{chr(0x400 + j)}" * int(generator.integers(1, 6)) + ".\n" for j in range(2 + i % 9))
        for i in range(count)
    ]
    text = Documents(texts, (Path("f"),), [(0, i) for i in range(count)], ("JSON lines",))
    bytes_ = learn(texts, Tokens(kind="byte"), END)
    return tokenise_texts(text, bytes_, None, "line", None, lambda words: None)


def inside(pair: TextPair, found: TokenTexts) -> tuple[set[int], set[int], bool]:
    """The documents that hold the first, the second, and whether one holds first and second in a row."""

    def holds(row: int, ids: np.ndarray) -> bool:
        return ids.tobytes() in found.document(row).astype(np.int64).tobytes()

    rows = range(len(found))
    both = np.concatenate([pair.first, pair.second])
    return (
        {row for row in rows if holds(row, pair.first)},
        {row for row in rows if holds(row, pair.second)},
        any(holds(row, both) for row in rows),
    )


@pytest.mark.parametrize("room", [400, 60])
def test_the_next_text_is_the_next_or_from_elsewhere(room: int) -> None:
    found, generator = tokens(), np.random.default_rng(1)
    pairs = [pair for _ in range(10) for pair in text_pairs(found, "next", room, generator)]
    assert all(0 < len(pair.first) + len(pair.second) <= room for pair in pairs)
    assert all(len(pair.first) and len(pair.second) for pair in pairs)
    uncut = 0
    for pair in pairs[:150]:
        first, second, together = inside(pair, found)
        if room == 400:  # nothing is cut
            assert together == (pair.answer == FOLLOWS)
            assert pair.answer == FOLLOWS or not (len(first) == len(second) == 1 and first == second)
            uncut += 1
    assert room == 60 or uncut == 150
    share = np.mean([pair.answer == OTHER for pair in pairs])
    assert 0.4 < share < 0.75, "half, and more where a chunk is a single sentence"


def test_in_half_of_the_pairs_the_order_is_turned() -> None:
    found, generator = tokens(), np.random.default_rng(1)
    pairs = [pair for _ in range(20) for pair in text_pairs(found, "order", 400, generator)]
    for pair in pairs[:150]:
        turned = TextPair(pair.second, pair.first, pair.answer)
        assert inside(pair if pair.answer == FOLLOWS else turned, found)[2]
    assert 0.42 < np.mean([pair.answer == OTHER for pair in pairs]) < 0.58


def test_an_epoch_of_orders_holds_every_token_once_where_nothing_is_cut() -> None:
    found = tokens()
    pairs = text_pairs(found, "order", 400, np.random.default_rng(2))
    counted = np.bincount(np.concatenate([np.concatenate([p.first, p.second]) for p in pairs]), minlength=300)
    assert counted.tolist() == np.bincount(found.ids, minlength=300).tolist()


def test_epochs_differ_and_repeat_themselves() -> None:
    found = tokens()
    told = [
        [
            (p.first.tolist(), p.second.tolist(), p.answer)
            for p in text_pairs(found, "next", 60, np.random.default_rng(s))
        ]
        for s in (1, 1, 2)
    ]
    assert told[0] == told[1] != told[2]
