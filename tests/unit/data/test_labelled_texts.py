"""Tables of texts with labels: every kind of file, columns by their names, and each fault with its line."""

import gzip
from pathlib import Path

import pytest

from transept.data.config_senses import LabelledData
from transept.data.labelled_texts import LabelledTexts, read_labelled_texts
from transept.errors import InvalidData

ROWS = [("A cat, asleep.", "yes"), ('He said "no".', "no"), ("Ünïcode\u2028stays", "yes")]


def read(path: Path, told: list[str] | None = None, **data: object) -> LabelledTexts:
    return read_labelled_texts(path, LabelledData.model_validate(data), (told if told is not None else []).append)


def written(path: Path, text: str) -> Path:
    raw = text.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


FILES = {
    "a.csv": 'sentence,label\n"A cat, asleep.",yes\n"He said ""no"".",no\nÜnïcode\u2028stays,yes\n',
    "a.tsv": 'sentence\tlabel\nA cat, asleep.\tyes\nHe said "no".\tno\nÜnïcode\u2028stays\tyes\n',
    "a.tsv.gz": 'sentence\tlabel\nA cat, asleep.\tyes\nHe said "no".\tno\nÜnïcode\u2028stays\tyes\n',
    "a.jsonl": '{"sentence": "A cat, asleep.", "label": "yes", "n": null}\n'
    '{"sentence": "He said \\"no\\".", "label": "no"}\n{"label": "yes", "sentence": "Ünïcode\\u2028stays"}\n',
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_table_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    told: list[str] = []
    found = read(written(tmp_path / name, FILES[name]), told)
    assert list(zip(found.texts, found.said["label"], strict=True)) == ROWS
    assert found.others is None and found.name(0) == ROWS[0][0]
    assert found.where(1) == f"{tmp_path / name}:{2 if name == 'a.jsonl' else 3}"
    assert told == [
        f"{tmp_path / name}: 3 rows of {'JSON lines' if name == 'a.jsonl' else 'CSV' if name == 'a.csv' else 'TSV'};"
        " the text is 'sentence', the label is 'label'"
    ]
    assert found.fingerprint == read(written(tmp_path / "a.csv", FILES["a.csv"])).fingerprint


def test_pairs_and_columns_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "p.csv", "id,sentence1,sentence2,score\n1,a b,c d,2.5\n2,e,f,0\n")
    found = read(path)
    assert (list(found.texts), found.others, found.said["label"]) == (["a b", "e"], ["c d", "f"], ["2.5", "0"])
    assert found.name(0) == "a b\tc d"
    swapped = read(path, columns={"text": "sentence2", "other": "sentence1"})
    assert (list(swapped.texts), swapped.others) == (["c d", "f"], ["a b", "e"])
    assert swapped.fingerprint != found.fingerprint
    alone = read(path, columns={"other": ""})
    assert alone.others is None and list(alone.texts) == ["a b", "e"]


def test_a_file_without_names_is_told_them(tmp_path: Path) -> None:
    path = written(tmp_path / "n.tsv", "gj04\t1\t\tThe boat sank.\n\ngj05\t0\t*\tBoat the.\n")
    found = read(path, head=["source", "label", "mark", "sentence"])
    assert (list(found.texts), list(found.said["label"])) == (["The boat sank.", "Boat the."], ["1", "0"])
    assert found.where(1) == f"{path}:3"
    with pytest.raises(InvalidData, match=r"n.tsv:1: no column is called text or sentence") as told:
        read(path)
    assert "name all columns by data.head=" in str(told.value.remedy)
    with pytest.raises(InvalidData, match=r"n.tsv:1: 4 columns, and the recipe's data.head names 2: label, sentence"):
        read(path, head=["label", "sentence"])


@pytest.mark.parametrize("name", ["h.tsv", "h.csv", "h.jsonl"])
def test_a_table_that_names_its_columns_overrules_a_recipe_and_says_so(tmp_path: Path, name: str) -> None:
    signs = {"h.tsv": "\t", "h.csv": ","}
    lines = [signs[name].join(cells) for cells in (("label", "text"), ("1", "x"), ("0", "y"))] if name in signs else []
    lines = lines or ['{"label": "1", "text": "x"}', '{"label": "0", "text": "y"}']
    path, said = written(tmp_path / name, "".join(f"{line}\n" for line in lines)), list[str]()
    found = read_labelled_texts(path, LabelledData(head=["sentence", "label"]), said.append)
    assert (list(found.texts), list(found.said["label"])) == (["x", "y"], ["1", "0"])
    assert "which names its columns itself (data.head has no say); the text is 'text'" in said[0]
    # What was asked for by name must be there: a first line without it is a row.
    chosen = LabelledData.model_validate({"head": ["sentence", "label"], "columns": {"text": "sentence"}})
    if name in signs:
        assert len(read_labelled_texts(path, chosen, said.append)) == 3
        assert "has no say" not in said[1]


