"""Comparisons and films in a real browser: what they show are the numbers of the models, by mouse and keyboard."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transept.errors import InvalidData
from transept.inspect.drift import drift
from transept.inspect.record import record
from transept.inspect.words import merge
from transept.look import files
from transept.look.files import alone
from transept.look.film import Film
from transept.look.stage import Stage
from transept.topology import Built
from unit.hub.made import model
from unit.look.browsed import Shown, calm, until
from unit.look.staged import TEXT, filler, seer, translator, writer
from unit.look.test_comparing import UPDATES, filmed, other
from unit.look.test_page import HOSTILE
from unit.use.made import shaken

Page = Any
LISTENING = "[...document.querySelectorAll('*')].some((one) => [...one.attributes].some((a) => /^on/.test(a.name)))"
SECOND = "a dog sees cats on the mat"
SERVED = pytest.mark.parametrize("served", [True, False], ids=["served", "one file"])


class Opened:
    """A stage on a server, or in one file without a network."""

    def __init__(self, stage: Stage, served: bool, folder: Path) -> None:
        self.shown = Shown(stage) if served else None
        self.file = folder / "page.html"
        if not served:
            self.file.write_text(alone(stage)[0], encoding="utf-8")

    def __enter__(self) -> str:
        return self.file.as_uri() if self.shown is None else self.shown.__enter__()

    def __exit__(self, *_: object) -> None:
        if self.shown is not None:
            self.shown.__exit__()


def number(text: str) -> float:
    """A number of the page; a dash is none."""
    return np.nan if text == "–" else float(text.replace("−", "-"))


def rows(page: Page, nth: int = 0) -> list[tuple[str, list[float]]]:
    """The words of a table with their shares in A and in B and the difference, in per cent."""
    found = []
    for row in page.locator(".differences").nth(nth).locator("tbody tr").all():
        one, other, _, change = row.locator("td").all_inner_texts()
        found.append((row.locator("th").inner_text(), [number(one), number(other), number(change)]))
    return found


def cells(page: Page, place: str = "") -> list[float]:
    """The numbers of the matrix, once it is that of a `place`."""
    if place:
        page.locator(f"canvas.matrix[aria-label^='{place}']").wait_for()
    if not page.locator("details.numbers[open]").count():
        page.get_by_text("The numbers").click()
    page.locator("tbody td").first.wait_for()  # they come once it is open
    return [number(text) for text in page.locator("tbody td").all_inner_texts()]


def maps(stage: Stage, number: int, layer: int, head: int) -> tuple[np.ndarray[Any, Any], list[str]]:
    """A map of words as Python makes it, from a pass of its own, and the words."""
    read, scene = stage._found(number)
    with calm(stage), torch.no_grad(), record(read.example.model) as kept:
        read.example.output()
    columns = next(side for side in read.sides if side.name == scene.layers[layer].columns).grouped()
    asking = next(side for side in read.sides if side.name == scene.layers[layer].rows).grouped()
    return merge(kept[scene.layers[layer].name][0, head], asking, columns).numpy(), [word.text for word in columns]


# ------------------------------------------------------------------ two texts


@SERVED
def test_a_word_in_two_texts(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(filler().loaded)
    one, two = stage.open(TEXT), stage.open(SECOND)
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=compare&layer=1&head=2&pin=6")  # mat
        page.locator(".caption", has_text="mat: ").wait_for()
        (a, _), (b, others) = maps(stage, one, 1, 2), maps(stage, two, 1, 2)
        page.get_by_text("All words").click()
        told = rows(page, 1)
        own, theirs = 100 * a[6], 100 * b[others.index("mat")]
        left, right = iter(own), iter(theirs)  # each word of either text stands there once, in its order
        for word, (mine, other, change) in told:
            for share, wanted in ((mine, left), (other, right)):
                assert np.isnan(share) or share == pytest.approx(next(wanted), abs=0.051), word
            assert change == pytest.approx(np.nan_to_num(mine) - np.nan_to_num(other), abs=0.101)
        assert [next(left, None), next(right, None)] == [None, None]
        assert {word for word, shares in told if not np.isnan(shares).any()} == {"[CLS]", "on", "the", "mat", "[SEP]"}
        assert sum(change for _, (_, _, change) in told) == pytest.approx(0, abs=0.05 * len(told))
        assert rows(page)[0] == max(told, key=lambda one: abs(one[1][2]))
        examples = [stage._found(at)[0].example for at in (one, two)]
        mat, same = examples[0].source.words[6], examples[1].source.words[others.index("mat")]
        with calm(stage):
            wanted = drift(examples[0], [mat], examples[1], [same])
        page.locator(".cosines td").first.wait_for()
        cosines = [float(text) for text in page.locator(".cosines td").all_inner_texts()]
        np.testing.assert_allclose(cosines, wanted[:, 0, 0], rtol=0, atol=6e-4)
        assert f"{float(wanted[-1, 0, 0]):.3f} after layer 2" in str(page.locator(".chart").get_attribute("aria-label"))
        page.get_by_role("group", name="B, text").get_by_role("button", name="dog").click()
        page.locator(".caption", has_text="mat in A, dog in B").wait_for()
        assert "twin=2" in page.url
        with calm(stage):
            wanted = drift(examples[0], [mat], examples[1], [examples[1].source.words[2]])
        page.locator(".cosines td").first.get_by_text(f"{float(wanted[0, 0, 0]):.3f}").wait_for()


def test_the_word_stands_under_itself_at_every_width(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(f"what a dog and a cat {TEXT}")
    stage.open("the mat of ada")
    for width in (1200, 360):
        page.set_viewport_size({"width": width, "height": 800})
        with Shown(stage) as address:
            page.goto(f"{address}#view=compare&layer=1")
            page.locator(".caption", has_text="mat: ").wait_for()  # the rarest word of both
            places = page.locator(".aligned .token.from").evaluate_all(
                "all => all.map((one) => one.getBoundingClientRect().left)"
            )
            assert len(places) == 2
            assert places[0] == pytest.approx(places[1], abs=0.5)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            order = page.locator(".aligned .line").first.locator(".token").all_inner_texts()
            assert order[:4] == ["[CLS]", "what", "a", "dog"]


def test_a_comparison_by_the_keyboard(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    stage.open(SECOND)
    with Shown(stage) as address:
        page.goto(f"{address}#view=compare&layer=1&pin=1")
        page.locator(".caption", has_text="the: ").wait_for()
        page.get_by_role("group", name="A, text").get_by_role("button", name="the").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.get_by_text("B has no cat: choose one").wait_for()
        until(page, "document.activeElement.textContent === 'cat'")  # the word has moved, and is held still
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        until(page, "document.activeElement.textContent === 'a'")
        page.keyboard.press("Enter")
        page.locator(".caption", has_text="cat in A, a in B").wait_for()
        page.locator(".cosines").wait_for()
        assert page.locator("[aria-pressed=true].token").all_inner_texts() == ["cat", "a"]


def test_texts_with_nothing_in_common_are_met_by_choosing(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open("the cat")
    stage.open("a dog")
    with Shown(stage) as address:
        page.goto(f"{address}#view=compare&other=1:")
        page.get_by_text("B has no ").wait_for()
        page.get_by_role("group", name="B, text").get_by_role("button", name="dog").click()
        page.locator(".caption", has_text="in A, dog in B").wait_for()


# ------------------------------------------------------------------ two heads


@SERVED
def test_two_heads_and_their_matrices(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(writer().loaded)
    number = stage.open("the cat sat", most=4)
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=compare&layer=1&head=0&pin=2")
        page.get_by_label("B: which layer and head").select_option("0.3")
        page.locator(".differences").first.wait_for()
        (a, words), (b, _) = maps(stage, number, 1, 0), maps(stage, number, 0, 3)
        page.locator(".between", has_text="decoder layer 2, head 1").wait_for()
        for word, (mine, theirs, change) in rows(page):
            if words.count(word) == 1:
                at = words.index(word)
                assert (mine, theirs) == pytest.approx((100 * a[2, at], 100 * b[2, at]), abs=0.051)
                assert change == pytest.approx(100 * (a[2, at] - b[2, at]), abs=0.051)
        assert page.locator(".cosines").count() == 0
        page.get_by_role("tab", name="Matrix").click()
        page.get_by_text("Orange: more in decoder layer 1, head 4").wait_for()
        shown = cells(page)
        np.testing.assert_allclose(shown, 100 * (a - b).ravel(), rtol=0, atol=0.06)
        page.evaluate("location.hash = 'view=matrix&layer=1&several=0,2&other=0.3'")
        page.locator("#where", has_text="mean of heads 1, 3").wait_for()
        page.get_by_text("Orange: more in decoder layer 1, head 4").wait_for()
        some = (a + maps(stage, number, 1, 2)[0]) / 2
        np.testing.assert_allclose(cells(page), 100 * (some - b).ravel(), rtol=0, atol=0.06)


# ------------------------------------------------------------------ two models


@SERVED
def test_two_models_on_the_same_text(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(translator().loaded, other())
    number = stage.open("the cat sees the house")
    twin = stage.scene(number)["twin"]
    layer = next(at for at, one in enumerate(stage.scene(number)["layers"]) if one["role"] == "cross")
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=compare&layer={layer}&head=1&pin=0&pieces=true")
        page.locator(".differences").first.wait_for()
        assert page.locator("#model").inner_text() == "translator and other"
        assert page.locator(".lines .line").count() == 2
        a, b = stage.weights(number, layer)[1, 0], stage.weights(twin, layer)[1, 0]
        page.get_by_text("All words").click()
        shown = [change for _, (_, _, change) in rows(page, 1)]
        np.testing.assert_allclose(shown, 100 * (a - b), rtol=0, atol=0.051)
        page.get_by_text("Vectors of two models stand in no common space").wait_for()
        page.evaluate("location.hash += '&view=matrix&other=1:'")
        page.get_by_text("Orange: more in other, decoder layer 1 → source, head 2").wait_for()
        shown = cells(page)
        wanted = 100 * (stage.weights(number, layer)[1] - stage.weights(twin, layer)[1]).ravel()
        np.testing.assert_allclose(shown, wanted, rtol=0, atol=0.06)
        page.get_by_label("Scene").select_option("1")
        until(page, "!location.hash.includes('other')")
        page.get_by_role("tab", name="Compare").click()
        page.locator(".between", has_text="other").wait_for()
        assert page.get_by_label("B: which text").locator("option:checked").inner_text() == "translator"


def test_another_text_is_read_by_both(page: Page) -> None:
    with Shown(Stage(translator().loaded, other())) as address:
        page.goto(address)
        page.get_by_label("Text", exact=True).fill("the house")
        page.get_by_role("button", name="Look", exact=True).click()
        until(page, "document.querySelectorAll('#scenes option').length === 2")
        page.get_by_role("tab", name="Compare").click()
        page.locator(".differences").first.wait_for()
        assert page.locator("#scenes option").all_inner_texts() == ["translator: the house", "other: the house"]


def test_the_matrix_of_other_words_is_not_taken_away(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    stage.open(SECOND)
    with Shown(stage) as address:
        page.goto(f"{address}#view=matrix&other=1:")
        page.get_by_text("their matrices have no difference").wait_for()


def other_seer(update: int = 3) -> Built:
    """The model of `seer` with other weights."""
    made = copy.deepcopy(seer()[0].loaded.model)
    assert isinstance(shaken(made, update, 0.15), Built)
    return made


def test_a_picture_is_compared_place_by_place(page: Page) -> None:
    shown, picture = seer()
    second = copy.copy(shown.loaded)
    second.model = other_seer()
    stage = Stage(shown.loaded, second)
    one = stage.open(str(picture))
    a, b = stage.weights(one, 1)[2], stage.weights(one + 1, 1)[2]
    with Shown(stage) as address:
        page.goto(f"{address}#view=compare&layer=1&head=2")
        page.locator(".caption", has_text="class: ").wait_for()
        assert page.locator(".caption", has_text="On what is no place: ").count() == 1
        said = page.locator("body").inner_text()
        assert "points" in said
        assert [one for one in ("word", "ends and marks", "text alone") if one in said] == []
        page.get_by_text("All places").click()
        shown_shares = [shares for _, shares in rows(page, 1)]
        wanted = 100 * np.stack([a[0], b[0], a[0] - b[0]], 1)
        np.testing.assert_allclose(shown_shares, wanted, rtol=0, atol=0.051)
        page.locator("canvas.over").click(position={"x": 310, "y": 10})
        page.locator(".caption", has_text="(1, 4): ").wait_for()
        page.locator("canvas.over").focus()
        page.keyboard.press("ArrowDown")
        page.locator(".caption", has_text="(2, 4): ").wait_for()
        page.keyboard.press("ArrowRight")  # there is no place beyond
        assert "pin=8" in page.url
        best = np.abs(a[8] - b[8]).argmax()
        assert rows(page)[0][1][2] == pytest.approx(100 * (a[8] - b[8])[best], abs=0.051)
        page.evaluate("location.hash = 'view=matrix&layer=1&head=2&other=1:'")
        page.get_by_text("Orange: more in").wait_for()
        assert page.get_by_label("Subtract:").input_value() == "1:"
        np.testing.assert_allclose(cells(page), 100 * (a - b).ravel(), rtol=0, atol=0.06)


@SERVED
def test_a_picture_has_a_film(page: Page, tmp_path: Path, served: bool) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded, film=Film((1, 2), other_seer))
    number = stage.open(str(picture))
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=film&layer=1&head=2&update=1")
        shares = (np.frombuffer(stage.frame(number, 1, 1), "<u2").reshape(4, 17, 17)[2, 0] / 65535.0) ** 2
        best = int(shares[1:].argmax())
        told = f"class looks at ({best // 4 + 1}, {best % 4 + 1}) {100 * shares[1 + best]:.0f} %"
        page.locator(".caption", has_text=told).wait_for()
        assert page.locator(".board img").evaluate("one => one.naturalWidth") == 32
        page.get_by_text("How probable the first class is").wait_for()


# ------------------------------------------------------------------ a film


@SERVED
def test_a_film_goes_from_checkpoint_to_checkpoint(page: Page, tmp_path: Path, served: bool) -> None:
    stage, _ = filmed()
    number = stage.open("a small house")
    layer = next(at for at, one in enumerate(stage.scene(number)["layers"]) if one["role"] == "cross")
    with Opened(stage, served, tmp_path) as address:
        page.goto(f"{address}#view=film&layer={layer}&head=1&pin=2&pieces=true")
        slider = page.get_by_label("Update", exact=True)
        page.locator(".caption", has_text="Update 300. decoder layer 1 → source, head 2").wait_for()
        assert slider.get_attribute("aria-valuetext") == "update 300"
        slider.focus()
        page.keyboard.press("ArrowLeft")
        page.locator(".caption", has_text="Update 20. ").wait_for()
        assert "update=20" in page.url
        texts = page.locator(".lines .line").first.locator(".token").all()
        for update in (20, 10):
            page.get_by_role("button", name=f"update {update}").click()
            page.locator(".caption", has_text=f"Update {update}. ").wait_for()
            weights = np.frombuffer(stage.frame(number, update, layer), "<u2").reshape(
                stage.weights(number, layer).shape
            )
            wanted = (weights[1, 2] / 65535.0) ** 2
            assert [token.get_attribute("title") for token in texts] == [f"{100 * share:.1f} %" for share in wanted]
        assert page.get_by_role("button", name="update 10").get_attribute("aria-current") == "true"
        until(page, "document.querySelectorAll('.moments .thumb[width=\"1\"]').length === 0")
        for update in UPDATES:
            moment = stage.moment(number, update)
            name = str(
                page.get_by_role("button", name=f"update {update}", exact=False).first.get_attribute("aria-label")
            )
            assert name == f"update {update}: {moment.labels[layer][1]}, {moment.scores[layer][1]:.3f}"
        assert page.locator(".curve .chart").count() == 2
        assert page.locator(".curve .chart").first.locator("polyline.weak").count() == 1
        strong = str(page.locator(".curve .chart").first.locator("polyline.strong").get_attribute("points"))
        scores = np.array([stage.moment(number, update).scores[layer] for update in UPDATES])
        high = np.ceil(10 * scores.max()) / 10  # the top of a chart of 116 pixels
        heights = [float(point.split(",")[1]) for point in strong.split()]
        np.testing.assert_allclose(heights, 10 + 116 * (1 - scores[:, 1] / high), rtol=0, atol=0.06)
        page.get_by_role("button", name="Play").click()
        page.locator(".caption", has_text="Update 300. ").wait_for()
        page.get_by_role("button", name="Play").wait_for()  # it ends by itself
        page.get_by_role("button", name="Back").click()
        page.locator(".caption", has_text="Update 20. ").wait_for()


def test_a_checkpoint_that_cannot_be_read_is_told_and_the_others_shown(page: Page, tmp_path: Path) -> None:
    def model_at(update: int) -> Built:
        if update == 20:
            raise InvalidData("model.safetensors is not what was written", where="checkpoints/00000020")
        return model(update)

    stage = Stage(translator().loaded, film=Film(UPDATES, model_at))
    stage.open("a small house")
    for served, words in ((True, "is not what was written"), (False, "was left out of the file")):
        with Opened(stage, served, tmp_path) as address:
            page.goto(f"{address}#view=film&update=20")
            page.locator(".caption.wrong", has_text=words).wait_for()
            page.get_by_role("button", name="Step").click()
            page.locator(".caption:not(.wrong)", has_text="Update 300. ").wait_for()
            until(page, "document.querySelectorAll('.moments .absent').length === 1")


def test_what_has_no_room_in_the_file_is_said(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _ = filmed()
    stage.open("a small house")
    stage.open("the house")
    sizes = [sum(2 * int(np.prod(layer["shape"])) for layer in one["layers"]) for one in stage.told()["scenes"]]
    monkeypatch.setattr(files, "ROOM", sum(sizes))
    text, left = alone(stage)
    assert len([one for one in left if one.startswith("update")]) == 6
    assert len([one for one in left if one.startswith("the vectors")]) == 4
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    page.goto(f"{file.as_uri()}#view=film")
    page.locator(".caption.wrong", has_text="was left out of the file").wait_for()
    page.evaluate("location.hash = 'view=compare&layer=0'")
    page.locator(".drift .wrong", has_text="not in the file").wait_for()


def test_without_a_film_there_is_no_tab(page: Page) -> None:
    stage = Stage(translator().loaded, other(), filmed()[0].film)
    stage.open("a small house")
    with Shown(stage) as address:
        page.goto(address)
        page.get_by_role("tab", name="Film").wait_for()
        page.get_by_label("Scene").select_option("1")
        until(page, "location.hash.includes('scene=1')")
        assert page.get_by_role("tab", name="Film").count() == 0
    stage = Stage(translator().loaded)
    stage.open("a small house")
    with Shown(stage) as address:
        page.goto(f"{address}#view=film")
        page.get_by_text("looks at").first.wait_for()
        assert page.get_by_role("tab", name="Film").count() == 0


# ------------------------------------------------------------------ what is hostile


@SERVED
def test_hostile_text_makes_no_element_in_comparisons_and_films(page: Page, tmp_path: Path, served: bool) -> None:
    def model_at(update: int) -> Built:
        return writer().loaded.model

    stage = Stage(writer().loaded, writer().loaded, Film((1, 2), model_at))
    for text in HOSTILE[:8]:
        stage.open(text, most=0)
    with Opened(stage, served, tmp_path) as address:
        page.goto(address)
        page.locator(".token").first.wait_for()
        for at in range(0, 16, 2):
            for view, wanted in (
                ("compare&other=2:&pin=0&twin=0", ".between"),
                ("compare", ".differences"),
                ("film", ".moments"),
            ):
                page.evaluate(f"location.hash = 'pieces=true&scene={at}&view={view}'")
                page.locator(wanted).first.wait_for()
                until(page, f"document.getElementById('scenes').selectedIndex === {at}")
                page.wait_for_timeout(50)
                names = set(page.evaluate("[...document.querySelectorAll('*')].map((one) => one.localName)"))
                assert not names & {"iframe", "b", "img", "object", "embed"} - {"b"}, HOSTILE[at // 2]
                assert page.locator("b").count() == (2 if "compare" in view else 0)
                assert page.evaluate("window.hit") is None
                assert not page.evaluate(LISTENING)
    page.goto("about:blank")
