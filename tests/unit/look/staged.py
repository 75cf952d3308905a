"""Stages of tiny models for the tests of the page."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from transept.decode.config import Search
from transept.hub.directory import save
from transept.look.stage import Stage
from transept.use.loaded import load
from unit.hub.made import model, tokenizer
from unit.use.made import theirs
from unit.use.test_see import model_in

_ROOM = TemporaryDirectory()
TEXT = "the cat sat on the mat."


@cache
def translator() -> Stage:
    root = Path(_ROOM.name) / "translator"
    save(root, model(), tokenizer=tokenizer(), generation=Search(beam=3, max_ratio=0.0, max_extra=12))
    return Stage(load(root))


@cache
def writer() -> Stage:
    return Stage(load(theirs("GPT2LMHeadModel")))


@cache
def filler() -> Stage:
    return Stage(load(theirs("BertForMaskedLM")))


@cache
def seer() -> tuple[Stage, Path]:
    picture = Path(_ROOM.name) / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(picture)
    return Stage(model_in(Path(_ROOM.name) / "vit", "vit")), picture
