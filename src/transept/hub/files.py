"""The files of a model directory that came from somebody else: bare names, regular files, strict JSON."""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from transept.errors import InvalidData

POINTER = b"version https://git-lfs.github.com/spec/"
LARGEST_JSON = 64 * 2**20  # bytes; a shard index of a very large model is about 10 MiB


def member(root: Path, name: str) -> Path:
    """The path of a regular file of this directory.

    A name that leads elsewhere, a link out of the directory, a device and a missing file are refused. Links into the
    `blobs` folder of the same download cache are what such a cache consists of, and are followed.
    """
    if not bare(name):
        raise InvalidData(f"{name!r} is not the name of a file in this directory", where=root)
    path = root / name
    try:
        real = path.resolve(strict=True)
        kind = os.stat(real).st_mode
    except (OSError, ValueError, RuntimeError):
        raise InvalidData(f"{name} is missing", where=root, remedy=present(root)) from None
    if real.parent not in homes(root):
        raise InvalidData(f"{name} is a link to {real}, outside of the model directory", where=root)
    if not stat.S_ISREG(kind):
        raise InvalidData(f"{name} is not a regular file", where=root)
    demand_content(path)
    return path


def demand_content(path: Path) -> None:
    """Refuse a pointer that Git LFS leaves in place of a file which it did not fetch."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise InvalidData(
                "this is a pointer of Git LFS, and not the file itself",
                where=path,
                remedy="Fetch it: `git lfs pull` in that directory, or `transept import OWNER/NAME OUT`.",
            )


def bare(name: str) -> bool:
    """A file name and nothing that leads to another directory."""
    return name not in ("", ".", "..") and not set("/\\\0") & set(name)


def homes(root: Path) -> set[Path]:
    """The directories in which the files of a model directory may really lie."""
    real = root.resolve()
    snapshots = real.parent
    return {real, snapshots.parent / "blobs"} if snapshots.name == "snapshots" else {real}


def present(root: Path) -> str:
    """What a directory holds, for messages."""
    if not root.exists():
        return "There is no such directory."
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"The directory holds {shown}." if names else "The directory is empty."


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Duplicate keys, NaN, infinities and what is no object are refused."""
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise InvalidData(f"{size} bytes are too many for a description", where=path)
    try:
        data = json.loads(
            path.read_bytes().decode("utf-8"), object_pairs_hook=unique, parse_constant=number, parse_float=number
        )
    except UnicodeDecodeError as error:
        raise InvalidData(f"not UTF-8 at byte {error.start}", where=path) from None
    except RecursionError:
        raise InvalidData("nested too deeply", where=path) from None
    except ValueError as error:  # malformed, a duplicate key, a number out of range
        raise InvalidData(f"not valid JSON: {error}", where=path) from None
    if not isinstance(data, dict):
        raise InvalidData("not a JSON object", where=path)
    return data


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ. Raises ValueError with the key that does not."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is given twice")
        found[key] = value
    return found


def number(text: str) -> float:
    """A finite number. Raises ValueError: Python's reader takes NaN, Infinity and 1e999 otherwise."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Readable JSON with a final newline."""
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
