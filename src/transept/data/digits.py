"""Pictures of real handwritten digits on a grid, and the words that read them in order.

A picture has a few digits in cells of a grid, each moved a little within its cell; the text reads them row by row, from
left to right: `3 left of 7 above 2` is a 3, to the right of it a 7 in the same row, and a 2 in a row further down.
"""

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transept.data.config import Grid, Split
from transept.data.lines import read_bytes
from transept.data.pictures import Floats, Preparation
from transept.errors import InvalidData, TranseptError

Bytes = NDArray[np.uint8]

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
WHOLE, HALF = 28, 14  # pixels of a digit as it was written, and of one whose squares of 2 x 2 pixels became one
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
HELD_OUT = 12  # one digit in so many is of the validation's pictures, and one of the test's
BESIDE, BELOW = "left of", "above"


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: images (N, 28, 28) of 0 to 255, and what each is."""

    images: Bytes
    labels: Bytes
    files: tuple[Path, ...]

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()


def read_digits(folder: Path) -> Digits:
    """The digits of MNIST's two training files, gzipped or not. Raises InvalidData with the file and what is wrong."""
    images, labels = (_found(folder, name) for name in (IMAGES, LABELS))
    found = Digits(read_idx(images), read_idx(labels), (images, labels))
    if found.images.shape[1:] != (WHOLE, WHOLE):
        raise InvalidData(f"these images are {found.images.shape[1:]}, not {WHOLE} x {WHOLE} pixels", where=images)
    if found.labels.shape != found.images.shape[:1]:
        raise InvalidData(f"{len(found.images):,} images and {len(found.labels):,} labels", where=labels)
    if found.labels.max(initial=0) > 9:
        raise InvalidData(f"a label is {found.labels.max()}, and digits are 0 to 9", where=labels)
    return found


def read_idx(path: Path) -> Bytes:
    """The bytes of an IDX file as the array that its head describes (yann.lecun.com/exdb/mnist)."""
    raw = read_bytes(path)
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != 8:
        raise InvalidData("this is no IDX file of bytes", where=path, remedy="MNIST's own files are.")
    count = raw[3]
    head = 4 + 4 * count
    shape = struct.unpack(f">{count}I", raw[4:head]) if len(raw) >= head else ()
    if not shape or len(raw) - head != np.prod(shape, dtype=np.int64):
        raise InvalidData(
            f"its head tells of {shape}, and {max(len(raw) - head, 0):,} bytes follow",
            where=path,
            remedy="Copy it again.",
        )
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape)


def _found(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InvalidData(
        f"neither {name} nor {name}.gz is there", where=folder, remedy="data.dir is the folder of MNIST's files."
    )


@dataclass(frozen=True)
class Layout:
    """What stands on a picture: the number of each digit, its cell, and its top left corner in pixels, row by row."""

    digits: list[int]
    cells: list[int]
    corners: list[tuple[int, int]]


class Grids:
    """The pictures of a split, each a function of the digits, the settings and its number alone."""

    def __init__(self, digits: Digits, grid: Grid, split: Split) -> None:
        self.digits, self.grid, self.split, self.files = digits, grid, split, digits.files
        self.own = own_digits(digits, grid.seed, split)
        self.size = WHOLE if grid.cell >= WHOLE else HALF
        self.layouts = [self._layout(row) for row in range(getattr(grid, split))]
        self.texts = [self._text(layout) for layout in self.layouts]

    @classmethod
    def read(cls, folder: Path, grid: Grid, split: Split) -> "Grids":
        return cls(read_digits(folder), grid, split)

    def __len__(self) -> int:
        return len(self.layouts)

    @property
    def pixels(self) -> int:
        """The side of a picture."""
        return self.grid.side * self.grid.cell

    def _layout(self, row: int) -> Layout:
        grid, draws = self.grid, np.random.default_rng([self.grid.seed, SPLITS.index(self.split), row])
        count = int(draws.integers(grid.least, grid.most + 1))
        cells = sorted(draws.choice(grid.side**2, count, replace=False).tolist())
        moved = draws.integers(0, grid.cell - self.size + 1, (count, 2)).tolist()
        corners = [
            (cell // grid.side * grid.cell + down, cell % grid.side * grid.cell + right)
            for cell, (down, right) in zip(cells, moved, strict=True)
        ]
        return Layout(self.own[draws.integers(0, len(self.own), count)].tolist(), cells, corners)

    def _text(self, layout: Layout) -> str:
        rows = [cell // self.grid.side for cell in layout.cells]
        words = [str(self.digits.labels[layout.digits[0]])]
        for i in range(1, len(rows)):
            words += [BESIDE if rows[i] == rows[i - 1] else BELOW, str(self.digits.labels[layout.digits[i]])]
        return " ".join(words)

    def pixels_of(self, row: int) -> Bytes:
        """A picture as grey values, (H, W)."""
        made, size = np.zeros((self.pixels, self.pixels), np.uint8), self.size
        layout = self.layouts[row]
        for digit, (top, left) in zip(layout.digits, layout.corners, strict=True):
            image = self.digits.images[digit]
            if size == HALF:
                image = image.reshape(HALF, 2, HALF, 2).mean((1, 3)).round().astype(np.uint8)
            made[top : top + size, left : left + size] = image
        return made

    def picture(self, row: int, preparation: Preparation, channels: int) -> Floats:
        """The numbers of a picture, (C, H, W)."""
        try:
            from PIL import Image
        except ImportError:
            raise TranseptError(
                "pictures are prepared by Pillow", remedy="Install it: pip install 'transept[images]'"
            ) from None
        return preparation.apply(Image.fromarray(self.pixels_of(row)).convert("RGB" if channels == 3 else "L"))

    def where(self, row: int) -> str:
        """Which picture, for messages."""
        return f"picture {row} of {self.split}"

    def identity(self, row: int) -> int:
        """What tells one picture from another."""
        return row

    def cells(self, row: int) -> list[tuple[int, tuple[float, float, float, float]]] | None:
        """For each word that names a digit its number in the text, and its cell: top, left, bottom and right, in shares
        of the picture."""
        found, word, side = [], 0, self.grid.side
        layout = self.layouts[row]
        rows = [cell // side for cell in layout.cells]
        for i, cell in enumerate(layout.cells):
            if i:
                word += 1 + len((BESIDE if rows[i] == rows[i - 1] else BELOW).split())
            top, left = cell // side / side, cell % side / side
            found.append((word, (top, left, top + 1 / side, left + 1 / side)))
        return found

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that the pictures come from."""
        return hashlib.sha256(f"{self.digits.fingerprint} {self.grid!r} {self.split}".encode()).hexdigest()


def own_digits(digits: Digits, seed: int, split: Split) -> NDArray[np.int64]:
    """The numbers of the digits of a split, in an order of their own: no digit is of two splits."""
    order = np.random.default_rng(seed).permutation(len(digits.labels))
    share = len(order) // HELD_OUT
    parts = {"valid": order[:share], "test": order[share : 2 * share], "train": order[2 * share :]}
    if not len(parts[split]):
        raise InvalidData(
            f"{len(order)} digits are too few for three splits",
            where=digits.files[0],
            remedy=f"Give {HELD_OUT} or more.",
        )
    return parts[split]
