"""Words from pieces: which tokens are which word, and maps of tokens made maps of words.

What a word looks at is the mean over its pieces that look; what is looked at, the sum over the pieces looked at (Clark
et al. 2019, section 4.1). So the rows of a merged map still sum to 1. What stands around a text, [CLS] or an end token,
is no word: each stays a column of its own, `special`.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Span = tuple[int, int]  # the first character and the one behind the last
INNER = "'’"  # signs that stand inside words


@dataclass(frozen=True)
class Word:
    """A word of a text, `text[start:end]`, and the numbers of its tokens in the row; `special` stands around a text."""

    text: str
    start: int
    end: int
    tokens: tuple[int, ...]
    special: bool = False

    @property
    def is_sign(self) -> bool:
        """Whether it is punctuation alone."""
        return not self.special and all(is_sign(letter) for letter in self.text)


def is_sign(letter: str) -> bool:
    """Whether a character is punctuation or a symbol."""
    return unicodedata.category(letter)[0] in "PS"


def units(text: str) -> list[Span]:
    """Where the words of a text are: what stands between spaces, each sign of punctuation apart.

    A script without spaces has one word to a run of letters, and one to a run of digits beside it.
    """
    return list(_units(text))


def _units(text: str) -> Iterator[Span]:
    start: int | None = None
    for at, letter in enumerate(text):
        alone = is_sign(letter) and not (
            letter in INNER and start is not None and at + 1 < len(text) and text[at + 1].isalpha()
        )
        turns = start is not None and at > 0 and _kinds(text[at - 1], letter)
        if start is not None and (letter.isspace() or alone or turns):
            yield start, at
            start = None
        if alone:
            yield at, at + 1
        elif start is None and not letter.isspace():
            start = at
    if start is not None:
        yield start, len(text)


def _kinds(one: str, other: str) -> bool:
    """Whether a digit meets a letter of a script that has no spaces, as in a Chinese date."""
    return one.isdecimal() != other.isdecimal() and any(ord(letter) > 0x2E7F for letter in (one, other))


def words_of(text: str, spans: Sequence[Span], tokens: Sequence[str], cuts: Sequence[Span] | None = None) -> list[Word]:
    """The words of a row: every token is in exactly one.

    spans (one for each token) are where in the text it stands, (0, 0) for what stands around it; `tokens` are how the
    vocabulary spells them, for these. `cuts` are the words where another rule than `units` cuts them. A token belongs
    to the word that it shares most characters with; one that is a space alone to the word after it.
    """
    places = units(text) if cuts is None else list(cuts)
    members: list[list[int]] = [[] for _ in places]
    around: list[Word] = []
    for at, (start, end) in enumerate(spans):
        shared = [min(end, b) - max(start, a) for a, b in places]
        best = max(range(len(places)), key=lambda i: shared[i], default=None)
        if start == end or best is None:
            around.append(Word(tokens[at], start, end, (at,), special=True))
        elif shared[best] > 0:
            members[best].append(at)
        else:
            after = next((i for i, (a, _) in enumerate(places) if a >= end), len(places) - 1)
            members[after].append(at)
    found = [Word(text[a:b], a, b, tuple(own)) for (a, b), own in zip(places, members, strict=True) if own]
    return sorted([*found, *around], key=lambda word: word.tokens[0])


def merge(weights: Tensor, rows: Sequence[Word] | None = None, columns: Sequence[Word] | None = None) -> Tensor:
    """A map of tokens as one of words: mean over the pieces that look, sum over those looked at.

    (..., S, T) -> (..., words of the rows, words of the columns); None leaves a side as it is.
    """
    if rows is not None:
        weights = torch.stack([weights[..., list(word.tokens), :].mean(-2) for word in rows], -2)
    if columns is not None:
        weights = torch.stack([weights[..., list(word.tokens)].sum(-1) for word in columns], -1)
    return weights


def pooled(states: Tensor, words: Sequence[Word]) -> Tensor:
    """The state of each word: the mean over its pieces. (..., S, D) -> (..., words, D)"""
    return torch.stack([states[..., list(word.tokens), :].mean(-2) for word in words], -2)
