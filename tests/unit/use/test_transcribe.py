"""`transcribe`: speech as Hugging Face's automatic-speech-recognition writes it down; files, rates, channels."""

import json
import struct
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC, pipeline

from transept.data.sound import normalised, read_sound, resampled
from transept.errors import InvalidData, UsageError
from transept.use.loaded import Loaded, load
from unit.use.made import shaken

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOINSHRDLUC'"]
RATE = 16_000


def write(path: Path, samples: np.ndarray, rate: int = RATE, width: int = 2) -> Path:
    """PCM of a width in bytes; samples (N,) or (N, channels) between -1 and 1."""
    values = np.clip(np.round(samples * 2 ** (8 * width - 1)), -(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1)
    if width == 1:
        raw = (values + 128).astype(np.uint8).tobytes()
    elif width == 3:
        raw = values.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()
    else:
        raw = values.astype(f"<i{width}").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(raw)
    return path


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * rate))


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    root = tmp_path_factory.mktemp("wav2vec2")
    config = Wav2Vec2Config(
        vocab_size=len(LETTERS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        conv_dim=(16, 16, 16),
        conv_stride=(5, 4, 4),
        conv_kernel=(10, 8, 4),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    shaken(Wav2Vec2ForCTC(config), scale=0.4).save_pretrained(root)
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(root)
    (root / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(LETTERS)}))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    said = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "word_delimiter_token": "|", "do_lower_case": False}
    (root / "tokenizer_config.json").write_text(json.dumps(names | said))
    return load(root)


def test_texts_are_hugging_faces(listener: Loaded, tmp_path: Path) -> None:
    assert listener.verbs == ("transcribe",)
    pipe = pipeline("automatic-speech-recognition", model=str(listener.path))
    files = [write(tmp_path / f"{i}.wav", noise(seconds, i)) for i, seconds in enumerate((0.4, 1.0, 0.7))]
    found = listener.transcribe(files)
    for file, ours in zip(files, found, strict=True):
        samples = read_sound(file).mono()
        wanted = pipe({"raw": samples, "sampling_rate": RATE})["text"]
        assert ours == wanted
        assert ours.seconds == pytest.approx(len(samples) / RATE)
        assert listener.transcribe(str(file)) == ours
    assert any("<s>" in one for one in found), "what a frame was heard as is said, whatever it is"


@pytest.mark.parametrize(("width", "error"), [(1, 1 / 128), (2, 1 / 2**15), (3, 1 / 2**23), (4, 1 / 2**31)])
def test_pcm_of_every_width(tmp_path: Path, width: int, error: float) -> None:
    samples = np.stack([noise(0.01), noise(0.01, 1)], 1)
    sound = read_sound(write(tmp_path / "a.wav", samples, 8000, width))
    assert (sound.rate, sound.samples.shape) == (8000, (160, 2))
    np.testing.assert_allclose(sound.samples, samples, atol=error + 1e-7, rtol=0)
    assert sound.seconds == 0.02
    np.testing.assert_allclose(sound.mono(), samples.mean(1), atol=error + 1e-7, rtol=0)


def test_another_rate_is_refused_unless_it_may_be_changed(listener: Loaded, tmp_path: Path) -> None:
    file = write(tmp_path / "a.wav", noise(0.5, rate=44_100), 44_100)
    with pytest.raises(
        InvalidData, match=r"44,100 samples a second, and the model listens to 16,000\n.*by resample=True"
    ):
        listener.transcribe(file)
    with pytest.warns(UserWarning, match="resampled from 44,100 to 16,000"):
        listener.transcribe(file, resample=True)
    told: list[str] = []
    listener.transcribe(write(tmp_path / "b.wav", np.stack([noise(0.5)] * 2, 1)), say=told.append)
    assert told == [f"{tmp_path / 'b.wav'}: 2 channels were mixed to one"]


