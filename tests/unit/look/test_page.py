"""The page in a real browser: what it shows are the numbers, by mouse and keyboard, and text stays text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
        until(page, "document.activeElement.classList.contains('board')")
        for key in ("ArrowUp", "Enter"):  # from where it was pinned, not from the first one that is
            page.keyboard.press(key)
        until(page, "location.hash.includes(encodeURIComponent('4,10,13,14'))")
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