FAULTS = {
    "empty text": ("a.tsv", "text\tlabel\nx\t1\n  \t0\n", r"a.tsv:3: the text is empty \('text'\)"),
    "empty label": ("a.tsv", "text\tlabel\nx\t\n", r"a.tsv:2: the label is empty"),
    "quote": ("a.csv", 'text,label\nx,1\n"y,0\nz,1\n', r"a.csv:3: not CSV: a quote opens in this row and never ends"),
    "quote inside": ("a.csv", 'text,label\n"x"y,1\n', r"a.csv:2: not CSV: a quote ends within a cell, where a comma"),
    "cells": ("a.csv", "text,label\nx,1\ny\n", r"a.csv:3: 1 columns, and the first line names 2"),
    "quote early": ("a.csv", 'text,label\n"x,1\n"y",0\n', r"a.csv:2: not CSV: a quote ends within a cell"),
    "blank": ("a.jsonl", "\n \n", r"a.jsonl: the table has no rows\n  It is empty, or has"),
    "none": (
        "a.tsv",
        "text\tlabel\n",
        r"a.tsv: the table has no rows\n  It is empty, or has the names of",
    ),
    "nothing": ("a.jsonl", '{"text": "x", "label": null}\n', r"a.jsonl:1: 'label' is null, which is no text"),
    "absent": ("a.jsonl", '{"text": "x", "label": 1}\n{"text": "y"}\n', r"a.jsonl:2: there is no column 'label'"),
    "kind": ("a.txt", "x\n", r"a.txt: texts with labels are a table"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_line(tmp_path: Path, fault: str) -> None:
    name, text, message = FAULTS[fault]
    with pytest.raises(InvalidData, match=message) as told:
        read(written(tmp_path / name, text))
    assert told.value.exit_code == 3


def test_a_column_that_is_not_there_has_a_nearest_name(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", FILES["a.csv"])
    with pytest.raises(InvalidData, match=r"a.csv:1: there is no column 'sentense'. Did you mean 'sentence'"):
        read(path, columns={"text": "sentense"})
    with pytest.raises(InvalidData, match="one column is read twice: text is 'sentence', label is 'sentence'"):
        read(path, columns={"label": "sentence"})


HEAD = ["sentence", "label"]
ROWS_OF_THREE = "the boat sank,1\na fine day,0\nall was well,1\n"


@pytest.mark.parametrize(
    ("first", "columns"),
    [
        ("Text,Label", {"text": "Text", "label": "Label"}),
        ("SENTENCE,Class", {"text": "SENTENCE", "label": "Class"}),
        ("Review,Sentiment", {"text": "Review", "label": "Sentiment"}),
    ],
)
def test_usual_names_are_known_in_whatever_case(tmp_path: Path, first: str, columns: dict[str, str]) -> None:
    path = written(tmp_path / "a.csv", f"{first}\n{ROWS_OF_THREE}")
    for head in (HEAD, None):
        found = read(path, head=head)
        assert (dict(found.columns), len(found)) == (columns, 3)


def test_the_name_in_small_letters_goes_before_the_same_in_others(tmp_path: Path) -> None:
    found = read(written(tmp_path / "a.csv", "TEXT,text,label\nno,yes,1\n"))
    assert list(found.texts) == ["yes"]


def test_a_first_line_with_a_slip_in_one_name_is_a_head_and_the_slip_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"text,lable\n{ROWS_OF_THREE}")
    for head in (HEAD, None):
        with pytest.raises(InvalidData, match=r"a.csv:1: no column is called label or .*\. Did you mean 'lable'\?"):
            read(path, head=head)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("words among numbers", f"Comment,Mood\n{ROWS_OF_THREE}"),
        ("one word among several", "Comment,Mood\nthe boat sank,bad\na fine day,good\nall was well,good\n"),
        ("only one of the names", f"text,mood\n{ROWS_OF_THREE}"),
    ],
)
def test_a_first_line_that_looks_as_if_it_named_columns_is_no_row(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InvalidData, match="no other row looks so") as told:
        read(written(tmp_path / "a.csv", text), head=HEAD)
    assert str(told.value).startswith(f"{tmp_path / 'a.csv'}:1: ") and "data.head=null" in str(told.value.remedy)


def test_a_first_line_that_may_be_a_row_is_one_and_a_label_of_its_own_is_said(tmp_path: Path) -> None:
    told: list[str] = []
    usual = written(tmp_path / "a.csv", ROWS_OF_THREE)
    assert len(read(usual, told, head=HEAD)) == 3 and len(told) == 1
    rare = written(tmp_path / "b.csv", "it is odd,x\nthe boat sank,a\na fine day,a\nall was well,b\nso it is,b\n")
    assert len(read(rare, told, head=HEAD)) == 5
    assert f"{rare}:1: no other row has the label 'x'; where the line names the columns: data.head=null" in told
    words = written(tmp_path / "c.csv", "sank,c\nfine,a\nwell,b\n")
    assert len(read(words, head=HEAD)) == 3


def test_a_misspelt_column_is_answered_with_those_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", f"id,remark,label\n{ROWS_OF_THREE.replace(',', ',x,')}")
    with pytest.raises(InvalidData, match=r"no column 'remrk'. Did you mean 'remark'") as told:
        read(path, head=HEAD, columns={"text": "remrk"})
    assert "The columns are: 'id', 'remark', 'label'." in str(told.value.remedy)
    short = written(tmp_path / "b.csv", f"remark,label\n{ROWS_OF_THREE}")
    with pytest.raises(InvalidData, match="there is no column 'quite other'") as told:
        read(short, head=HEAD, columns={"text": "quite other"})
    assert "Line 1 of the file reads 'remark', 'label': where that names its columns, data.head=null" in str(
        told.value.remedy
    )


@pytest.mark.parametrize(
    ("name", "sign", "told"),
    [("a.csv", ";", "write it with commas"), ("a.csv", "\t", "call it .tsv"), ("a.tsv", ",", "call it .csv")],
)
def test_a_table_that_another_sign_parts_is_told_so(tmp_path: Path, name: str, sign: str, told: str) -> None:
    path = written(tmp_path / name, f"text{sign}label\nthe boat{sign}1\na day{sign}0\n")
    with pytest.raises(InvalidData, match=r"1 column, and the recipe's data.head names 2: sentence, label") as caught:
        read(path, head=HEAD)
    assert told in str(caught.value) and "data.head=null" in str(caught.value.remedy)
    assert f"The line reads {f'text{sign}label'!r}" in str(caught.value.remedy)
    with pytest.raises(InvalidData, match=told):
        read(path)
