"""Questions: both kinds of file, answers that stand where they are said to, windows."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from transept.data.questions import OVERLAP, Questions, best_span, read_questions, tokens_of, windows
from transept.data.tokenizer import Encoding
from transept.errors import InvalidData

CONTEXT = "Ada lived in London."
ROWS: list[dict[str, Any]] = [
    {"question": "Where?", "context": CONTEXT, "answers": {"text": ["London", "in London"], "answer_start": [13, 10]}},
    {"question": "When?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}},
]
ASKED = [
    {"id": "q1", "question": "Where?",
     "answers": [{"text": "London", "answer_start": 13}, {"text": "in London", "answer_start": 10}]},
    {"id": "q2", "question": "When?", "is_impossible": True, "answers": []},
]  # fmt: skip
SQUAD = {"version": "2.0", "data": [{"title": "A", "paragraphs": [{"context": CONTEXT, "qas": ASKED}]}]}


def read(path: Path, content: str, told: list[str] | None = None) -> Questions:
    path.write_text(content)
    return read_questions(path, (told if told is not None else []).append)


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_both_kinds_of_file_say_the_same(tmp_path: Path) -> None:
    told: list[str] = []
    squad = read(tmp_path / "a.json", json.dumps(SQUAD, indent=1), told)
    rows = read(tmp_path / "a.jsonl", lines(ROWS), told)
    for found in (squad, rows):
        assert [one.question for one in found.rows] == ["Where?", "When?"]
        assert found.rows[0].answers == ((13, "London"), (10, "in London")) and found.rows[1].answers == ()
    assert squad.fingerprint == rows.fingerprint
    assert (squad.where(1), rows.where(1)) == (f"{tmp_path}/a.json: question q2", f"{tmp_path}/a.jsonl:2")
    assert told[0] == f"{tmp_path}/a.json: 2 questions (SQuAD's JSON), 1 without an answer"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"answers": {"text": ["London"], "answer_start": [12]}},
         r"a.jsonl:1: the answer 'London' does not stand at 12, where there is ' Londo'\n  It stands at 13"),
        ({"answers": {"text": ["Paris"], "answer_start": [0]}}, r"An answer is a piece of the context"),
        ({"answers": {"text": [" "], "answer_start": [3]}}, r"the answer ' ' does not stand"),
        ({"answers": {"text": ["London"], "answer_start": []}}, "as many of text as of answer_start"),
        ({"answers": {"text": ["London"], "answer_start": ["13"]}}, "a text with a whole number"),
        ({"answers": "London"}, "answers must be a list"),
        ({"question": " "}, "the question is empty"),
        ({"context": 3}, "the question or its context is no text"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidData, match=match) as told:
        read(tmp_path / "a.jsonl", lines([ROWS[0] | change]))
    assert "a.jsonl:1" in str(told.value)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"a.json: not as SQuAD has it: 'paragraphs'"):
        read(tmp_path / "a.json", json.dumps({"data": [{"title": "x"}]}))
    with pytest.raises(InvalidData, match=r"a.jsonl:1: there is no 'context'"):
        read(tmp_path / "a.jsonl", lines([{"question": "x"}]))
    with pytest.raises(InvalidData, match=r"a.json: holds no question"):
        read(tmp_path / "a.json", json.dumps({"data": []}))


def encoding(question: int, context: int) -> Encoding:
    """[CLS] q q [SEP] c c c [SEP], each token one character."""
    texts = [None, *[0] * question, None, *[1] * context, None]
    spans = [(0, 0), *[(i, i + 1) for i in range(question)], (0, 0), *[(i, i + 1) for i in range(context)], (0, 0)]
    return Encoding(list(range(len(texts))), [0] * len(texts), texts, spans, [None] * len(texts))


@pytest.mark.parametrize("context", [1, 7, 8, 20, 300])
def test_windows_hold_every_token_and_overlap(context: int) -> None:
    whole, most = encoding(2, context), 13
    found = windows(whole, most)
    room = most - 5
    assert all(len(row.ids) <= most and row.texts[:4] == [None, 0, 0, None] for row in found)
    covered = [{row.spans[at][0] for at, of in enumerate(row.texts) if of == 1} for row in found]
    assert set().union(*covered) == set(range(context))
    for one, other in pairwise(covered):
        assert len(one & other) == min(OVERLAP, room // 2)
    assert tokens_of(whole, 0, 1) == [4]
    if context > 2:
        assert tokens_of(whole, 1, 3) == [5, 6]


def test_a_question_leaves_room() -> None:
    with pytest.raises(InvalidData, match="question 3 has 13 tokens, and the model takes 13"):
        windows(encoding(10, 5), 13, 3)
    with pytest.raises(InvalidData, match="context is empty"):
        windows(encoding(2, 0), 13)


def test_the_best_answer_is_found_where_its_probability_is_none_in_float32() -> None:
    row = Encoding(
        [9, 1, 2, 3, 4], [0] * 5, [None, 0, 1, 1, 1], [(0, 0), (0, 1), (0, 2), (3, 5), (6, 8)], [None, 0, 0, 1, 2]
    )
    scores = torch.tensor([[200.0, 200.0], [0.0, 0.0], [0.0, 0.0], [5.0, 1.0], [1.0, 5.0]])
    (probability, start, end), none = best_span(scores, row, 30)
    assert (start, end) == (3, 8)
    assert probability == 0.0 and none == pytest.approx(1.0, rel=1e-6)
    assert best_span(scores, row, 1)[0][1:] in {(3, 5), (6, 8)}  # of one token at the most
