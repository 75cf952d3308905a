"""Layers and heads that are shown as one, and the scales of colour, in a real browser: the numbers are Python's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transept.cli.moments import placed
from transept.inspect.prune import prune
from transept.inspect.record import attentions
from transept.inspect.words import merge
from transept.look.stage import Stage
from unit.look.browsed import Shown, until
from unit.look.staged import TEXT, filler, listener, seer, sounded, translator, writer
from unit.look.test_compare_page import SERVED, Opened, cells, rows
from unit.look.test_comparing import filmed

Page = Any


ALPHA = (
    """one => [...one.getContext("2d").getImageData(0, 0, one.width, one.height).data].filter((_, i) => i % 4 === 3)"""
)


def joined(
    stage: Stage, number: int, layers: list[int], heads: list[int] | None, largest: bool
) -> np.ndarray[Any, Any]:
    """The map of words: of some heads the mean or the largest, of some layers the mean."""
    read, scene = stage._found(number)
    sides = {side.name: side.grouped() for side in read.sides}
    found = []
    for at in layers:
        own = merge(scene.layers[at].map(), sides[scene.layers[at].rows], sides[scene.layers[at].columns]).numpy()
        some = own if heads is None else own[heads]
        found.append(some.max(0) if largest else some.mean(0))
    return np.mean(found, 0)


def titles(page: Page) -> list[float]:
    """How much each word of a text that looks at itself is looked at, in per cent."""
    all_ = page.locator(".asking .token").evaluate_all("all => all.map((one) => one.title)")
    return [float(title.split(" ")[0]) for title in all_]


@SERVED
def test_all_layers_are_one_and_heads_have_a_largest(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(filler().loaded)
    number = stage.open("played cats sat on the mat")
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#layer=1&pin=1")
        page.locator("#where", has_text="encoder layer 2, mean of all heads").wait_for()
        slider = page.get_by_label("Layer", exact=True)
        assert page.locator("#depth-told").inner_text() == "2 of 2"
        slider.focus()
        page.keyboard.press("ArrowRight")
        page.locator("#where", has_text="mean of all 2 encoder layers, mean of all heads").wait_for()
        page.locator(".caption", has_text="mean of all 2 encoder layers, mean of all heads: played looks at").wait_for()
        assert page.evaluate("document.activeElement.id") == "depth-at", "the slider is the same"
        assert page.locator("#depth-told").inner_text() == "all layers"
        assert "layers=all" in page.url
        assert page.locator("#rail [aria-pressed=true]").count() == 2
        np.testing.assert_allclose(
            titles(page), 100 * joined(stage, number, [0, 1], None, False)[1], rtol=0, atol=0.051
        )
        page.get_by_role("button", name="the largest of all heads").click()
        page.locator(".caption", has_text="largest of all heads: played looks at").wait_for()
        assert "a row may add up to more than 1" in page.locator("#where").inner_text()
        assert "parked" not in page.locator(".caption").inner_text(), "what adds up to more than 1 has no parts"
        assert page.locator(".parking").is_hidden()
        most = joined(stage, number, [0, 1], None, True)
        np.testing.assert_allclose(titles(page), 100 * most[1], rtol=0, atol=0.051)
        assert most[1].sum() > 1.05
        page.get_by_role("tab", name="Matrix").click()
        page.locator("canvas.matrix[aria-label^='mean of all 2 encoder layers, largest of all heads']").wait_for()
        np.testing.assert_allclose(cells(page), 100 * most.ravel(), rtol=0, atol=0.06)
        page.get_by_role("button", name="head 2", exact=True).click()
        page.locator("#where", has_text="mean of all 2 encoder layers, head 2").wait_for()
        np.testing.assert_allclose(
            cells(page, "mean of all 2 encoder layers, head 2:"),
            100 * joined(stage, number, [0, 1], [1], False).ravel(),
            rtol=0,
            atol=0.06,
        )
        page.get_by_role("button", name="head 1", exact=True).click()
        page.locator("#where", has_text="mean of all 2 encoder layers, head 1").wait_for()
        np.testing.assert_allclose(
            cells(page, "mean of all 2 encoder layers, head 1:"),
            100 * joined(stage, number, [0, 1], [0], False).ravel(),
            rtol=0,
            atol=0.06,
            err_msg="the map that was kept is of another head",
        )
        page.get_by_role("button", name="head 2", exact=True).click()
        page.get_by_role("button", name="head 4", exact=True).click(modifiers=["Shift"])
        page.locator("#where", has_text="largest of heads 2, 4").wait_for()
        np.testing.assert_allclose(
            cells(page, "mean of all 2 encoder layers, largest of heads 2, 4:"),
            100 * joined(stage, number, [0, 1], [1, 3], True).ravel(),
            rtol=0,
            atol=0.06,
        )
        page.get_by_role("button", name="the mean of these heads").click()
        page.locator("#where", has_text="mean of heads 2, 4").wait_for()
        np.testing.assert_allclose(
            cells(page, "mean of all 2 encoder layers, mean of heads 2, 4:"),
            100 * joined(stage, number, [0, 1], [1, 3], False).ravel(),
            rtol=0,
            atol=0.06,
        )
        slider.focus()
        page.keyboard.press("Home")
        page.locator("#where", has_text="encoder layer 1, mean of heads 2, 4").wait_for()
        np.testing.assert_allclose(
            cells(page, "encoder layer 1, mean of heads 2, 4:"),
            100 * joined(stage, number, [0], [1, 3], False).ravel(),
            rtol=0,
            atol=0.06,
        )


@SERVED
def test_every_view_of_a_layer_shows_all_of_them(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    told = stage.scene(number)
    cross = [at for at, one in enumerate(told["layers"]) if one["role"] == "cross"]
    place = f"mean of all {len(cross)} decoder layers → source"
    weights = np.mean([stage.weights(number, at).max(0) for at in cross], 0)
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=stage&step=3&layer={cross[0]}&layers=all&max=true")
        page.locator("#where", has_text=place).wait_for()
        page.locator(".lines .line:nth-child(2) .token[title]").first.wait_for()
        shown = page.locator(".lines .line:nth-child(2) .token").evaluate_all("all => all.map((one) => one.title)")
        np.testing.assert_allclose([float(one.split(" ")[0]) for one in shown], 100 * weights[3], rtol=0, atol=0.051)
        page.goto(f"{address}#view=compare&pieces=true&pin=2&layer={cross[0]}&layers=all&other=0:{cross[1]}.1")
        page.locator(".between", has_text=f"{place}, mean of all heads").wait_for()
        page.locator(".differences").first.wait_for()
        own = np.mean([stage.weights(number, at).mean(0)[2] for at in cross], 0)
        theirs = stage.weights(number, cross[1])[1, 2]
        wanted = sorted(zip(100 * own, 100 * theirs, strict=True))
        page.get_by_text("A looks more at").wait_for()
        found = sorted((a, b) for _, (a, b, _) in rows(page))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=0.051)


def test_pictures_and_sounds_show_all_layers(page: Page) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    number = stage.open(str(picture))
    with Shown(stage) as address:
        page.goto(f"{address}#layers=all&max=true&pins=4")
        page.locator(".caption", has_text="largest of all heads: the place at (1, 4) looks at").wait_for()
        shares = np.mean([one.weights.max(0)[4] for one in stage._found(number)[1].layers], 0)
        best = 1 + int(shares[1:].argmax())
        name = f"({(best - 1) // 4 + 1}, {(best - 1) % 4 + 1}) {100 * shares[best]:.1f} %"
        assert name in page.locator(".caption").inner_text()
    stage = Stage(listener().loaded)
    number = stage.open(str(sounded(0.6)))
    with Shown(stage) as address:
        page.goto(f"{address}#layers=all&head=1&pin=2")
        page.locator(".caption", has_text="mean of all 2 encoder layers, head 2: the frame at 0.04 s").wait_for()
        shares = np.mean([one.weights[1, 2] for one in stage._found(number)[1].layers], 0)
        assert f"{100 * shares.max():.1f} %" in page.locator(".caption").inner_text()


def test_a_link_is_cut_in_all_layers_that_are_shown(page: Page) -> None:
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    cross = [at for at, one in enumerate(stage.scene(number)["layers"]) if one["role"] == "cross"]
    with Shown(stage) as address:
        page.goto(f"{address}#pieces=true&layer={cross[0]}&layers=all&pin=3")
        button = page.get_by_role("button", name="Cut this link").first
        button.click()
        key = int(np.mean([stage.weights(number, at).mean(0)[3] for at in cross], 0).argmax())
        moved = stage.cut(number, {"layer": cross, "head": None, "queries": [3], "keys": [key]})
        page.locator(".cutting .number").first.wait_for()
        text = page.locator(".cutting p").inner_text()
        assert f"in all heads of {len(cross)} layers" in text
        assert f"{moved['before'][3]:.3f} → {moved['after'][3]:.3f}" in text
        one = stage.cut(number, {"layer": cross[0], "head": None, "queries": [3], "keys": [key]})
        assert one["after"] != moved["after"]


SCALES = {
    "linear": lambda p: p,
    "root": np.sqrt,
    "log": lambda p: np.maximum(0, 1 + np.log10(np.maximum(p, 1e-30)) / 4),
}


@pytest.mark.parametrize("scale", SCALES)
def test_colours_have_three_scales_in_every_view(page: Page, scale: str) -> None:
    stage = Stage(filler().loaded)
    number = stage.open(TEXT)
    shade = SCALES[scale]
    with Shown(stage) as address:
        page.goto(f"{address}#layer=1&head=0&pin=2&parked=true")
        page.locator(".caption", has_text="cat looks at").wait_for()
        page.get_by_label("Colour", exact=True).select_option(scale)
        until(page, f"location.hash.includes('scale={scale}') === {str(scale != 'root').lower()}")
        shares = stage.weights(number, 1)[0, 2]
        wanted = np.round(34 * shade(shares / shares.max())) / 40
        tints = "[...document.querySelectorAll('.token')].map((one) => Number(one.style.getPropertyValue('--share')))"
        until(page, f"Math.max(...{tints}) > 0")
        np.testing.assert_allclose(page.evaluate(tints), wanted, rtol=0, atol=0.026)
        page.get_by_role("tab", name="Heads").click()
        until(page, "document.querySelectorAll('.slot .bar[title]').length === 8")
        assert page.get_by_label("Colour", exact=True).input_value() == scale
        alpha = """one => [...one.getContext("2d").getImageData(0, 0, one.width, one.height).data]
            .filter((_, i) => i % 4 === 3)"""
        drawn = page.locator(".slot canvas").first.evaluate(alpha)
        rounded = np.frombuffer(stage.packed(number, 0), np.uint8)[: len(drawn)] / 255  # as the page is given them
        np.testing.assert_allclose(drawn, 255 * shade(rounded**2), rtol=0, atol=1.01)


TINTS = "all => all.map((one) => Number(one.style.getPropertyValue('--share')))"


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_the_matrix_comparisons_steps_and_pictures_have_them_too(page: Page, scale: str) -> None:
    stage, shade = Stage(filler().loaded), SCALES[scale]
    number = stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(f"{address}#view=matrix&pieces=true&layer=1&head=0&scale={scale}")
        page.get_by_text("The numbers").click()
        page.locator("tbody td").first.wait_for()  # it is drawn before its numbers can be read
        page.wait_for_timeout(50)
        shares = stage.weights(number, 1)[0]
        alpha = (
            """(one, [c, r]) => one.getContext("2d").getImageData(96 + 36 * c + 18, 96 + 36 * r + 18, 1, 1).data[3]"""
        )
        for row, column in ((0, 0), (2, 1), (4, 3)):
            drawn = page.locator("canvas.matrix").evaluate(alpha, [column, row])
            assert drawn == pytest.approx(255 * shade(shares[row, column]), abs=2)
        page.goto(f"{address}#view=compare&pieces=true&parked=true&layer=1&head=0&pin=2&other=0:0.1&scale={scale}")
        page.locator(".differences").first.wait_for()
        apart = np.abs(shares[2] - stage.weights(number, 0)[1, 2])
        found = page.locator(".lines .line").first.locator(".token").evaluate_all(TINTS)
        np.testing.assert_allclose(found, 0.85 * shade(apart / max(apart.max(), 0.05)), rtol=0, atol=0.02)
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    at = next(at for at, one in enumerate(stage.scene(number)["layers"]) if one["role"] == "cross")
    with Shown(stage) as address:
        page.goto(f"{address}#view=stage&step=3&layer={at}&head=0&scale={scale}")
        page.locator(".lines .line:nth-child(2) .token[title]").first.wait_for()
        found = page.locator(".lines .line:nth-child(2) .token").evaluate_all(TINTS)
        np.testing.assert_allclose(found, 0.85 * shade(stage.weights(number, at)[0, 3]), rtol=0, atol=2e-3)
    shown, picture = seer()
    stage = Stage(shown.loaded)
    number = stage.open(str(picture))
    with Shown(stage) as address:
        page.goto(f"{address}#layer=0&head=0&pins=4&scale={scale}")
        page.locator(".caption", has_text="looks at").wait_for()
        shares = stage.weights(number, 0)[0, 4, 1:]
        drawn = page.locator("canvas.over").evaluate(ALPHA)
        np.testing.assert_allclose(drawn, 255 * shade(shares / shares.max()), rtol=0, atol=1.01)
    stage = Stage(listener().loaded)
    number = stage.open(str(sounded(0.6)))
    frames = stage.scene(number)["layers"][0]["shape"][2]
    with Shown(stage) as address:
        page.goto(f"{address}#layer=1&head=2&pin=4&scale={scale}")
        page.locator(".caption", has_text="the frame at 0.08 s").wait_for()
        at = """(one, [frames, y, part]) => [...Array(frames).keys()].map((t) =>
            one.getContext("2d").getImageData(Math.floor((t + part) * one.width / frames), y, 1, 1).data[3])"""
        strip, bars = page.locator(".track canvas").last, page.locator(".track canvas").nth(1)
        for layer, y in ((1, 5), (0, 16)):  # the last layer on top
            shares = stage.weights(number, layer)[2, 4]
            drawn = strip.evaluate(at, [frames, y, 0.5])
            np.testing.assert_allclose(drawn, 255 * shade(shares / shares.max()), rtol=0, atol=2)
        shares = stage.weights(number, 1)[2, 4]
        for part in (0.1, 0.9):  # a bar is as wide as its frame, and the largest as high as there is room
            tall = np.sum([bars.evaluate(at, [frames, y, part]) for y in range(64)], 0) / 255
            np.testing.assert_allclose(tall, 64 * shares / shares.max(), rtol=0, atol=0.1)
        mark = page.locator(".track .mark").evaluate("one => one.offsetWidth")
        assert mark == pytest.approx(bars.evaluate("one => one.width") / frames, abs=1)


def dragged(page: Page, one: Any, other: Any) -> None:
    """The pointer goes from the middle of one element to that of another, held down."""
    (x, y), (x2, y2) = (
        (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        for box in (one.bounding_box(), other.bounding_box())
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + x2) / 2, (y + y2) / 2)
    page.mouse.move(x2, y2)
    page.mouse.up()


@SERVED
def test_heads_in_a_box_are_one(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    told = stage.scene(number)
    layers = [at for at, one in enumerate(told["layers"]) if one["role"] == "encoder"]
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=heads")
        cells_ = page.locator(".atlas").first.locator(".cell")
        cells_.first.wait_for()
        assert cells_.count() == 4  # two layers of two heads
        dragged(page, cells_.nth(0), cells_.nth(2))
        page.get_by_text("Joined: mean of all 2 encoder layers, head 1.").wait_for()
        pressed = "[...document.querySelectorAll('.cell')].map((one) => one.ariaPressed === 'true')"
        assert page.evaluate(pressed)[:5] == [True, False, True, False, False]
        assert "head=0" in page.url
        drawn_as(page, joined(stage, number, layers, [0], False), 0.5 if served else 0.02)
        dragged(page, cells_.nth(2), cells_.nth(3))
        page.get_by_text("Joined").wait_for(state="detached")  # a layer with all of its heads is what it was
        assert "layer=1" in page.url
        dragged(page, cells_.nth(1), cells_.nth(2))
        page.get_by_text("Joined: mean of all 2 encoder layers, mean of all heads.").wait_for()
        drawn_as(page, joined(stage, number, layers, None, False), 0.5 if served else 0.02)
        page.get_by_role("button", name="see them in Matrix").click()
        np.testing.assert_allclose(
            cells(page), 100 * joined(stage, number, layers, None, False).ravel(), rtol=0, atol=0.06
        )
        page.get_by_role("tab", name="Heads").click()
        page.get_by_role("button", name="let them go").click()
        page.get_by_text("Joined").wait_for(state="detached")
        cells_.nth(1).click()  # what is no box goes to its words still
        page.locator("#where", has_text="encoder layer 1, head 2").wait_for()
        assert "view=words" not in page.url
        assert page.get_by_role("tab", name="Words").get_attribute("aria-selected") == "true"


def test_a_box_takes_what_it_meets_and_no_more(page: Page) -> None:
    stage = Stage(filler().loaded)
    number = stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(f"{address}#view=heads&max=true")
        cells_ = page.locator(".cell")
        cells_.nth(7).wait_for()
        page.keyboard.down("Shift")
        dragged(page, cells_.nth(1), cells_.nth(6))  # with Shift a head is taken by a click
        page.keyboard.up("Shift")
        assert page.get_by_text("Joined").count() == 0
        box, other = (cells_.nth(at).bounding_box() for at in (1, 6))
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(other["x"] + 20, other["y"] + 20)
        boxed = "[...document.querySelectorAll('.cell')].map((one) => one.classList.contains('boxed'))"
        assert page.evaluate(boxed) == [at % 4 in (1, 2) for at in range(8)]
        page.mouse.up()
        page.get_by_text("Joined: mean of all 2 encoder layers, mean of heads 2, 3.").wait_for()
        assert page.locator(".boxed").count() == 0
        drawn_as(page, joined(stage, number, [0, 1], [1, 2], False), 0.5)
        box = cells_.nth(0).bounding_box()
        page.mouse.move(box["x"] + 10, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.up()
        page.get_by_text("Joined").wait_for(state="detached")  # a head alone is no join
        assert page.get_by_role("tab", name="Heads").get_attribute("aria-selected") == "true", "and no click"


def test_a_box_takes_the_heads_of_layers_that_can_be_one(page: Page) -> None:
    loaded = filler().loaded
    name = next(iter(attentions(loaded.model)))
    stage = Stage(placed(loaded.path, loaded, prune(loaded.model, {name: [2, 3]})))
    stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(f"{address}#view=heads")
        cells_ = page.locator(".cell")
        cells_.nth(5).wait_for()
        dragged(page, cells_.nth(1), cells_.nth(5))  # the second of two heads, and three below it
        until(page, "location.hash.includes('head=1')")
        assert page.get_by_text("Joined").count() == 0


def drawn_as(page: Page, shares: np.ndarray[Any, Any], off: float) -> None:
    """The picture of what is joined has these shares."""
    until(page, f"document.querySelector('.together canvas').width === {shares.shape[1]}")
    alpha = """one => [...one.getContext("2d").getImageData(0, 0, one.width, one.height).data]
        .filter((_, i) => i % 4 === 3)"""
    found = page.locator(".together canvas").evaluate(alpha)
    np.testing.assert_allclose(found, 255 * np.sqrt(shares.ravel()), rtol=0, atol=1 + off)


@SERVED
@pytest.mark.parametrize("model", [translator, writer], ids=["two stacks", "one stack"])
def test_the_stage_has_the_whole_map_beside_it(
    page: Page, tmp_path: Path, served: bool, model: Callable[[], Stage]
) -> None:
    stage = Stage(model().loaded)
    number = stage.open("a small house" if model is translator else "the cat sat", most=8)
    told = stage.scene(number)
    layer = next(
        at for at, one in enumerate(told["layers"]) if one["role"] == ("cross" if model is translator else "decoder")
    )
    first = 0 if model is translator else len(told["sides"][0]["texts"]) - 9  # a decoder alone writes one ahead
    shares = stage.weights(number, layer)[1][first : first + 8]
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=stage&step=3&layer={layer}&head=1")
        small = page.locator(".minimap")
        small.wait_for()
        until(page, f"({ALPHA})(document.querySelector('.minimap canvas')).some((one) => one > 0)")
        assert small.locator("canvas").evaluate("one => [one.height, one.width]") == list(shares.shape)
        found = np.reshape(small.locator("canvas").evaluate(ALPHA), shares.shape)
        np.testing.assert_allclose(found, 255 * np.sqrt(shares), rtol=0, atol=1.1)
        whole, mark = small.bounding_box(), small.locator("i").bounding_box()
        assert (mark["y"] - whole["y"]) / whole["height"] == pytest.approx(3 / 8, abs=0.03)
        small.click()
        page.locator("canvas.matrix").wait_for()
        assert f"head {2}" in page.locator("#where").inner_text()
        page.get_by_role("button", name="pieces of words").click()
        np.testing.assert_allclose(cells(page), 100 * stage.weights(number, layer)[1].ravel(), rtol=0, atol=0.06)


def test_an_arc_is_cut_where_it_is_drawn(page: Page) -> None:
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    told = stage.scene(number)
    layer = next(at for at, one in enumerate(told["layers"]) if one["role"] == "cross")
    shares = stage.weights(number, layer)[0, 3]
    with Shown(stage) as address:
        page.goto(f"{address}#pieces=true&layer={layer}&head=0&parked=true")
        page.locator(".caption", has_text="looks at").wait_for()
        assert page.locator(".snips button").count() == 0, "no word is held"
        page.goto(f"{address}#pieces=true&layer={layer}&head=0&pin=3&parked=true")
        snips = page.locator(".snips button")
        snips.first.wait_for()
        assert snips.count() == page.locator("#view .arcs path").count() == min(5, int((shares >= 0.01).sum()))
        order = np.argsort(-shares)
        for nth in (0, 1):
            snip = snips.nth(nth)
            source = told["sides"][0]["texts"][order[nth]].strip()
            assert str(snip.get_attribute("aria-label")).endswith(f"→ {source}")
            near = """(one, nth) => {
              const box = one.getBoundingClientRect();
              const path = document.querySelectorAll("#view .arcs path")[nth];
              const base = path.ownerSVGElement.getBoundingClientRect();
              const [x, y] = [box.left + box.width / 2 - base.left, box.top + box.height / 2 - base.top];
              const all = [...Array(201).keys()].map((i) => path.getPointAtLength((path.getTotalLength() * i) / 200));
              const far = all.map((at) => Math.hypot(at.x - x, at.y - y));
              return [Math.min(...far), far.indexOf(Math.min(...far)) / 200];
            }"""
            far, part = snip.evaluate(near, nth)
            assert far < 1.5, "it stands on its arc"
            assert 0.5 < part < 0.95, "and hides neither of its words"
            snip.click()
            moved = stage.cut(number, {"layer": layer, "head": 0, "queries": [3], "keys": [int(order[nth])]})
            page.locator(".cutting p", has_text=f"{moved['before'][3]:.3f} → {moved['after'][3]:.3f}").wait_for()
            assert f"→ {source} in head 1: " in page.locator(".cutting p").inner_text()
        page.keyboard.press("Escape")
        until(page, "document.querySelectorAll('.snips button').length === 0")


def test_what_cannot_be_cut_has_no_button_on_its_arcs(page: Page, tmp_path: Path) -> None:
    for stage, served in ((Stage(translator().loaded), False), (Stage(filler().loaded), True)):
        stage.open(TEXT)
        with Opened(stage, served, tmp_path) as address:
            page.goto(f"{address}#pin=2&pieces=true")
            page.locator("#view .arcs path").first.wait_for(state="attached")
            assert page.locator(".snips button").count() == 0


@SERVED
def test_a_film_shows_all_layers(page: Page, tmp_path: Path, served: bool) -> None:
    stage, _ = filmed()
    number = stage.open("a small house")
    cross = [at for at, one in enumerate(stage.scene(number)["layers"]) if one["role"] == "cross"]
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=film&layer={cross[0]}&layers=all&max=true&pin=2&pieces=true&update=20")
        page.locator(
            ".caption", has_text="Update 20. mean of all 2 decoder layers → source, largest of all heads"
        ).wait_for()
        shape = stage.weights(number, cross[0]).shape
        frames = [np.frombuffer(stage.frame(number, 20, at), "<u2").reshape(shape) for at in cross]
        wanted = np.mean([((frame / 65535.0) ** 2).max(0)[2] for frame in frames], 0)
        shown = page.locator(".lines .line").first.locator(".token").evaluate_all("all => all.map((one) => one.title)")
        np.testing.assert_allclose([float(one.split(" ")[0]) for one in shown], 100 * wanted, rtol=0, atol=0.051)
        page.get_by_text("How probable a written token is").wait_for()
        assert page.locator(".curve .chart").count() == 1, "heads of one layer have curves"
