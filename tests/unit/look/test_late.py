"""What comes late, or makes no sense, or not at all, in a real browser: the page shows what was asked for last."""

from typing import Any

import pytest

from transept.look.files import FOLDER
from transept.look.stage import Stage
from unit.look.browsed import Shown, until
from unit.look.staged import TEXT, filler, translator
from unit.look.test_comparing import filmed

Page = Any
Route = Any


class Held:
    """Requests to an address, of which the first waits until it is let go."""

    def __init__(self, page: Page, address: str) -> None:
        self.first: list[Route] = []
        self.page = page
        page.route(address, self.take)

    def take(self, route: Route) -> None:
        if self.first:
            route.continue_()
        else:
            self.first.append(route)

    def wait(self) -> None:
        for _ in range(300):
            if self.first:
                return
            self.page.wait_for_timeout(20)
        raise AssertionError("nothing was asked")

    def let_go(self, **answer: Any) -> None:
        """Answer it, as it would have been or with this, and wait until the page had its time to draw."""
        with self.page.expect_event("requestfinished", lambda one: one == self.first[0].request):
            self.first[0].fulfill(**answer) if answer else self.first[0].continue_()
        self.page.wait_for_timeout(500)


ADDRESSES = (
    "layer=-1",
    "layer=0.5",
    "scene=-1",
    "scene=0.5",
    "head=-1",
    "head=0.5",
    "pin=-1",
    "pin=1e9",
    "top=x",
    "top=",
)


def test_an_address_that_makes_no_sense_shows_what_there_is(page: Page) -> None:
    stage = Stage(translator().loaded)
    stage.open("a small house")
    with Shown(stage) as address:
        for told in ADDRESSES:
            page.goto("about:blank")
            page.goto(f"{address}#view=words&{told}")
            page.locator(".caption:not(.wrong)", has_text="looks at").wait_for()
            until(
                page,
                "[...document.querySelectorAll('.token')].some((one) => one.style.getPropertyValue('--share') > 0)",
            )
        for told, shown in (("view=stage&step=-2", "token 1 of"), ("view=why&output=-1", "P(")):
            page.goto(f"{address}#{told}")
            page.locator("#view", has_text=shown).wait_for()
        page.goto(f"{address}#view=stage&speed=0&constructor=1")
        page.locator("#view", has_text="token 1 of").wait_for()
        assert page.get_by_label("Speed").input_value() == "1"
        page.get_by_role("tab", name="Words").click()
        until(page, "location.hash.includes('view') === false")
        assert "constructor" not in page.url


def test_of_two_cuts_the_one_that_was_asked_last_is_told(page: Page) -> None:
    stage = Stage(translator().loaded)
    number = stage.open("a small house")
    layer = next(at for at, one in enumerate(stage.scene(number)["layers"]) if one["role"] == "cross")
    with Shown(stage) as address:
        page.goto(f"{address}#pieces=true&layer={layer}&head=0&pin=3&parked=true")
        buttons = page.get_by_role("button", name="Cut this link")
        buttons.nth(1).wait_for()
        names = [str(one.get_attribute("aria-label")).removeprefix("Cut this link: ") for one in buttons.all()]
        other = next(at for at, name in enumerate(names) if name != names[0])
        held = Held(page, "**/api/cut")
        buttons.nth(0).click()
        held.wait()
        buttons.nth(other).click()
        told = page.locator(".cutting p", has_text=f"Without {names[other]} in head 1: ")
        told.wait_for()
        held.let_go()
        assert told.count() == 1
        buttons.nth(0).click()
        page.locator(".cutting p", has_text=f"Without {names[0]} in head 1").wait_for()


