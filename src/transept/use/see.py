"""Seeing: the class of a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from transept.data.pictures import read_picture
from transept.errors import InvalidConfig, InvalidData
from transept.hub.processor import PREPARED
from transept.inputs.seen import Seen
from transept.models import ModelLayer, Seq2Seq
from transept.use.classify import Label, labelled

if TYPE_CHECKING:
    from transept.use.opened import Opened

TOGETHER = 16  # pictures of one size in a batch

Picture = str | Path | Tensor


@torch.inference_mode()
def see(loaded: "Opened", pictures: Sequence[Picture]) -> list[Label]:
    """The label of each picture. See `Loaded.see`."""
    loaded.demand("see")
    model = loaded.model
    assert isinstance(model, ModelLayer)
    values = [picture if isinstance(picture, Tensor) else prepared(loaded, Path(picture)) for picture in pictures]
    for i, value in enumerate(values):
        if value.dim() != 3:
            raise InvalidData(f"picture {i + 1} is {tuple(value.shape)}, not (channels, height, width)")
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


def prepared(loaded: "Opened", path: Path) -> Tensor:
    """The numbers of a picture file, as the model's preprocessor_config.json wants them."""
    spec = loaded.spec
    entry = spec.source if isinstance(spec, Seq2Seq) else getattr(spec, "embed", None)
    assert isinstance(entry, Seen)
    how = loaded.demand_preparation()
    if how.mean is not None and len(how.mean) != entry.channels:
        raise InvalidConfig(
            f"image_mean has {len(how.mean)} numbers, and the model sees pictures of {entry.channels} channels",
            where=loaded.path / PREPARED,
            remedy="Give image_mean and image_std a number for each channel.",
        )
    return torch.from_numpy(how.apply(read_picture(path, entry.channels)))
