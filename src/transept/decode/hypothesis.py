"""What a search returns, the tokens that it must know, and what it raises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from transept.decode.config import Search
from transept.errors import TranseptError, UsageError

Finish = Literal["end", "stop", "length"]
Limit = Literal["extra", "whole", "positions"]
Stop = Callable[[list[int]], bool]  # whether an answer, by its tokens so far, is long enough


@dataclass(frozen=True)
class Hypothesis:
    """One answer.

    `tokens` are those that the search chose: without bos and a forced prefix or prompt, with the end token where
    `finish` is "end"; "length" says that the maximal length stopped it (also where an end token was forced upon it
    there), "stop" that the caller did. `logprobs` holds the model's own log-probability of each token, also where it
    was drawn at another temperature; `score` is their sum over the length penalty. `limit` tells which of the maximal
    lengths stopped it: "extra" (max_ratio and max_extra), "whole" (max_whole), "positions" (the model has no more).
    """

    tokens: list[int]
    score: float
    logprobs: list[float]
    finish: Finish
    limit: Limit | None = None


@dataclass(frozen=True)
class Special:
    """`bos` opens every target, `eos` ends it, as what is in `also` does; what is in `suppress` is never chosen.

    A decoder alone may have neither: it goes on from a prompt, and ends at a length (GPT).

    A suppressed token keeps its share of the probability: the others are not scaled up. `first` is chosen first, at no
    cost, whatever the scores: BART's <s>, the language of mBART. `last` is what an answer gets so as its last token
    that reaches its maximal length: BART's </s>.
    """

    bos: int | None
    eos: int | None
    suppress: tuple[int, ...] = field(default=())
    first: int | None = None
    also: tuple[int, ...] = ()
    last: int | None = None

    def __post_init__(self) -> None:
        if found := [token for token in self.ends if token in self.suppress]:
            raise UsageError(f"the end token {found[0]} is suppressed, so no sentence could end")
        if self.first in self.suppress:
            raise UsageError(f"the token {self.first} comes first, and is suppressed")
        if self.last in self.suppress:
            raise UsageError(f"the token {self.last} comes last, and is suppressed")

    def tokens(self) -> tuple[int, ...]:
        """All of them, which a vocabulary must have."""
        alone = [token for token in (self.bos, self.first, self.last) if token is not None]
        return (*self.ends, *self.suppress, *alone)

    @property
    def ends(self) -> tuple[int, ...]:
        """Every token that ends an answer: Llama 3 ends a turn by another than a text."""
        return self.also if self.eos is None else (self.eos, *self.also)

    def start(self, prefix: Sequence[int] = ()) -> list[int]:
        """What stands before an answer that must begin with a prefix, with `first` or without it."""
        assert self.bos is not None, "a target is opened by a token"
        before = [] if not prefix or self.first is None or prefix[0] == self.first else [self.first]
        return [self.bos, *before, *prefix]

    def told(self, found: Hypothesis, length: int, limit: Limit) -> Hypothesis:
        """A hypothesis of at most `length` tokens with the reason of its end: one that was forced was not found.

        `limit` is which of the maximal lengths that is.
        """
        forced = self.last is not None and found.finish == "end" and len(found.tokens) >= length
        return replace(found, finish="length", limit=limit) if forced or found.finish == "length" else found


class Undecodable(TranseptError):
    """A model gave scores that are not numbers. All other sentences were decoded and are in `results`.

    `sentences` are the positions of the failed ones in what was asked; `results` has an empty list there.
    """

    def __init__(self, sentences: list[int], results: list[list[Hypothesis]]) -> None:
        self.sentences, self.results = sentences, results
        named = ", ".join(str(i + 1) for i in sentences[:5]) + (" ..." if len(sentences) > 5 else "")
        super().__init__(
            f"the model's scores are not finite numbers for {len(sentences)} of {len(results)} sentences "
            f"(number {named}); the other sentences were decoded",
            remedy="Look for NaN in the weights, and decode in float32 if this was half precision.",
        )


def divisor(length: int, settings: Search) -> float:
    """What a log-probability of `length` tokens (the end token counted) is divided by to make its score."""
    base = (5 + length) / 6 if settings.penalty == "wu" else max(length, 1)
    return float(base**settings.length_penalty)
