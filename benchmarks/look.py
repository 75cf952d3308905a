"""How fast the page of `transept look` is: a real browser, without a screen, looks at a model of BERT-base's shape.

Each figure stands beside what is to be reached: the first view after the model's pass, in seconds and in bytes; what a
word takes to be told while the pointer goes over 512 of them; how many pictures a second a map of 2,048 by 2,048 has
while it is dragged; and the first two again of half a minute of sound, in a model of wav2vec 2.0's base shape. Weights
are fresh: how long an attention takes to be shown does not hang on what it learned.
"""

from __future__ import annotations

import argparse
import json
import shutil
import threading
import time
import wave
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import peers
import torch

from transept.look.server import Server
from transept.look.stage import Stage
from transept.use.loaded import load

WORDS = 512  # tokens of the first two figures
LONG = 2048  # of the third
SOON, SMALL, QUICK, SMOOTH = 1.0, 6e6, 100.0, 30.0  # seconds, bytes, milliseconds, pictures a second
VIEW = {"width": 1280, "height": 800}
SECONDS, RATE = 30, 16_000  # of the sound
HOVERED = 40  # words that the pointer goes over
DRAGGED = 90  # moves of the pointer

# A move of the pointer in each frame, as a hand that never rests; the frames that were shown, and for how long.
DRAG = """(many) => new Promise((done) => {
  const canvas = document.querySelector("canvas.matrix");
  const box = canvas.getBoundingClientRect();
  const times = [];
  const step = (now) => {
    times.push(now);
    if (times.length > many) return done(times);
    const turn = times.length / 12;
    const at = { clientX: box.x + box.width / 2 + 150 * Math.sin(turn), clientY: box.y + 300 + 150 * Math.cos(turn) };
    canvas.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, pointerId: 1, ...at }));
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""
# From the pointer's arrival to the sentence below, and the frame after it.
HOVER = """() => {
  window.took = [];
  let from = null;
  document.addEventListener("pointerenter", (event) => {
    if (event.target.classList?.contains("token")) from = performance.now();
  }, true);
  document.querySelector(".track")?.addEventListener("pointermove", () => (from = performance.now()), true);
  new MutationObserver(() => {
    const began = from;
    from = null;
    if (began !== null) requestAnimationFrame(() => setTimeout(() => window.took.push(performance.now() - began)));
  }).observe(document.querySelector(".caption"), { childList: true, characterData: true, subtree: true });
}"""


def stage_of(folder: Path, tokens: int, depth: int) -> Stage:
    """A fresh BERT of base's width and heads, and one scene of that many tokens."""
    import tokenizers
    import transformers

    words = [f"word{number}" for number in range(997)]
    vocabulary = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    backend.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    signs = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    named = {f"{name}_token": sign for name, sign in signs.items()}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), max_position_embeddings=tokens, num_hidden_layers=depth
    )
    torch.manual_seed(0)
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **named).save_pretrained(folder)
    stage = Stage(load(folder))
    stage.open(" ".join(words[at % len(words)] for at in range(tokens - 2)))
    return stage


