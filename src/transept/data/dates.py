"""Written dates in many languages, from Babel's CLDR data: text pairs that need no file and no network.

A source is a date as one language writes it, after tags that say what is wanted; the target is that date so written:
`<2ja> Thursday, March 5, 2026` becomes `2026年3月5日木曜日`. Without a tag of style the target says what the source
says: the weekday where the source has it, not otherwise. `<long>` leaves the weekday out, `<medium>` shortens the
month's name, `<short>` writes digits alone. A short date is never a source, for 3/4/2026 is two dates. So every source
has one right target, and none asks for what the source does not say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from babel import Locale
from babel.dates import DateTimeFormat, DateTimePattern, tokenize_pattern

from transept.data.config import Vocabulary
from transept.durable import replace_file

Style = Literal["full", "long", "medium", "short"]

LANGUAGES = ("ar", "de", "el", "en", "es", "fr", "hi", "ja", "ko", "pl", "ru", "tr", "zh")
SOURCE_STYLES: tuple[Style, ...] = ("full", "long", "medium")
ASKED_STYLES: tuple[Style, ...] = ("long", "medium", "short")
TAGS = (*(f"<2{language}>" for language in LANGUAGES), *(f"<{style}>" for style in ASKED_STYLES))
EXAMPLE = "<2de> 5 March 2026"
# CLDR's own medium and short forms often say two digits of the year, or digits for the month's name.
SKELETONS: dict[Style, str] = {"medium": "yMMMd", "short": "yMd"}
FIELDS = {"E": "weekday", "c": "weekday", "d": "day", "M": "month", "L": "month", "y": "year"}  # by CLDR's letters
FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
HELD_OUT_DATES = 0.1
HELD_OUT_PAIRS = 10
# Signs that no keyboard types: the narrow space before the Russian "г.", Arabic's marks of direction.
TYPED = str.maketrans({"\u202f": " ", "\xa0": " ", "\u200f": None, "\u200e": None})


Span = tuple[int, int]  # the first character and the one behind the last


@dataclass(frozen=True)
class DatePair:
    """A tagged date and the date that it should become.

    `fields` are what both say, the weekday, the day, the month and the year, each with its place in the source and in
    the target: which word stands for which is known, so that an alignment can be scored.
    """

    source: str
    target: str
    source_language: str
    target_language: str
    fields: Mapping[str, tuple[Span, Span]]


@dataclass(frozen=True)
class DateSets:
    """`train`; `valid`, of dates that are not in it; `pairs`, of such dates between languages that it never pairs.

    `held_out` names those pairs of languages, (from, to). `train` has each of them in other pairs, on both sides.
    """

    train: list[DatePair]
    valid: list[DatePair]
    pairs: list[DatePair]
    held_out: tuple[tuple[str, str], ...]


def dates_vocabulary() -> Vocabulary:
    """A vocabulary in which names are whole and digits apart, so that a date never seen is read like the others."""
    return Vocabulary(kind="bytes", merges=1200, digits="split", special=list(TAGS))


def write(day: date, language: str, style: Style) -> str:
    """A date as a language writes it, in CLDR's form for the style, spelt with the signs of a keyboard."""
    return written(day, language, style)[0]


def written(day: date, language: str, style: Style) -> tuple[str, dict[str, Span]]:
    """The same, and where in it each of its fields stands: weekday, day, month and year."""
    text, spans, values = "", dict[str, Span](), DateTimeFormat(day, _locale(language))
    for kind, value in tokenize_pattern(_pattern(language, style).pattern):
        if isinstance(value, str):
            assert kind == "chars"
            text += value.translate(TYPED)
            continue
        letter, count = value
        piece = str(values[letter * count]).translate(TYPED)
        spans[FIELDS[letter]] = (len(text), len(text) + len(piece))
        text += piece
    return text, spans


def make_dates(count: int, seed: int, held_out: int = 1000) -> DateSets:
    """`count` pairs for training and `held_out` for each of the other sets; the same for the same arguments."""
    generator = np.random.default_rng(seed)
    days = [FIRST + timedelta(int(day)) for day in generator.permutation((LAST - FIRST).days + 1)]
    unseen, seen = days[: int(HELD_OUT_DATES * len(days))], days[int(HELD_OUT_DATES * len(days)) :]
    # Around a ring of all languages each is once the source and once the target of a held-out pair, at most.
    ring = [LANGUAGES[index] for index in generator.permutation(len(LANGUAGES))]
    away = tuple(pairwise(ring))[:HELD_OUT_PAIRS]
    known = [(one, other) for one in LANGUAGES for other in LANGUAGES if (one, other) not in away]
    return DateSets(
        train=_draw(count, seen, known, generator),
        valid=_draw(held_out, unseen, known, generator),
        pairs=_draw(held_out, unseen, away, generator),
        held_out=away,
    )


def write_dates(folder: Path, count: int, seed: int, held_out: int = 1000) -> DateSets:
    """Make the sets and write train.tsv, valid.tsv, pairs.tsv and tags.txt into a folder."""
    sets = make_dates(count, seed, held_out)
    for name, pairs in (("train", sets.train), ("valid", sets.valid), ("pairs", sets.pairs)):
        replace_file(folder / f"{name}.tsv", "".join(f"{pair.source}\t{pair.target}\n" for pair in pairs).encode())
    replace_file(folder / "tags.txt", "".join(f"{tag}\n" for tag in TAGS).encode())
    return sets


def _draw(
    count: int, days: Sequence[date], languages: Sequence[tuple[str, str]], generator: np.random.Generator
) -> list[DatePair]:
    pairs = []
    for day, pair, style, asked in zip(
        generator.integers(len(days), size=count),
        generator.integers(len(languages), size=count),
        generator.choice(len(SOURCE_STYLES), p=[0.5, 0.25, 0.25], size=count),
        generator.choice(len(ASKED_STYLES) + 1, p=[0.2, 0.2, 0.2, 0.4], size=count),
        strict=True,
    ):
        one, other = languages[pair]
        pairs.append(_pair(days[day], one, other, SOURCE_STYLES[style], (*ASKED_STYLES, None)[asked]))
    return pairs


def _pair(day: date, one: str, other: str, style: Style, asked: Style | None) -> DatePair:
    tags = f"<2{other}>" + (f" <{asked}>" if asked else "")
    wanted = asked or ("full" if style == "full" else "long")
    (source, asked_of), (target, answered) = written(day, one, style), written(day, other, wanted)
    before = len(tags) + 1
    both = {
        name: ((start + before, end + before), answered[name])
        for name, (start, end) in asked_of.items()
        if name in answered
    }
    return DatePair(f"{tags} {source}", target, one, other, both)


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


@cache
def _pattern(language: str, style: Style) -> DateTimePattern:
    locale = _locale(language)
    named = style in ("full", "long")
    pattern = locale.date_formats[style] if named else locale.datetime_skeletons[SKELETONS[style]]
    assert isinstance(pattern, DateTimePattern)
    return pattern
