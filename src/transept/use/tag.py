"""Tagging: a label for each word, and the spans that labels with B- and I- name together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from transept.data.spans import spans_of
from transept.data.tokenizer import Encoding
from transept.use.reading import encodings, through

if TYPE_CHECKING:
    from transept.use.opened import Opened


@dataclass(frozen=True)
class Word:
    """A word of a text, `text[start:end]`, with its label and how sure the model is of it."""

    word: str
    label: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class Span:
    """Words that belong together, with the label that they share; `probability` is their mean."""

    text: str
    label: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class Tagged:
    """A text with its words, each labelled, and the spans among them: what is outside of all is in no span."""

    text: str
    words: list[Word]

    @property
    def spans(self) -> list[Span]:
        """Neighbours that B-X and I-X, or X alone, put together."""
        labels = [word.label for word in self.words]
        return [_span(self.text, self.words[first:end], kind) for first, end, kind in spans_of(labels)]


def tag(loaded: "Opened", texts: Sequence[str], first: int) -> list[Tagged]:
    """Each text with its words labelled. See `Loaded.tag`."""
    loaded.demand("tag")
    rows = encodings(loaded, texts, first)
    head = loaded.head
    shares = through(loaded.model, rows, lambda one: one.own(head(one.states, one.entered).float().softmax(-1)))
    return [
        Tagged(text, list(_words(text, row, share, loaded.labels)))
        for text, row, share in zip(texts, rows, shares, strict=True)
    ]


def _words(text: str, row: Encoding, shares: Tensor, labels: Sequence[str]) -> Iterator[Word]:
    """The words of a text: the first token of each tells its label, as they were trained (Devlin et al. 2019, 5.3)."""
    first: int | None = None
    for at in range(len(row.ids) + 1):
        whole = at == len(row.ids) or row.texts[at] is None or first is None or row.words[at] != row.words[first]
        if first is not None and whole:
            start, end = row.spans[first][0], row.spans[at - 1][1]
            start += len(text[start:end]) - len(text[start:end].lstrip())  # pieces of bytes begin with a space
            best = int(shares[first].argmax())
            yield Word(text[start:end], labels[best], start, end, float(shares[first, best]))
        if whole:
            first = at if at < len(row.ids) and row.texts[at] is not None else None


def _span(text: str, group: Sequence[Word], kind: str) -> Span:
    start, end = group[0].start, group[-1].end
    mean = sum(word.probability for word in group) / len(group)
    return Span(text[start:end], kind, start, end, mean)
