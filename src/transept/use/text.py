"""A text that a model wrote: itself, and beside it how the search came to it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from transept.decode.hypothesis import Finish, Hypothesis, Limit
from transept.errors import UsageError
from transept.use.given import texts

Decode = Callable[[list[int]], str]

UNKNOWN = "\ufffd"  # what stands for bytes that are no character, or not yet
LETTER = 4  # bytes of a character at most, and a token holds one at least
AROUND = 64  # tokens at the end in which a stop string is looked for at each step


class Text(str):
    """A text that a model wrote. It is its own text; beside it stands how the search came to it.

    `ids` and `tokens` are what was chosen, the end token with them where `finish` is "end"; "length" says that the
    maximal length stopped the search (with an end token where the model is told to force one), and `limit` which one:
    that of max_ratio and max_extra ("extra"), max_whole ("whole"), or the model's own ("positions"); "stop" that the
    text was cut before a stop string, whose tokens are among `ids`. `logprobs` has the log-probability of each,
    `score` their sum over the length penalty. `others` are the next best, as many as `n_best` asked for.
    """

    __slots__ = ("finish", "ids", "limit", "logprobs", "others", "score", "tokens")

    ids: list[int]
    tokens: list[str]
    logprobs: list[float]
    score: float
    finish: Finish
    limit: Limit | None
    others: list[Self]

    @classmethod
    def of(cls, text: str, tokens: list[str], found: Hypothesis, others: list[Self] | None = None) -> Self:
        """The text that a hypothesis stands for."""
        made = cls(text)
        made.ids, made.tokens, made.logprobs = found.tokens, tokens, found.logprobs
        made.score, made.finish, made.limit, made.others = found.score, found.finish, found.limit, others or []
        return made

    @property
    def text(self) -> str:
        """The text alone."""
        return str.__str__(self)


def continued(decode: Decode, before: list[int], tokens: list[int]) -> str:
    """What tokens add to the text of those before them: alone they might lose the space that they begin with."""
    head, whole = decode(before), decode([*before, *tokens])
    return whole[len(head) :] if whole.startswith(head) else decode(tokens)


class Until:
    """Strings before which a text is cut.

    `fits(tokens)` is whether a search that wrote these may end; the cut itself is made in the text.
    """

    def __init__(self, strings: str | Sequence[str] | None, decode: Decode) -> None:
        self.strings = tuple(texts(strings, "stop string")) if strings is not None else ()
        if "" in self.strings:
            raise UsageError("an empty stop string stands everywhere", remedy="Name a text, or leave it out.")
        self.decode = decode
        self.reach = max(AROUND, LETTER * max((len(string.encode()) for string in self.strings), default=0))

    def fits(self, tokens: list[int]) -> bool:
        """Whether one of the strings is in the text of the last tokens."""
        return self.at(self.decode(tokens[-self.reach :])) is not None

    def at(self, text: str) -> int | None:
        """Where the first of the strings begins in a text."""
        return min((at for string in self.strings if (at := text.find(string)) >= 0), default=None)

    def cut(self, text: str, found: Hypothesis) -> tuple[str, Hypothesis]:
        """The text before the strings, and its hypothesis with the reason of its end."""
        at = self.at(text)
        return (text, found) if at is None else (text[:at], replace(found, finish="stop", limit=None))

    def settled(self, text: str) -> str:
        """What of a text that still grows is certain: whole characters, and no beginning of one of the strings."""
        text = text.rstrip(UNKNOWN)
        open_ends = (n for string in self.strings for n in range(1, len(string)) if text.endswith(string[:n]))
        return text[: len(text) - max(open_ends, default=0)]
