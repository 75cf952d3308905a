"""Answers: the span of a context that answers a question, or what a text-to-text model writes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from transept.data.tokenizer import Encoding, chosen
from transept.errors import InvalidData, UsageError
from transept.heads.vocabulary import VocabularyLayer
from transept.use.generate import generate
from transept.use.reading import demand_tokenizer, through

if TYPE_CHECKING:
    from transept.use.opened import Opened

OVERLAP = 128  # tokens that two windows of a context share, as in Devlin et al. 2019's code
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
    windows = [window for each in rows for window in each]
    head = loaded.head
    scores = iter(
        through(loaded.model, windows, lambda one: one.own(head(one.states, one.entered).float()), again=loaded.again)
    )
    answers = []
    for context, each in zip(contexts, rows, strict=True):
        found = [_best(next(scores), window, longest) for window in each]
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
    own = [at for at, text in enumerate(whole.texts) if text == 1]
    if not own:
        raise InvalidData(f"context {number + 1} is empty", remedy="Give the text in which the answer stands.")
    room = loaded.longest - (len(whole.ids) - len(own))
    if len(own) <= room:
        return [whole]
    step = room - min(OVERLAP, room // 2)
    if step < 1:
        raise InvalidData(
            f"question {number + 1} has {len(whole.ids) - len(own)} tokens, and the model takes {loaded.longest}",
            remedy="Ask in fewer words: it must leave room for the context.",
        )
    rows = []
    for first in range(0, len(own), step):
        inside = set(own[first : first + room])
        rows.append(chosen(whole, [at for at in range(len(whole.ids)) if whole.texts[at] != 1 or at in inside]))
        if first + room >= len(own):
            break
    return rows


def _best(scores: Tensor, row: Encoding, longest: int) -> tuple[tuple[float, int, int], float]:
    """(probability, start, end) of the best answer in a window, and the probability that it has none.

    scores (S, 2). That there is none stands at the first token, where such models put it (Devlin et al. 2019, 4.3).
    """
    inside = torch.tensor([text == 1 for text in row.texts])
    seen = inside.clone()
    seen[0] = True
    begins, ends = scores.masked_fill(~seen[:, None], float("-inf")).softmax(0).unbind(-1)
    pairs = (begins * inside)[:, None] * (ends * inside)
    pairs = pairs.triu().tril(longest - 1)
    first, last = divmod(int(pairs.argmax()), len(row.ids))
    found = float(pairs[first, last]), row.spans[first][0], row.spans[last][1]
    return found, float(begins[0] * ends[0])


def _written(loaded: "Opened", questions: Sequence[str], contexts: Sequence[str], before: int) -> list[Answer]:
    prompts = [PROMPT.format(question=q, context=c) for q, c in zip(questions, contexts, strict=True)]
    found = generate(loaded, prompts, loaded.settings(), (), False, before)
    return [Answer.of(str(one), None, None, float(torch.tensor(one.logprobs).sum().exp()), 1) for one in found]