def sound_of(folder: Path, depth: int) -> Stage:
    """A fresh wav2vec 2.0 of base's width and heads, and one scene of half a minute of noise: 1,499 frames."""
    import transformers

    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHRDLUC'"]
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(vocab_size=len(letters), num_hidden_layers=depth, pad_token_id=0)
    transformers.Wav2Vec2ForCTC(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({letter: at for at, letter in enumerate(letters)}))
    signs = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    kind = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "word_delimiter_token": "|", "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(signs | kind))
    noise = (torch.randn(SECONDS * RATE) * 4000).clamp(-32768, 32767).to(torch.int16)
    with wave.open(str(folder / "noise.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(noise.numpy().tobytes())
    stage = Stage(load(folder))
    stage.open(str(folder / "noise.wav"))
    return stage


class Shown:
    """A stage on a server, and a browser's page that counts what it is sent."""

    def __init__(self, stage: Stage, browser: Any) -> None:
        self.server, self.sent = Server(stage), 0
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.page = browser.new_page(viewport=VIEW)
        self.page.on("response", self._count)

    def _count(self, response: Any) -> None:
        self.sent += int(response.headers.get("content-length", 0))

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()
        self.server.shutdown()
        self.server.server_close()

    def opened(self, view: str = "") -> float:
        """Seconds until there is something to be seen."""
        begun = time.perf_counter()
        self.page.goto(f"{self.server.address}#{view}")
        self.page.locator(".held canvas[width], .caption:not(:empty), .slot .bar i[style]").first.wait_for(
            state="attached"
        )
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        return time.perf_counter() - begun


def first_view(stage: Stage, browser: Any, view: str = "") -> tuple[float, float]:
    """Seconds, and megabytes."""
    with Shown(stage, browser) as shown:
        took = shown.opened(view)
        shown.page.wait_for_load_state("networkidle")
        return took, shown.sent / 1e6


def hover(stage: Stage, browser: Any) -> float:
    """Milliseconds that a word or a frame takes, the median of those that the pointer goes over."""
    with Shown(stage, browser) as shown:
        shown.opened()
        shown.page.evaluate(HOVER)
        words = shown.page.locator(".asking .token").all()
        track = None if words else shown.page.locator(".track").bounding_box()
        for at in range(20, 20 + HOVERED):
            box = track | {"x": track["x"] + 12 * at, "width": 2} if track else words[at].bounding_box()
            before = len(shown.page.evaluate("window.took"))
            shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            end = time.monotonic() + 10
            while len(shown.page.evaluate("window.took")) == before:
                assert time.monotonic() < end, "the page told nothing of a word"
                time.sleep(0.01)
        return float(median(shown.page.evaluate("window.took")))


def drag(stage: Stage, browser: Any) -> float:
    """Pictures a second, while a map that was zoomed into is dragged."""
    with Shown(stage, browser) as shown:
        shown.opened("view=matrix&head=0")
        canvas = shown.page.locator("canvas.matrix")
        box = canvas.bounding_box()
        shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 300)
        for _ in range(3):
            shown.page.mouse.wheel(0, -200)
        shown.page.mouse.down()
        times = shown.page.evaluate(DRAG, DRAGGED)
        shown.page.mouse.up()
        return DRAGGED / (times[-1] - times[0]) * 1000


def chromium() -> str:
    """Where the browser is. SystemExit where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        raise SystemExit("there is no Chromium on the path")
    return found


def measured(rounds: int) -> dict[str, tuple[float, float, str]]:
    """Each figure as its median, what is to be reached, and its unit."""
    from playwright.sync_api import sync_playwright

    with TemporaryDirectory() as room, sync_playwright() as told:
        wide, long = stage_of(Path(room) / "wide", WORDS, 12), stage_of(Path(room) / "long", LONG, 1)
        browser = told.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        views = [first_view(wide, browser) for _ in range(rounds)]
        heads = [first_view(wide, browser, "view=heads") for _ in range(rounds)]
        hovers = [hover(wide, browser) for _ in range(rounds)]
        drags = [drag(long, browser) for _ in range(rounds)]
        heard = sound_of(Path(room) / "sound", 12)
        sounds = [first_view(heard, browser) for _ in range(rounds)]
        frames = [hover(heard, browser) for _ in range(rounds)]
        browser.close()
    return {
        "first view": (median(took for took, _ in views), SOON, "s"),
        "first view, sent": (median(sent for _, sent in views), SMALL / 1e6, "MB"),
        "all heads, first ones": (median(took for took, _ in heads), SOON, "s"),
        "a word under the pointer": (median(hovers), QUICK, "ms"),
        "a map that is dragged": (median(drags), SMOOTH, "pictures/s"),
        "half a minute of sound": (median(took for took, _ in sounds), SOON, "s"),
        "half a minute, sent": (median(sent for _, sent in sounds), SMALL / 1e6, "MB"),
        "a frame under the pointer": (median(frames), QUICK, "ms"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one line of JSON for each figure")
    asked = parser.parse_args()
    there = peers.machine()
    for name, (value, wanted, unit) in measured(asked.rounds).items():
        reached = value >= wanted if unit == "pictures/s" else value <= wanted
        if asked.json:
            row = {"what": name, "value": value, "unit": unit, "to reach": wanted, "reached": reached}
            print(json.dumps(row | {"machine": there}))
        else:
            print(f"{name:26} {value:8.2f} {unit:11} to reach {wanted:g}: {'reached' if reached else 'missed'}")
    if not asked.json:
        print(peers.described(there))


if __name__ == "__main__":
    main()
