"""Tables in words: templates, numbers as text, what of which table an epoch takes, and what a wrong table is told."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from transept.data.cache import TokenPairs
from transept.data.config_tables import Numbers, PromptedTable, TablesData
from transept.data.mixing import drawn, shares
from transept.data.pairs import Pairs
from transept.data.prompted import cut_sources, pairs_of, read_prompted, read_rows
from transept.data.templates import Template
from transept.errors import InvalidConfig, InvalidData


def table(**changes: Any) -> PromptedTable:
    return PromptedTable(**{"source": "one: {a} two: {b}", "answer": "c"} | changes)


def test_a_template_is_filled_by_names_and_braces_are_written_twice() -> None:
    template = Template("{{x}} {a}\n{b}: {a}")
    assert template.names == ("a", "b")
    assert template.fill({"a": "1", "b": "{c}", "d": "no"}) == "{x} 1\n{c}: 1"
    assert template.prefix is None
    assert Template("sum: {a}").prefix == "sum: " and Template("{a}").prefix == "" and Template("{a}!").prefix is None


@pytest.mark.parametrize("text", ["none", "{}", "{a!r}", "{a:>3}", "{a", "a}"])
def test_a_template_that_cannot_be_filled_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the template"):
        Template(text)


def test_similarities_are_written_as_t5_writes_them() -> None:
    numbers = Numbers()
    written = [numbers.write(value / 100) for value in range(501)]
    assert len(set(written)) == 26  # 0.0, 0.2 .. 5.0
    assert [numbers.write(value) for value in (0.0, 0.25, 2.5, 3.8, 4.93, 5.0)] == [
        "0.0", "0.2", "2.4", "3.8", "5.0", "5.0",
    ]  # fmt: skip
    for text in written:
        assert numbers.read(text) == pytest.approx(float(text), abs=0)
        assert numbers.write(float(text)) == text
    assert [numbers.read(text) for text in ("3.3", " 1.0 ", "5.2", "-0.2", "4.", "four", "", "nan", "1e0")] == [
        3.3, 1.0, None, None, None, None, None, None, None,
    ]  # fmt: skip
    assert Numbers(step=0.25, least=-1, most=1).write(-0.6) == "-0.50"
    assert Numbers(step=1, least=0, most=10).write(7.2) == "7.0"


def test_epochs_take_rows_by_size_up_to_a_limit_or_by_temperature() -> None:
    assert shares([700, 200, 100]) == [700, 200, 100]
    assert shares([700, 200, 100], limit=150) == [150, 150, 100]
    assert shares([900, 100], temperature=2.0) == [750, 250]  # 30 to 10
    flat = shares([100_000, 1], temperature=50.0)
    assert flat[0] / flat[1] == pytest.approx(100_000 ** (1 / 50), rel=1e-3)
    assert min(shares([10**6, 1])) == 1


@pytest.mark.parametrize(("count", "take"), [(7, 3), (7, 7), (3, 10), (1, 4), (12, 5)])
def test_no_row_comes_again_before_all_others_came(count: int, take: int) -> None:
    seen = Counter[int]()
    for epoch in range(9):
        rows = drawn(count, take, 5, epoch, 2)
        assert len(rows) == take and (np.diff(rows) >= 0).all()
        seen.update(rows.tolist())
        assert set(seen) <= set(range(count))
        assert max(seen.values()) - min(seen[row] for row in range(count)) <= 1
    assert (drawn(count, take, 5, 3, 2) == drawn(count, take, 5, 3, 2)).all()
    if count > take > 1:
        assert any((drawn(count, take, 5, 0, 2) != drawn(count, take, seed, 0, 2)).any() for seed in range(6, 20))


def test_rows_become_words_and_labels_choices(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv"
    file.write_text("x\t0\tone\ny\t1\ttwo\n")
    found = read_rows("t", table(head=["a", "c", "b"], choices=["no", "yes"]), file, print)
    assert found.sources == ["one: x two: one", "one: y two: two"]
    assert found.answers == [["no"], ["yes"]] and found.right is not None and found.right.tolist() == [0, 1]
    assert found.where(1) == f"{file}:2"
    file.write_text("a\tb\tc\nx\tone\tyes\n")
    assert read_rows("t", table(choices=["no", "yes"]), file, print).answers == [["yes"]]


def test_lists_are_joined_in_a_source_and_several_right_answers(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"a": ["one", " ", "two"], "c": ["x", "y"]}\n{"a": "three", "c": "z"}\n')
    found = read_rows("t", table(source="{a}", measure="rougeL"), file, print)
    assert found.sources == ["one two", "three"] and found.answers == [["x", "y"], ["z"]]
    pairs = pairs_of([found, found])
    assert pairs.source == ["one two", "one two", "three"] * 2 and pairs.target == ["x", "y", "z"] * 2
    assert pairs.of == [0, 0, 0, 1, 1, 1] and pairs.rows == [0, 0, 1, 0, 0, 1]
    assert pairs.where(5) == f"{file}:2"


@pytest.mark.parametrize(
    ("name", "content", "changes", "message"),
    [
        ("t.csv", "a,b,d\n1,2,3\n", {}, "there is no column 'c'."),
        ("t.csv", "a,bb,c\n1,2,3\n", {}, "there is no column 'b'. Did you mean 'bb'?"),
        ("t.csv", "a,b,c\n1,2\n", {}, "t.csv:2: 2 columns, and the first line names 3"),
        (
            "t.csv",
            "1,2\n",
            {"head": ["a", "b", "c"]},
            "1: 2 columns, and the recipe's data.tables.t.head names 3",
        ),
        ("t.csv", "a,b,c\n1,2,3\n\n", {}, "t.csv:3: the line is empty"),
        ("t.csv", "a,b,c\n", {}, "t.csv: the table has no rows"),
        ("t.csv", "a,b,c\n1, ,3\n", {}, "t.csv:2: 'b' is empty"),
        (
            "t.csv",
            "a,b,c\n1,2,yea\n",
            {"choices": ["no", "yes"]},
            "t.csv:2: the label 'yea' is none of data.tables.t.ch",
        ),
        ("t.csv", "a,b,c\n1,2,2\n", {"choices": ["no", "yes"]}, "t.csv:2: the label 2 is out of range"),
        ("t.csv", "a,b,c\n1,2,x\n", {"numbers": Numbers()}, "t.csv:2: the label 'x' is no finite number"),
        ("t.csv", "a,b,c\n1,2,5.1\n", {"numbers": Numbers()}, "t.csv:2: the number 5.1 is not between 0 and 5"),
        ("t.jsonl", '{"a": 1, "b": {}, "c": 1}\n', {}, "t.jsonl:1: 'b' is {}, which is no text"),
        ("t.jsonl", '{"a": [], "b": 1, "c": 1}\n', {}, "t.jsonl:1: 'a' is empty"),
        ("t.jsonl", '{"a": [" "], "b": 1, "c": 1}\n', {}, "t.jsonl:1: 'a' is empty"),
        ("t.jsonl", '{"a": "1", "b": 1, "c": ["", "x"]}\n', {}, "t.jsonl:1: 'c' is empty"),
        ("t.jsonl", '{"a": 1, "b": 1, "c": [1, 2]}\n', {"choices": ["a", "b"]}, "'c' has several answers"),
    ],
)
def test_a_fault_of_a_table_is_named_with_its_place(
    tmp_path: Path, name: str, content: str, changes: dict[str, Any], message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidData) as caught:
        read_rows("t", table(**changes), tmp_path / name, print)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": ["a", "b"], "numbers": {}}, "two kinds of answers"),
        ({"choices": ["a"]}, "two or more"),
        ({"choices": ["a", " b"]}, "white space"),
        ({"choices": ["a", "b"], "measure": "pearson"}, "measure pearson is none of choices, which have accuracy, mcc"),
        ({"measure": "mcc"}, "measure mcc is none of texts"),
        ({"source": "no column"}, "names no column"),
        ({"numbers": {"least": 1.0, "most": 1.0}}, "must be below"),
        ({"head": ["a", "a"]}, "twice"),
    ],
)
def test_a_table_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PromptedTable.model_validate({"source": "{a}", "answer": "c"} | changes)


def test_a_table_without_a_file_is_named(tmp_path: Path) -> None:
    data = TablesData(dir=tmp_path, tables={"t": table(train="t.csv")})
    with pytest.raises(InvalidConfig, match=r"data\.tables\.t\.valid is not set"):
        read_prompted(data, "valid", print)
    with pytest.raises(InvalidData, match=r"data\.tables\.t\.train: no such file"):
        read_prompted(data, "train", print)
    with pytest.raises(ValidationError, match="there is no table"):
        TablesData(tables={"t": None})
    with pytest.raises(ValidationError, match="small letters"):
        TablesData(tables={"T 1": table()})


def test_sources_are_cut_before_what_ends_them() -> None:
    sides = [[1, 2, 3, 4, 9], [5, 9], [1, 9], [6, 7, 8, 6, 7, 9]]
    text = Pairs(["a", "b"], ["c", "d"], (Path("f"),), [1, 2])
    tokens = TokenPairs(
        np.array([token for side in sides for token in side], np.uint16),
        np.cumsum([0, *map(len, sides)], dtype=np.int64),
        np.arange(2),
        text,
    )
    found, count = cut_sources(tokens, 3, 1)
    assert count == 1
    assert [found.source(0).tolist(), found.target(0).tolist()] == [[1, 2, 9], [5, 9]]
    assert [found.source(1).tolist(), found.target(1).tolist()] == [[1, 9], [6, 7, 8, 6, 7, 9]], "answers never are"
    assert found.lengths.tolist() == [[3, 2], [2, 6]]
    assert cut_sources(tokens, 5, 1) == (tokens, 0)
