"""The page in a real browser: what it shows are the numbers, by mouse and keyboard, and text stays text."""

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
from transept.look import asking, files
from transept.look import scene as scene_
from transept.look.files import alone
from transept.look.stage import Scenes, Stage
from unit.look.browsed import Shown, until
from unit.look.staged import TEXT, filler, seer, translator, writer

Page = Any


def test_a_word_tells_what_it_looks_at(page: Page) -> None:
    stage = Stage(filler().loaded)
    number = stage.open(TEXT)
    weights = stage.weights(number, 1).mean(0)
    with Shown(stage) as address:
        page.goto(f"{address}#layer=1")
        page.get_by_role("button", name="cat", exact=True).click()
        caption = page.locator(".caption")
        caption.get_by_text("cat looks at").wait_for()
        shares = {"the": weights[2, 1], "sat": weights[2, 3], "on": weights[2, 4]}
        for token, share in shares.items():
            at = page.locator(".token", has_text=token).first
            assert at.get_attribute("title") == f"{100 * share:.1f} %"
        parked = weights[2, [0, 7, 8]].sum()  # [CLS], the full stop, [SEP]
        assert f"{100 * parked:.0f} % is parked on ends and marks" in caption.inner_text()
        assert "pin=2" in page.url
        page.keyboard.press("ArrowUp")  # there is no layer above
        page.keyboard.press("Escape")
        until(page, "!location.hash.includes('pin')")
        page.keyboard.press("]")
        page.locator("#where", has_text="encoder layer 2, head 1").wait_for()
        until(page, f"{FOCUSED} === 'cat'")  # the page is drawn anew, and the keyboard stays where it was
        page.get_by_role("button", name="head 3", exact=True).click(modifiers=["Shift"])
        page.locator("#where", has_text="encoder layer 2, mean of heads 1, 3").wait_for()
        until(page, f"{FOCUSED} === 'head 3'")
        page.get_by_role("button", name="head 4", exact=True).focus()
        page.keyboard.press("Shift+Enter")
        page.locator("#where", has_text="mean of heads 1, 3, 4").wait_for()
        page.locator(".token", has_text="cat").first.click()
        page.get_by_text("mean of heads 1, 3, 4: cat looks at").wait_for()
        some = stage.weights(number, 1)[[0, 2, 3]].mean(0)
        assert page.locator(".token", has_text="sat").get_attribute("title") == f"{100 * some[2, 3]:.1f} %"
        page.get_by_role("button", name="head 4", exact=True).click()
        page.locator("#where", has_text="encoder layer 2, head 4").wait_for()
        assert "several" not in page.url
        page.get_by_role("button", name="copy link").click()
        page.get_by_text("Copied: the link").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == page.url
        page.get_by_role("button", name="encoder layer 1", exact=True).focus()
        page.keyboard.press("Enter")
        page.locator("#where", has_text="encoder layer 1").wait_for()
        until(page, f"{FOCUSED} === 'encoder layer 1'")
        assert page.locator("[role=tab][tabindex='0']").all_inner_texts() == ["Words"]
        page.get_by_role("tab", name="Words").focus()
        page.keyboard.press("ArrowLeft")
        until(page, f"{FOCUSED} === 'Compare'")
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.locator(".cell").first.wait_for()
        until(page, f"{FOCUSED} === 'Heads'")
        assert page.locator("#status").inner_text() == ""  # what was said of another view
        assert page.locator("[role=tab]").evaluate_all(
            "all => all.map((one) => [one.ariaSelected, one.tabIndex, one.getAttribute('aria-controls')])"
        ) == [[str(at == 1).lower(), 0 if at == 1 else -1, "view"] for at in range(4)]
        assert page.locator("[role=tabpanel]").get_attribute("aria-labelledby") == "tab-heads"
        assert page.locator(".numbers span").all_inner_texts() == ["head 1", "2", "3", "4"]
        page.locator(".cell").nth(1).focus()
        page.keyboard.press("Enter")  # another view, in which there is no such thing
        page.locator("#where", has_text="encoder layer 1, head 2").wait_for()
        until(page, "document.activeElement.id === 'view'")


