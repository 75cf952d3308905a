"""Which words of a command are settings of the search, which are texts, and which are files."""

from pathlib import Path

import pytest

from transept.cli.lines import Lines, split_settings
from transept.decode.config import Search
from transept.errors import UsageError


def test_settings_and_texts_are_told_apart() -> None:
    words = ["beam=3", "Once upon a time", "2 + 2 = 4", "x = y", "E=mc2", "a=b c", "temperature=0.5", "=", "=1"]
    settings, texts = split_settings(words, Search.model_fields)
    assert settings == {"beam": 3, "temperature": 0.5}
    assert texts == ["Once upon a time", "2 + 2 = 4", "x = y", "E=mc2", "a=b c", "=", "=1"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("temprature=0.8", "there is no search setting 'temprature'. Did you mean 'temperature'"),
        ("num_beams=3", "there is no search setting 'num_beams'. It is called beam"),
        ("max_new_tokens=3", r"It is called max_tokens \(--max-tokens\) for generate"),
        ("x=1", "There are: method"),
    ],
)
def test_a_slip_is_no_text(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        split_settings(["hello", word], Search.model_fields)
    assert "-f" in str(error.value)


def test_a_text_that_is_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "my texts.csv"
    file.write_text("text\na fine film\n")
    Lines([str(file), "a fine film", "x" * 5000, "a\0b"], None, 8)
    assert (
        capsys.readouterr().err
        == f"note: {str(file)!r} is a file, and is read as a text here: -f '{file}' reads its lines\n"
    )
    Lines([str(file)], None, 8, paths=True)
    Lines([], file, 8)
    assert capsys.readouterr().err == ""
