"""Arrays that are costly to make, kept in memory-mapped files under a hash of what they were made from."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transept.durable import digest, new_folder
from transept.errors import InvalidConfig

VERSION = 1
Arrays = Mapping[str, NDArray[Any]]


def stored(
    cache: Path, key: str, make: Callable[[], Arrays], fit: Callable[[Arrays], bool], say: Callable[[str], None]
) -> tuple[Arrays, Path | None]:
    """The arrays of a key, mapped: those that are kept under it, else made, and kept; then with the new folder.

    `fit` tells whether arrays belong together. What is torn or not ours is made anew, which one line to `say` tells.
    """
    folder = cache / key[:32]
    if folder.exists():
        try:
            return _open(folder, key, fit), None
        except (OSError, ValueError, KeyError, TypeError) as error:
            say(f"token cache {folder} cannot be used ({error}): made again")
    try:
        _write(folder, key, make())
    except OSError as error:
        raise InvalidConfig(
            f"the token cache cannot be written: {error.strerror}",
            where=folder,
            remedy="Set data.cache to a folder with room that can be written, or to null for none.",
        ) from error
    return _open(folder, key, fit), folder


def _write(folder: Path, key: str, arrays: Arrays) -> None:
    with new_folder(folder) as made:
        for name, array in arrays.items():
            np.save(made / f"{name}.npy", array)
        sums = {f"{name}.npy": digest(made / f"{name}.npy") for name in arrays}
        (made / "manifest.json").write_text(json.dumps({"version": VERSION, "key": key, "sha256": sums}) + "\n")


def _open(folder: Path, key: str, fit: Callable[[Arrays], bool]) -> Arrays:
    """The arrays of a folder, mapped. Raises where it is not whole or not of this key."""
    manifest = json.loads((folder / "manifest.json").read_text())
    if manifest["key"] != key or manifest["version"] != VERSION:
        raise ValueError("it belongs to other data")
    for name, wanted in manifest["sha256"].items():
        if digest(folder / name) != wanted:
            raise ValueError(f"{name} is torn")
    found = {Path(name).stem: np.load(folder / name, mmap_mode="r") for name in manifest["sha256"]}
    if not fit(found):
        raise ValueError("its arrays do not fit together")
    return found
