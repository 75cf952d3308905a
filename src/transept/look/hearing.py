"""A sound made ready to be looked at: as the model heard it, with the letters of each frame."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from transept.heads.letters import Letters
from transept.inputs.waveform import Waveform
from transept.models import Model
from transept.use.explain import seconds_of
from transept.use.hear import listened
from transept.use.reading import demand_tokenizer

if TYPE_CHECKING:
    from transept.use.loaded import Loaded


@dataclass(frozen=True)
class Heard:
    """`samples` (N,) as the model takes them, `rate` a second; each frame hears `width` seconds of them, and is `step`
    seconds after the one before.

    `spell` is the text of one letter, None where the model has none; `said` is what was done to the file.
    """

    samples: Tensor = field(repr=False)
    rate: int
    width: float
    step: float
    frames: tuple[str, ...]
    spell: Callable[[int], str] | None = None
    blank: int = 0
    said: tuple[str, ...] = ()

    def wav(self) -> bytes:
        """The sound as a file of 16 bits, as loud as it can be: what the model hears has no loudness."""
        loudest = max(float(self.samples.abs().max()), 1e-9)
        numbers = np.rint(self.samples.float().cpu().numpy() * (32767 / loudest)).astype("<i2")
        held = io.BytesIO()
        with wave.open(held, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(numbers.tobytes())
        return held.getvalue()

    def letters(self, scores: Tensor) -> list[list[Any]]:
        """The letters that the best path spells: [text, first frame, frame after the last, probability there].

        scores (F, V); the probability is the largest of the frames. Runs of the blank are left out.
        """
        if self.spell is None:
            return []
        shares, best = scores.float().softmax(-1).max(-1)
        found, at = list[list[Any]](), 0
        for letter, run in groupby(best.tolist()):
            count = len(list(run))
            if letter != self.blank:
                found.append([self.spell(letter), at, at + count, round(float(shares[at : at + count].max()), 6)])
            at += count
        return found

    def told(self, scores: Tensor) -> dict[str, Any]:
        """For the page: everything but the samples."""
        seconds = len(self.samples) / self.rate
        return {
            "seconds": seconds,
            "width": self.width,
            "step": self.step,
            "letters": self.letters(scores),
            "said": self.said,
        }


def heard(loaded: Loaded, path: Path) -> Heard:
    """The sound of a file, made what the model listens to. InvalidData where it is none."""
    said = list[str]()
    samples, _ = listened(loaded, path, None, 1, True, said.append)
    spec, rate = loaded.spec, loaded.demand_hearing().rate
    assert isinstance(spec, Model)
    assert isinstance(spec.embed, Waveform)
    features = spec.embed.features
    width, step = features.least() / rate, prod(features.strides) / rate
    frames = tuple(seconds_of(loaded, samples))
    if not isinstance(spec.head, Letters):
        return Heard(samples, rate, width, step, frames, said=tuple(said))
    tokenizer = demand_tokenizer(loaded)

    def spell(letter: int) -> str:
        name = tokenizer.tokens([letter])[0]
        return name if letter in tokenizer.around else tokenizer.decode([letter]) or " "

    return Heard(samples, rate, width, step, frames, spell, spec.head.blank, tuple(said))
