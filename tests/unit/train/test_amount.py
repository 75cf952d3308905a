from fractions import Fraction

import pytest

from transept.train.amount import Amount


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("60u", 60, "u"),
        ("10e", 10, "e"),
        ("0.1e", Fraction(1, 10), "e"),
        ("300Mt", 300, "Mt"),
        ("30min", 30, "min"),
        ("2.5h", Fraction(5, 2), "h"),
    ],
)
def test_reads_what_people_write(text: str, number: Fraction, unit: str) -> None:
    assert Amount.parse(text) == Amount(Fraction(number), unit)
    assert str(Amount.parse(text)) == text


@pytest.mark.parametrize("text", ["", "60", "u", "60x", "60 u", "-3u", "0u", "1.5u", "1e5", "60U", "3m"])
def test_refuses_the_rest_and_says_what_it_takes(text: str) -> None:
    with pytest.raises(ValueError, match="amount of training|part of an update"):
        Amount.parse(text)
