"""What is copied from the page: the numbers that it shows, the Python that makes them again, and a drawing of text."""

import contextlib
import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from transept.cli.main import app
from transept.inspect.rollout import rollout
from transept.look.files import alone
from transept.look.stage import Stage
from unit.look.browsed import Shown, calm, until
from unit.look.staged import TEXT, filler, listener, seer, sounded, translator, writer
from unit.look.test_comparing import other
from unit.look.test_page import HOSTILE

Page = Any
MARK = "{http://www.w3.org/2000/svg}"


def copied(page: Page, name: str, at: int = 0) -> str:
    """What a button puts on the clipboard. A figure that is drawn anew takes no click: it is tried again."""
    page.evaluate("navigator.clipboard.writeText('nothing yet')")
    for _ in range(6):
        page.get_by_role("button", name=name, exact=True).nth(at).click()
        for _ in range(100):
            if (text := page.evaluate("navigator.clipboard.readText()")) != "nothing yet":
                assert isinstance(text, str)
                return text
            page.wait_for_timeout(50)
    raise AssertionError(page.locator("#status").inner_text())


def table(text: str) -> list[list[str]]:
    """The rows of a copied table, without the names of its columns."""
    return list(csv.reader(io.StringIO(text), delimiter="\t"))[1:]


def numbers(rows: list[list[str]]) -> list[float]:
    """All numbers with a fraction, in their order."""
    return [float(cell) for row in rows for cell in row if re.fullmatch(r"-?\d+\.\d+", cell)]


def ran(program: str) -> list[float]:
    """What a copied program prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(program, "copied", "exec"), {})
    return numbers([line.split("\t") for line in said.getvalue().splitlines()])


def agrees(page: Page, name: str, numbered: str | None = None) -> list[list[str]]:
    """The table of a figure, whose Python gives the same numbers."""
    rows = table(copied(page, f"Copy the numbers of {numbered or name} (TSV)"))
    program = copied(page, f"Copy the Python for {numbered or name}")
    found = ran(program)
    assert len(found) > 1
    np.testing.assert_allclose(found, numbers(rows), rtol=0, atol=2e-5, err_msg=program)
    return rows


CASES: dict[str, tuple[Callable[[], Stage], str, str, str]] = {
    "a word": (filler, TEXT, "#layer=1&pin=2", "what a word looks at"),
    "a head of pieces": (filler, "played cats", "#layer=0&head=1&pin=2&pieces=true", "what a word looks at"),
    "some heads": (filler, TEXT, "#layer=1&several=0,2&pin=2", "the layers"),
    "all layers": (filler, "played cats", "#layers=all&head=2&pin=2", "what a word looks at"),
    "the largest head": (filler, "played cats", "#layer=1&max=true&pin=2", "what a word looks at"),
    "the largest of what looks": (filler, "played cats", "#max=true&backward=true&pin=2", "what a word looks at"),
    "the largest in the layers": (filler, "played cats", "#layers=all&max=true&several=1,2&pin=2", "the layers"),
    "a matrix of all layers": (filler, "played cats", "#view=matrix&layers=all&max=true", "the matrix"),
    "all layers less a head": (filler, "played cats", "#view=matrix&layers=all&other=0.1", "the matrix"),
    "all layers and a head": (writer, "the cat", "#view=compare&layers=all&other=0:0.3&pin=2", "the comparison"),
    "a step of all layers": (
        translator,
        "a small house",
        "#view=stage&step=2&layer=5&layers=all&max=true",
        "what it looked at",
    ),
    "a matrix of some heads": (writer, "the cat", "#view=matrix&layer=1&several=1,2,3", "the matrix"),
    "what looks at a word": (filler, "played cats", "#layer=0&backward=true&pin=2", "what a word looks at"),
    "the layers of a word": (filler, "played cats", "#layer=0&pin=1", "the layers"),
    "the layers that look at one": (writer, "the cat", "#layer=1&head=2&pin=1&backward=true", "the layers"),
    "a matrix": (filler, "played cats", "#view=matrix&layer=1&head=3", "the matrix"),
    "a matrix of means": (writer, "the cat", "#view=matrix&layer=1", "the matrix"),
    "a matrix less another": (translator, "a small house", "#view=matrix&layer=3&head=0&other=5.1", "the matrix"),
    "across": (translator, "a small house", "#layer=3&head=1&pin=3", "what a word looks at"),
    "two heads": (writer, "the cat sat", "#view=compare&layer=1&head=0&other=0.3&pin=2", "the comparison"),
    "heads": (translator, "a small house", "#view=heads", "the heads"),
    "a step": (translator, "a small house", "#view=stage&step=2&layer=5", "what it looked at"),
    "a step of a decoder alone": (writer, "the cat", "#view=stage&step=2&layer=1", "what it looked at"),
    "choices": (translator, "a small house", "#view=stage&step=1", "what could stand here"),
    "choices of a decoder alone": (writer, "the cat", "#view=stage&step=1", "what could stand here"),
    "a beam": (translator, "a small house", "#view=stage&beam=true", "the beam"),
    "a beam of a decoder alone": (writer, "the cat", "#view=stage&beam=true", "the beam"),
    "left out": (translator, "a small house", "#view=why&output=4", "what it hangs on"),
    "what each layer says": (writer, "the cat", "#view=why&output=2", "what each layer says"),
    "the way through the layers": (
        translator,
        "a small house",
        "#view=why&output=4&way=true",
        "the way through the layers",
    ),
    "gradients": (writer, "the cat s", "#view=why&output=2&method=integrated&pieces=true", "what it hangs on"),
    "slopes": (translator, "a small house", "#view=why&output=4&method=gradient&pieces=true", "what it hangs on"),
    "values": (translator, "a small house", "#view=why&output=4&method=attention", "what it hangs on"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_python_of_a_figure_gives_its_numbers(page: Page, case: str) -> None:
    made, text, address, name = CASES[case]
    stage = Stage(made().loaded)
    stage.open(text, most=8 if made is writer else None)
    with Shown(stage) as root:
        page.goto(root + address)
        agrees(page, name)


def test_the_python_of_pictures_and_of_sound_gives_their_numbers(page: Page, tmp_path: Path) -> None:
    (shown, picture), file = seer(), tmp_path / "page.html"
    stage = Stage(shown.loaded)
    number = stage.open(str(picture))
    with Shown(stage) as root:
        page.goto(f"{root}#view=picture&layer=1&head=2&pins=3,9")
        rows = agrees(page, "what is looked at in the picture")
        mean = stage.weights(number, 1)[2, [3, 9]].mean(0)
        np.testing.assert_allclose([float(share) for _, share in rows], mean, rtol=0, atol=1e-6)
        page.get_by_role("button", name="attention rollout").click()
        page.get_by_text("Attention rollout up to encoder layer 2: the mean of 2").wait_for()
        rows = agrees(page, "what is looked at in the picture")
        with calm(stage):
            wanted = rollout(stage._found(number)[0].example)["stack"][1][[3, 9]].mean(0)
        np.testing.assert_allclose([float(share) for _, share in rows], wanted, rtol=0, atol=1e-6)
        file.write_text(alone(stage)[0], encoding="utf-8")
        page.goto(f"{root}#view=why&output=1&method=gradient&against={stage.scene(number)['indices'][0]}")
        page.get_by_text("the logit is the difference of the two").wait_for()
        agrees(page, "what it hangs on")
        agrees(page, "what each layer says")
        page.goto(f"{file.as_uri()}#view=picture&layer=1&pins=3,9&rollout=true")
        page.get_by_text("Attention rollout up to encoder layer 2: the mean of 2").wait_for()
        rows = table(copied(page, "Copy the numbers of what is looked at in the picture (TSV)"))
        np.testing.assert_allclose([float(share) for _, share in rows], wanted, rtol=0, atol=2e-5)
    stage = Stage(listener().loaded)
    number = stage.open(str(sounded(1.0)))
    with Shown(stage) as root:
        page.goto(f"{root}#layer=1&pin=7")
        rows = agrees(page, "what the frame looks at")
        mean = stage.weights(number, 1)[:, 7].mean(0)
        np.testing.assert_allclose([float(share) for *_, share in rows], mean, rtol=0, atol=1e-6)


def test_the_python_of_two_texts_and_of_two_models_gives_their_numbers(page: Page) -> None:
    stage = Stage(translator().loaded, other())
    stage.open("a small house")
    stage.open("the house")
    with Shown(stage) as root:
        for layer, trunk in ((0, "encoder"), (3, "decoder")):
            page.goto(f"{root}#view=compare&layer={layer}&head=1&pin=2&twin=1&other=2:&pieces=true")
            agrees(page, "the comparison")
            assert f'"{trunk}")' in copied(page, "Copy the Python for how near they are")
            agrees(page, "how near they are")
        page.goto(f"{root}#view=compare&layer=3&pin=1&other=1:&pieces=true")
        rows = agrees(page, "the comparison")
        assert all(float(a) - float(b) == pytest.approx(float(d), abs=2e-6) for _, a, b, d in rows)
        drawing = ElementTree.fromstring(copied(page, "Copy the comparison as SVG"))
        assert {rows[0][0], "A − B"} <= {one.text for one in drawing.iter(f"{MARK}text")}


def test_a_forced_translation_is_made_again_from_what_it_begins_with(page: Page) -> None:
    stage = Stage(translator().loaded)
    first = stage.scene(stage.open("a small house"))
    other = next(choice[0] for choice in first["choices"][1] if choice[0] != first["target"][1])
    stage.open("a small house", [first["target"][0], other])
    with Shown(stage) as root:
        page.goto(f"{root}#scene=1&view=stage&beam=true&step=3")
        agrees(page, "the beam")
        agrees(page, "what it looked at")


def test_the_caption_the_table_the_api_and_the_command_line_agree(page: Page) -> None:
    stage = Stage(translator().loaded)
    tokenizer = stage.loaded.tokenizer
    assert tokenizer is not None
    number = stage.open("a small house", tokenizer.encode("ein kleines Haus"), most=0)
    at, layer = [(at, one) for at, one in enumerate(stage.scene(number)["layers"]) if one["role"] == "cross"][-1]
    told = ["align", str(stage.loaded.path), "a small house", "ein kleines Haus", "--json", "--head"]
    found = CliRunner().invoke(app, [*told, f"{layer['name']}:1"])
    assert found.exit_code == 0, found.output
    links = json.loads(found.stdout.splitlines()[-1])
    with Shown(stage) as root:
        page.goto(f"{root}#view=matrix&layer={at}&head=1")
        rows = agrees(page, "the matrix")
        assert [row[0] for row in rows[:3]] == links["target_words"]
        assert len(links["links"]) == 3
        for i, j, share in links["links"]:
            assert float(rows[j][1 + i]) == pytest.approx(share, abs=5.1e-5)
        for j, word in enumerate(links["target_words"]):
            page.goto(f"{root}#layer={at}&head=1&pin={j}")
            caption = page.locator(".caption", has_text=f": {word} looks at").inner_text()
            shares = table(copied(page, "Copy the numbers of what a word looks at (TSV)"))
            assert [share for _, share in shares] == rows[j][1:]
            most = max(shares[:3], key=lambda row: float(row[1]))
            assert f"{most[0]} {100 * float(most[1]):.0f} %" in caption
        page.goto(f"{root}#view=matrix&layer={at}&head=1&pieces=true")
        cells = [[float(cell) for cell in row[1:]] for row in agrees(page, "the matrix")]
        np.testing.assert_allclose(cells, stage.weights(number, at)[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("served", [True, False], ids=["served", "one file"])
def test_hostile_text_stays_text_in_all_that_is_copied(page: Page, tmp_path: Path, served: bool) -> None:
    stage = Stage(writer().loaded)
    for text in (*HOSTILE, '=HYPERLINK("http://evil.example")', '"', 'a\\"""\\', "\U0001f600 \u2066x"):
        stage.open(text, most=2)
    file = tmp_path / "page.html"
    file.write_text(alone(stage)[0], encoding="utf-8")
    with Shown(stage) as root:
        address = root if served else file.as_uri()
        page.goto(address)
        for i, scene in enumerate(stage.told()["scenes"]):
            page.evaluate(f"location.hash = 'scene={i}&pieces=true&pin=0'")
            until(page, f"document.getElementById('scenes').selectedIndex === {i}")
            page.locator(".caption", has_text="looks at").wait_for()
            text = copied(page, "Copy the numbers of what a word looks at (TSV)")
            rows = table(text)
            assert len(rows) == len(scene["sides"][0]["texts"]) == text.count("\n") - 1
            assert all(len(row) == 2 and not re.match(r"[=+@-].", row[0]) for row in rows)
            drawing = ElementTree.fromstring(copied(page, "Copy what a word looks at as SVG"))
            kinds = {one.tag.removeprefix(MARK) for one in drawing.iter()}
            assert kinds <= {"svg", "title", "rect", "text", "g", "path"}, scene["title"]
            program = copied(page, "Copy the Python for what a word looks at")
            assert all(sign in "\n " or unicodedata.category(sign)[0] not in "CZ" for sign in program)
            given = re.search(r"explain\((\".*\"), target=", program)
            assert given
            assert eval(given[1]) == scene["title"]
            if served:
                np.testing.assert_allclose(ran(program), numbers(rows), rtol=0, atol=2e-5)
            assert page.evaluate("window.hit") is None


def test_a_drawing_shows_what_the_page_shows(page: Page) -> None:
    stage = Stage(translator().loaded)
    stage.open("a small house")
    with Shown(stage) as root:
        page.goto(f"{root}#view=stage&beam=true")
        drawing = ElementTree.fromstring(copied(page, "Copy the beam as SVG"))
        texts = {one.text for one in drawing.iter(f"{MARK}text")}
        assert {"1.", "2.", "3."} <= texts
        assert len(list(drawing.iter(f"{MARK}path"))) > 20
        page.goto(f"{root}#view=matrix&layer=0")
        drawing = ElementTree.fromstring(copied(page, "Copy the matrix as SVG"))
        side = stage.told()["scenes"][0]["sides"][0]
        assert len(list(drawing.iter(f"{MARK}image"))) == 1
        words = len({word for word in side["words"] if word is not None}) + side["words"].count(None)
        assert len(list(drawing.iter(f"{MARK}text"))) == 2 * words
        page.goto(f"{root}#pin=2")
        drawing = ElementTree.fromstring(copied(page, "Copy the layers as SVG"))
        assert len(list(drawing.iter(f"{MARK}circle"))) > 6


def test_where_the_clipboard_is_closed_the_text_is_given_by_hand(page: Page) -> None:
    stage = Stage(filler().loaded)
    stage.open(TEXT)
    page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('closed'))")
    with Shown(stage) as root:
        page.goto(f"{root}#pin=2")
        page.locator(".caption", has_text="cat looks at").wait_for()
        page.get_by_role("button", name="Copy the Python for what a word looks at").click()
        area = page.locator(".copies textarea")
        assert area.input_value().startswith("import transept")
        assert page.evaluate("getSelection().toString()") == area.input_value()


def test_one_file_says_nothing_of_where_the_model_lies(tmp_path: Path) -> None:
    stage = Stage(writer().loaded)
    stage.open("the cat", most=2)
    assert str(stage.loaded.path.parent) in json.dumps(stage.told())
    assert str(stage.loaded.path.parent) not in alone(stage)[0]
    for (made, file), name in ((seer(), "picture.png"), ((listener(), sounded(1.0)), "1.0.wav")):
        stage = Stage(made.loaded)
        stage.open(str(file))
        assert stage.told()["scenes"][0]["title"] == str(file)
        text = alone(stage)[0]
        assert str(file.parent) not in text
        assert f'"title": "{name}"' in text
