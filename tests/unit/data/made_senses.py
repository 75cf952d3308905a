"""Tiny pictures and sounds with labels, that a small model tells apart at once."""

import io
import struct
import tarfile
import wave
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (20, 40, 220), "green": (30, 200, 40), "red": (220, 30, 30)}
RATE = 4000


def png(colour: tuple[int, int, int], draws: np.random.Generator, side: int = 12) -> bytes:
    """A picture of a colour, a little noisy."""
    values = np.clip(np.array(colour) + draws.normal(0, 20, (side, side, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "png")
    return file.getvalue()


def write_colours(folder: Path, each: int = 20, where: str = "train") -> Path:
    """A folder for each colour, with so many pictures."""
    draws = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / where / name).mkdir(parents=True)
        for i in range(each):
            (folder / where / name / f"{i:03}.png").write_bytes(png(colour, draws))
    return folder / where


def packed(folder: Path, out: Path) -> Path:
    """What a folder holds as a .zip or a .tar.gz, its own name before each file's."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if out.suffix == ".zip":
        with zipfile.ZipFile(out, "w") as archive:
            for file in files:
                archive.write(file, f"{folder.name}/{file.relative_to(folder)}")
    else:
        with tarfile.open(out, "w:gz") as archive:
            for file in files:
                archive.add(file, f"{folder.name}/{file.relative_to(folder)}")
    return out


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> Path:
    """16-bit PCM of samples between -1 and 1, the same in every channel."""
    values = (np.clip(samples, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(values, channels).tobytes())
    return path


def tone(pitch: float, seconds: float, draws: np.random.Generator, rate: int = RATE) -> np.ndarray:
    """A tone, a little noisy."""
    time = np.arange(int(seconds * rate)) / rate
    return 0.5 * np.sin(2 * np.pi * pitch * time) + 0.02 * draws.standard_normal(len(time))


def write_tones(folder: Path, each: int = 20, speakers: int = 4) -> Path:
    """`a_s0_0.wav` and so on: a is low, b is high; a speaker is a little higher than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(0)
    for text, pitch in (("a", 200.0), ("b", 900.0)):
        for speaker in range(speakers):
            for i in range(each // speakers):
                made = tone(pitch * (1 + 0.03 * speaker), draws.uniform(0.15, 0.25), draws)
                write_wav(folder / f"{text}_s{speaker}_{i}.wav", made)
    return folder


def write_cifar(folder: Path, counts: tuple[int, ...] = (7, 5)) -> list[tuple[int, np.ndarray]]:
    """CIFAR-10's binary batches; the label and the pixels (H, W, C) of each picture."""
    draws, told = np.random.default_rng(0), list[tuple[int, np.ndarray]]()
    for number, count in enumerate(counts, 1):
        raw = b""
        for _ in range(count):
            pixels, label = draws.integers(0, 256, (32, 32, 3)).astype(np.uint8), int(draws.integers(0, 10))
            raw += struct.pack("B", label) + pixels.transpose(2, 0, 1).tobytes()
            told.append((label, pixels))
        (folder / f"data_batch_{number}.bin").write_bytes(raw)
    return told
