"""Hearing: sound files as a model takes them, and the class of a whole sound."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transept.data.sound import normalised, resampled
from transept.errors import InvalidData
from transept.models import ModelLayer
from transept.use.classify import Label, labelled
from transept.use.given import heard

if TYPE_CHECKING:
    from transept.use.opened import Opened

Say = Callable[[str], None]


@torch.inference_mode()
def hear(loaded: "Opened", sounds: Sequence[object], rate: int | None, resample: bool, say: Say) -> list[Label]:
    """The label of each sound. See `Loaded.hear`."""
    loaded.demand("hear")
    scores = []
    with answering(loaded) as model:
        for number, given in enumerate(sounds, 1):
            samples, _ = listened(loaded, given, rate, number, resample, say)
            states, entered = model.hidden(samples[None].to(model.device))
            scores.append(model.head(states, entered)[0].float().cpu())
    return labelled(loaded, scores)


@contextmanager
def answering(loaded: "Opened") -> Iterator[ModelLayer]:
    """The model without dropout; it is left as it was."""
    model = loaded.model
    assert isinstance(model, ModelLayer)
    training = model.training
    model.train(False)
    try:
        yield model
    finally:
        model.train(training)


def listened(
    loaded: "Opened", given: object, rate: int | None, number: int, resample: bool, say: Say
) -> tuple[Tensor, float]:
    """The samples of a sound as the model's preprocessor_config.json wants them, (N,), and how many seconds they are.

    `number` is its place among others.
    """
    hears, sound = loaded.demand_hearing(), heard(given, rate, number)
    path = given if isinstance(given, str | Path) else f"sound {number}"
    samples = sound.mono()
    if sound.samples.shape[1] > 1:
        say(f"{path}: {sound.samples.shape[1]} channels were mixed to one")
    if sound.rate != hears.rate:
        if not resample:
            raise InvalidData(
                f"{sound.rate:,} samples a second, and the model listens to {hears.rate:,}",
                where=path,
                remedy="Let it be changed by {option}, or change the file.",
                option="resample=True",
            )
        samples = resampled(samples, sound.rate, hears.rate)
        say(f"{path}: resampled from {sound.rate:,} to {hears.rate:,} a second")
    return torch.from_numpy(normalised(samples) if hears.normalise else samples), sound.seconds
