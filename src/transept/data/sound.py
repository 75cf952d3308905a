"""Sound as a model takes it: samples of one channel at its rate, read by the standard library or by soundfile."""

import math
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from transept.errors import InvalidData

Floats = NDArray[np.float32]

ZEROS = 16  # crossings of the sinc that the filter keeps on either side
ROLLOFF = 0.95  # how much of the band below half the lower rate is kept
TOGETHER = 2**20  # weights of the filter that are in memory at once


@dataclass(frozen=True)
class Sound:
    """Samples between -1 and 1, (N, channels), so many of them a second."""

    samples: Floats
    rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate

    def mono(self) -> Floats:
        """The mean of the channels, (N,)."""
        mean: Floats = self.samples.mean(1, dtype=np.float32)
        return mean


def read_sound(path: Path | str, file: BinaryIO | None = None) -> Sound:
    """The sound of a file: PCM .wav always, what soundfile reads where that is installed.

    `file` holds it where it lies in an archive; `path` is then what messages call it. InvalidData where it is neither.
    """
    try:
        return _wave(path, file)
    except (wave.Error, EOFError) as error:
        if _is_empty(path, file):
            raise InvalidData("the file is empty", where=path, remedy="Write or copy the file again.") from None
        return _by_soundfile(path, str(error) or "it ends within its head", file)
    except OSError as error:
        raise InvalidData(f"cannot be read: {error.strerror}", where=path) from None


def length_of(path: str, file: BinaryIO) -> tuple[int, int, int]:
    """(samples, samples a second, channels) of a sound file: of a .wav by its head alone."""
    try:
        with wave.open(file, "rb") as sound:
            return sound.getnframes(), sound.getframerate(), sound.getnchannels()
    except (wave.Error, EOFError):
        file.seek(0)
        found = read_sound(path, file)
        return len(found.samples), found.rate, found.samples.shape[1]


def _wave(path: Path | str, opened: BinaryIO | None) -> Sound:
    with wave.open(str(path) if opened is None else opened, "rb") as file:
        channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
        told, raw = file.getnframes(), file.readframes(file.getnframes())
    if rate < 1 or width > 4:
        raise InvalidData(
            f"{rate} samples a second of {8 * width} bits are no sound", where=path, remedy="Write the file again."
        )
    if len(raw) < told * width * channels:
        raise InvalidData(
            f"truncated: it holds {len(raw) // (width * channels):,} of the {told:,} samples that its head tells of",
            where=path,
            remedy="Write or copy the file again.",
        )
    if width == 1:  # the only width without a sign
        values = np.frombuffer(raw, np.uint8).astype(np.float32) - 128.0
    elif width == 3:
        parts = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
        values = ((parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) >> 8).astype(np.float32)
    else:
        values = np.frombuffer(raw, f"<i{width}").astype(np.float32)
    return Sound((values / np.float32(2 ** (8 * width - 1))).reshape(-1, channels), rate)


def _is_empty(path: Path | str, file: BinaryIO | None) -> bool:
    if file is None:
        return not Path(path).stat().st_size
    file.seek(0)
    return not file.read(1)


def _by_soundfile(path: Path | str, why: str, file: BinaryIO | None) -> Sound:
    try:
        import soundfile
    except ImportError:
        raise InvalidData(
            f"no PCM .wav file: {why}",
            where=path,
            remedy="Other kinds are read by soundfile: pip install 'transept[audio]'.",
        ) from None
    module: Any = soundfile
    try:
        if file is not None:
            file.seek(0)
        samples, rate = module.read(str(path) if file is None else file, dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:  # soundfile's own error is a RuntimeError
        raise InvalidData(f"the sound cannot be read: {error}", where=path) from None
    return Sound(samples, int(rate))


def resampled(samples: Floats, rate: int, to: int) -> Floats:
    """The samples (N,) at another rate: what lies above half the lower rate is filtered away.

    A sinc in a window of half a cosine squared, at each of the places that a sample can have between two (Smith,
    Digital Audio Resampling).
    """
    if not len(samples):
        return samples.astype(np.float32)
    shared = math.gcd(rate, to)
    old, new = rate // shared, to // shared
    band = min(1, new / old) * ROLLOFF
    reach = math.ceil(ZEROS / band)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples.astype(np.float64), reach), 2 * reach + 1)
    near, out = np.arange(-reach, reach + 1), np.empty(math.ceil(len(samples) * new / old), np.float32)
    step = max(1, TOGETHER // len(near))
    for first in range(0, len(out), step):
        before, part = divmod(np.arange(first, min(first + step, len(out))) * old, new)
        places, which = np.unique(part, return_inverse=True)  # few of them where the rates have much in common
        t = np.clip((near - places[:, None] / new) * band, -ZEROS, ZEROS)
        kernels = np.sinc(t) * np.cos(t * np.pi / ZEROS / 2) ** 2 * band
        out[first : first + step] = np.einsum("nk,nk->n", windows[before], kernels[which])
    return out


def normalised(samples: Floats) -> Floats:
    """Mean 0 and variance 1 (wav2vec 2.0's feature extractor)."""
    if not len(samples):
        return samples
    made: Floats = (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(1e-7))
    return made
