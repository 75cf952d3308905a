"""Which words of a command are settings of the search, and which are texts."""

import pytest

from transept.cli.lines import split_settings
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
