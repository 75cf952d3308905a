"""Pictures with a class or a number each, from a listing, from IDX files, or from CIFAR-10's binary batches.

Shapes: N pictures, H and W their height and width, C channels.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from transept.data.config import Split
from transept.data.config_senses import LabelledData
from transept.data.digits import read_idx
from transept.data.lines import read_bytes
from transept.data.listing import PICTURES, Listing, Say, place_of, read_listing
from transept.data.pictures import Preparation, demand_picture, read_picture
from transept.errors import InvalidData, TranseptError

if TYPE_CHECKING:
    from PIL.Image import Image

Bytes = NDArray[np.uint8]
Rows = NDArray[np.int64]

KEPT = 2 << 30  # bytes of pictures that are kept in memory; of more, each is read again
LOOKED_AT = 50_000  # files at most that are looked into before anything is trained; of more, so many of them, evenly
CIFAR = "data_batch_{}.bin"
CIFAR_SIDE = 32


@dataclass(frozen=True, eq=False)
class Arrays:
    """Pictures that lie in a few files together: images (N, H, W, C) of 0 to 255, and what is said of each."""

    images: Bytes
    said: Mapping[str, Sequence[str]]
    files: tuple[Path, ...]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def where(self, row: int) -> str:
        """Which picture, for messages."""
        return f"{self.files[0]}: picture {row}"

    def name(self, row: int) -> str:
        return f"picture {row}"

    @cached_property
    def fingerprint(self) -> str:
        hashed = hashlib.sha256(np.ascontiguousarray(self.images).data)
        hashed.update(repr(self.said).encode())
        return hashed.hexdigest()


Pictures = Listing | Arrays


def read_pictures(data: LabelledData, split: Split, say: Say) -> Pictures:
    """The pictures of a split, however they lie there. Raises InvalidConfig and InvalidData with the place, of a file
    too that does not begin as a picture."""
    path = place_of(data, split)
    if path.is_file() and "-idx" in path.name:
        return read_idx_pair(path, say)
    if path.is_dir() and (path / CIFAR.format(1)).exists():
        return read_cifar(path, say)
    found = read_listing(path, data, ["label"], PICTURES, say)
    for row in np.unique(np.linspace(0, len(found) - 1, LOOKED_AT, dtype=np.int64)) if len(found) else ():
        where, shown = found.where(row), found.store.where(found.names[row])
        with found.open(row) as file:
            demand_picture(shown if where == shown else f"{where}, {shown}", file)
    return found


def read_idx_pair(path: Path, say: Say) -> Arrays:
    """The images of an IDX file (N, H, W), and the labels that lie beside it, as MNIST's and its likes."""
    name = path.name.replace("images-idx3", "labels-idx1").removesuffix(".gz")
    if "images-idx3" not in path.name:
        raise InvalidData("an IDX file of pictures is called ...images-idx3...; its labels lie beside it", where=path)
    labels = next((file for file in (path.with_name(name), path.with_name(f"{name}.gz")) if file.is_file()), None)
    if labels is None:
        raise InvalidData(f"its labels are not beside it: neither {name} nor {name}.gz", where=path)
    images, numbers = read_idx(path), read_idx(labels)
    if images.ndim != 3:
        raise InvalidData(f"these are no pictures: {images.shape}", where=path)
    if numbers.shape != images.shape[:1]:
        raise InvalidData(f"{len(images):,} pictures, and labels of {numbers.shape}", where=labels)
    say(f"{path}: IDX, {len(images):,} pictures of {images.shape[1]} x {images.shape[2]}, labels in {labels.name}")
    return Arrays(images[..., None], {"label": list(map(str, numbers.tolist()))}, (path, labels))


def read_cifar(folder: Path, say: Say) -> Arrays:
    """CIFAR-10's binary batches: a byte for the label, then red, green and blue of 32 x 32 pixels, picture by picture
    (cs.toronto.edu/~kriz/cifar.html)."""
    files = tuple(file for i in range(1, 6) if (file := folder / CIFAR.format(i)).is_file())
    whole, images, labels = 1 + 3 * CIFAR_SIDE**2, list[Bytes](), list[str]()
    for file in files:
        raw = np.frombuffer(read_bytes(file), np.uint8)
        if not len(raw) or len(raw) % whole:
            raise InvalidData(f"{len(raw):,} bytes are no whole pictures of {whole:,}", where=file)
        rows = raw.reshape(-1, whole)
        images.append(rows[:, 1:].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE).transpose(0, 2, 3, 1))
        labels += map(str, rows[:, 0].tolist())
    say(f"{folder}: CIFAR's binary batches, {len(labels):,} pictures in {len(files)} files")
    return Arrays(np.concatenate(images), {"label": labels}, files)


class Sights:
    """Pictures as a model sees them, before they are normed: at its size and with its channels, (N, H, W, C)."""

    def __init__(self, pictures: Pictures, preparation: Preparation, channels: int) -> None:
        self.pictures, self.preparation, self.channels = pictures, preparation, channels
        self._kept: Bytes | None = None
        self._there = np.zeros(len(pictures), bool)

    def pixels(self, rows: Sequence[int]) -> Bytes:
        """Some of them, (B, H, W, C); kept in memory, where there is room for all."""
        if isinstance(self.pictures, Arrays) and self._as_they_are(self.pictures):
            whole: Bytes = self.pictures.images[np.asarray(rows)]
            return whole
        found = [self._one(row) for row in rows]
        shapes = {one.shape for one in found}
        if len(shapes) > 1:
            raise InvalidData(
                f"pictures of {len(shapes)} sizes cannot be one batch", where=self.pictures.where(rows[0])
            )
        return np.stack(found)

    def _as_they_are(self, arrays: Arrays) -> bool:
        """Whether nothing need be done to the pixels."""
        how, (height, width, channels) = self.preparation, arrays.images.shape[1:]
        same = how.size == (height, width) or (how.size is None and how.shortest is None)
        return bool(same and how.crop is None and channels == self.channels)

    def _one(self, row: int) -> Bytes:
        if self._kept is not None and self._there[row]:
            kept: Bytes = self._kept[row]
            return kept
        try:
            made = self.preparation.pixels(self._picture(row))
        except InvalidData as error:
            raise InvalidData(**error.fields(where=error.where or self.pictures.where(row))) from None
        if self._kept is None and made.size * len(self.pictures) <= KEPT:
            self._kept = np.empty((len(self.pictures), *made.shape), np.uint8)
        if self._kept is not None and self._kept.shape[1:] == made.shape:
            self._kept[row], self._there[row] = made, True
        return made

    def _picture(self, row: int) -> "Image":
        if isinstance(self.pictures, Listing):
            where = self.pictures.where(row)
            shown = self.pictures.store.where(self.pictures.names[row])
            with self.pictures.open(row) as file:
                return read_picture(shown if where == shown else f"{where}, {shown}", self.channels, file)
        try:
            from PIL import Image
        except ImportError:
            raise TranseptError(
                "pictures are prepared by Pillow", remedy="Install it: pip install 'transept[images]'"
            ) from None
        image = self.pictures.images[row]
        made: Image.Image = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        return made.convert("RGB" if self.channels == 3 else "L")
