"""Sounds as a model hears them: at its rate, one channel, changed while it trains, normed, padded to a batch.

Shapes: B sounds, N samples.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.data.config_senses import Perturb
from transept.data.listing import Listing, Say
from transept.data.sound import Floats, length_of, normalised, read_sound, resampled
from transept.errors import InvalidData

KEPT = 2 << 30  # bytes of samples that are kept in memory; of more, each is read again
HALF_STRENGTH = 0.005  # seconds on either side of a sample, over which its strength is measured
HALF_WINDOW = 0.0125  # seconds: longer than a wave of the deepest voice

Draws = np.random.Generator


class Waves:
    """The sounds of a listing at one rate. What was done to them is said once: rates, channels."""

    def __init__(self, listing: Listing, rate: int, normalise: bool, least: int, say: Say) -> None:
        self.listing, self.rate, self.normalise = listing, rate, normalise
        self.lengths = self._measured(least, say)
        self._kept: dict[int, Floats] | None = {} if int(self.lengths.sum()) * 4 <= KEPT else None

    def __len__(self) -> int:
        return len(self.listing)

    def _measured(self, least: int, say: Say) -> NDArray[np.int64]:
        """The samples of each at the model's rate."""
        rates, mixed, lengths = dict[int, int](), 0, np.empty(len(self.listing), np.int64)
        for row, name in enumerate(self.listing.names):
            where, shown = self.listing.store.where(name), self.listing.where(row)
            with self.listing.open(row) as file:
                samples, rate, channels = length_of(where, file)
            if rate < 1:
                raise InvalidData(f"{rate} samples a second are no sound", where=self.listing.where(row))
            lengths[row] = -(-samples * self.rate // rate)
            if lengths[row] < least:
                raise InvalidData(
                    f"{samples:,} samples at {rate:,} a second; a frame of this model takes {least:,} at {self.rate:,}",
                    where=shown if shown == where else f"{shown}, {where}",
                    remedy="Take the sound out, or add silence.",
                )
            rates[rate] = rates.get(rate, 0) + 1
            mixed += channels > 1
        for rate, count in sorted(rates.items()):
            if rate != self.rate:
                say(
                    f"{self.listing.source}: {count:,} sounds of {rate:,} samples a second are resampled to"
                    f" {self.rate:,} (data.rate)"
                )
        if mixed:
            say(f"{self.listing.source}: {mixed:,} sounds of several channels are mixed to one")
        return lengths

    def samples(self, row: int) -> Floats:
        """A sound at the model's rate, (N,), not yet normed."""
        if self._kept is not None and row in self._kept:
            return self._kept[row]
        with self.listing.open(row) as file:
            sound = read_sound(self.listing.store.where(self.listing.names[row]), file)
        found = sound.mono()
        if sound.rate != self.rate:
            found = resampled(found, sound.rate, self.rate)
        if self._kept is not None:
            self._kept[row] = found
        return found

    def batch(
        self, rows: Sequence[int], perturb: Perturb | None = None, draws: Draws | None = None, least: Sequence[int] = ()
    ) -> tuple[Tensor, Tensor]:
        """Sounds side by side, (B, N) float32, padded with zeros on the right, and what is real of them, (B, N) bool.

        They are changed where `perturb` and `draws` are given, but keep at least `least` samples each.
        """
        found = [self.samples(row) for row in rows]
        if perturb is not None and draws is not None:
            most = least or [1] * len(found)
            found = [perturbed(one, perturb, self.rate, draws, few) for one, few in zip(found, most, strict=True)]
        found = [normalised(one) for one in found] if self.normalise else found
        lengths = np.array([len(one) for one in found])
        waves = np.zeros((len(found), int(lengths.max())), np.float32)
        for wave, one in zip(waves, found, strict=True):
            wave[: len(one)] = one
        valid = torch.from_numpy(np.arange(waves.shape[1]) < lengths[:, None])
        return torch.from_numpy(waves), valid


def perturbed(samples: Floats, how: Perturb, rate: int, draws: Draws, least: int = 1) -> Floats:
    """A sound without its ends, at another speed and tempo, tilted, filtered, with noise, silence before it; it keeps
    at least `least` samples.
    """
    if how.trim:
        samples = trimmed(samples, how.trim * draws.random(), how.trim * draws.random(), rate, least)
    if how.speed:
        samples = sped(samples, 1 + how.speed * draws.uniform(-1, 1), least)
    if how.tempo:
        samples = stretched(samples, 1 + how.tempo * draws.uniform(-1, 1), rate, least)
    if how.tilt:
        samples = samples + np.float32(how.tilt * draws.uniform(-1, 1)) * np.pad(samples[:-1], (1, 0))
    if how.bands:
        samples = filtered(samples, how.bands, draws)
    if how.noise:
        strength = how.noise * draws.random() * float(samples.std())
        samples = samples + np.float32(strength) * draws.standard_normal(len(samples), np.float32)
    if how.shift:
        samples = np.pad(samples, (int(how.shift * draws.random() * rate), 0))
    return samples


def trimmed(samples: Floats, before: float, after: float, rate: int, least: int = 1) -> Floats:
    """A sound without what is quieter at its beginning than a share `before` of its loudest, and `after` at its end;
    not below `least` samples.
    """
    half = max(round(HALF_STRENGTH * rate), 1)
    sums, at = np.cumsum(np.pad(samples.astype(np.float64) ** 2, (1, 0))), np.arange(len(samples))
    left, right = np.maximum(at - half, 0), np.minimum(at + half, len(samples))
    strength = np.sqrt((sums[right] - sums[left]) / (right - left))
    first = int((strength >= before * strength.max()).argmax())
    last = len(strength) - int((strength[::-1] >= after * strength.max()).argmax())
    return samples[first:last] if last - first >= least else samples


def filtered(samples: Floats, most: float, draws: Draws) -> Floats:
    """A sound whose tones are stronger or weaker by up to `most` decibels: straight lines between three to six places
    among the frequencies, each with a gain of its own, beside both ends (FilterAugment: Nam et al. 2022).
    """
    places = np.sort(np.concatenate([[0.0, 1.0], draws.random(draws.integers(1, 5))]))
    gains = draws.uniform(-most, most, len(places))
    waves = np.fft.rfft(samples)
    decibels = np.interp(np.linspace(0, 1, len(waves)), places, gains)
    found: Floats = np.fft.irfft(waves * 10 ** (decibels / 20), len(samples)).astype(np.float32)
    return found


def sped(samples: Floats, factor: float, least: int = 1) -> Floats:
    """So many times as fast, pitch and all; not below `least` samples.

    The spectrum is cut, or has zeros put to it: straight lines between samples would take away what is high, which no
    sound that is only listened to lacks.
    """
    count = max(round(len(samples) / factor), least)
    found: Floats = (np.fft.irfft(np.fft.rfft(samples), count) * (count / len(samples))).astype(np.float32)
    return found


def stretched(samples: Floats, factor: float, rate: int, least: int = 1) -> Floats:
    """So many times as fast at the same pitch, of `rate` samples a second; not below `least` samples.

    Windows of the sound overlap by half. Each is taken near the place where it would begin, where it is most like what
    followed the last one (WSOLA: Verhelst and Roelands 1993).
    """
    hop = max(round(HALF_WINDOW * rate), 1)
    count = max(round(len(samples) / factor), least)
    padded = np.pad(samples, (hop, 3 * hop))  # place p of the sound is p + hop here
    strength = np.sqrt(np.convolve(padded.astype(np.float64) ** 2, np.ones(2 * hop), "valid") + 1e-12)
    weights = np.sin(np.pi * (np.arange(2 * hop) + 0.5) / (2 * hop)) ** 2  # two that overlap sum to 1
    made, at = np.zeros(count + 3 * hop), 0
    for start in range(0, count + hop, hop):
        if start:
            follows = padded[min(at + hop, len(strength) - 1) :][: 2 * hop]
            first = min(round((start - hop) * len(samples) / count), len(samples))  # a hop before its own place
            alike = (
                np.correlate(padded[first : first + 4 * hop], follows, "valid") / strength[first : first + 2 * hop + 1]
            )
            alike[hop] += 1e-6  # in silence all are alike
            at = first + int(alike.argmax())
        made[start : start + 2 * hop] += weights * padded[at : at + 2 * hop]
    found: Floats = made[hop : hop + count].astype(np.float32)
    return found


def longest_of(
    lengths: NDArray[np.int64], perturb: Perturb, rate: int, frames: Callable[[int], int]
) -> NDArray[np.int32]:
    """The most frames that each sound can have while training."""
    most = lengths / (1 - perturb.speed) / (1 - perturb.tempo) + perturb.shift * rate + 2
    return np.array([frames(int(samples)) for samples in np.ceil(most)], np.int32)
