"""Seeing: the class of a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transept.errors import InvalidConfig
from transept.hub.processor import PREPARED
from transept.inputs.seen import Seen
from transept.models import ModelLayer, Seq2Seq
from transept.use.classify import Label, labelled
from transept.use.given import seen

if TYPE_CHECKING:
    from transept.use.opened import Opened

TOGETHER = 16  # pictures of one size in a batch


@torch.inference_mode()
def see(loaded: "Opened", pictures: Sequence[object]) -> list[Label]:
    """The label of each picture. See `Loaded.see`."""
    loaded.demand("see")
    model = loaded.model
    assert isinstance(model, ModelLayer)
    values = [prepared(loaded, picture, number) for number, picture in enumerate(pictures, 1)]
    scores: dict[int, Tensor] = {}
    training = model.training
    model.train(False)
    try:
        for batch in batches([tuple(value.shape) for value in values]):
            inputs = torch.stack([values[i] for i in batch]).to(model.device)
            states, entered = model.hidden(inputs)
            scores |= dict(zip(batch, model.head(states, entered).float().cpu(), strict=True))
    finally:
        model.train(training)
    return labelled(loaded, [scores[i] for i in range(len(values))])


def batches(shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Pictures of one shape together, some at a time."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, shape in enumerate(shapes):
        alike.setdefault(shape, []).append(i)
    return [rows[at : at + TOGETHER] for rows in alike.values() for at in range(0, len(rows), TOGETHER)]


def prepared(loaded: "Opened", picture: object, number: int) -> Tensor:
    """The numbers of a picture, as the model's preprocessor_config.json wants them, where it is not prepared already.

    `number` is its place among others.
    """
    spec = loaded.spec
    entry = spec.source if isinstance(spec, Seq2Seq) else getattr(spec, "embed", None)
    assert isinstance(entry, Seen)
    found = seen(picture, number, entry.channels)
    if isinstance(found, Tensor):
        return found
    how = loaded.demand_preparation()
    if how.mean is not None and len(how.mean) != entry.channels:
        raise InvalidConfig(
            f"image_mean has {len(how.mean)} numbers, and the model sees pictures of {entry.channels} channels",
            where=loaded.path / PREPARED,
            remedy="Give image_mean and image_std a number for each channel.",
        )
    return torch.from_numpy(how.apply(found))
