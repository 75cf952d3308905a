"""Why, and what a cut changes, in a real browser: what is measured is what Python measures."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transept.errors import UsageError
from transept.inspect.attribution import input_x_gradient
from transept.inspect.contributions import contributions
from transept.inspect.lens import lens
from transept.inspect.rollout import Step, rolled
from transept.look import asking, files, reasons
from transept.look.files import alone
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
        caption = page.locator(".caption", has_text="most came from").inner_text()
        assert re.findall(r"(\d+) %", caption) == [f"{100 * share:.0f}" for share in ends.topk(3).values]
        until(page, f"document.querySelectorAll('.ways path').length === {sum(one[3] >= 0.03 for one in lines)}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        stack = [one for one in told["layers"] if one["role"] != "encoder"]
        names = [f"decoder layer {one['number']}{' → source' * (one['role'] == 'cross')}" for one in stack]
        titles = [f"{names[step]}: {100 * share:.1f} %" for step, _, _, share, _ in lines if share >= 0.03]
        assert page.locator(".ways path title").all_text_contents() == titles
        drawn = [
            [float(place) for place in re.findall(r"[\d.]+", str(path.get_attribute("d")))]
            for path in page.locator(".ways path").all()
        ]
        crossing = [across for *_, share, across in lines if share >= 0.03]
        left = min(way[0] for way in drawn)
        assert any(crossing), "what was read stands left of what was written"
        assert [way[-2] < left for way in drawn] == crossing
        page.get_by_label("The least share of a line").fill("20")
        until(page, f"document.querySelectorAll('.ways path').length === {sum(one[3] >= 0.2 for one in lines)}")
        page.get_by_role("button", name="How far do the methods agree?").click()
        page.locator(".agreement td").nth(1).wait_for()
        shown = [text.replace("−", "-") for text in page.locator(".agreement tbody td").all_inner_texts()]
        table = stage.agree(number, 4, rival[0])["table"]
        np.testing.assert_allclose([float(text) for text in shown], np.ravel(table), rtol=0, atol=6e-3)
        assert np.diag(table).tolist() == pytest.approx([1.0] * len(table))


def read_bars(page: Page, nth: int = 0) -> list[float]:
    """The numbers of the bars of one side."""
    return [
        float(text.replace("−", "-")) for text in page.locator(".signs").nth(nth).locator("small").all_inner_texts()
    ]


def test_one_file_tells_why(page: Page, tmp_path: Path) -> None:
    stage = Stage(translator().loaded)
    told = stage.scene(number := stage.open("a small house"))
    text, left = alone(stage)
    assert left == []
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    for method, name in (
        ("leave-one-out", "loses"),
        ("gradient", "the logit is"),
        ("attention", "Bars are shares"),
    ):
        page.goto(f"{file.as_uri()}#view=why&output=4&pieces=true&method={method}")
        page.locator(".result", has_text=name).wait_for()
        page.locator(".signs li").first.wait_for()
        wanted = stage.why(number, 4, method)["sides"]
        np.testing.assert_allclose(read_bars(page), wanted["source"], rtol=0, atol=6e-4)
        np.testing.assert_allclose(read_bars(page, 1), wanted["given"][:5], rtol=0, atol=6e-4)
    page.locator(".lens tbody tr").first.wait_for()
    shown = [row.locator("td").last.inner_text() for row in page.locator(".lens tbody tr").all()]
    wanted = [own for _, _, own in stage.lens(number, 4)]
    np.testing.assert_allclose([float(one) for one in reversed(shown)], wanted, rtol=0, atol=6e-4)
    page.get_by_role("button", name="The way through the layers").click()
    count = sum(one[3] >= 0.03 for one in stage.ways(number, 4))
    until(page, f"document.querySelectorAll('.ways path').length === {count}")
    assert page.locator("option:disabled").all_inner_texts() == ["integrated gradients"]
    assert page.get_by_label("Rather than").count() == 0
    page.get_by_text("transept look MODEL 'a small house'").wait_for()
    assert "are in this file" not in page.locator(".why").inner_text()
    page.get_by_role("button", name=told["sides"][1]["texts"][1].strip(), exact=True).first.click()
    page.get_by_text(f"P({told['sides'][1]['texts'][1].strip()})").first.wait_for()


def test_a_file_has_the_first_output_and_tells_what_is_left_out(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(translator().loaded)
    told = stage.scene(number := stage.open("a small house", [3]))
    words = told["sides"][1]["words"][-len(told["target"]) :]
    first = next(at for at, word in enumerate(words) if word is not None)
    assert first == 1, "what it begins with is no word"
    each = reasons.work(stage.made_of(number))
    with monkeypatch.context() as small:
        small.setattr(reasons, "ROOM", 0)
        assert [one.startswith(f"why of {len(words) - 1} of ") for one in alone(stage)[1]] == [True]
    monkeypatch.setattr(reasons, "WORK", 2 * each)
    text, left = alone(stage)
    which = f"why of {len(words) - 3} of {len(words)} outputs, 4 to {len(words)}, of scene {number}: "
    assert [one for one in left if one.startswith(which)] == left != []
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    page.goto(f"{file.as_uri()}#view=why")
    page.locator(".signs li").first.wait_for()
    pressed = "[...document.querySelectorAll('.why .line .token')].findIndex((one) => one.ariaPressed === 'true')"
    assert page.evaluate(pressed) == first
    assert page.locator(".why .line .token:enabled").count() == 3
    page.get_by_text(f"3 of {len(words)} outputs are in this file").wait_for()
    page.goto(f"{file.as_uri()}#view=why&output={len(words) - 1}")
    page.locator(".result.wrong", has_text="This is not in the file").wait_for()
    monkeypatch.setattr(reasons, "LARGEST", each - 1)
    monkeypatch.setattr(reasons, "WORK", 0)
    text, left = alone(stage)
    assert left[0].startswith(f"words left out one at a time, of scene {number}")
    file.write_text(text, encoding="utf-8")
    page.goto("about:blank")
    page.goto(f"{file.as_uri()}#view=why&pieces=true")
    page.locator(".result", has_text="the logit is").wait_for()
    np.testing.assert_allclose(
        read_bars(page), stage.why(number, first, "gradient")["sides"]["source"], rtol=0, atol=6e-4
    )
    monkeypatch.setattr(files, "ROOM", 0)
    assert "why" in {name for scene in told_of(alone(stage)[0])["scenes"] for name in scene}, "for certain"


def told_of(text: str) -> dict[str, Any]:
    """What the page in one file was told."""
    found = re.search(r'<script type="application/json" id="told">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    told: dict[str, Any] = json.loads(found.group(1))
    return told


def test_one_file_tells_why_of_a_class(page: Page, tmp_path: Path) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    number = stage.open(str(picture))
    file = tmp_path / "page.html"
    file.write_text(alone(stage)[0], encoding="utf-8")
    page.goto(f"{file.as_uri()}#view=why")
    page.locator(".why canvas.over").wait_for()
    found = stage.why(number, 0, "leave-one-out")
    page.get_by_text(f"= {found['probability']:.3f}.").wait_for()


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


@pytest.mark.parametrize("served", [True, False], ids=["served", "one file"])
def test_the_way_through_a_long_text_is_drawn_by_its_lines(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: bool
) -> None:
    monkeypatch.setattr(asking, "LEAST", 1e-9)
    monkeypatch.setattr(reasons, "DIGITS", 12)
    monkeypatch.setattr(reasons, "LARGEST", 0)  # no word is left out, which would take long
    monkeypatch.setattr(reasons, "WORK", 0)
    stage = Stage(translator().loaded)
    told = stage.scene(number := stage.open(" ".join(["a small house", "the cats played", "who saw it?"] * 10), most=3))
    source, own = (
        next(side for side in stage.made_of(number).sides if side.name == name).grouped()
        for name in ("source", "given")
    )
    assert len(told["sides"][0]["texts"]) > len(source) > 90
    output = reasons.first_of(stage.made_of(number))
    lines = stage.ways(number, output)
    words = [{token: at for at, word in enumerate(side) for token in word.tokens} for side in (own, source)]
    flows = dict[tuple[int, int, int, bool], float]()
    for step, row, column, share, across in lines:
        key = step, words[0][row], words[across][column], across
        flows[key] = flows.get(key, 0.0) + share
    ends = dict[tuple[int, bool], float]()
    for (step, _, column, across), share in flows.items():
        if across or step == 0:
            ends[column, across] = ends.get((column, across), 0.0) + share
    most = max(ends, key=lambda end: ends[end])
    best = (own, source)[most[1]][most[0]].text
    file = tmp_path / "page.html"
    file.write_text(alone(stage)[0], encoding="utf-8")
    with Shown(stage) as address:
        for width in (1200, 390):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto("about:blank")
            page.goto(f"{address if served else file.as_uri()}#view=why&method=gradient&output={output}&way=true")
            count = sum(share >= 0.03 for share in flows.values())
            until(page, f"document.querySelectorAll('.ways path').length === {count}")
            if served:
                page.get_by_label("The least share of a line").fill("1")
            else:
                page.get_by_label("The least share of a line").focus()
                page.keyboard.press("Home")
            kept = [key for key, share in flows.items() if share >= 0.01]
            until(page, f"document.querySelectorAll('.ways path').length === {len(kept)}")
            reached = {column for _, _, column, across in kept if across}
            named = page.locator(".ways text:not(.gap)").all_inner_texts()
            gaps = page.locator(".ways .gap").evaluate_all("all => all.map((one) => one.firstChild.data)")
            assert sum(int(gap.removeprefix("…")) for gap in gaps) + len(named) - 4 == len(source) + len(own)
            assert len(named) < len(reached) + 4 + len(own) + len(gaps) + 30
            page.locator(".caption", has_text=f"most came from “{best}” {100 * ends[most]:.0f} %").wait_for()
            assert page.locator(".ways path").evaluate_all(
                "all => all.every((one) => !/NaN|undefined/.test(one.outerHTML))"
            )
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.get_by_text("words have no such line, and stand behind").wait_for()
