"""`transept translate` on a model of random weights: what the command line adds to the search."""

import pytest
from typer.testing import CliRunner

from transept.cli.main import app
from unit.hub.made import directory

LINES = ["a small house", "a small house", "", "a small house", "the cat", "a small house"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return directory(tmp_path_factory.mktemp("made"))


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["translate", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_a_draw_does_not_hang_on_the_window(model, tmp_path):
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{line}\n" for line in LINES))
    draw = ("-f", file, "method=sample", "max_ratio=0", "max_extra=4")
    code, whole, told = run(model, *draw)
    assert code == 0, told
    for window in (1, 2, 4):
        assert run(model, *draw, "--window", window)[1] == whole
    drawn = [line for line, asked in zip(whole.split("\n"), LINES, strict=False) if asked == "a small house"]
    assert len(set(drawn)) == 4, "each line draws for itself"


@pytest.mark.parametrize("word", ["temperature=1e-1", "temperature=.1", "top_k=3", "top_p=null"])
def test_a_setting_means_what_it_means_in_a_recipe(model, word):
    code, _, told = run(model, "a", "method=sample", "max_ratio=0", "max_extra=1", word)
    assert code == 0, told


@pytest.mark.parametrize("word", ["seed=[", "seed=!!int x", "seed=on", "seed=0x10", "seed=*a"])
def test_a_setting_that_is_none_ends_with_2(model, word):
    code, _, told = run(model, "a", word)
    assert code == 2, told
    assert "seed" in told


def test_a_text_too_long_is_named_by_its_line(model, tmp_path):
    file = tmp_path / "in.txt"
    file.write_text("a\nb\n" + "c " * 2000 + "\n")
    code, _, told = run(model, "-f", file, "--window", 2, "method=greedy", "max_ratio=0", "max_extra=1")
    assert code == 3
    assert "in.txt:3: the text has 4001 tokens" in told
