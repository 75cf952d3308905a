"""Writing that survives: what is on disk under its final name is whole, whatever moment the power goes.

Data are flushed before the name that shows them, and the name before anything that relies on it. A name that ends in
`.tmp-PID` or `.old-PID` belongs to the process PID and is nothing to anybody else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

_PASSING = re.compile(r"(?P<name>.+)\.(?P<kind>tmp|old)-(?P<process>\d+)")


def passing(path: Path, kind: str = "tmp") -> Path:
    """A name beside `path` for this process while it works."""
    return path.with_name(f"{path.name}.{kind}-{os.getpid()}")


def flush(path: Path) -> None:
    """Wait until a file or a directory is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write and flush a file of a directory that nobody knows yet."""
    path.write_text(text, encoding="utf-8")
    flush(path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write and flush JSON of a directory that nobody knows yet."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write and flush tensors, readable by whom the umask allows: safetensors itself lets only the owner read."""
    save_file(dict(tensors), path)
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)
    flush(path)


def replace_text(path: Path, text: str) -> None:
    """Give a file new content in one step: a reader sees the old or the new."""
    write_text(passing(path), text)
    passing(path).replace(path)
    flush(path.parent)


def replace_directory(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a directory whole under another name, then give it its own; what stood there goes."""
    fresh, old = passing(path), passing(path, "old")
    fresh.mkdir()
    fill(fresh)
    flush(fresh)
    if path.exists():
        path.rename(old)
    fresh.rename(path)
    flush(path.parent)
    if old.exists():
        shutil.rmtree(old)


def point(link: Path, target: Path) -> None:
    """Make `link` point to `target`, relative to itself, in one step."""
    fresh = passing(link)
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)


def reclaim(folder: Path) -> list[str]:
    """Remove what dead processes left half done in a folder; their names are returned.

    What stepped aside for something that then never came gets its name back.
    """
    removed = []
    for entry in sorted(folder.iterdir()):
        found = _PASSING.fullmatch(entry.name)
        if found is None or _alive(int(found["process"])):
            continue
        if found["kind"] == "old" and not os.path.lexists(entry.with_name(found["name"])):
            entry.rename(entry.with_name(found["name"]))
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
        removed.append(entry.name)
    return removed


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # a number used again: this process has only just begun
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
