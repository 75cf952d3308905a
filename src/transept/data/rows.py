"""How running text is laid into rows: windows cut end to end, and pieces of documents, alone or packed together.

A span is (first, last): the tokens `ids[first:last]` that a row, or a part of one, is made from.
"""

from bisect import bisect_left, insort
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from transept.data.texts import Numbers

Spans = NDArray[np.int64]  # (N, 2)


def windows(count: int, length: int, first: int = 0) -> Spans:
    """Spans of `length` tokens of `count`, end to end from `first` on; the last may be shorter."""
    starts = np.arange(first, count, length, dtype=np.int64)
    return np.stack([starts, np.minimum(starts + length, count)], 1)


def shifted(count: int, length: int, generator: np.random.Generator) -> Spans:
    """Whole windows from a place that is drawn, in an order that is drawn: an epoch of training.

    Each token is in one window, but for those before the first and behind the last, fewer than a window on each side.
    """
    most = count % length if count < 2 * length else length - 1
    spans = windows(count, length, int(generator.integers(0, most + 1)))
    spans = spans[spans[:, 1] - spans[:, 0] == length]
    drawn: Spans = spans[generator.permutation(len(spans))]
    return drawn


def streams(count: int, rows: int, length: int, first: int = 0) -> NDArray[np.int64]:
    """Spans of `length` tokens of `count` from `first` on, in `rows` streams of which each runs on: (steps, rows, 2).

    Every token is in one span. The streams are equally long, in whole spans, but for the last ones: where these have
    ended their spans are short, then empty.
    """
    steps = -(-(count - first) // (rows * length))
    starts = first + (np.arange(rows) * steps + np.arange(steps)[:, None]) * length
    return np.minimum(np.stack([starts, starts + length], -1), count)


def pieces(bounds: Numbers, length: int) -> Spans:
    """The spans of documents that begin at `bounds`; one of more than `length` tokens is cut into several."""
    firsts, lasts = bounds[:-1], bounds[1:]
    counts = -(-(lasts - firsts) // length)
    document = np.repeat(np.arange(len(firsts)), counts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = firsts[document] + number * length
    return np.stack([starts, np.minimum(starts + length, lasts[document])], 1)


def whole_sentences(parts: Numbers, documents: Numbers, length: int) -> Spans:
    """As `pieces`, cut between sentences where that can be: as many in a row as fit, a longer one cut itself."""
    found: list[tuple[int, int]] = []
    for first, last in pairwise(documents):
        at, stop = int(parts[first]), int(parts[last])
        while stop - at > length:
            # The last sentence that ends within reach.
            end = int(parts[np.searchsorted(parts[first : last + 1], at + length, "right") - 1 + first])
            end = end if end > at else at + length
            found.append((at, end))
            at = end
        found.append((at, stop))
    return np.array(found, np.int64).reshape(-1, 2)


def pack(lengths: Numbers, room: int, generator: np.random.Generator | None = None) -> list[Numbers]:
    """Which pieces share a row of `room` tokens: each once, the longest first, where they leave the least room.

    With a generator, pieces of one length come in an order that is drawn, and so do the rows and what is in them.
    """
    assert len(lengths) == 0 or int(lengths.max()) <= room, "a piece longer than a row"
    order = np.arange(len(lengths)) if generator is None else generator.permutation(len(lengths))
    order = order[np.argsort(-lengths[order], kind="stable")]
    rows: list[list[int]] = []
    free: list[int] = []  # how much room there is in some row, each once, from the least
    open_rows: dict[int, list[int]] = {}  # by their room
    for piece in order.tolist():
        length = int(lengths[piece])
        at = bisect_left(free, length)
        if at == len(free):
            row, left = len(rows), room - length
            rows.append([piece])
        else:
            left = free[at] - length
            row = open_rows[free[at]].pop()
            if not open_rows[free[at]]:
                del open_rows[free[at]], free[at]
            rows[row].append(piece)
        if left:
            if left not in open_rows:
                insort(free, left)
            open_rows.setdefault(left, []).append(row)
    packed = [np.array(row, np.int64) for row in rows]
    if generator is None:
        return packed
    packed = [row[generator.permutation(len(row))] for row in packed]
    return [packed[row] for row in generator.permutation(len(packed))]


def chunks(count: int, size: int) -> list[slice]:
    """`count` rows in batches of `size`."""
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]
