import gzip
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.config import PairsData
from transept.data.pairs import parting, read_entry, read_pairs
from transept.errors import InvalidConfig, InvalidData, TranseptError

EN, DE = ["a dog", "two cats", "three"], ["ein Hund", "zwei Katzen", "drei"]


def put(folder: Path, **files: list[str]) -> None:
    for name, lines in files.items():
        (folder / name.replace("_", ".")).write_bytes("".join(f"{line}\n" for line in lines).encode())


def en_de(folder: Path, **values: object) -> PairsData:
    return PairsData.model_validate({"dir": folder, "source": "en", "target": "de", "train": "t", **values})


def test_two_files_by_prefix(tmp_path: Path):
    put(tmp_path, t_en=EN, t_de=DE)
    pairs = read_pairs(en_de(tmp_path), "train")
    assert (pairs.source, pairs.target) == (EN, DE)
    assert pairs.files == (tmp_path / "t.en", tmp_path / "t.de")
    assert pairs.lines == [1, 2, 3]
    assert pairs.report() is None


def test_gzip_is_found_by_itself(tmp_path: Path):
    (tmp_path / "t.en.gz").write_bytes(gzip.compress("\n".join(EN).encode()))
    put(tmp_path, t_de=DE)
    assert read_pairs(en_de(tmp_path), "train").source == EN


def test_two_files_by_name(tmp_path: Path):
    put(tmp_path, left=EN, right=DE)
    pairs = read_pairs(PairsData(dir=tmp_path, valid=["left", "right"]), "valid")
    assert (pairs.source, pairs.target) == (EN, DE)


def test_files_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path, left=EN, right=DE)
    monkeypatch.chdir(tmp_path)
    assert read_pairs(PairsData(train=["left", "right"]), "train").target == DE


@pytest.mark.parametrize("head", [None, "en\tde", "de\ten"])
def test_a_tsv_with_and_without_names(tmp_path: Path, head: str | None):
    rows = [f"{b}\t{a}" if head == "de\ten" else f"{a}\t{b}" for a, b in zip(EN, DE, strict=True)]
    put(tmp_path, t_tsv=[*([head] if head else []), *rows])
    pairs = read_pairs(en_de(tmp_path, train="t.tsv"), "train")
    assert (pairs.source, pairs.target) == (EN, DE)
    assert pairs.lines == ([1, 2, 3] if head is None else [2, 3, 4])


def test_tab_separated_text_of_any_name(tmp_path: Path):
    put(tmp_path, corpus=[f"{a}\t{b}" for a, b in zip(EN, DE, strict=True)])
    assert read_pairs(en_de(tmp_path, train="corpus", source="", target=""), "train").target == DE


@pytest.mark.parametrize("name", ["t.jsonl", "t.json", "t.jsonl.gz", "t"])
@pytest.mark.parametrize("nested", [True, False])
def test_json_lines(tmp_path: Path, name: str, nested: bool):
    rows = [{"en": a, "de": b, "id": 7} for a, b in zip(EN, DE, strict=True)]
    text = "".join(json.dumps({"translation": row} if nested else row) + "\n" for row in rows).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    pairs = read_pairs(en_de(tmp_path, train=name), "train")
    assert (pairs.source, pairs.target) == (EN, DE)


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\t\x00"), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=8))
def test_what_is_written_is_read_from_every_form(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]):
    folder = tmp_path_factory.mktemp("forms")
    (folder / "t.en").write_bytes("".join(f"{a}\n" for a, _ in rows).encode())
    (folder / "t.de").write_bytes("".join(f"{b}\n" for _, b in rows).encode())
    (folder / "u.tsv").write_bytes("".join(f"{a}\t{b}\n" for a, b in rows).encode())
    (folder / "v.jsonl").write_text("".join(json.dumps({"en": a, "de": b}) + "\n" for a, b in rows))
    for entry in ("t", "v.jsonl", "u.tsv"):
        if entry == "t" and (rows[0][0][0] == "\ufeff" or rows[0][1][0] == "\ufeff"):
            continue  # a byte-order mark
        if entry == "u.tsv" and (rows[0] in [("en", "de"), ("de", "en")] or rows[0][0][0] == "\ufeff"):
            continue  # a line of names
        pairs = read_pairs(en_de(folder, train=entry), "train")
        assert list(zip(pairs.source, pairs.target, strict=True)) == rows