def test_of_two_texts_the_one_that_was_asked_last_is_shown(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(address)
        page.locator(".caption", has_text="looks at").wait_for()
        held = Held(page, "**/api/scene")
        for text in ("the mat", "the cat"):
            page.locator("#given").fill(text)
            page.get_by_role("button", name="Look", exact=True).click()
            if not held.first or text == "the mat":
                held.wait()
        until(page, "document.getElementById('scenes').selectedOptions[0].textContent === 'the cat'")
        held.let_go()
        titles = page.locator("#scenes option").all_inner_texts()
        assert titles == [TEXT, "the cat", "the mat"]
        assert page.locator("#scenes option:checked").inner_text() == "the cat"
        page.get_by_label("Scene").select_option(label="the mat")
        page.locator(".token", has_text="mat").first.wait_for()


LATE = {
    "a failure": {"status": 400, "content_type": "application/json", "body": '{"error": "too late"}'},
    "numbers": {},
}


@pytest.mark.parametrize("answer", LATE)
@pytest.mark.parametrize(("view", "said"), [("compare&other=0:0.1", "on:"), ("words", "on looks at")])
def test_what_comes_late_is_not_told_of_another_word(page: Page, view: str, said: str, answer: str) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(f"{address}#view={view}&layer=1")
        page.locator(".caption", has_text=":").wait_for()
        held = Held(page, "**/looked/1/rows/*")
        page.get_by_role("button", name="sat", exact=True).click()
        held.wait()
        page.get_by_role("button", name="on", exact=True).click()
        page.locator(".caption", has_text=said).wait_for()
        held.let_go(**LATE[answer])
        assert said in page.locator(".caption:not(.wrong)").inner_text()


def test_vectors_that_come_late_are_not_drawn_of_another_word(page: Page) -> None:
    stage = Stage(filler().loaded)
    for text in (TEXT, "a cat sat on a mat."):
        stage.open(text)
    with Shown(stage) as address:
        page.goto(f"{address}#view=compare&layer=1")
        page.locator(".drift .chart").wait_for()
        held = Held(page, "**/drift/**")
        page.get_by_role("button", name="sat", exact=True).first.click()
        held.wait()
        page.get_by_role("button", name="on", exact=True).first.click()
        chart = page.locator(".drift .chart[aria-label^='on in A']")
        chart.wait_for()
        held.let_go()
        assert chart.count() == 1


def test_a_moment_that_comes_late_is_not_told_of_another(page: Page) -> None:
    stage, _ = filmed()
    stage.open("a small house")
    held = Held(page, "**/film/20")
    with Shown(stage) as address:
        page.goto(f"{address}#view=film")
        page.locator(".caption", has_text="Update 300. ").wait_for()
        held.wait()
        for update in (20, 10):
            page.get_by_role("button", name=f"update {update}").click()
        page.locator(".caption", has_text="Update 10. ").wait_for()
        held.let_go()
        assert page.locator(".caption", has_text="Update 10. ").count() == 1


def test_a_server_that_went_away_is_named(browser: Any) -> None:
    page = browser.new_page()
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    with Shown(stage) as address:
        page.goto(address)
        page.locator(".caption", has_text="looks at").wait_for()
        page.route("**/api/**", lambda route: route.abort())
        page.get_by_role("button", name="mat", exact=True).click()
        page.locator(".caption.wrong", has_text="does not answer: is `transept look` still running?").wait_for()
        page.locator("#given").fill("a cat")
        page.get_by_role("button", name="Look", exact=True).click()
        page.locator("#status.wrong", has_text="does not answer").wait_for()
        page.unroute("**/api/**")
        page.get_by_role("button", name="Look", exact=True).click()
        page.locator("#scenes option:checked", has_text="a cat").wait_for(state="attached")
        page.locator(".caption:not(.wrong)", has_text="looks at").wait_for()
    page.close()


def test_numbers_are_kept_up_to_a_size(page: Page) -> None:
    """Each word has 2 layers of 4 heads and 9 tokens, of 4 bytes: two of them have room, and a third has not."""
    text = (FOLDER / "data.js").read_text(encoding="utf-8")
    less = text.replace("const NUMBERS = 256e6;", "const NUMBERS = 10000;")
    assert less != text
    page.route("**/page/data.js", lambda route: route.fulfill(body=less, content_type="text/javascript"))
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/looked/" in request.url else None)
    with Shown(stage) as address:
        page.goto(f"{address}#pin=1")
        page.locator(".caption", has_text="the looks at").wait_for()
        for word in ("cat", "sat", "cat", "mat", "sat"):
            page.get_by_role("button", name=word, exact=True).click()
            page.locator(".caption", has_text=f"{word} looks at").wait_for()
        rows = [url.rpartition("/")[2] for url in asked]
        assert rows == ["1", "2", "3", "6", "3"], "the one that was asked for longest ago went"


def test_methods_are_compared_on_what_is_shown(page: Page) -> None:
    stage = Stage(translator().loaded)
    stage.open("a small house")
    with Shown(stage) as address:
        page.goto(f"{address}#view=why&output=4&against=999999")  # no token that could stand there
        page.locator(".signs li").first.wait_for()
        page.get_by_role("button", name="How far do the methods agree?").click()
        page.locator(".agreement td").nth(1).wait_for()


def test_a_box_ends_where_the_button_was_let_go(page: Page) -> None:
    stage = Stage(translator().loaded)
    stage.open("a small house")
    with Shown(stage) as address:
        page.goto(f"{address}#view=heads")
        page.locator(".cell").nth(3).wait_for()
        box = page.locator(".atlas").first.bounding_box()
        left, middle = box["x"], box["y"] + box["height"] / 2
        page.mouse.move(left + 2, middle)
        page.mouse.down()
        page.mouse.move(left - 15, middle)  # beside the grid
        page.mouse.up()
        page.mouse.move(left + 120, middle)
        assert page.locator(".box").count() == 0
        page.mouse.move(left + 200, middle + 20)
        page.mouse.down()
        page.mouse.up()
        assert page.get_by_text("Joined").count() == 0
