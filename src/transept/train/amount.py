"""Amounts of training as people write them: 8000u, 10e, 300Mt, 30min, 2h. Importing this imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, cast, get_args

from pydantic import AfterValidator

Unit = Literal["u", "e", "Mt", "min", "h"]

_FORM = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]+)")


@dataclass(frozen=True)
class Amount:
    """So many updates (u), epochs (e), million supervised tokens (Mt), minutes (min) or hours (h)."""

    number: Fraction
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Amount:
        """Read "8000u"; a ValueError says what is wrong with other texts."""
        found = _FORM.fullmatch(text.strip())
        if found is None or found[2] not in get_args(Unit):
            raise ValueError(
                f"{text!r} is no amount of training; write updates as 60u, epochs as 10e, million tokens as 300Mt, "
                "time as 30min or 2h"
            )
        amount = cls(Fraction(found[1]), cast(Unit, found[2]))
        if amount.number <= 0:
            raise ValueError(f"{text!r} is nothing; an amount of training is above zero")
        if amount.unit == "u" and amount.number.denominator != 1:
            raise ValueError(f"{text!r} holds a part of an update; updates are whole")
        return amount

    def __str__(self) -> str:
        return f"{float(self.number):.12g}{self.unit}"


def _checked(text: str) -> str:
    Amount.parse(text)
    return text


AmountText = Annotated[str, AfterValidator(_checked)]
