"""Sound on the page: as the model heard it, with its letters, what a frame looks at, and a cursor that follows."""

import io
import shutil
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transept.errors import InvalidData
from transept.look.files import alone
from transept.look.stage import Stage
from unit.look.browsed import Shown, until
from unit.look.staged import listener, sounded
from unit.use.test_transcribe import noise, write

Page = Any


def test_a_sound_is_shown_as_it_was_heard() -> None:
    stage, file = Stage(listener().loaded), sounded(1.0)
    number = stage.open(str(file))
    told, loaded = stage.scene(number), stage.loaded
    (side,) = told["sides"]
    assert len(side["texts"]) == told["layers"][0]["shape"][1] == 49
    assert side["texts"][:3] == ("0.00", "0.02", "0.04")
    assert (side["step"], told["sound"]["seconds"], told["sound"]["said"]) == (0.02, 1.0, ())
    assert told["sound"]["width"] == 345 / 16_000  # kernels of 10, 8, 4, 4 in steps of 5, 4, 4, 4
    example = loaded.explain(str(file))
    assert tuple(example.source.tokens) == side["texts"]
    scores = example.logits().detach().softmax(-1)
    best = scores.argmax(-1)
    blank = 0
    frames = torch.full_like(best, blank)
    for text, begins, ends, share in told["sound"]["letters"]:
        frames[begins:ends] = best[begins]
        assert share == pytest.approx(float(scores[begins:ends].max()), abs=1e-5)
        assert loaded.tokenizer is not None
        assert text == (loaded.tokenizer.decode([int(best[begins])]) or text)
    assert frames.tolist() == best.tolist()
    heard, rate = wav(stage.sound(number))
    given = np.frombuffer(file.read_bytes()[44:], "<i2").astype(float)
    assert rate == 16_000
    centred = given - given.mean()
    np.testing.assert_allclose(heard, centred * 32767 / np.abs(centred).max(), rtol=0, atol=1.5)


def wav(data: bytes) -> tuple[np.ndarray, int]:
    with wave.open(io.BytesIO(data), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float), file.getframerate()


def test_what_was_done_to_a_file_is_told_and_what_is_none_refused(tmp_path: Path) -> None:
    stage = Stage(listener().loaded)
    file = write(tmp_path / "two.wav", np.stack([noise(0.5, rate=8000)] * 2, 1), 8000)
    said = stage.scene(stage.open(str(file)))["sound"]["said"]
    assert any("2 channels were mixed to one" in one for one in said)
    assert any("resampled from 8,000 to 16,000 a second" in one for one in said)
    with pytest.raises(InvalidData, match="cannot be read"):
        stage.open(str(tmp_path / "none.wav"))


@pytest.mark.parametrize("served", [True, False], ids=["served", "one file"])
def test_a_frame_looks_and_the_cursor_follows(page: Page, tmp_path: Path, served: bool) -> None:
    stage, file = Stage(listener().loaded), sounded(1.0)
    hostile = tmp_path / "<img src=x onerror=window.hit=1>.wav"
    shutil.copyfile(file, hostile)
    number = stage.open(str(hostile))
    weights = stage.weights(number, 1)
    html = tmp_path / "page.html"
    html.write_text(alone(stage)[0], encoding="utf-8")
    with Shown(stage) as root:
        page.goto(f"{root if served else html.as_uri()}#layer=1&head=2")
        page.get_by_text("encoder layer 2, head 3: the frame at 0.00 s").wait_for()
        page.get_by_text("Each frame hears 22 ms of the wave, and the next one begins 20 ms later").wait_for()
        track = page.get_by_role("slider", name="The frame that looks")
        assert page.locator(".strip-name").all_inner_texts() == [
            "the wave",
            "what the frame looks at",
            "the same in every layer, 2 (top) to 1",
        ]
        assert page.get_by_role("button", name="pieces of words").count() == 0
        box = track.bounding_box()
        track.hover(position={"x": box["width"] * 20.5 / 49, "y": 60})
        page.get_by_text("the frame at 0.40 s").wait_for()
        track.click(position={"x": box["width"] * 20.5 / 49, "y": 60})
        until(page, "location.hash.includes('pin=20')")
        best = int(weights[2, 20].argmax())
        caption = page.locator(".caption")
        assert f"looks at {best * 0.02:.2f} s" in caption.inner_text()
        assert f"{100 * weights[2, 20, best]:.1f} %" in caption.inner_text()
        track.focus()
        page.keyboard.press("ArrowRight")
        page.get_by_text("the frame at 0.42 s").wait_for()
        assert track.get_attribute("aria-valuetext").startswith("0.42 s")
        page.keyboard.press("Escape")
        until(page, "!location.hash.includes('pin')")
        page.keyboard.press("Home")
        page.keyboard.press("Escape")
        until(page, "document.querySelector('audio').duration === 1")
        page.evaluate("document.querySelector('audio').currentTime = 0; document.querySelector('audio').volume = 0")
        page.keyboard.press(" ")  # plays, and no frame is pinned: the frame that looks goes along
        until(page, "document.querySelector('audio').ended")
        page.wait_for_timeout(300)
        last = float(page.evaluate("document.querySelector('.cursor').style.left").removesuffix("px"))
        assert last == pytest.approx(page.evaluate("document.querySelector('.track').clientWidth"), rel=0.05)
        assert float(track.get_attribute("aria-valuenow")) > 10
        assert page.evaluate("window.hit") is None
        assert page.locator("img").count() == 0


def test_half_a_minute_is_looked_at_within_its_budget(page: Page) -> None:
    stage = Stage(listener().loaded)
    number = stage.open(str(sounded(30.02)))
    told = stage.scene(number)
    assert told["layers"][0]["shape"][1:] == (1500, 1500)
    sent: list[int] = []
    page.on("response", lambda answer: sent.append(int(answer.headers.get("content-length", 0))))
    with Shown(stage) as root:
        page.goto(f"{root}#head=1")
        page.get_by_text("the frame at 0.00 s").wait_for()
        until(page, "document.querySelector('.letters span') !== null && document.querySelector('audio') !== null")
        assert sum(sent) < 6_000_000
        shares = page.evaluate("document.querySelectorAll('.track canvas').length")
        assert shares == 4
        begun = time.monotonic()
        page.evaluate("location.hash = 'head=1&pin=700'")
        page.get_by_text("the frame at 14.00 s").wait_for()
        assert time.monotonic() - begun < 2.0
        row = stage.looked(number, 0, [700], False)
        assert len(row) == 2 * 4 * 1500 * 4  # never a square
        assert page.locator(".track").bounding_box()["width"] >= 4 * 1500
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.get_by_role("tab", name="Matrix").click()
        page.locator("canvas.matrix").hover(position={"x": 300, "y": 300})
        page.locator(".caption", has_text="→").wait_for()
        assert max(sent) == 4 * 1500 * 1500  # one head at a time
