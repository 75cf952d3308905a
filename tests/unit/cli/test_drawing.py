"""Drawings of patterns: every mark is where the pattern says, in squares, in half squares and in a picture."""

import io
import json

import pytest
import torch
from typer.testing import CliRunner

from transept.cli import main as command
from transept.cli.drawing import allowed, assumed, draw, picture
from transept.parts.pattern import Causal, Documents, Full, Window
from transept.parts.pattern_text import parse_pattern


def run(*words):
    result = CliRunner().invoke(command.app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_a_drawing_marks_what_is_allowed():
    assert draw(Causal() & Window(1), 3) == ["■ · ·", "■ ■ ·", "· ■ ■"]
    assert draw(Full(), 2) == ["■ ■", "■ ■"]


@pytest.mark.parametrize("size", [41, 60])
def test_half_squares_tell_the_same(size):
    pattern = parse_pattern("causal & window(4) | first(1)")
    lines = draw(pattern, size)
    assert {len(line) for line in lines} == {size}
    upper = {"█": True, "▀": True, "▄": False, "·": False}
    lower = {"█": True, "▀": False, "▄": True, "·": False}
    rows = [[half[mark] for mark in line] for line in lines for half in (upper, lower)][:size]
    assert torch.equal(torch.tensor(rows), allowed(pattern, size))


def test_documents_are_drawn_for_a_row_of_some():
    assert draw(Documents(), 6) == ["■ ■ · · · ·"] * 2 + ["· · ■ ■ · ·"] * 2 + ["· · · · ■ ■"] * 2
    assert assumed(Causal() & ~Documents()) == "a row of 3 documents"
    assert assumed(Causal()) == ""


def test_a_picture_has_a_pixel_for_each_token_at_least():
    pytest.importorskip("PIL")
    from PIL import Image

    made = Image.open(io.BytesIO(picture({"causal": Causal()}, 700)))
    assert made.format == "PNG"
    assert min(made.size) > 700
    dark = [sum(made.convert("L").getpixel((x, made.height // 2)) < 200 for x in part) for part in halves(made.width)]
    assert dark[0] > 2 * dark[1]  # half way down a query sees the left half


def halves(width):
    return range(width // 2), range(width // 2, width)


def test_the_command_draws_and_writes(tmp_path):
    code, out, _ = run("show", "--pattern", "causal & window(4) | first(1)", "--size", "9")
    assert code == 0
    assert "  ■ · ■ ■ ■ ■ ■ · ·" in out
    file = tmp_path / "pattern.png"
    code, out, err = run("show", "--pattern", "window(2)", "--size", "300", "--png", str(file))
    assert code == 0
    assert "wider than a terminal" in err
    assert file.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("show", "--pattern", "window(0)", "--size", "2", "--json")
    assert json.loads(out) == {"pattern": "window(0)", "rows": ["■·", "·■"]}


def test_the_command_marks_what_is_wrong():
    code, _, err = run("show", "--pattern", "causal & (windw(4) | first(1))")
    assert code == 3
    assert "    causal & (windw(4) | first(1))\n              ^^^^^\n" in err


def test_the_patterns_of_a_model_are_a_picture_too(tmp_path):
    code, _, _ = run("show", "gpt3:small", "--size", "4", "--png", str(tmp_path / "gpt2.png"))
    assert code == 0
    assert (tmp_path / "gpt2.png").exists()