def test_a_beam_finds_a_likelier_text(listener: Loaded, tmp_path: Path) -> None:
    """By torch's own sum over all ways to spell it, of what is left of a text without the spaces around it."""
    files = [write(tmp_path / f"{i}.wav", noise(0.12, i)) for i in range(4)]

    def likely(file: Path, text: str) -> float:
        samples = torch.from_numpy(normalised(read_sound(file).mono()))[None]
        with torch.no_grad():
            logs = listener.model(samples).logits.log_softmax(-1).transpose(0, 1)
        ids = torch.tensor([listener.tokenizer.encode(text)])
        return -float(torch.nn.functional.ctc_loss(logs, ids, [len(logs)], [ids.size(1)], reduction="sum"))

    paths, texts = listener.transcribe(files), listener.transcribe(files, beam=30)
    better = [likely(file, b) - likely(file, a) for file, a, b in zip(files, paths, texts, strict=True)]
    assert sum(better) > 0.1
    assert listener.transcribe(files, beam=1) == paths != texts
    with pytest.raises(UsageError, match="a beam of 0 keeps nothing"):
        listener.transcribe(files, beam=0)


@pytest.mark.parametrize(("rate", "to"), [(44_100, 16_000), (8_000, 16_000), (48_000, 16_000), (16_000, 22_050)])
def test_what_both_rates_can_hold_stays_and_what_they_cannot_goes(rate: int, to: int) -> None:
    at, then = np.arange(rate) / rate, np.arange(to) / to
    for tone, kept in ((440.0, True), (3_000.0, True), (0.6 * to, False)):
        if tone >= rate / 2:
            continue
        found = resampled(np.sin(2 * np.pi * tone * at).astype(np.float32), rate, to)
        assert len(found) == to
        inside = slice(to // 10, -to // 10)
        wanted = np.sin(2 * np.pi * tone * then) if kept else np.zeros(to)
        np.testing.assert_allclose(found[inside], wanted[inside], atol=0.02, rtol=0)
    silence = resampled(np.ones(rate // 2, np.float32), rate, to)
    np.testing.assert_allclose(silence[to // 10 : -to // 10], 1.0, atol=0.01, rtol=0)


@pytest.mark.parametrize(("rate", "to"), [(44_101, 16_000), (16_000, 22_051), (7, 3), (3, 7), (5, 5), (48_000, 1)])
def test_every_sample_is_the_sum_that_the_definition_says(rate: int, to: int) -> None:
    """Rates without anything in common have another filter for every sample."""
    samples = np.random.default_rng(0).uniform(-1, 1, 211).astype(np.float32)
    band = min(1, to / rate) * 0.95
    wanted = []
    for number in range(-(-len(samples) * to // rate)):
        t = np.clip((np.arange(len(samples)) - number * rate / to) * band, -16, 16)
        wanted.append((samples * np.sinc(t) * np.cos(t * np.pi / 32) ** 2 * band).sum())
    np.testing.assert_allclose(resampled(samples, rate, to), wanted, atol=1e-6, rtol=0)
    assert resampled(samples[:0], rate, to).shape == (0,)


def test_odd_rates_take_no_time() -> None:
    began = time.process_time()
    assert len(resampled(np.zeros(44_101, np.float32), 44_101, 16_000)) == 16_000
    assert time.process_time() - began < 5.0  # a quarter of a second; it was minutes


def header(rate: int = RATE, bits: int = 16, data: bytes = bytes(8)) -> bytes:
    """A .wav file by hand."""
    form = struct.pack("<HHIIHH", 1, 1, rate, rate * bits // 8, bits // 8, bits)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", len(data)) + data
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(rate=0), "a.wav: 0 samples a second of 16 bits are no sound\n  Write the file again"),
        (header(bits=40, data=bytes(10)), "a.wav: 16000 samples a second of 40 bits are no sound"),
        (b"", "a.wav: the file is empty\n  Write or copy the file again"),
        (header()[:-1], "a.wav: truncated: it holds 3 of the 4 samples that its head tells of"),
        (header(data=bytes(800))[:-400], "a.wav: truncated: it holds 200 of the 400 samples"),
    ],
)
def test_headers_that_are_no_sounds(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InvalidData, match=message):
        read_sound(tmp_path / "a.wav")


def test_what_is_refused(listener: Loaded, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"ID3 no sound at all")
    with pytest.raises(InvalidData, match=r"a.mp3: (no PCM .wav file|the sound cannot be read)"):
        listener.transcribe(tmp_path / "a.mp3")
    with pytest.raises(InvalidData, match="gone.wav: cannot be read: No such file"):
        listener.transcribe(tmp_path / "gone.wav")
    with pytest.raises(InvalidData, match="are too short for a frame"):
        listener.transcribe(write(tmp_path / "short.wav", noise(0.002)))
    with pytest.raises(UsageError, match=r"cannot generate: it is an encoder that reads sound[\s\S]*It can transcribe"):
        listener.generate("a")
