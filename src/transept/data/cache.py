"""Token ids of text pairs, kept in memory-mapped files so that text is tokenised once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transept.data.pairs import Pairs
from transept.data.store import VERSION, Arrays, stored
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidData

NAMES = ("ids", "offsets")
CHUNK = 4096
Ids = NDArray[np.integer[Any]]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenPairs:
    """N pairs as token ids, each side with its eos.

    `ids` holds all sides one after another, source 0, target 0, source 1 ..; side j is `ids[offsets[j]:offsets[j+1]]`.
    `rows` says which pairs of the text these N are, in order.
    """

    ids: Ids
    offsets: Rows
    rows: Rows
    text: Pairs

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """(N, 2): tokens of the source and of the target, eos counted."""
        return np.diff(self.offsets).reshape(-1, 2)[self.rows].astype(np.int32)

    def source(self, row: int) -> Ids:
        """The source ids of a pair, eos at the end."""
        return self._side(2 * int(self.rows[row]))

    def target(self, row: int) -> Ids:
        """The target ids of a pair, eos at the end, no bos."""
        return self._side(2 * int(self.rows[row]) + 1)

    def where(self, row: int) -> str:
        """File and line of a pair, for messages."""
        return self.text.where(int(self.rows[row]))

    def select(self, rows: Rows) -> "TokenPairs":
        """Only these pairs, in this order."""
        return replace(self, rows=self.rows[rows])

    def _side(self, side: int) -> Ids:
        return self.ids[self.offsets[side] : self.offsets[side + 1]]


@dataclass(frozen=True)
class Kept:
    """What the limits on length left of the training pairs."""

    total: int
    kept: int
    empty: int
    too_long: int
    uneven: int
    longest_source: int
    longest_target: int
    first: str | None
    max_length: int
    max_ratio: float | None

    def report(self) -> str:
        """One line: how many, how long, and what was left out with the key that says so."""
        longest = f"{self.longest_source} and {self.longest_target} tokens"
        out = [f"{self.empty:,} with an empty side"] if self.empty else []
        if self.too_long:
            out.append(f"{self.too_long:,} longer than {self.max_length} tokens (data.max_length)")
        if self.uneven:
            out.append(f"{self.uneven:,} with sides more than {self.max_ratio:g} times apart (data.max_ratio)")
        left = f"; left out: {', '.join(out)}" if out else ""
        first = f", the first at {self.first}" if self.first else ""
        return f"{self.kept:,} of {self.total:,} pairs, the longest {longest}{left}{first}"


def tokenise(pairs: Pairs, tokenizer: Tokenizer, cache: Path | None, say: Callable[[str], None]) -> TokenPairs:
    """The ids of pairs: from `cache` if the same texts and tokenizer were seen there, else made, and kept there.

    A cache that is torn or not ours is made anew, which one line to `say` tells.
    """
    if cache is None:
        return TokenPairs(*_encode(pairs, tokenizer), np.arange(len(pairs)), pairs)

    def make() -> Arrays:
        return dict(zip(NAMES, _encode(pairs, tokenizer), strict=True))

    def fit(arrays: Arrays) -> bool:
        ids, offsets = (arrays[name] for name in NAMES)
        return offsets.shape == (2 * len(pairs) + 1,) and ids.shape == (int(offsets[-1]),)

    arrays, folder = stored(cache, _key(pairs, tokenizer), make, fit, say)
    ids, offsets = (arrays[name] for name in NAMES)
    if folder is not None:
        say(f"{len(pairs):,} pairs are {len(ids):,} tokens, kept in {folder}")
    return TokenPairs(ids, offsets, np.arange(len(pairs)), pairs)


def within(tokens: TokenPairs, max_length: int, max_ratio: float | None = None) -> tuple[TokenPairs, Kept]:
    """The pairs that training may use, and the count of those that it may not. Raises where none is left."""
    lengths = tokens.lengths
    long = lengths.max(axis=1) > max_length
    # Lengths without eos, so that one word against three is a ratio of three.
    words = np.maximum(lengths - 1, 1)
    uneven = ~long & (words.max(axis=1) > words.min(axis=1) * (np.inf if max_ratio is None else max_ratio))
    rows = np.flatnonzero(~(long | uneven))
    dropped = np.flatnonzero(long | uneven)
    kept = Kept(
        total=len(tokens) + tokens.text.blank,
        kept=len(rows),
        empty=tokens.text.blank,
        too_long=int(long.sum()),
        uneven=int(uneven.sum()),
        longest_source=int(lengths[:, 0].max()),
        longest_target=int(lengths[:, 1].max()),
        first=tokens.where(int(dropped[0])) if len(dropped) else None,
        max_length=max_length,
        max_ratio=max_ratio,
    )
    if not len(rows):
        raise InvalidData(
            f"no pair is left: {kept.report()}", where=tokens.text.files[0], remedy="Raise data.max_length."
        )
    return tokens.select(rows), kept


def _key(pairs: Pairs, tokenizer: Tokenizer) -> str:
    hashed = hashlib.sha256(f"{VERSION} {tokenizer.fingerprint} {len(pairs)}".encode())
    for side in (pairs.source, pairs.target):
        for text in side:
            raw = text.encode()
            hashed.update(len(raw).to_bytes(8, "little") + raw)
    return hashed.hexdigest()


def _encode(pairs: Pairs, tokenizer: Tokenizer) -> tuple[Ids, Rows]:
    kind: type[np.integer[Any]] = np.uint16 if tokenizer.vocab <= 2**16 else np.int32
    parts: list[Ids] = []
    lengths: list[int] = []
    for start in range(0, len(pairs), CHUNK):
        both = [tokenizer.encode_batch(side[start : start + CHUNK]) for side in (pairs.source, pairs.target)]
        rows = [ids for pair in zip(*both, strict=True) for ids in pair]
        lengths += map(len, rows)
        parts.append(np.array([token for ids in rows for token in ids], kind))
    return np.concatenate(parts), np.cumsum([0, *lengths], dtype=np.int64)
