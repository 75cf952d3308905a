"""Translation: texts through an encoder and a decoder, and how the search came to each answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis
from transept.decode.search import search as decode
from transept.errors import InvalidData, UsageError
from transept.models import Seq2SeqLayer

if TYPE_CHECKING:
    from transept.use.loaded import Loaded

Finish = Literal["end", "length"]


class Translation(str):
    """A translation. It is its own text; beside it stands how the search came to it.

    `ids` and `tokens` are what was chosen, the end token with them where `finish` is "end"; "length" says that the
    maximal length stopped the search. `logprobs` has the log-probability of each, `score` their sum over the length
    penalty. `others` are the next best, as many as `n_best` asked for.
    """

    __slots__ = ("finish", "ids", "logprobs", "others", "score", "tokens")

    ids: list[int]
    tokens: list[str]
    logprobs: list[float]
    score: float
    finish: Finish
    others: list["Translation"]

    @classmethod
    def of(cls, text: str, tokens: list[str], found: Hypothesis, others: list["Translation"] | None = None) -> Self:
        """The translation that a hypothesis stands for."""
        made = cls(text)
        made.ids, made.tokens, made.logprobs = found.tokens, tokens, found.logprobs
        made.score, made.finish, made.others = found.score, found.finish, others or []
        return made

    @property
    def text(self) -> str:
        """The text alone."""
        return str.__str__(self)


def translate(
    loaded: "Loaded", texts: Sequence[str], prefixes: Sequence[str] | None, settings: Search, first: int
) -> list[Translation]:
    """The translation of each text, blank ones left blank. See `Loaded.translate`."""
    if not isinstance(loaded.model, Seq2SeqLayer):
        raise UsageError(
            f"this model cannot translate: it is a {type(loaded.spec).__name__} with one stack,"
            " and a translation needs an encoder and a decoder",
            where=loaded.path,
        )
    if loaded.tokenizer is None:
        raise InvalidData(
            "this model has no tokenizer.json, so it reads no text",
            where=loaded.path,
            remedy="Give token ids to transept.decode.search.search(model, ...), or put its tokenizer.json there.",
        )
    tokenizer = loaded.tokenizer
    asked = [i for i, text in enumerate(texts) if text.strip()]
    sources = tokenizer.encode_batch([texts[i] for i in asked])
    starts = [[] if prefixes is None else tokenizer.encode(prefixes[i])[:-1] for i in asked]
    for i, source in zip(asked, sources, strict=True):
        if len(source) > loaded.generation.longest:
            raise InvalidData(
                f"text {first + i + 1} has {len(source)} tokens, and the model takes {loaded.generation.longest}"
                f" (it begins {texts[i][:40]!r})",
                remedy="Split it into sentences: nothing is cut in silence.",
            )
    numbers = [first + i for i in asked]
    found = decode(loaded.model, sources, settings, loaded.generation.special, starts, numbers)
    answers = [Translation.of("", [], Hypothesis([], 0.0, [], "end")) for _ in texts]
    for i, start, hypotheses in zip(asked, starts, found, strict=True):
        best, *others = [
            Translation.of(tokenizer.decode([*start, *each.tokens]), tokenizer.tokens(each.tokens), each)
            for each in hypotheses
        ]
        best.others = others
        answers[i] = best
    return answers
