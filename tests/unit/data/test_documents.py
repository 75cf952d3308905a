"""Documents: where one ends, where it is, what is held back, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.config import TextsData
from transept.data.documents import read_documents, sentences
from transept.errors import InvalidConfig, InvalidData

TEXT = "\n = Ape = \n\n An ape . It climbs .\n\n = = Food = = \n Leaves\n\n\n = Bee = \n\n A bee .\n"


def data(folder: Path, text: str = TEXT, name: str = "a.txt", **words: object) -> TextsData:
    (folder / name).write_text(text)
    return TextsData.model_validate({"dir": str(folder), "train": name, **words})


@pytest.mark.parametrize(
    ("how", "texts", "lines"),
    [
        ("whole", [TEXT], [1]),
        ("blank", [" = Ape = ", " An ape . It climbs .", " = = Food = = \n Leaves", " = Bee = ", " A bee ."],
         [2, 4, 6, 10, 12]),
        ("article", ["= Ape =\nAn ape . It climbs .\n= = Food = =\nLeaves", "= Bee =\nA bee ."], [2, 10]),
    ],
)  # fmt: skip
def test_plain_text_is_parted_as_asked(tmp_path: Path, how: str, texts: list[str], lines: list[int]) -> None:
    found = read_documents(data(tmp_path, documents=how), "train")
    assert found.texts == texts
    assert [found.where(i) for i in range(len(found))] == [f"{tmp_path}/a.txt:{line}" for line in lines]
    assert "plain text" in found.report()


def test_each_line_may_be_a_document_and_empty_ones_are_refused_or_counted(tmp_path: Path) -> None:
    asked = data(tmp_path, "one\n\ntwo\n", documents="line")
    with pytest.raises(InvalidData) as caught:
        read_documents(asked, "train")
    assert str(caught.value).startswith(f"{tmp_path}/a.txt:2: the document is empty")
    found = read_documents(asked.model_copy(update={"empty": "drop"}), "train")
    assert (found.texts, found.blank) == (["one", "two"], 1)
    assert f"1 empty ones left out, the first at {tmp_path}/a.txt:2" in found.report()


def test_rows_of_a_table_are_documents(tmp_path: Path) -> None:
    found = read_documents(data(tmp_path, "id,body\n1,one\n2,two\n", "a.csv", column="body"), "train")
    assert found.texts == ["one", "two"]
    assert "(CSV)" in found.report()
    with pytest.raises(InvalidData, match=r"a\.csv:1: there is no column 'bdy'\. Did you mean 'body'\?"):
        read_documents(data(tmp_path, "id,body\n1,one\n", "a.csv", column="bdy"), "train")


@pytest.mark.parametrize("text", ["", "  \n\n \t\n"])
def test_a_file_without_text_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidData) as caught:
        read_documents(data(tmp_path, text), "train")
    assert str(caught.value).startswith(f"{tmp_path}/a.txt:1: ")
    assert caught.value.exit_code == 3


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("last\n")
    asked = data(tmp_path, "first\n").model_copy(update={"train": ["a.txt", "b.txt"]})
    found = read_documents(asked, "train")
    assert (found.texts, found.where(1)) == (["first", "last"], f"{tmp_path}/b.txt:1")


def test_the_end_of_the_training_text_is_held_back(tmp_path: Path) -> None:
    letters = "".join(chr(97 + i % 26) + ("\n" if i % 10 == 9 else "") for i in range(100))
    asked = data(tmp_path, letters, documents="whole", hold_out=0.1)
    first, last = (read_documents(asked, split) for split in ("train", "valid"))
    assert first.texts[0] + last.texts[0] == letters
    assert len(first.texts[0]) == int(len(letters) * 0.9)
    assert last.where(0).endswith(f":{1 + first.texts[0].count(chr(10))}")
    asked = data(tmp_path, "a\n\nb\n\nc\n\nd\n", hold_out=0.25)
    assert [read_documents(asked, split).texts for split in ("train", "valid")] == [["a", "b", "c"], ["d"]]
    with pytest.raises(ValueError, match="one of them is enough"):
        data(tmp_path, valid="a.txt", hold_out=0.1)


def test_a_split_that_is_not_named_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"data\.hold_out=0\.1"):
        read_documents(data(tmp_path), "valid")
    with pytest.raises(InvalidData, match=r"no such file.*\n.*'a\.txt'"):
        read_documents(data(tmp_path).model_copy(update={"train": "b.txt"}), "train")


@given(st.text(alphabet='ab .!?"\n\u3002', min_size=1, max_size=60), st.sampled_from(["none", "line", "stop"]))
def test_sentences_are_the_text_again(text: str, how: str) -> None:
    parts = sentences(text, how)  # type: ignore[arg-type]
    assert "".join(parts) == text
    assert all(part.strip() for part in parts) or not text.strip()


def test_sentences_end_behind_stops_and_at_lines() -> None:
    text = 'One. "Two!" Three 3.5?\nFour'
    assert sentences(text, "stop") == ["One.", ' "Two!"', " Three 3.5?", "\nFour"]
    assert sentences(text, "line") == ['One. "Two!" Three 3.5?', "\nFour"]
