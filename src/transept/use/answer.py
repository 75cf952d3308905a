"""Answers: the span of a context that answers a question, or what a text-to-text model writes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import torch

from transept.data.questions import best_span, windows
from transept.data.tokenizer import Encoding
from transept.errors import UsageError
from transept.heads.vocabulary import VocabularyLayer
from transept.use.generate import generate
from transept.use.reading import demand_tokenizer, through

if TYPE_CHECKING:
    from transept.use.opened import Opened

LONGEST = 30  # tokens of an answer
PROMPT = "question: {question} context: {context}"  # as T5 was trained (Raffel et al. 2020, appendix D.15)


class Answer(str):
    """An answer: a piece of the context, context[start:end]. It is its own text.

    `probability` is that of its first token times that of its last, each among all tokens of the window that it stands
    in; `windows` is how many windows the context was read in. Where a model writes its answer, `start` and `end` are
    None and the probability is that of its tokens together.
    """

    __slots__ = ("end", "probability", "start", "windows")

    start: int | None
    end: int | None
    probability: float
    windows: int

    @classmethod
    def of(cls, text: str, start: int | None, end: int | None, probability: float, windows: int) -> Self:
        """An answer with where it stands."""
        made = cls(text)
        made.start, made.end, made.probability, made.windows = start, end, probability, windows
        return made


def answer(
    loaded: "Opened", questions: Sequence[str], contexts: Sequence[str], longest: int, empty: bool, before: int
) -> list[Answer]:
    """The answer to each question in its context. See `Loaded.answer`."""
    if longest < 1:
        raise UsageError(f"longest is {longest}, and an answer has one token at least")
    loaded.demand("answer")
    if len(questions) != len(contexts):
        raise UsageError(f"{len(questions)} questions need as many contexts, not {len(contexts)}")
    if isinstance(loaded.head, VocabularyLayer):
        return _written(loaded, questions, contexts, before)
    rows = [_windows(loaded, *both, before + i) for i, both in enumerate(zip(questions, contexts, strict=True))]
    every = [window for each in rows for window in each]
    head = loaded.head
    scores = iter(
        through(loaded.model, every, lambda one: one.own(head(one.states, one.entered).float()), again=loaded.again)
    )
    answers = []
    for context, each in zip(contexts, rows, strict=True):
        found = [best_span(next(scores), window, longest) for window in each]
        probability, start, end = max(best for best, _ in found)
        nothing = min(none for _, none in found)  # no answer anywhere is as likely as where it is least so
        if empty and nothing > probability:
            answers.append(Answer.of("", 0, 0, nothing, len(each)))
        else:
            answers.append(Answer.of(context[start:end], start, end, probability, len(each)))
    return answers


def _windows(loaded: "Opened", question: str, context: str, number: int) -> list[Encoding]:
    """The question with all of the context, or with parts of it that overlap."""
    (whole,) = demand_tokenizer(loaded).encodings([question], [context])
    return windows(whole, loaded.longest, number + 1)


def _written(loaded: "Opened", questions: Sequence[str], contexts: Sequence[str], before: int) -> list[Answer]:
    prompts = [PROMPT.format(question=q, context=c) for q, c in zip(questions, contexts, strict=True)]
    found = generate(loaded, prompts, loaded.settings(), (), False, before)
    return [Answer.of(str(one), None, None, float(torch.tensor(one.logprobs).sum().exp()), 1) for one in found]
