"""Transcription: speech written down, by the best letter at every frame or the likeliest text of all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch

from transept.data.sound import normalised, resampled
from transept.decode.ctc import best_path, best_text
from transept.errors import InvalidData, UsageError
from transept.heads.letters import Letters
from transept.models import ModelLayer
from transept.use.given import heard
from transept.use.reading import demand_tokenizer

if TYPE_CHECKING:
    from transept.use.opened import Opened


class Transcript(str):
    """What was said. It is its own text; `seconds` is how long the sound is."""

    __slots__ = ("seconds",)

    seconds: float

    @classmethod
    def of(cls, text: str, seconds: float) -> Self:
        """A text that took so long to say."""
        made = cls(text)
        made.seconds = seconds
        return made


@torch.inference_mode()
def transcribe(
    loaded: "Opened",
    sounds: Sequence[object],
    rate: int | None,
    resample: bool,
    beam: int,
    say: Callable[[str], None],
) -> list[Transcript]:
    """What is said in each sound. See `Loaded.transcribe`."""
    if beam < 1:
        raise UsageError(f"a beam of {beam} keeps nothing; it is 1 or more")
    loaded.demand("transcribe")
    tokenizer, hears, model = demand_tokenizer(loaded), loaded.demand_hearing(), loaded.model
    assert isinstance(model, ModelLayer)
    head = model.spec.head
    assert isinstance(head, Letters)
    found = []
    training = model.training
    model.train(False)
    try:
        for number, given in enumerate(sounds, 1):
            sound, path = heard(given, rate, number), given if isinstance(given, str | Path) else f"sound {number}"
            samples = sound.mono()
            if sound.samples.shape[1] > 1:
                say(f"{path}: {sound.samples.shape[1]} channels were mixed to one")
            if sound.rate != hears.rate:
                if not resample:
                    raise InvalidData(
                        f"{sound.rate:,} samples a second, and the model listens to {hears.rate:,}",
                        where=path,
                        remedy="Let it be changed by --resample (resample=True), or change the file.",
                    )
                samples = resampled(samples, sound.rate, hears.rate)
                say(f"{path}: resampled from {sound.rate:,} to {hears.rate:,} a second")
            samples = normalised(samples) if hears.normalise else samples
            # Alone: what stands beside a sound in a batch is padding, and sounds differ much in length.
            states, entered = model.hidden(torch.from_numpy(samples)[None].to(model.device))
            scores = model.head(states, entered).float()
            if beam > 1:
                letters, _ = best_text(scores[0].log_softmax(-1), beam, head.blank)
            else:
                (letters,) = best_path(scores, entered.valid, head.blank)
            found.append(Transcript.of(tokenizer.decode(letters), sound.seconds))
    finally:
        model.train(training)
    return found
