"""Heads and Matrix in a real browser: every head is found, sorted, enlarged and handed on to the other views."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transept.look import files
from transept.look import scene as scene_
from transept.look.files import alone
from transept.look.stage import Stage
from unit.look.browsed import Shown, until
from unit.look.staged import TEXT, filler, translator, writer

Page = Any


def test_heads_are_chosen_from_the_atlas_and_the_matrix_tells_a_cell(page: Page) -> None:
    stage = Stage(writer().loaded)
    number = stage.open("the cat sat", most=4)
    weights = stage.weights(number, 1)
    with Shown(stage) as address:
        page.goto(f"{address}#view=heads")
        page.locator(".cell").first.wait_for()
        assert page.locator(".cell").count() == 8
        page.locator(".cell[aria-label^='decoder layer 2, head 3']").click()
        page.locator("#where", has_text="decoder layer 2, head 3").wait_for()
        page.get_by_role("tab", name="Matrix").click()
        page.get_by_role("button", name="pieces of words").click()
        page.get_by_text("The numbers").click()
        cell = page.locator("tbody tr").nth(2).locator("td").nth(1)
        assert float(cell.inner_text()) == pytest.approx(100 * weights[2, 2, 1], abs=0.051)
        page.locator("canvas.matrix").hover(position={"x": 120, "y": 120})
        page.locator(".caption", has_text="→").wait_for()
        before_the_last(page, address, weights[2])


def before_the_last(page: Page, address: str, shares: np.ndarray[Any, Any]) -> None:
    """What a decoder cannot see is hatched, the largest shares alone are tinted, columns have a mean and an order."""
    page.goto(f"{address}#pieces=true&layer=1&head=2&pin=2&top=40")
    page.locator(".token.unseen").first.wait_for()
    tokens = page.locator(".token")
    assert tokens.evaluate_all("all => all.map((one) => one.classList.contains('unseen'))") == [
        at > 2 for at in range(len(shares))
    ]
    order = np.argsort(-shares[2])
    kept = set(order[: 1 + int((np.cumsum(shares[2][order]) < 0.4).sum())].tolist())
    tinted = tokens.evaluate_all("all => all.map((one) => Number(one.style.getPropertyValue('--share')) > 0)")
    assert {at for at, one in enumerate(tinted) if one} == kept
    page.get_by_label("Show the largest shares").fill("100")
    until(page, "!location.hash.includes('top')")
    page.evaluate("location.hash = 'view=matrix&pieces=true&layer=1&head=2'")
    page.locator("canvas.matrix").hover(position={"x": 96 + 3 * 36 + 18, "y": 96 + 18})
    page.locator(".caption", has_text="comes later, and is not seen").wait_for()
    page.locator("canvas.matrix").hover(position={"x": 96 + 18, "y": 96 + 3 * 36 + 18})
    page.locator(".caption", has_text=f"has {100 * shares[:, 0].mean():.2f} % on average").wait_for()
    page.get_by_text("The numbers").click()
    for order_, axis in (("columns: most looked at first", 0), ("rows: narrowest first", 1)):
        page.get_by_label("Order").select_option(order_)
        page.locator("tbody td").first.wait_for()
        cells = [float(text) for text in page.locator("tbody td").all_inner_texts()]
        spread = -np.where(shares > 0, shares * np.log(np.maximum(shares, 1e-30)), 0).sum(1)
        turned = np.argsort(-shares.sum(0), kind="stable") if axis == 0 else np.argsort(spread, kind="stable")
        wanted = shares[:, turned] if axis == 0 else shares[turned]
        np.testing.assert_allclose(cells, 100 * wanted.ravel(), rtol=0, atol=0.051)
    page.locator("canvas.matrix").focus()
    for _ in range(14):
        page.keyboard.press("+")
    page.get_by_text("what is in view, at most 64 of each").wait_for()
    page.goto(f"{address}#view=matrix&layer=1&pin=1")
    page.locator("tbody td").first.wait_for()
    page.keyboard.press("Escape")
    until(page, "!location.hash.includes('pin')")
    assert page.locator("details[open] tbody td").count() > 0


def test_heads_are_sorted_filtered_and_seen_large(page: Page) -> None:
    stage = Stage(translator().loaded)
    told = stage.scene(stage.open("a small house"))
    heads = [(at, head) for at, one in enumerate(told["layers"]) for head in range(one["shape"][0])]
    with Shown(stage) as address:
        page.set_viewport_size({"width": 1200, "height": 1400})  # heads are drawn once they are in view
        page.goto(f"{address}#view=heads&order=narrow")
        until(page, f"document.querySelectorAll('.sorted .cell').length === {len(heads)}")
        texts = page.locator(".sorted .bar[title]").evaluate_all("all => all.map((one) => one.title.split(' ')[1])")
        assert len(texts) == len(heads)
        assert [float(text) for text in texts] == sorted(float(text) for text in texts)
        page.get_by_label("Order").select_option("most worth a look first")
        best = max(heads, key=lambda key: told["layers"][key[0]]["scores"][key[1]])
        until(page, f"document.querySelectorAll('.sorted .cell').length === {len(heads)}")
        first = str(page.locator(".sorted .cell").first.get_attribute("aria-label"))
        assert f"layer {told['layers'][best[0]]['number']}" in first
        assert f"head {best[1] + 1}" in first
        page.get_by_label("Order").select_option("most useful first, measured")
        page.get_by_text("by how much the loss of what was written grows without it").wait_for()
        uses = []
        for at, head in heads:
            cut = stage.cut(told["id"], {"layer": at, "head": head})
            uses.append(float(np.log(np.divide(cut["before"], cut["after"])).mean()))
        shown = page.locator(".sorted button.off").all_inner_texts()
        np.testing.assert_allclose(
            [float(text.replace("−", "-")) for text in shown], sorted(uses, reverse=True), rtol=0, atol=6e-4
        )
        label = told["layers"][0]["labels"][0]
        page.get_by_label("Show", exact=True).select_option(label)
        count = sum(told["layers"][at]["labels"][head] == label for at, head in heads)
        page.get_by_text(f"{count} of {len(heads)} heads").wait_for()
        assert page.locator(".cell:visible").count() == count
        page.evaluate("location.hash = 'view=heads&pieces=true'")
        until(page, f"document.querySelectorAll('.atlas .bar[title]').length === {len(heads)}")
        assert page.locator(".enlarged").is_hidden()
        page.locator(".cell").first.focus()
        assert page.locator(".enlarged").is_visible()
        ways = [stage.weights(told["id"], at)[head].ravel() for at, head in heads]
        like = [one.size == ways[0].size and np.corrcoef(one, ways[0])[0, 1] >= 0.9 for one in ways]
        found = page.locator(".cell").evaluate_all("all => all.map((one) => one.classList.contains('similar'))")
        assert sorted(found) == sorted([*like[1:], False])
        page.get_by_role("tab", name="Heads").focus()
        assert page.locator(".enlarged").is_hidden()
        for at in (0, 1):
            page.locator(".cell").nth(at).click(modifiers=["Shift"])
        until(page, "document.querySelectorAll('.cell[aria-pressed=true]').length === 2")
        page.get_by_role("tab", name="Words").click()
        page.locator("#where", has_text="mean of heads 1, 2").wait_for()


def test_a_page_opens_on_the_best_head(page: Page) -> None:
    stage = Stage(translator().loaded)
    told = stage.scene(stage.open("a small house"))
    layer, head = told["first"]
    with Shown(stage) as address:
        page.goto(address)
        number = told["layers"][layer]["number"]
        page.locator("#where", has_text=f"decoder layer {number} → source, head {head + 1}").wait_for()
        assert page.locator("#where .label").inner_text() == told["layers"][layer]["labels"][head]
        page.get_by_role("button", name="the mean of all heads").click()
        page.locator("#where", has_text="mean of all heads").wait_for()
        assert f"layer={layer}" in page.url


@pytest.mark.parametrize("served", [True, False])
def test_long_texts_show_small_pictures_of_every_head(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: bool
) -> None:
    monkeypatch.setattr(scene_, "SMALL", 4)
    monkeypatch.setattr(files, "ROOM", 0)  # no whole map goes into the file, and the small ones are there all the same
    stage = Stage(filler().loaded)
    spread = np.frombuffer(stage.small(stage.open(TEXT), 0)[:4], "<f4")[0]
    file = tmp_path / "one.html"
    file.write_text(alone(stage)[0], encoding="utf-8")
    with Shown(stage) as address:
        page.goto(f"{address if served else file.as_uri()}#view=heads")
        until(page, "document.querySelectorAll('.slot .bar[title]').length === 8")
        first = page.locator(".slot").first
        assert first.locator(".bar").get_attribute("title") == f"entropy {spread:.2f} of its most"
        assert first.locator("canvas").evaluate("(canvas) => [canvas.width, canvas.height]") == [4, 4]
