"""The beam on the stage: its scores are the command line's, what was dropped is grey, and any branch can be forced."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from transept.cli.main import app
from transept.errors import UsageError
from transept.look import beam as beam_
from transept.look.beam import beam
from transept.look.files import alone
from transept.look.stage import Stage
from unit.look.browsed import Shown, until
from unit.look.staged import filler, translator, writer

Page = Any


def said(*words: str) -> list[dict[str, Any]]:
    """What a command finds for one text, best first."""
    found = CliRunner().invoke(app, list(words))
    assert found.exit_code == 0, found.output
    line = json.loads(found.stdout.splitlines()[-1])
    return [line, *line["others"]]


def test_the_scores_are_those_of_the_command_line() -> None:
    stage = Stage(translator().loaded)
    told = stage.beam(stage.open("a small house"))
    found = said("translate", str(stage.loaded.path), "a small house", "--n-best", "3", "--json")
    assert [one[2] for one in told["found"]] == [one["score"] for one in found]
    assert [one[4] for one in told["found"]] == [one["text"] for one in found]
    stage = Stage(writer().loaded)
    told = stage.beam(stage.open("the cat", most=8))
    words = [
        "generate",
        str(stage.loaded.path),
        "the cat",
        "beam=5",
        "method=beam",
        "--n-best",
        "5",
        "--max-tokens",
        "8",
    ]
    found = said(*words, "--json", "--echo")
    assert [one[2] for one in told["found"]] == pytest.approx([one["score"] for one in found], rel=1e-6)
    assert len(told["found"]) == 5


def test_what_writes_no_text_or_too_large_a_tree_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = filler().loaded
    with pytest.raises(UsageError, match="writes no text"):
        beam(loaded, "the cat")
    assert not filler().scene(filler().open("the cat"))["branches"]
    assert not writer().scene(writer().open("the cat", most=0))["branches"]
    monkeypatch.setattr(beam_, "LARGEST", 50)
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    with pytest.raises(UsageError, match="a beam of 3 over 12 tokens may have 72 branches; at most 50 are shown"):
        stage.beam(number)
    text, left = alone(stage)
    assert [one for one in left if one.startswith("the beam of scene")]
    assert text


@pytest.mark.parametrize("served", [True, False], ids=["served", "one file"])
def test_the_tree_is_on_the_stage(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(translator().loaded)
    told = stage.beam(stage.open("a small house"))
    file = tmp_path / "page.html"
    file.write_text(alone(stage)[0], encoding="utf-8")
    with Shown(stage) as root:
        page.goto(f"{root if served else file.as_uri()}#view=stage")
        page.get_by_role("button", name="Show the beam").click()
        ends = page.locator(".ends li")
        ends.first.wait_for()
        assert "beam=true" in page.url
        assert ends.count() == len(told["found"]) == 3
        for shown, one in zip(ends.all_inner_texts(), told["found"], strict=True):
            assert f"{one[2]:.4f}".replace("-", "−") in shown
        for state, count in {"lives": None, "dropped": None, "found": 3}.items():
            branches = [one for step in told["steps"] for one in step if one[5] == state]
            assert page.locator(f".branch.{state}").count() == (len(branches) if count is None else count)
        quiet, text = (
            page.locator(f".branch.{state}:not(.way)").first.evaluate("one => getComputedStyle(one).color")
            for state in ("dropped", "lives")
        )
        assert quiet != text
        sums = page.locator(".branch.dropped small").first.inner_text()
        assert sums == f"{next(one[4] for one in told['steps'][0] if one[5] == 'dropped'):.2f}".replace("-", "−")
        page.locator('.branch[tabindex="0"]').focus()
        page.keyboard.press("ArrowDown")
        page.get_by_text("Step 1, number 2 of 6").wait_for()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        page.get_by_text("Step 2, number").wait_for()
        page.keyboard.press("ArrowLeft")
        caption = page.locator(".beam .caption")
        caption.get_by_text("Step 1, number 1 of 6").wait_for()
        assert f"{told['steps'][0][0][3]:.3f}".replace("-", "−") in caption.inner_text()
        if not served:
            return
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('#scenes option').length === 2")
        scene = stage.told()["scenes"][-1]
        assert (scene["begun"], scene["target"][0]) == (1, told["steps"][0][1][0])
        page.locator(".ends li").first.wait_for()
        forced = stage.beam(scene["id"])
        living = sum(one[5] == "lives" for step in forced["steps"] for one in step)
        assert page.locator(".branch.lives").count() == living
        tree = beam(stage.loaded, "a small house", scene["target"][:1])
        assert [one[2] for one in forced["found"]] == [one.score for one in tree.hypotheses]
