"""Columns by name: what each kind of table gives, and what is said of a fault."""

import gzip
from pathlib import Path

import pytest

from transept.data.tables import kind_of, read_columns
from transept.errors import InvalidData


def written(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"text": "one", "n": 1}\n{"n": 2, "text": "two, \\"three\\""}\n'),
        ("a.jsonl.gz", '{"text": "one", "n": 1}\n{"n": 2, "text": "two, \\"three\\""}\n'),
        ("a.csv", 'n,text\n1,one\n2,"two, ""three"""\n'),
        ("a.tsv", 'n\ttext\n1\tone\n2\ttwo, "three"\n'),
        ("a.data", '{"text": "one", "n": 1}\n{"n": 2, "text": "two, \\"three\\""}\n'),
    ],
)
def test_a_column_is_found_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    found = read_columns(written(tmp_path / name, text), ["text", "n"])
    assert found["text"].texts == ["one", 'two, "three"']
    assert found["n"].texts == ["1", "2"]
    first = 1 if "data" in name or "json" in name else 2
    assert found["text"].lines == [first, first + 1]


def test_a_cell_of_csv_may_hold_line_breaks_and_its_row_begins_where_it_begins(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'text\n"one\n\ntwo"\nthree\n')
    found = read_columns(path, ["text"])["text"]
    assert (found.texts, found.lines) == (["one\n\ntwo", "three"], [2, 5])


def test_unnamed_columns_stand_in_nobodys_way_and_an_empty_line_is_an_empty_row(tmp_path: Path) -> None:
    for name, text in (("a.csv", ",text,\n0,one,\n\n1,two,\n"), ("A.TSV", " \t text\t\n0\tone\t\n\n1\ttwo\t\n")):
        found = read_columns(written(tmp_path / name, text), ["text"])["text"]
        assert (found.texts, found.lines) == (["one", "", "two"], [2, 3, 4])


def test_numbers_and_truth_values_of_json_are_texts(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"a": 1.5}\n{"a": true}\n{"a": "x"}\n')
    assert read_columns(path, ["a"])["a"].texts == ["1.5", "true", "x"]


@pytest.mark.parametrize(
    ("name", "text", "place", "words"),
    [
        ("a.csv", "", 1, "the first line must name each column, once, and reads nothing"),
        ("a.tsv", "text\ttext\nx\ty\n", 1, "must name each column, once, and reads 'text', 'text'"),
        ("a.csv", "label\n", 1, "there is no column 'text'"),
        ("a.csv", "label,txet\n1,x\n", 1, "there is no column 'text'. Did you mean 'txet'?"),
        ("a.jsonl", '{"text": "x"}\n{"txt": "y"}\n', 2, "there is no column 'text'. Did you mean 'txt'?"),
        ("a.jsonl", '{"text": "x"}\n{"text": 3,\n', 2, "not JSON"),
        ("a.jsonl", '{"text": "x"}\n[1]\n', 2, "not an object"),
        ("a.jsonl", '{"text": null}\n', 1, "'text' is null, which is no text"),
        ("a.jsonl", '{"text": "x"}\n\n', 2, "the line is empty"),
        ("a.tsv", "text\tn\nx\t1\ny\n", 3, "1 columns, and the first line names 2"),
        ("a.csv", 'text\n"x\n', 2, "not CSV"),
        ("a.jsonl", '{"text": "\\ud800"}\n', 1, "half of a surrogate pair"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, name: str, text: str, place: int, words: str) -> None:
    path = written(tmp_path / name, text)
    with pytest.raises(InvalidData) as caught:
        read_columns(path, ["text"])
    assert str(caught.value).startswith(f"{path}:{place}: ")
    assert words in str(caught.value)


def test_what_a_file_is_is_told_by_its_name_first() -> None:
    assert kind_of(Path("a.txt"), "Once.") == "plain text"
    assert kind_of(Path("a.txt"), '{"text": 1}') == "JSON lines"
    assert kind_of(Path("a.csv.gz"), '{"text": 1}') == "CSV"
    assert kind_of(Path("a"), "{not so}") == "plain text"