@pytest.mark.parametrize("form", ["two files", "tsv", "jsonl"])
def test_a_blank_side_is_refused_or_drops_the_pair_and_counts(tmp_path: Path, form: str):
    en, de = ["a", "", "c", "d", "", "f"], ["1", "2", " \u3000", "4", "", "6"]
    put(tmp_path, t_en=en, t_de=de, t_tsv=[f"{a}\t{b}" for a, b in zip(en, de, strict=True)])
    put(tmp_path, t_jsonl=[json.dumps({"en": a, "de": b}) for a, b in zip(en, de, strict=True)])
    entry = {"two files": "t", "tsv": "t.tsv", "jsonl": "t.jsonl"}[form]
    assert f"{'t.en' if form == 'two files' else entry}:2: the line is empty, the first of 3" in told(
        en_de(tmp_path, train=entry)
    )
    pairs = read_pairs(en_de(tmp_path, train=entry, empty="drop"), "train")
    assert (pairs.source, pairs.target, pairs.lines) == (["a", "d", "f"], ["1", "4", "6"], [1, 4, 6])
    assert (pairs.blank, pairs.first_blank) == (3, 2)
    assert pairs.where(1) == f"{pairs.files[0]}:4"
    report = pairs.report()
    assert report is not None
    assert "3 pairs with an empty side left out, the first on line 2" in report


def test_blank_pairs_at_the_end_are_found(tmp_path: Path):
    put(tmp_path, t_en=["a", ""], t_de=["1", ""])
    assert read_pairs(en_de(tmp_path, empty="drop"), "train").first_blank == 2


def test_the_file_with_the_empty_line_is_named(tmp_path: Path):
    put(tmp_path, t_en=["a", "b"], t_de=["1", ""])
    said = told(en_de(tmp_path))
    assert f"{tmp_path / 't.de'}:2: the line is empty" in said
    assert "data.empty=drop" in said


def told(data: PairsData) -> str:
    with pytest.raises(TranseptError) as caught:
        read_pairs(data, "train")
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_unequal_files_are_told_with_counts_and_line(tmp_path: Path):
    rng = random.Random(0)
    long = ["w" * rng.randint(1, 60) for _ in range(400)]
    short = [line + "x" * rng.randint(0, 3) for line in long]
    del short[250]
    put(tmp_path, t_en=long, t_de=short)
    message = told(en_de(tmp_path))
    assert "t.en has 400 lines and t.de 399" in message
    assert message.startswith(f"{tmp_path / 't.en'}:251: ")
    assert "line 251" in message


@pytest.mark.parametrize("lost", [0, 57, 199])
@pytest.mark.parametrize("gap", [1, 4])
@pytest.mark.parametrize("side", [0, 1])
def test_the_parting_is_near_the_lost_lines(lost: int, gap: int, side: int):
    rng = random.Random(lost)
    sides = [["w" * rng.randint(1, 60) for _ in range(200)]]
    sides.append([line + "x" * rng.randint(0, 3) for line in sides[0]])
    del sides[side][lost : lost + gap]
    assert abs(parting(*sides) - min(lost, len(sides[side]))) <= 2


def test_without_a_sign_the_first_line_too_many_is_named(tmp_path: Path):
    put(tmp_path, t_en=["same"] * 5, t_de=["same"] * 3)
    assert "part at about line 4 (only one file has it: 'same')" in told(en_de(tmp_path))


def test_a_line_lost_to_a_blank_is_seen(tmp_path: Path):
    put(tmp_path, t_en=["same", "", "same", "same"], t_de=["same", "same", "same"])
    assert "about line 2 ('' | 'same')" in told(en_de(tmp_path))


