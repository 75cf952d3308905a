"""`transept eval`: what --out writes over, and how its measures stand below each other."""

import pytest
from typer.testing import CliRunner

from transept.cli.evaluate import table
from transept.cli.main import app
from transept.tasks.measure import Measured
from transept.tasks.score import Score
from unit.hub.made import directory


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return directory(tmp_path_factory.mktemp("made"))


@pytest.fixture
def pairs(tmp_path):
    file = tmp_path / "pairs.tsv"
    file.write_text("a house\tein Haus\nthe cat\tdie Katze\n")
    return file


def run(*words: object) -> tuple[int, str]:
    short = ("method=greedy", "max_ratio=0", "max_extra=2")
    result = CliRunner().invoke(app, ["eval", *map(str, words), *short])
    return result.exit_code, result.stderr


def test_a_file_is_replaced_only_when_asked(model, pairs, tmp_path):
    out = tmp_path / "out.txt"
    asked = (model, "--data", pairs, "--out", out)
    assert run(*asked) == (0, "")
    first = out.read_text()
    assert first.count("\n") == 2
    out.write_text("mine")
    code, told = run(*asked)
    assert (code, out.read_text()) == (2, "mine")
    assert "--overwrite" in told
    assert run(*asked, "--overwrite") == (0, "")
    assert out.read_text() == first


def test_what_is_scored_is_never_replaced(model, pairs):
    before = pairs.read_bytes()
    code, told = run(model, "--data", pairs, "--out", pairs, "--overwrite")
    assert (code, pairs.read_bytes()) == (2, before)
    assert "what is scored" in told


def test_a_place_that_cannot_be_written_is_told_first(model, pairs, tmp_path):
    for place, part in ((tmp_path, "a directory"), (tmp_path / "none" / "out.txt", "not there")):
        code, told = run(model, "--data", pairs, "--out", place)
        assert code == 2
        assert part in told


def test_measures_stand_below_each_other():
    scores = {
        "one": Score("t-long name accuracy", 8.5, (7.25, 101.0), "n:3"),
        "two": Score("F1", 100.0, None, ""),
    }
    assert table(Measured(0.5, 3, [], scores, {"a_b": 1234.5}, "word")) == [
        "loss                  0.5000  nats a word",
        "t-long name accuracy    8.50  [  7.25, 101.00]  n:3",
        "F1                    100.00  [100.00, 100.00]",
        "a b                     1234",
    ]
