"""What a person may hand to a verb in Python: named in the error where it is something else."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.data.pictures import read_picture, upright
from transept.data.sound import Sound, read_sound
from transept.errors import InvalidData, Nth, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture: TypeAlias = str | Path | Image | NDArray[Any] | Tensor
else:  # Pillow is loaded where a picture is read
    Picture: TypeAlias = str | Path | NDArray[Any] | Tensor

Heard: TypeAlias = str | Path | NDArray[Any] | Tensor

SAMPLES = "Give it as real numbers between -1 and 1, one channel: int16 divided by 32768, or the mean of two channels."
PIXELS = "Pixels are uint8: (height, width, channels) of NumPy, (channels, height, width) of torch."


def named(given: object) -> str:
    """A value of the wrong kind, in words."""
    return "None" if given is None else f"of type {type(given).__name__}"


def texts(given: object, what: str = "text") -> list[str]:
    """One text, or several, as a list. UsageError names what is no text, and its place among others."""
    if isinstance(given, str):
        return [given]
    remedy = "Decode it: given.decode()." if isinstance(given, bytes) else None
    if not isinstance(given, Iterable) or isinstance(given, bytes | Mapping):
        raise UsageError(f"a {what} is a str, or several are a list of them; this is {named(given)}", remedy=remedy)
    found: list[Any] = list(given)
    for number, one in enumerate(found, 1):
        if not isinstance(one, str):
            raise UsageError(f"must be a str, and is {named(one)}", nth=Nth(what, number))
    return found


def text(given: object, what: str) -> str:
    """One text. UsageError says what it must be, where it is none."""
    if not isinstance(given, str):
        raise UsageError(f"{what} must be a str, and is {named(given)}")
    return given


def whole(given: object, what: str, least: int = 1) -> int:
    """A whole number of at least `least`. UsageError names what is none."""
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise UsageError(f"{what} must be a whole number from {least} on, not {given!r:.40}")
    return given


def rows(given: object) -> list[str | tuple[str, str]]:
    """Texts, or pairs of texts, as a list. UsageError names what is neither."""
    if not isinstance(given, Iterable) or isinstance(given, bytes | Mapping):
        return list(texts(given))
    found: list[Any] = list(given)
    for number, one in enumerate(found, 1):
        pair = isinstance(one, tuple | list) and len(one) == 2 and all(isinstance(each, str) for each in one)
        if not isinstance(one, str) and not pair:
            raise UsageError(f"must be a str or a pair of them, and is {named(one)}", nth=Nth("text", number))
    return [one if isinstance(one, str) else (one[0], one[1]) for one in found]


# ------------------------------------------------------------------ pictures


def is_image(given: object) -> "TypeGuard[Image]":
    """Whether something is a picture of Pillow's, which is loaded only where one was made."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(given, pillow.Image)


def is_picture(given: object) -> bool:
    """Whether something is one picture, and not several."""
    if isinstance(given, np.ndarray | Tensor):
        return given.ndim < 4
    return isinstance(given, str | bytes | Path) or is_image(given) or not isinstance(given, Iterable)


def seen(given: object, number: int, channels: int) -> "Image | Tensor":
    """A picture that is to be prepared, or one that is: a tensor or an array of real numbers (channels, height, width).

    `number` is its place among others. UsageError says what is no picture, InvalidData which shape none has.
    """
    if isinstance(given, str | Path):
        return read_picture(Path(given), channels)
    if is_image(given):
        return upright(given, channels)
    nth = Nth("picture", number)
    if not isinstance(given, np.ndarray | Tensor):
        raise UsageError(f"must be a path, an image of Pillow, an array or a tensor, and is {named(given)}", nth=nth)
    shape = f"is {tuple(given.shape)}"
    if isinstance(given, Tensor) and given.dtype == torch.uint8 and given.dim() == 3:
        given = given.permute(1, 2, 0).cpu().numpy()
    if isinstance(given, np.ndarray) and given.dtype == np.uint8:
        pixels = given[..., 0] if given.ndim == 3 and given.shape[2] == 1 else given
        if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)) or not pixels.size:
            raise InvalidData(f"{shape} of uint8, which is no picture", nth=nth, remedy=PIXELS)
        from PIL import Image

        return upright(Image.fromarray(np.ascontiguousarray(pixels)), channels)
    value = _real(given)
    if value is None:
        raise InvalidData(f"{shape} of {given.dtype}", nth=nth, remedy=f"{PIXELS} Real numbers are prepared already.")
    if value.dim() != 3 or len(value) != channels:
        raise InvalidData(f"{shape}, not (channels, height, width) with {channels} channels", nth=nth, remedy=PIXELS)
    if not value.isfinite().all():
        raise InvalidData("has values that are not finite", nth=nth)
    return value.float()


def _real(given: NDArray[Any] | Tensor) -> Tensor | None:
    """The same as a tensor of real numbers; None where it has others."""
    if isinstance(given, np.ndarray):
        return torch.from_numpy(np.array(given, given.dtype.newbyteorder("="))) if given.dtype.kind == "f" else None
    return given if given.is_floating_point() else None


# ------------------------------------------------------------------ sound


def is_sound(given: object) -> bool:
    """Whether something is one sound, and not several."""
    return isinstance(given, str | bytes | Path | np.ndarray | Tensor) or not isinstance(given, Iterable)


def heard(given: object, rate: int | None, number: int) -> Sound:
    """The sound of a file, or of samples (N,) with their rate. `number` is its place among others.

    UsageError says what is no sound, InvalidData what is none by its shape, its type or its numbers.
    """
    if isinstance(given, str | Path):
        if rate is not None:
            raise UsageError("a file says its own rate", remedy="Leave rate out.")
        return read_sound(Path(given))
    nth = Nth("sound", number)
    if not isinstance(given, np.ndarray | Tensor):
        raise UsageError(f"must be a path, an array or a tensor, and is {named(given)}", nth=nth)
    value = _real(given)
    if value is None or value.dim() != 1:
        raise InvalidData(f"is {tuple(given.shape)} of {given.dtype}, not (samples,)", nth=nth, remedy=SAMPLES)
    if not value.isfinite().all():
        raise InvalidData("has samples that are not finite", nth=nth)
    if type(rate) is not int or rate < 1:
        raise UsageError(
            f"rate is {rate!r:.40}, and samples without a file need one",
            remedy="Say how many there are in a second: rate=16000.",
        )
    return Sound(value.detach().float().cpu().numpy()[:, None], rate)
