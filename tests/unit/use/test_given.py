"""What a person hands to a verb in Python: pictures and sounds as they lie in memory, and what is no input at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from transept.errors import InvalidData, UsageError
from transept.use.loaded import Loaded, load
from unit.use.made import TEXTS, theirs
from unit.use.test_see import model_in
from unit.use.test_transcribe import RATE, listener, noise, write

__all__ = ["listener"]  # a fixture


@pytest.fixture(scope="module")
def looker(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return model_in(tmp_path_factory.mktemp("vit"), "vit")


def test_a_picture_is_the_same_from_everywhere(looker: Loaded, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    wanted = looker.see(tmp_path / "a.png").scores
    for given in (str(tmp_path / "a.png"), image, pixels, torch.from_numpy(pixels).permute(2, 0, 1)):
        assert looker.see(given).scores == wanted
        assert [label.scores for label in looker.see([given, given])] == [pytest.approx(wanted, rel=1e-5)] * 2
    opaque = np.dstack([pixels, np.full((20, 24), 255, np.uint8)])
    assert looker.see(opaque).scores == wanted, "what is behind an opaque picture is not seen"
    grey = looker.see(pixels[..., 0]).scores
    assert looker.see(pixels[..., :1]).scores == looker.see(Image.fromarray(pixels[..., 0])).scores == grey
    ready = torch.from_numpy(looker.demand_preparation().apply(image))
    assert looker.see(ready).scores == looker.see(ready.numpy()).scores == wanted
    assert looker.see(ready.double()).scores == wanted
    assert len(looker.see(np.stack([pixels] * 3))) == len(looker.see(torch.stack([ready] * 3))) == 3


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (None, UsageError, "picture 1 must be a path, an image of Pillow, an array or a tensor, and is None"),
        ([None], UsageError, "picture 1 must be a path.* and is None"),
        (b"GIF", UsageError, "and is of type bytes"),
        (3, UsageError, "and is of type int"),
        (np.zeros((4, 4, 7), np.uint8), InvalidData, r"picture 1 is \(4, 4, 7\) of uint8, which is no picture"),
        (np.zeros((0, 4, 3), np.uint8), InvalidData, "which is no picture"),
        (np.zeros((4, 4, 3), np.int64), InvalidData, r"of int64\n  Pixels are uint8"),
        (np.zeros((32, 32, 3), np.float32), InvalidData, r"\(32, 32, 3\), not \(channels, height, width\) with 3"),
        (np.full((3, 32, 32), np.nan, np.float32), InvalidData, "not finite"),
        (np.array(["a"]), InvalidData, r"picture 1 is \(1,\) of <U1"),
    ],
)
def test_what_is_no_picture_is_named(looker: Loaded, given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        looker.see(given)


def test_a_sound_is_the_same_from_everywhere(listener: Loaded, tmp_path: Path) -> None:
    file = write(tmp_path / "a.wav", np.round(noise(0.5) * 2**15) / 2**15)
    samples = np.round(noise(0.5) * 2**15) / 2**15
    wanted = listener.transcribe(file)
    for given in (samples, samples.astype(np.float32), torch.from_numpy(samples)):
        found = listener.transcribe(given, rate=RATE)
        assert (found, found.seconds) == (wanted, 0.5)
    assert listener.transcribe([samples, samples], rate=RATE) == [wanted] * 2
    with pytest.warns(UserWarning, match="sound 1: resampled from 8,000 to 16,000"):
        listener.transcribe(samples, rate=8000, resample=True)
    with pytest.raises(InvalidData, match="sound 1: 8,000 samples a second"):
        listener.transcribe(samples, rate=8000)
    with pytest.raises(UsageError, match="a file says its own rate"):
        listener.transcribe(file, rate=RATE)


@pytest.mark.parametrize(
    ("given", "rate", "kind", "message"),
    [
        (None, RATE, UsageError, "sound 1 must be a path, an array or a tensor, and is None"),
        (b"RIFF", RATE, UsageError, "and is of type bytes"),
        ([0.1, 0.2], RATE, UsageError, "sound 1 must be .* and is of type float"),
        (np.zeros(800), None, UsageError, r"rate is None.*\n.*rate=16000"),
        (np.zeros(800), 0, UsageError, "rate is 0"),
        (np.zeros((800, 2)), RATE, InvalidData, r"sound 1 is \(800, 2\) of float64, not \(samples,\)"),
        (np.zeros(800, np.int16), RATE, InvalidData, r"of int16, .*\n.*int16 divided by 32768"),
        (np.full(800, np.inf), RATE, InvalidData, "samples that are not finite"),
    ],
)
def test_what_is_no_sound_is_named(
    listener: Loaded, given: Any, rate: int | None, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        listener.transcribe(given, rate=rate)


BAD: tuple[Any, ...] = (None, b"the cat", 3, [None], ["a", b"b"], {"a": "b"}, [["a"]], Path("a"))


@pytest.mark.parametrize("given", BAD, ids=repr)
def test_what_is_no_text_is_named(given: Any) -> None:
    named = "None|of type (bytes|int|dict|list|PosixPath)"
    for verb, architecture in (
        ("fill", "BertForMaskedLM"),
        ("classify", "BertForSequenceClassification"),
        ("embed", "BertModel"),
        ("generate", "GPT2LMHeadModel"),
        ("tag", "BertForTokenClassification"),
    ):
        with pytest.raises(UsageError, match=named):
            getattr(load(theirs(architecture)), verb)(given)
    squad = load(theirs("BertForQuestionAnswering"))
    with pytest.raises(UsageError, match=f"question.*({named})"):
        squad.answer(given, TEXTS[0])
    with pytest.raises(UsageError, match=f"context.*({named})"):
        squad.answer("who?", given)


def test_texts_may_come_in_any_row() -> None:
    model = load(theirs("BertForSequenceClassification"))
    wanted = model.classify(TEXTS)
    assert model.classify(tuple(TEXTS)) == model.classify(iter(TEXTS)) == model.classify(np.array(TEXTS)) == wanted
    assert model.classify([list(TEXTS[:2])]) == [model.classify((TEXTS[0], TEXTS[1]))]


@pytest.mark.parametrize(
    ("verb", "architecture", "words", "message"),
    [
        ("fill", "BertForMaskedLM", {"count": 0}, "count must be a whole number from 1 on, not 0"),
        ("fill", "BertForMaskedLM", {"count": "x"}, "count must be a whole number from 1 on, not 'x'"),
        ("generate", "GPT2LMHeadModel", {"max_tokens": "3"}, "max_tokens must be a whole number from 0 on"),
        ("generate", "GPT2LMHeadModel", {"until": 3}, "a stop string is a str, .* of type int"),
        ("generate", "GPT2LMHeadModel", {"until": [None]}, "stop string 1 must be a str, and is None"),
        ("generate", "GPT2LMHeadModel", {"num_beams": 3}, "no search setting 'num_beams'. It is called beam"),
        ("generate", "GPT2LMHeadModel", {"max_new_tokens": 3}, "It is called max_tokens"),
        ("embed", "BertModel", {"pool": 3}, "there is no pooling '3'"),
    ],
)
def test_words_beside_a_text_are_named_where_they_are_wrong(
    verb: str, architecture: str, words: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        getattr(load(theirs(architecture)), verb)("a [MASK]", **words)


def test_a_stream_has_one_prompt() -> None:
    model = load(theirs("GPT2LMHeadModel"))
    assert model.generate("a", until=None, max_tokens=2) == model.generate("a", max_tokens=2)
    for prompt in (["a"], None):
        with pytest.raises(UsageError, match="the prompt of a stream must be a str"):
            model.stream(prompt)  # type: ignore[arg-type]


def test_what_is_loaded_and_how_is_named_where_it_is_wrong() -> None:
    root = theirs("BertModel")
    for directory in (None, 3, b"a"):
        with pytest.raises(UsageError, match="a model is a directory or a name at the hub, and this is"):
            load(directory)  # type: ignore[arg-type]
    for dtype in ("half-ish", "int8", torch.int8, 3):
        with pytest.raises(UsageError, match=r"dtype is .*\n.*float32, float16 or bfloat16"):
            load(root, dtype=dtype)  # type: ignore[arg-type]
    assert next(load(root, dtype="bfloat16").model.parameters()).dtype == torch.bfloat16
    with pytest.raises(UsageError, match="there is no device 'None'"):
        load(root, device=None)  # type: ignore[arg-type]
    assert load(root, device=torch.device("cpu")).model.device.type == "cpu"


def test_an_empty_stop_string_is_refused() -> None:
    model = load(theirs("GPT2LMHeadModel"))
    for until in ("", ["x", ""]):
        with pytest.raises(UsageError, match="an empty stop string stands everywhere"):
            model.generate("the cat", until=until)
        with pytest.raises(UsageError, match="an empty stop string"):
            model.stream("the cat", until=until)


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"max_tokens": 3}, "extra"),
        ({"max_ratio": 0.0, "max_extra": 30, "max_whole": 7}, "whole"),
        ({"max_tokens": 400}, "positions"),
    ],
)
def test_it_is_known_which_length_ended_a_text(settings: dict[str, Any], limit: str) -> None:
    model = load(theirs("GPT2LMHeadModel"))
    for method in ("greedy", "beam"):
        found = model.generate("the cat", method=method, **settings)
        assert (found.finish, found.limit) == ("length", limit)
    pieces = model.stream("the cat", method="greedy", **settings)
    list(pieces)
    assert pieces.answer is not None
    assert pieces.answer.limit == limit
    stopped = model.generate("the cat", until=str(model.generate("the cat", max_tokens=3))[-1:], max_tokens=3)
    assert (stopped.finish, stopped.limit) == ("stop", None)
