"""Pictures as a model takes them: read by Pillow, and brought to the size, the range and the mean that it knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from transept.errors import InvalidData, TranseptError

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes numbers, in this order; what is None is not done.

    `size` (height, width) to scale to, or the `shortest` side; `crop` (height, width) from the middle; `scale` by which
    the 256 values are multiplied; then (x - `mean`) / `std`, for each channel. `resample` is Pillow's number of a
    filter.
    """

    size: tuple[int, int] | None = None
    shortest: int | None = None
    crop: tuple[int, int] | None = None
    resample: int = 2
    scale: float | None = 1 / 255
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def apply(self, picture: "Image") -> Floats:
        """The numbers of a picture, (channels, height, width)."""
        return self.numbers(self.pixels(picture))

    def pixels(self, picture: "Image") -> NDArray[np.uint8]:
        """A picture at the size that the model takes, (height, width, channels), of 0 to 255."""
        width, height = picture.size
        to = self.size
        if self.shortest is not None:
            short = min(width, height)
            to = (int(self.shortest * height / short), int(self.shortest * width / short))
        if to is not None:
            picture = picture.resize((to[1], to[0]), self.resample)
        values = np.asarray(picture, np.uint8)
        values = values[..., None] if values.ndim == 2 else values
        return values if self.crop is None else _middle(values, self.crop)

    def numbers(self, pixels: NDArray[np.uint8]) -> Floats:
        """What the model takes of pixels (..., height, width, channels): (..., channels, height, width)."""
        values: Floats = pixels.astype(np.float32)
        if self.scale is not None:
            values = values * np.float32(self.scale)
        if self.mean is not None and self.std is not None:
            mean, std = (np.array(numbers, np.float32) for numbers in (self.mean, self.std))
            values = np.divide(values - mean, std, dtype=np.float32)
        return np.ascontiguousarray(np.moveaxis(values, -1, -3))


def upright(picture: "Image", channels: int = 3) -> "Image":
    """A picture in its right orientation, in colours or in shades of grey."""
    from PIL import ImageOps

    turned: Image = ImageOps.exif_transpose(picture)
    return turned.convert("RGB" if channels == 3 else "L")


def read_picture(path: Path | str, channels: int = 3, file: BinaryIO | None = None) -> "Image":
    """A picture of a file, as `upright` has it. InvalidData where it is none.

    `file` holds it where it lies in an archive; `path` is then what messages call it.
    """
    with _opened(path, file) as opened:
        return upright(opened, channels)


def demand_picture(path: Path | str, file: BinaryIO) -> None:
    """Refuse a file that does not begin as a picture, of which no more is read: InvalidData."""
    with _opened(path, file):
        pass


@contextmanager
def _opened(path: Path | str, file: BinaryIO | None) -> Iterator["Image"]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise TranseptError(
            "pictures are read by Pillow", remedy="Install it: pip install 'transept[images]'"
        ) from None
    try:
        with Image.open(path if file is None else file) as opened:
            yield opened
    except UnidentifiedImageError:
        raise InvalidData(
            "this is no picture that Pillow reads", where=path, remedy="Write or copy the file again, or take it out."
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidData(
            f"the picture cannot be read: {getattr(error, 'strerror', None) or error}", where=path
        ) from None


def _middle(values: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The middle of a picture (H, W, C)."""
    top, left = (values.shape[0] - size[0]) // 2, (values.shape[1] - size[1]) // 2
    if top < 0 or left < 0:
        raise InvalidData(
            f"a picture of {values.shape[0]} x {values.shape[1]} pixels has no {size[0]} x {size[1]} in it"
        )
    return values[top : top + size[0], left : left + size[1]]
