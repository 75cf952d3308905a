"""Files as MNIST's, of ten shapes that a tiny network tells apart at once."""

import gzip
import struct
from pathlib import Path

import numpy as np


def write_digits(folder: Path, count: int = 240, packed: bool = True) -> Path:
    """So many digits in two IDX files: digit d is a bar across, whose place is d, and one down in the upper half."""
    draws = np.random.default_rng(0)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[2 * label + 4 : 2 * label + 6, 4:24] = draws.integers(200, 256)
        image[4:14, 2 * label + 4] = 255
    for name, content in (
        ("train-images-idx3-ubyte", struct.pack(">4I", 2051, count, 28, 28) + images.tobytes()),
        ("train-labels-idx1-ubyte", struct.pack(">2I", 2049, count) + labels.tobytes()),
    ):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder
