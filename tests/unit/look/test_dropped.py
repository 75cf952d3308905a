"""A file of one's own on the page: dropped or chosen, read as any file, and kept under no name that it brings."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transept.errors import InvalidData, UsageError
from transept.look import dropped, server
from transept.look import stage as stage_
from transept.look.dropped import Dropped
from transept.look.stage import Stage
from unit.look.browsed import Shown, until
from unit.look.staged import filler, listener, seer, sounded, translator
from unit.look.test_server import asked

Page = Any
KIND = "application/octet-stream"
DROP = """([name, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  if (name !== null) files.items.add(new File([bytes], name));
  const send = (kind) => {
    const event = new DragEvent(kind, { dataTransfer: files, cancelable: true, bubbles: true });
    document.dispatchEvent(event);
    return event.defaultPrevented;
  };
  const dropping = () => document.body.classList.contains("dropping");
  send("dragenter");
  return [send("dragover"), dropping(), send("drop"), dropping()];
}"""


def dropping(page: Page, name: str | None, content: bytes) -> Any:
    return page.evaluate(DROP, [name, base64.b64encode(content).decode()])


def held(stage: Stage) -> list[Path]:
    """The files that a stage has written."""
    folder = stage._dropped._folder
    return [] if folder is None else sorted(Path(folder.name).iterdir())


def test_a_picture_is_dropped_or_chosen(page: Page) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    hostile = "../<img src=x onerror=window.hit=1>.png"
    with Shown(stage) as root:
        page.goto(root)
        chooser = page.get_by_label("Choose a picture of your own")
        chooser.focus()  # a button as any other, for the keyboard
        chooser.set_input_files(str(picture))
        page.get_by_text("class looks at").wait_for()
        assert page.locator("#scenes option").all_inner_texts() == ["picture.png"]
        assert dropping(page, hostile, picture.read_bytes()) == [True, True, True, False]
        until(page, "document.querySelectorAll('#scenes option').length === 2")
        assert page.locator("#scenes option").nth(1).inner_text() == "<img src=x onerror=window.hit=1>.png"
        assert page.evaluate("window.hit") is None
        for name, content, told in (
            ("none.png", b"no picture", "this is no picture that Pillow reads"),
            ("empty.png", b"", "the file is empty. Choose one of pictures."),
            (None, b"", "That is no file: drop a picture from a folder."),
        ):
            dropping(page, name, content)
            page.locator("#status.wrong", has_text=told).wait_for()
        assert page.locator("#scenes option").count() == 2
    one, two = stage.told()["scenes"]
    number = stage.open(str(picture))
    for known in (one, two):
        np.testing.assert_array_equal(stage.weights(known["id"], 1), stage.weights(number, 1))
    assert [path.name for path in held(stage)] == ["1.file", "2.file"]  # what was refused is gone
    assert held(stage)[0].parent.stat().st_mode & 0o077 == 0


def test_a_sound_is_dropped_and_a_large_one_refused(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, file = Stage(listener().loaded), sounded(1.0)
    number = stage.open(str(file))
    monkeypatch.setattr(stage_, "LARGEST", len(file.read_bytes()))
    with Shown(stage) as root:
        page.goto(root)
        page.get_by_text("the frame at 0.00 s").wait_for()
        dropping(page, "noise.wav", file.read_bytes())
        until(page, "document.querySelectorAll('#scenes option').length === 2")
        dropping(page, "long.wav", file.read_bytes() + b"x")
        page.locator("#status.wrong", has_text="long.wav has 0.0 MB, and 0.0 MB are taken at most").wait_for()
    told = stage.told()["scenes"][-1]
    assert told["title"] == "noise.wav"
    assert stage.sound(told["id"]) == stage.sound(number)


def test_files_go_with_their_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, picture = seer()
    stage = Stage(shown.loaded)
    monkeypatch.setattr(stage_, "KEPT", 2)
    for name in "abc":
        stage.drop(name, picture.read_bytes())
    assert [path.name for path in held(stage)] == ["2.file", "3.file"]
    with pytest.raises(UsageError, match="this model reads text, and no files"):
        filler().drop("a.png", b"x")
    with pytest.raises(InvalidData, match="the file is empty"):
        stage.drop("a.png", b"")
    folder = held(stage)[0].parent
    del stage
    assert not folder.exists()


def test_a_name_is_text_and_no_path() -> None:
    kept = Dropped()
    path = kept.keep("C:\\x/../..\u202e/\u0001evil\n" + "a" * 300, b"x")
    assert kept.spoken(f"{path}: resampled") == "evil" + "a" * (dropped.LONGEST - 4) + ": resampled"
    assert kept.spoken(kept.keep("/", b"y")) == "a file"
    kept.forget("/etc/passwd")


def test_the_server_takes_files_of_its_own_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, picture = seer()
    monkeypatch.setattr(server, "FILE", len(content := picture.read_bytes()))
    stage = Stage(shown.loaded)
    with (opened := Shown(stage)):
        made = opened.server
        assert asked(made, "api/file", content, Content_Type=KIND, X_Name="%3Ca%3E.png")[0] == 200
        assert stage.told()["scenes"][0]["title"] == "<a>.png"
        for body, headers, status in (
            (content + b"x", {"Content_Type": KIND}, 400),
            (content, {"Content_Type": "text/plain"}, 400),
            (content, {"Content_Type": KIND, "Origin": "http://evil.example"}, 403),
            (content, {"Content_Type": KIND, "Host": "evil.example"}, 403),
        ):
            found, _, told = asked(made, "api/file", body, **headers)
            assert (found, bool(json.loads(told)["error"])) == (status, True)
        assert asked(made, "/api/file", content, secret=False, Content_Type=KIND)[0] == 404
    assert len(held(stage)) == 1


def test_a_text_that_it_is_to_have_written_is_read(page: Page) -> None:
    stage = Stage(translator().loaded)
    stage.open("a small house")
    tokenizer, end = stage.loaded.tokenizer, stage.loaded.demand_search().special.eos
    assert tokenizer is not None
    with Shown(stage) as root:
        page.goto(f"{root}#view=stage")
        page.get_by_label("A text that it is to have written").fill("the house")
        page.keyboard.press("Enter")
        until(page, "document.querySelectorAll('#scenes option').length === 2")
        ids = stage.told()["scenes"][-1]["target"]
        assert (tokenizer.decode(ids), ids[-1]) == ("the house", end)
        page.get_by_text(f"token 1 of {len(ids)}").wait_for()
        longest = stage.loaded.longest
        page.get_by_label("A text that it is to have written").fill("house " * longest)
        page.get_by_role("button", name="Read it").click()
        page.locator("#status.wrong", has_text=f"and the model takes {longest}. Shorten the text.").wait_for()
    with pytest.raises(UsageError, match="one stack"):
        filler().open("the cat", "sat")
