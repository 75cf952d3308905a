"""Why, and what a cut changes, in a real browser: what is measured is what Python measures."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from transept.errors import UsageError
from transept.inspect.attribution import input_x_gradient
from transept.inspect.contributions import contributions
from transept.inspect.lens import lens
from transept.inspect.rollout import Step, rolled
from transept.look import asking
from transept.look.stage import Stage
from unit.look.browsed import Shown, calm, until
from unit.look.staged import TEXT, filler, seer, translator

Page = Any


def test_a_link_and_a_head_are_cut_and_the_change_is_measured(page: Page) -> None:
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    told = stage.scene(number)
    layer = next(i for i, one in enumerate(told["layers"]) if one["role"] == "cross")
    with Shown(stage) as address:
        page.goto(f"{address}#pieces=true&layer={layer}&head=0&pin=3")
        button = page.get_by_role("button", name="Cut this link").first
        source = told["sides"][0]["texts"]
        name = str(button.get_attribute("aria-label")).rpartition("→ ")[2]
        weights = stage.weights(number, layer)[0, 3]
        assert source[int(weights.argmax())].strip() == name.strip("␣ ")
        button.click()
        moved = stage.cut(number, {"layer": layer, "head": 0, "queries": [3], "keys": [int(weights.argmax())]})
        links = {"layer": layer, "queries": [3], "keys": [1, 2]}
        assert stage.cut(number, links | {"head": [0, 1]}) == stage.cut(number, links | {"head": None})  # it has two
        with pytest.raises(UsageError, match="a list of several"):
            stage.cut(number, links | {"head": [0, None]})
        result = page.locator(".cutting p")
        result.get_by_text("→").first.wait_for()
        text = result.inner_text()
        assert told["sides"][1]["texts"][3].strip() in text
        assert spoken(moved["before"][3]) in text
        assert spoken(moved["after"][3]) in text
        page.get_by_role("tab", name="Stage").click()
        page.get_by_role("button", name="Cut this link").first.click()
        page.locator(".cutting p .number").first.wait_for()
        page.get_by_role("tab", name="Heads").click()
        off = page.locator("button.off").last
        assert off.inner_text() == "switch off"
        off.focus()
        page.keyboard.press("Enter")
        last = len(told["layers"]) - 1
        moved = stage.cut(number, {"layer": last, "head": told["layers"][last]["shape"][0] - 1})
        change = max((b - a for a, b in zip(moved["before"], moved["after"], strict=True)), key=abs)
        page.locator("button.off", has_text=f"{abs(change):.3f}").wait_for()


def spoken(p: float) -> str:
    """A probability as the page writes it."""
    return f"{p:.3f}" if p == 0 or p >= 0.001 else f"{p:.1e}".replace("e-0", "e-")


def test_what_is_only_read_has_nothing_to_cut(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(f"{address}#pin=2")
        page.get_by_text("cat looks at").wait_for()
        assert page.get_by_role("button", name="Cut this link").count() == 0
        assert page.get_by_role("tab", name="Why").count() == 0
        page.get_by_role("tab", name="Heads").click()
        page.locator(".cell").first.wait_for()
        assert page.locator("button.off").count() == 0


def test_why_a_token_was_written(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LEAST", 1e-9)
    stage = Stage(translator().loaded)
    told = stage.scene(number := stage.open("a small house"))
    with Shown(stage) as address:
        page.goto(f"{address}#view=why")
        words = told["sides"][1]["words"][-len(told["target"]) :]
        first = next((at for at, word in enumerate(words) if word is not None), 0)
        pressed = "[...document.querySelectorAll('.why .line .token')].findIndex((one) => one.ariaPressed === 'true')"
        until(page, f"{pressed} === {first}")
        page.goto(f"{address}#view=why&output=4&pieces=true")
        bars = page.locator(".signs").first.locator("li")
        bars.first.wait_for()
        found = stage.why(number, 4, "leave-one-out")
        values = [abs(value) for side in found["sides"].values() for value in side]
        width = float(page.evaluate("document.querySelector('.signs .sign i').style.width").removesuffix("%"))
        wanted_width = 50 * abs(found["sides"]["source"][0]) / max(*values, 0.1)
        assert width == pytest.approx(wanted_width, abs=0.06), "what is small looks small"
        shown = [text.replace("−", "-") for text in bars.locator("small").all_inner_texts()]
        np.testing.assert_allclose([float(text) for text in shown], found["sides"]["source"], rtol=0, atol=6e-4)
        assert page.locator(".signs").nth(1).locator("li").count() == found["at"] + 1  # what stood before it
        page.get_by_label("By").select_option("integrated")
        apart = stage.why(number, 4, "integrated")["apart"]
        page.get_by_text(f"but for {apart:.3f}").wait_for()
        assert "method=integrated" in page.url
        read = stage._found(number)[0]
        rival = told["choices"][read.asked[4].at][1]
        page.get_by_label("Rather than").select_option(str(rival[0]))
        page.get_by_label("By").select_option("gradient")
        page.get_by_text("the logit is the difference of the two").wait_for()
        with calm(stage):
            found = input_x_gradient(read.example, replace(read.asked[4], against=rival[0]))
        wanted = found.tokens["source"].tolist()
        shown = [text.replace("−", "-") for text in bars.locator("small").all_inner_texts()]
        np.testing.assert_allclose([float(text) for text in shown], wanted, rtol=0, atol=6e-4)
        lines = page.locator(".lens tbody tr")
        lines.first.wait_for()
        with calm(stage):
            scores = lens(read.example)[:, read.asked[4].at].softmax(-1)
        shown = [line.locator("td").last.inner_text() for line in lines.all()]
        np.testing.assert_allclose(
            [float(text) for text in reversed(shown)], scores[:, read.asked[4].index], rtol=0, atol=6e-4
        )
        page.get_by_role("button", name="The way through the layers").click()
        lines, at = stage.ways(number, 4), read.asked[4].at
        with calm(stage):
            steps = [Step(one.keys, one.source) for one in contributions(read.example)["decoder"]]
        encoded = [Step(torch.eye(len(told["sides"][0]["texts"])))]  # lines end at what the encoder gave
        whole = rolled({"encoder": encoded, "decoder": steps}, residual=0.0)["decoder"][-1][at]
        ends = torch.zeros_like(whole)  # first the target's tokens, then the source's
        for step, _, column, share, across in lines:
            if across or step == 0:
                ends[column + (len(steps[0].weights) if across else 0)] += share
        torch.testing.assert_close(ends, whole, rtol=0, atol=1e-5)
        until(page, f"document.querySelectorAll('.ways path').length === {sum(one[3] >= 0.03 for one in lines)}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.get_by_label("The least share of a line").fill("20")
        until(page, f"document.querySelectorAll('.ways path').length === {sum(one[3] >= 0.2 for one in lines)}")
        page.get_by_role("button", name="How far do the methods agree?").click()
        page.locator(".agreement td").nth(1).wait_for()
        shown = [text.replace("−", "-") for text in page.locator(".agreement tbody td").all_inner_texts()]
        table = stage.agree(number, 4, rival[0])["table"]
        np.testing.assert_allclose([float(text) for text in shown], np.ravel(table), rtol=0, atol=6e-3)
        assert np.diag(table).tolist() == pytest.approx([1.0] * len(table))


def test_why_a_picture_is_of_a_class(page: Page) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    stage.open(str(picture))
    with Shown(stage) as address:
        page.goto(f"{address}#view=why")
        page.locator(".why canvas.over").wait_for()
        assert page.locator(".why canvas.over").evaluate("one => [one.width, one.height]") == [4, 4]
        page.get_by_text("Blue speaks for the class, orange against it.").wait_for()
        assert "without the place" in page.locator(".why").inner_text()