def test_a_page_opens_on_a_word_that_shows_something(page: Page) -> None:
    stage = Stage(filler().loaded)
    number = stage.open(TEXT)
    words = ["the", "cat", "sat", "on", "the", "mat"]
    with Shown(stage) as address:
        for layer in (0, 1):
            for head in range(4):
                page.goto("about:blank")
                page.goto(f"{address}#layer={layer}&head={head}")
                shares = stage.weights(number, layer)[head, 1:7, 1:7] * (1 - np.eye(6))
                most = shares.max(1)
                best = next((at for at, share in enumerate(most) if share >= 0.15), int(most.argmax()))
                page.locator(".caption", has_text=f"head {head + 1}: {words[best]} looks at").wait_for()
                assert page.locator(".asking .token.from").get_attribute("data-at") == str(best + 1)
        strip = page.locator(".strip canvas")
        box = strip.bounding_box()
        strip.hover(position={"x": 30 + (box["width"] - 30) / 9 * 2.5, "y": 8})
        share = stage.weights(number, 1)[3, best + 1, 2]
        assert strip.get_attribute("title") == f"encoder layer 2: cat {100 * share:.1f} %"


def test_what_the_server_refuses_is_told_in_every_view(page: Page) -> None:
    stage = Stage(writer().loaded)
    stage.open("the cat", most=4)
    gone = "there is no scene 1"
    with Shown(stage) as address:
        for view, said, point, wrong in (
            ("words", "looks at", ".token", ".caption.wrong"),
            ("stage", "looked at", ".lines .line:nth-child(2) .token", "#status.wrong"),
        ):
            page.goto("about:blank")
            page.goto(f"{address}#view={view}&pieces=true&layer=1")
            page.locator(".caption", has_text=said).wait_for()
            kept, stage._scenes = stage._scenes, Scenes()
            page.locator(point).last.hover()
            page.locator(wrong, has_text=gone).wait_for()
            page.locator("h1").hover()  # away from it, which asks as well
            page.get_by_role("tab", name="Heads").click()
            page.locator("#status.wrong", has_text=gone).wait_for()
            stage._scenes = kept


def test_words_can_be_read_however_strong_their_tint(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(address)
        page.locator(".caption", has_text="looks at").wait_for()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for kind in ("token", "token parks", "token ahead", "token against", "token parks against", "token from"):
                found = page.evaluate(CONTRASTS, kind)
                assert len(found) == 18
                assert min(found) >= 4.5, (scheme, kind, found)
                assert max(found) > min(found), "it is tinted"


# The contrast of a word with its ground, by the rule of WCAG 2, for every strength of its tint.
CONTRASTS = """(kind) => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (text) => {
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    const parts = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((one) => one / 255);
    const [r, g, b] = parts.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const token = document.createElement("button");
  token.className = kind;
  token.disabled = true;
  document.querySelector(".line").append(token);
  const found = [...Array(18).keys()].map((i) => {
    token.style.setProperty("--share", i / 20);
    const style = getComputedStyle(token);
    const [one, other] = [light(style.color), light(style.backgroundColor)].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05);
  });
  token.remove();
  return found;
}"""
FOCUSED = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)"


