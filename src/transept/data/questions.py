"""Questions about texts, with where their answers stand: SQuAD's JSON, or JSON lines with the same words."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transept.data.columnar import is_columnar
from transept.data.lines import read_bytes, split_lines
from transept.data.tables import Table, open_table, read_table
from transept.data.tokenizer import Encoding, chosen
from transept.errors import InvalidData, Nth

OVERLAP = 128  # tokens that two windows of a context share, as in Devlin et al. 2019's code


@dataclass(frozen=True)
class Question:
    """A question about a context, its answers as (where one begins, its text), none where there is none, and where it
    was read: "squad.json: question 56be4db0"."""

    question: str
    context: str
    answers: tuple[tuple[int, str], ...]
    where: str


@dataclass(frozen=True, eq=False)
class Questions:
    """The questions of a file."""

    source: Path
    rows: Sequence[Question]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, row: int) -> str:
        return self.rows[row].where

    def select(self, rows: Sequence[int]) -> "Questions":
        """Only these, in this order."""
        return Questions(self.source, [self.rows[row] for row in rows])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is said, whatever the file is called."""
        told = [[one.question, one.context, one.answers] for one in self.rows]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def read_questions(path: Path, say: Callable[[str], None]) -> Questions:
    """The questions of a file. `say` hears how it was read. Raises InvalidData with the place.

    An answer must stand in its context where the file says.
    """
    if is_columnar(path):
        table = open_table(path)
        kind, found = table.kind, list(_rows(table))
    elif path.is_dir():
        raise InvalidData("questions are a file, and this is a folder", where=path)
    else:
        lines = split_lines(read_bytes(path), path)
        whole = _whole(lines)
        kind = "SQuAD's JSON" if whole is not None else "JSON lines"
        found = list(_squad(whole, path) if whole is not None else _rows(read_table(lines, path)))
    if not found:
        raise InvalidData("holds no question", where=path)
    for one in found:
        for name, text in (("question", one.question), ("context", one.context)):
            if not text.strip():
                raise InvalidData(f"the {name} is empty", where=one.where)
        for start, text in one.answers:
            there = one.context[max(start, 0) : start + len(text)]
            if not text.strip() or there != text:
                at = one.context.find(text)
                remedy = f"It stands at {at}." if text.strip() and at >= 0 else "An answer is a piece of the context."
                raise InvalidData(
                    f"the answer {text[:40]!r} does not stand at {start}, where there is {there[:40]!r}",
                    where=one.where,
                    remedy=remedy,
                )
    none = sum(not one.answers for one in found)
    say(f"{path}: {len(found):,} questions ({kind})" + (f", {none:,} without an answer" if none else ""))
    return Questions(path, found)


def _whole(lines: Sequence[str]) -> Any:
    """What a file is that is one object of JSON with SQuAD's `data`; None for another."""
    try:
        found = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "data" in found else None


def _squad(whole: Any, path: Path) -> Iterator[Question]:
    place = str(path)
    try:
        for article in whole["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    place = f"{path}: question {asked.get('id', asked['question'])}"
                    yield _question(asked["question"], paragraph["context"], asked["answers"], place)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidData(f"not as SQuAD has it: {error}", where=place) from None


def _rows(table: Table) -> Iterator[Question]:
    for line, row in table.rows:
        if row is None:
            continue
        where = table.where(line)
        for key in ("question", "context", "answers"):
            if key not in row:
                raise InvalidData(
                    f"there is no '{key}'",
                    where=where,
                    remedy='A line has "question", "context" and "answers": {"text": [...], "answer_start": [...]}.',
                )
        yield _question(row["question"], row["context"], row["answers"], where)


def _question(question: Any, context: Any, answers: Any, where: str) -> Question:
    if not isinstance(question, str) or not isinstance(context, str):
        raise InvalidData("the question or its context is no text", where=where)
    if isinstance(answers, dict):  # the columns of Hugging Face's datasets
        texts, starts = answers.get("text"), answers.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise InvalidData("answers must have as many of text as of answer_start", where=where)
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if not isinstance(answers, list) or not all(isinstance(one, dict) for one in answers):
        raise InvalidData("answers must be a list", where=where)
    pairs = [(one.get("answer_start"), one.get("text")) for one in answers]
    if not all(type(start) is int and isinstance(text, str) for start, text in pairs):
        raise InvalidData("an answer is a text with a whole number, answer_start", where=where)
    return Question(question, context, tuple(pairs), where)


def windows(whole: Encoding, most: int, number: int | None = None) -> list[Encoding]:
    """A question with all of its context, or with parts of it that overlap, each of `most` tokens at the most.

    Raises InvalidData where nothing is left of the context, or the question leaves no room for it; `number` tells
    it from others in messages.
    """
    own = [at for at, text in enumerate(whole.texts) if text == 1]
    if not own:
        raise InvalidData("is empty", nth=Nth("context", number), remedy="Give the text in which the answer stands.")
    room = most - (len(whole.ids) - len(own))
    if len(own) <= room:
        return [whole]
    step = room - min(OVERLAP, room // 2)
    if step < 1:
        raise InvalidData(
            f"has {len(whole.ids) - len(own)} tokens, and the model takes {most}",
            nth=Nth("question", number),
            remedy="Ask in fewer words: it must leave room for the context.",
        )
    rows = []
    for first in range(0, len(own), step):
        inside = set(own[first : first + room])
        rows.append(chosen(whole, [at for at in range(len(whole.ids)) if whole.texts[at] != 1 or at in inside]))
        if first + room >= len(own):
            break
    return rows


def tokens_of(row: Encoding, start: int, end: int) -> list[int]:
    """The tokens of a context that hold any of its characters from `start` to before `end`."""
    return [at for at, of in enumerate(row.texts) if of == 1 and row.spans[at][0] < end and row.spans[at][1] > start]


def best_span(scores: Tensor, row: Encoding, longest: int) -> tuple[tuple[float, int, int], float]:
    """(probability, start, end) of the best answer in a window, and the probability that it has none.

    scores (S, 2). That there is none stands at the first token, where such models put it (Devlin et al. 2019, 4.3).
    """
    inside = torch.tensor([text == 1 for text in row.texts])
    seen = inside.clone()
    seen[0] = True
    begins, ends = scores.masked_fill(~seen[:, None], float("-inf")).log_softmax(0).unbind(-1)
    may = (inside[:, None] & inside).triu().tril(longest - 1)
    # By logarithms: the product of two small probabilities may be 0, and 0 is everywhere.
    pairs = (begins[:, None] + ends).masked_fill(~may, float("-inf"))
    first, last = divmod(int(pairs.argmax()), len(row.ids))
    found = float(pairs[first, last].exp()), row.spans[first][0], row.spans[last][1]
    return found, float((begins[0] + ends[0]).exp())
