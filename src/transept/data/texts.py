"""Token ids of documents, kept in memory-mapped files so that text is tokenised once."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transept.data.documents import Documents, Sentences, sentences
from transept.data.store import VERSION, Arrays, stored
from transept.data.tokenizer import Tokenizer
from transept.errors import InvalidData

CHUNK = 4096
NAMES = ("ids", "parts", "documents")
Ids = NDArray[np.integer[Any]]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TokenTexts:
    """D documents as token ids, one after the other, each in sentences.

    Sentence j is `ids[parts[j]:parts[j + 1]]`, and document i has the sentences from `documents[i]` to
    `documents[i + 1]`. Where there is an `end`, each document's last token is that, and so is the very first id, before
    which there is nothing.
    """

    ids: Ids
    parts: Numbers
    documents: Numbers
    text: Documents
    end: int | None = None

    def __len__(self) -> int:
        return len(self.documents) - 1

    @cached_property
    def bounds(self) -> Numbers:
        """(D + 1,): where in `ids` each document begins."""
        found: Numbers = self.parts[self.documents]
        return found

    @cached_property
    def lengths(self) -> Numbers:
        """(D,): tokens of each document, its end counted."""
        return np.diff(self.bounds)

    def document(self, row: int) -> Ids:
        """The ids of a document."""
        return self.ids[self.bounds[row] : self.bounds[row + 1]]

    def sentences(self, row: int) -> list[Ids]:
        """The ids of a document, a sentence each."""
        first, last = int(self.documents[row]), int(self.documents[row + 1])
        return [self.ids[self.parts[j] : self.parts[j + 1]] for j in range(first, last)]

    def where(self, row: int) -> str:
        """File and line where a document begins, for messages."""
        return self.text.where(row)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that rows are made from."""
        hashed = hashlib.sha256(f"{self.end}".encode())
        for array in (self.ids, self.parts, self.documents):
            hashed.update(np.ascontiguousarray(array).data)
        return hashed.hexdigest()


def tokenise_texts(
    text: Documents,
    tokenizer: Tokenizer,
    end: int | None,
    how: Sentences,
    cache: Path | None,
    say: Callable[[str], None],
) -> TokenTexts:
    """The ids of documents: from `cache` if the same texts and tokenizer were seen there, else made, and kept there.

    The signs of special tokens in a text are text. Raises `InvalidData` with the place of a document that the tokenizer
    cannot take, or of which it leaves nothing.
    """

    def make() -> Arrays:
        return dict(zip(NAMES, _encode(text, tokenizer, end, how), strict=True))

    def fit(arrays: Arrays) -> bool:
        ids, parts, documents = (arrays[name] for name in NAMES)
        return documents.shape == (len(text) + 1,) and ids.shape == (int(parts[-1]),) and documents[-1] < len(parts)

    if cache is None:
        arrays = make()
    else:
        arrays, folder = stored(cache, _key(text, tokenizer, end, how), make, fit, say)
        if folder is not None:
            say(f"{len(text):,} documents are {len(arrays['ids']):,} tokens, kept in {folder}")
    ids, parts, documents = (arrays[name] for name in NAMES)
    return TokenTexts(ids, parts, documents, text, end)


def _key(text: Documents, tokenizer: Tokenizer, end: int | None, how: Sentences) -> str:
    hashed = hashlib.sha256(f"texts {VERSION} {tokenizer.fingerprint} {end} {how} {len(text)}".encode())
    for one in text.texts:
        raw = one.encode()
        hashed.update(len(raw).to_bytes(8, "little") + raw)
    return hashed.hexdigest()


def _encode(text: Documents, tokenizer: Tokenizer, end: int | None, how: Sentences) -> tuple[Ids, Numbers, Numbers]:
    literal, last = tokenizer.literal(), [] if end is None else [end]
    kind: type[np.integer[Any]] = np.uint16 if tokenizer.vocab <= 2**16 else np.int32
    made, lengths, counts = [np.array(last, kind)], [len(last)], [0]
    for start in range(0, len(text), CHUNK):
        cut = [sentences(one, how) for one in text.texts[start : start + CHUNK]]
        flat = [part for parts in cut for part in parts]
        try:
            rows = iter(literal.encode_batch(flat, bare=True))
        except InvalidData as error:
            raise _unfit(text, literal, error) from None
        for row, parts in enumerate(cut, start):
            found = [ids for _ in parts if (ids := next(rows))]
            if not found:
                raise InvalidData(
                    f"the tokenizer leaves nothing of this document: {text.texts[row][:40]!r}",
                    where=text.where(row),
                    remedy="Take the document out, or take another tokenizer.",
                )
            found[-1] = found[-1] + last
            lengths += map(len, found)
            counts.append(len(found))
            made.append(np.array([token for ids in found for token in ids], kind))
    parts_at = np.cumsum(lengths, dtype=np.int64)  # behind what opens the row of ids
    return np.concatenate(made), parts_at, np.cumsum(counts, dtype=np.int64)


def _unfit(text: Documents, tokenizer: Tokenizer, error: InvalidData) -> InvalidData:
    """The error for texts that a tokenizer cannot take, with the place of the first character that it does not know."""
    known: dict[str, bool] = {}
    for row, one in enumerate(text.texts):
        for at, letter in enumerate(one):
            if letter not in known:
                known[letter] = _takes(tokenizer, letter)
            if not known[letter]:
                return InvalidData(
                    f"the character {letter!r} is not in the vocabulary of {tokenizer.vocab:,} tokens",
                    where=text.place(row, at),
                    remedy="Learn from text that has it, or take a vocabulary of all: data.tokenizer.kind=byte_bpe.",
                )
    return error


def _takes(tokenizer: Tokenizer, letter: str) -> bool:
    try:
        tokenizer.encode(letter, bare=True)
    except InvalidData:
        return False
    return True
