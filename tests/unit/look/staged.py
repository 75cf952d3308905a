"""Stages of tiny models for the tests of the page."""

import json
import wave
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from transept.decode.config import Search
from transept.hub.directory import save
from transept.look.stage import Stage
from transept.use.loaded import load
from unit.hub.made import model, tokenizer
from unit.use.made import shaken, theirs
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


@cache
def listener() -> Stage:
    """A model that writes down sound, with frames of 20 ms."""
    root = Path(_ROOM.name) / "listener"
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHRDLUC'"]
    config = Wav2Vec2Config(
        vocab_size=len(letters),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        conv_dim=(16, 16, 16, 16),
        conv_stride=(5, 4, 4, 4),
        conv_kernel=(10, 8, 4, 4),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    shaken(Wav2Vec2ForCTC(config), scale=0.4).save_pretrained(root)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(root)
    (root / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    said = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "word_delimiter_token": "|", "do_lower_case": False}
    (root / "tokenizer_config.json").write_text(json.dumps(names | said))
    return Stage(load(root))


@cache
def sounded(seconds: float) -> Path:
    """A file of some noise, 16,000 samples a second."""
    path = Path(_ROOM.name) / f"{seconds}.wav"
    values = np.random.default_rng(0).integers(-9000, 9000, int(16_000 * seconds)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(values.tobytes())
    return path