def test_what_is_copied_waits_for_what_is_shown(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    page.add_init_script(
        "const own = fetch; window.fetch = async (...told) => {"
        " if (/looked/.test(told[0])) await new Promise((done) => setTimeout(done, 600)); return own(...told); }"
    )
    with Shown(stage) as address:
        page.goto(f"{address}#pin=2")
        page.get_by_role("button", name="Copy the Python for what a word looks at").click()
        page.get_by_text("Copied: the Python").wait_for()
        assert page.evaluate("navigator.clipboard.readText()").startswith("import transept")


def test_numbers_have_one_minus_and_zero_has_none(page: Page) -> None:
    with Shown(Stage(filler().loaded)) as address:
        page.goto(address)
        told = """async (address) => {
          const { fixed, percent, signed } = await import(`${address}page/dom.js`);
          return [fixed(-0.0004, 3), fixed(-3.63, 2), signed(-0.0004, 3), signed(0.0004, 3), signed(0.01),
            signed(-0.01), percent(-0.2)];
        }"""
        assert page.evaluate(told, address) == ["0.000", "−3.63", "0.000", "0.000", "+0.01", "−0.01", "−20 %"]


def test_the_keyboard_walks_through_the_words(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(address)
        page.locator(".asking .token").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.get_by_text(": cat looks at").wait_for()
        page.keyboard.press("Enter")
        until(page, "location.hash.includes('pin=2')")


def test_the_words_add_up_in_the_other_direction(page: Page) -> None:
    stage = Stage(filler().loaded)
    number = stage.open("played cats")
    weights = stage.weights(number, 0).mean(0)
    with Shown(stage) as address:
        page.goto(f"{address}#layer=0&backward=true&pin=2")
        page.get_by_text("cats is looked at by").wait_for()
        share = weights[1:3, 3:5].sum(1).mean()  # the pieces of "played" that look, at both pieces of "cats"
        assert page.locator(".token", has_text="played").get_attribute("title") == f"{100 * share:.1f} %"


def test_a_translation_is_stepped_through_and_forced(page: Page) -> None:
    stage = Stage(translator().loaded)
    told = stage.scene(stage.open("a small house"))
    with Shown(stage) as address:
        page.goto(f"{address}#view=stage&step=1")
        page.get_by_text("token 2 of 12").wait_for()
        choices = page.locator(".choices li")
        assert choices.count() == 10
        best = told["choices"][1]
        assert choices.locator("small").first.inner_text().startswith(f"{100 * best[0][2]:.1f}")
        page.get_by_role("button", name="Step").click()
        page.get_by_text("token 3 of 12").wait_for()
        page.get_by_role("button", name="Back").click()
        page.get_by_text("token 2 of 12").wait_for()
        last = len(told["layers"]) - 1
        page.evaluate(f"location.hash = 'view=stage&step=1&layer={last}&head=1'")
        page.locator("#where", has_text="head 2").wait_for()
        weights = stage.weights(told["id"], last)[1]
        page.locator(".lines .line").first.locator(".token").first.focus()
        page.keyboard.press("ArrowRight")
        page.locator(".caption", has_text=f" is looked at by {said(told, weights[:, 1])}").wait_for()
        page.locator("#views button").first.focus()
        page.locator(".caption", has_text="when it was written, looked at").wait_for()
        page.locator(".lines .line").nth(1).locator(".token").nth(4).hover()
        best = int(weights[4].argmax())
        source = told["sides"][0]["texts"][best].replace(" ", "␣")
        page.locator(".caption", has_text=f"looked at {source} {100 * weights[4, best]:.0f} %").wait_for()
        page.get_by_label("Speed").select_option("4 ×")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press(" ")
        page.get_by_role("button", name="Stop").wait_for()
        page.get_by_text("token 12 of 12").wait_for()
        page.get_by_role("button", name="Play").wait_for()
        page.evaluate("location.hash = 'view=stage&step=1'")
        page.get_by_text("token 2 of 12").wait_for()
        page.locator(".choices li button").first.click()
        until(page, "document.querySelectorAll('#scenes option').length === 2")
        forced = stage.told()["scenes"][-1]["target"]
        assert forced[0] == told["target"][0]
        assert forced[1] != told["target"][1]
        page.get_by_text(f"token 2 of {len(forced)}, forced").wait_for()
        marked = page.locator(".token.forced")
        assert (marked.count(), marked.get_attribute("aria-pressed")) == (1, "true")
        page.get_by_role("button", name="Undo the forcing").click()
        page.get_by_text("token 2 of 12", exact=True).wait_for()
        assert page.locator(".token.forced").count() == 0
        assert page.locator("#scenes").input_value() == "0"
        page.set_viewport_size({"width": 390, "height": 800})
        below = """() => {
          const line = document.querySelectorAll(".apart .line")[1];
          const [name, ...tokens] = [...line.children].map((one) => one.getBoundingClientRect());
          return tokens.every(({ bottom }) => bottom <= name.top);
        }"""
        until(page, f"({below})()")  # no ribbon goes through the name of what it ends at


def said(told: dict[str, Any], shares: np.ndarray[Any, Any]) -> str:
    """The written token that has most, as the page tells of it."""
    side = told["sides"][1]["texts"]
    at = int(shares.argmax())
    return f"{side[len(side) - len(told['target']) + at].strip()} {100 * shares[at]:.0f} %"


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
    for order_, axis in (("columns: most looked at first", 0), ("rows: narrowest first", 1)):
        page.get_by_label("Order").select_option(order_)
        page.get_by_text("The numbers").click()
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
    page.get_by_text("The numbers").click()
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
        wanted = input_x_gradient(read.example, replace(read.asked[4], against=rival[0])).tokens["source"].tolist()
        shown = [text.replace("−", "-") for text in bars.locator("small").all_inner_texts()]
        np.testing.assert_allclose([float(text) for text in shown], wanted, rtol=0, atol=6e-4)
        lines = page.locator(".lens tbody tr")
        lines.first.wait_for()
        scores = lens(read.example)[:, read.asked[4].at].softmax(-1)
        shown = [line.locator("td").last.inner_text() for line in lines.all()]
        np.testing.assert_allclose(
            [float(text) for text in reversed(shown)], scores[:, read.asked[4].index], rtol=0, atol=6e-4
        )
        page.get_by_role("button", name="The way through the layers").click()
        lines, at = stage.ways(number, 4), read.asked[4].at
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


def test_arcs_are_drawn_behind_the_words_of_a_narrow_page(page: Page) -> None:
    page.set_viewport_size({"width": 300, "height": 800})
    stage = Stage(filler().loaded)
    stage.open("the cat sat on the mat. a dog sees paris in the house of france and walked")
    with Shown(stage) as address:
        page.goto(f"{address}#pin=2")
        page.locator(".arcs path").first.wait_for(state="attached")
        behind = """() => [...document.querySelectorAll(".line")].every((line) =>
          getComputedStyle(line).zIndex > 0 && getComputedStyle(line).position === "relative")"""
        assert page.evaluate(behind)
        clear = """() => [...document.querySelectorAll(".token")].filter((token) =>
          /transparent|, 0\\)|\\/ 0\\.?\\d*\\)/.test(getComputedStyle(token).backgroundColor)).length"""
        assert page.evaluate(clear) == 0  # no word lets an arc through
        page.get_by_role("tab", name="Heads").click()
        page.locator(".cell").first.wait_for()
        cut = "(all) => all.filter((row) => row.scrollWidth > row.clientWidth + 1).length"
        assert page.locator(".atlas .row").evaluate_all(cut) == 0  # every head is there without scrolling


def test_a_picture_is_looked_at_place_by_place(page: Page) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    stage.open(str(picture))
    with Shown(stage) as address:
        page.goto(address)
        page.get_by_text("class looks at").wait_for()
        page.locator("canvas.over").click(position={"x": 410, "y": 10})
        page.get_by_text("the place at (1, 4) looks at").wait_for()
        assert page.locator(".board img").evaluate("one => one.naturalWidth") == 32


def test_several_places_of_a_picture_are_held_and_their_mean_is_shown(page: Page) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    number = stage.open(str(picture))
    weights = stage.weights(number, 1)[2]
    with Shown(stage) as address:
        page.goto(f"{address}#layer=1&head=2")
        page.get_by_text("class looks at").wait_for()
        board = page.locator(".board")
        board.click(position={"x": 410, "y": 10})
        board.click(position={"x": 10, "y": 410})
        page.mouse.move(5, 5)
        caption = page.locator(".caption")
        caption.get_by_text("the mean of 2, the place at (1, 4); the place at (4, 1), looks at").wait_for()
        assert "pins=4%2C13" in page.url
        assert page.locator(".frames .pin").count() == 2
        mean = weights[[4, 13]].mean(0)
        best = int(mean[1:].argmax())
        assert f"({best // 4 + 1}, {best % 4 + 1}) {100 * mean[1 + best]:.1f} %" in caption.inner_text()
        assert f"{100 * mean[0]:.0f} % at what is no place" in caption.inner_text()
        bar = page.locator(".parking .bar i").evaluate("one => one.getBoundingClientRect().width")
        whole = page.locator(".parking .bar").evaluate("one => one.getBoundingClientRect().width")
        assert bar / whole == pytest.approx(float(mean[0]), abs=0.01)
        board.focus()
        for key in ("ArrowDown", "ArrowRight", "Enter"):
            page.keyboard.press(key)
        until(page, "document.querySelectorAll('.frames .pin').length === 3")
        style = "one => [getComputedStyle(one).imageRendering, getComputedStyle(one).opacity]"
        assert page.locator("canvas.over").evaluate(style) == ["pixelated", "0.9"]
        page.get_by_role("button", name="smooth").click()
        page.get_by_label("How opaque the colour is").fill("40")
        until(page, "location.hash.includes('opacity=40')")
        assert page.locator("canvas.over").evaluate(style) == ["auto", "0.4"]
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Picture").focus()
        page.keyboard.press("Escape")
        page.get_by_text(": class looks at").wait_for()


def test_a_text_is_asked_for_and_a_long_one_refused(page: Page) -> None:
    with Shown(Stage(filler().loaded)) as address:
        page.goto(address)
        page.get_by_text("Write a text above, and look.").wait_for()
        page.get_by_role("button", name="Look", exact=True).click()
        page.locator("#status.wrong", has_text="There is nothing to look at yet: write a text first.").wait_for()
        page.get_by_label("Text", exact=True).fill("a dog sat")
        page.get_by_role("button", name="Look", exact=True).click()
        page.get_by_role("button", name="dog").wait_for()
        page.get_by_label("Text", exact=True).fill("cat " * 60)
        page.get_by_role("button", name="Look", exact=True).click()
        page.locator("#status.wrong", has_text="62 tokens, and the model takes 48").wait_for()


def test_one_file_shows_the_same_with_the_network_off(page: Page, tmp_path: Path) -> None:
    stage = Stage(translator().loaded)
    stage.open("a small house")
    text, left = alone(stage)
    assert left == []
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    page.context.set_offline(True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.get_by_text("looks at").first.wait_for()
    page.get_by_role("tab", name="Stage").click()
    page.get_by_text("token 1 of 12").wait_for()
    assert page.locator(".choices button").count() == 0  # nobody is there to go on
    assert page.get_by_label("Text", exact=True).is_hidden()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "</script><script>window.hit=1</script>",
    "</script ><script >window.hit=1</script >",
    '"><svg onload=window.hit=1>',
    "javascript:window.hit=1",
    "<!--", "]]>", "&lt;b&gt;", "{{7*7}}", "${window.hit=1}", "`${window.hit=1}`",
    "'--><iframe src=javascript:window.hit=1>",
    "\u202ecba\u202c", "a\u200bb\u200dc", "\ufeff", "\u2028", "\u0001", "<a href='//evil'>",
]  # fmt: skip


@pytest.mark.parametrize("served", [True, False], ids=["served", "one file"])
def test_hostile_text_makes_no_element(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(writer().loaded)
    for text in HOSTILE:
        stage.open(text, most=0)
    elements = "[...document.querySelectorAll('*')].map(one => one.localName)"
    if served:
        with Shown(stage) as address:
            page.goto(address)
            check(page, elements)
    else:
        file = tmp_path / "page.html"
        file.write_text(alone(stage)[0], encoding="utf-8")
        page.goto(file.as_uri())
        check(page, elements)


def check(page: Page, elements: str) -> None:
    page.locator(".token").first.wait_for()
    for i, text in enumerate(HOSTILE):
        page.evaluate(f"location.hash = 'scene={i}&pieces=true'")
        until(page, f"document.getElementById('scenes').selectedIndex === {i}")
        names = set(page.evaluate(elements))
        assert not names & {"iframe", "b", "img", "object", "embed"}, text
        assert page.evaluate("window.hit") is None
        assert page.evaluate(
            "[...document.querySelectorAll('*')].every(one => ![...one.attributes].some(a => a.name.startsWith('on')))"
        )
        joined = page.evaluate("document.querySelectorAll('script').length")
        assert joined <= 3