@pytest.mark.parametrize(
    ("name", "lines", "where", "words"),
    [
        ("t.tsv", ["a\tb", "a\tb\tc"], ":2", "3 columns"),
        ("t.tsv", ["a\tb", "a"], ":2", "1 columns"),
        ("t.txt", ["plain text"], ":1", "neither tab-separated nor JSON lines"),
        ("t.jsonl", ['{"en": "a", "de": "b"}', '{"en": "a"'], ":2", "not JSON"),
        ("t.jsonl", ["[" * 100_000], ":1", "not JSON"),
        ("t.jsonl", ['{"en": ' + "9" * 5000 + ', "de": "b"}'], ":1", "not JSON"),
        ("t.jsonl", ["[1]"], ":1", "not an object"),
        ("t.jsonl", ['{"en": "a", "fr": "b"}'], ":1", "no key 'de'; the keys are 'en', 'fr'"),
        ("t.jsonl", ['{"en": "a", "de": 3}'], ":1", "'de' is not text"),
        ("t.jsonl", ['{"en": "a", "de": "b\\nc"}'], ":1", "'de' holds a line break"),
        ("t.jsonl", ['{"en": "a\\u0000", "de": "b"}'], ":1", "'en' holds a NUL character"),
        ("t.jsonl", ['{"en": "a\\ud800", "de": "b"}'], ":1", "half of a surrogate pair at character 2"),
    ],
)
def test_rows_that_are_no_pairs_name_file_and_line(tmp_path: Path, name: str, lines: list[str], where: str, words: str):
    (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    message = told(en_de(tmp_path, train=name))
    assert message.startswith(f"{tmp_path / name}{where}: ")
    assert words in message


def test_json_without_languages_lists_the_keys(tmp_path: Path):
    (tmp_path / "t.jsonl").write_text('{"en": "a", "de": "b"}\n')
    assert "the keys are en, de" in told(PairsData(dir=tmp_path, train="t.jsonl"))


@pytest.mark.parametrize("lines", [[], ["", ""]])
def test_nothing_to_learn_from_is_refused(tmp_path: Path, lines: list[str]):
    put(tmp_path, t_en=lines, t_de=lines)
    assert ("empty side" if lines else "the file is empty") in told(en_de(tmp_path))


def test_a_split_without_files_names_the_key(tmp_path: Path):
    assert "data.train is not set" in told(PairsData(dir=tmp_path))


def test_a_missing_folder_names_the_key_to_set():
    data = PairsData(source="en", target="de", train="nowhere")
    with pytest.raises(InvalidConfig, match=r"data\.dir is not set\n.*data\.dir=FOLDER"):
        read_pairs(data, "train")


def test_a_prefix_without_languages_names_the_keys(tmp_path: Path):
    assert "data.source and data.target is not set" in told(PairsData(dir=tmp_path, train="t"))


def test_a_missing_file_names_its_neighbours(tmp_path: Path):
    put(tmp_path, train_en=EN, train_de=DE, other=EN)
    message = told(en_de(tmp_path, train="trian"))
    assert f"{tmp_path / 'trian.en'}: " in message
    assert "'train.en', 'train.de'" in message
    assert "other" not in message
    assert f"'{tmp_path / 'no'}' does not exist; '{tmp_path}' does" in told(en_de(tmp_path / "no"))
    (tmp_path / "empty").mkdir()
    assert "holds no file" in told(en_de(tmp_path / "empty"))
    assert "is a folder, not a file" in told(en_de(tmp_path, train=["empty", "other"]))


def test_bad_text_in_the_second_file_names_the_second_file(tmp_path: Path):
    put(tmp_path, t_en=EN)
    (tmp_path / "t.de").write_bytes(b"ok\n\xff\n")
    assert told(en_de(tmp_path)).startswith(f"{tmp_path / 't.de'}:2: ")


def test_entries_can_be_read_by_themselves(tmp_path: Path):
    put(tmp_path, t_en=EN, t_de=DE)
    assert len(read_entry(en_de(tmp_path), "t")) == 3
    with pytest.raises(InvalidData, match="evaluate: no such file"):
        read_entry(en_de(tmp_path), "u", "evaluate")


@pytest.mark.skipif("TRANSEPT_DATA" not in os.environ, reason="TRANSEPT_DATA names no folder of data sets")
def test_multi30k():
    folder = Path(os.environ["TRANSEPT_DATA"]) / "multi30k"
    data = en_de(folder, train="train.lc.norm.tok", test="test_2016_flickr.lc.norm.tok")
    train, test = read_pairs(data, "train"), read_pairs(data, "test")
    assert (len(train), train.blank, len(test), test.blank) == (29_000, 0, 1_000, 0)
    assert sum(len(line.split()) for line in test.target) == 12_103
    source = train.source[:12_344] + train.source[12_345:]
    assert abs(parting(source, train.target) - 12_345) <= 5
