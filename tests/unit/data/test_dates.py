import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from transept.data.config import PairsData
from transept.data.dates import (
    ASKED_STYLES,
    LANGUAGES,
    SOURCE_STYLES,
    TAGS,
    DatePair,
    DateSets,
    dates_vocabulary,
    make_dates,
    write,
    write_dates,
)
from transept.data.pairs import read_pairs
from transept.data.subwords import Subwords

DAYS = [date(2024, 1, 1) + timedelta(day) for day in range(366)]


@pytest.fixture(scope="module")
def sets() -> DateSets:
    return make_dates(20_000, 5)


def test_dates_as_they_are_written():
    day = date(2026, 3, 5)
    assert write(day, "en", "full") == "Thursday, March 5, 2026"
    assert write(day, "ja", "full") == "2026年3月5日木曜日"
    assert write(day, "ja", "short") == "2026/3/5"
    assert write(day, "de", "medium") == "5. März 2026"
    assert write(day, "pl", "long") == "5 marca 2026"
    assert write(day, "ru", "long") == "5 марта 2026 г."
    assert write(day, "ar", "short") == "5/3/2026"
    assert write(day, "ko", "full") == "2026년 3월 5일 목요일"


def test_making_dates_needs_no_torch():
    code = "import sys, transept.data.dates; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_source_says_two_dates():
    said: dict[str, date] = {}
    for language in LANGUAGES:
        for style in SOURCE_STYLES:
            for day in DAYS:
                assert said.setdefault(write(day, language, style), day) == day


@pytest.mark.parametrize("style", ["full", "long", "medium", "short"])
def test_each_date_is_written_in_its_own_way_and_with_its_year(style: str):
    for language in LANGUAGES:
        forms = [write(day, language, style) for day in DAYS]  # type: ignore[arg-type]
        assert len(set(forms)) == len(DAYS)
        assert all("2024" in form for form in forms)


def test_a_source_has_one_target(sets: DateSets):
    targets: dict[str, str] = {}
    for pair in sets.train + sets.valid + sets.pairs:
        assert targets.setdefault(pair.source, pair.target) == pair.target


def bare(pair: DatePair) -> str:
    return pair.source[pair.source.rindex("> ") + 2 :]


def test_targets_are_the_dates_of_their_sources(sets: DateSets):
    dates = {
        write(day, language, style): (day, style)
        for language in LANGUAGES
        for style in SOURCE_STYLES
        for day in (date(1900, 1, 1) + timedelta(n) for n in range(0, 73_049, 1))
        if day.year in (1950, 2050)
    }
    seen = set()
    for pair in sets.train:
        if (found := dates.get(bare(pair))) is None:
            continue
        day = found[0]
        full = write(day, pair.source_language, "full") == bare(pair)
        tags = pair.source.split("> ")[:-1]
        assert tags[0] == f"<2{pair.target_language}"
        asked = tags[1].removeprefix("<") if len(tags) > 1 else ("full" if full else "long")
        seen.add((asked, full))
        assert pair.target == write(day, pair.target_language, asked)  # type: ignore[arg-type]
    assert seen == {*((style, full) for style in ASKED_STYLES for full in (True, False)), ("full", True)}


def test_what_is_held_out_is_not_in_training(sets: DateSets):
    assert len(sets.held_out) == 10
    trained = {(pair.source_language, pair.target_language) for pair in sets.train}
    assert trained == {(a, b) for a in LANGUAGES for b in LANGUAGES} - set(sets.held_out)
    assert {(pair.source_language, pair.target_language) for pair in sets.pairs} == set(sets.held_out)
    assert {(pair.source_language, pair.target_language) for pair in sets.valid} <= trained
    for side in (0, 1):
        assert {pair[side] for pair in trained if pair[0] != pair[1]} == set(LANGUAGES)
    texts = {bare(pair) for pair in sets.train}
    for held_out in (sets.valid, sets.pairs):
        assert len(held_out) == 1000
        assert not texts & {bare(pair) for pair in held_out}


def test_the_same_seed_makes_the_same_files(tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_dates(tmp_path / name, 200, seed, held_out=50)
    names = ["pairs.tsv", "tags.txt", "train.tsv", "valid.tsv"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "train.tsv").read_bytes() != (tmp_path / "c" / "train.tsv").read_bytes()
    assert (tmp_path / "a" / "tags.txt").read_text().split() == list(TAGS)
    pairs = read_pairs(PairsData(dir=tmp_path / "a", train="train.tsv"), "train")
    made = make_dates(200, 1, held_out=50).train
    assert (pairs.source, pairs.target) == ([pair.source for pair in made], [pair.target for pair in made])


def test_the_vocabulary_keeps_dates_short_and_digits_apart(sets: DateSets):
    tokenizer = Subwords.train([text for pair in sets.train for text in (pair.source, pair.target)], dates_vocabulary())
    assert tokenizer.tags == TAGS
    assert tokenizer.vocab < 1400
    for sides in ([pair.source for pair in sets.valid], [pair.target for pair in sets.valid]):
        ids = tokenizer.encode_batch(sides)
        assert sum(map(len, ids)) / len(ids) < 12
        assert max(map(len, ids)) <= 16
    targets = [pair.target for pair in sets.pairs]
    assert tokenizer.decode_batch(tokenizer.encode_batch(targets)) == targets
