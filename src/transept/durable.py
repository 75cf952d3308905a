"""Writing that survives: what is on disk under its final name is whole, whatever moment the power goes.

Data are flushed before the name that shows them, and the name before anything that relies on it. A name that ends in
`.tmp-PID-N` or `.old-PID-N` belongs to the process PID and is nothing to anybody else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

_PASSING = re.compile(r"(?P<name>.+)\.(?P<kind>tmp|old)-(?P<process>\d+)(-\d+)?")
_numbers = count()


def passing(path: Path, kind: str = "tmp") -> Path:
    """A new name beside `path` for this process while it works."""
    return path.with_name(f"{path.name}.{kind}-{os.getpid()}-{next(_numbers)}")


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


def replace_file(path: Path, content: bytes) -> None:
    """Give a file its content in one step: a reader sees the old or the new, and a failure leaves the old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = passing(path)
    try:
        fresh.write_bytes(content)
        flush(fresh)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    flush(path.parent)


def replace_text(path: Path, text: str) -> None:
    """`replace_file` with UTF-8 text."""
    replace_file(path, text.encode())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` at the end, whole; what stood there is taken away only then.

    Where another process puts the same folder there meanwhile, the last to rename wins. A failure leaves the old.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = passing(path)
    fresh.mkdir()
    try:
        yield fresh
        for entry in fresh.rglob("*"):
            flush(entry)
        flush(fresh)
        _take_place(fresh, path)
    finally:
        remove(fresh)
    flush(path.parent)


def _take_place(fresh: Path, path: Path) -> None:
    """Rename a folder over another. A folder can only be renamed over an empty one, so the old one steps aside."""
    aside: list[Path] = []
    while True:
        try:
            fresh.rename(path)
            break
        except OSError:
            if not os.path.lexists(path):
                if aside:
                    aside[-1].rename(path)
                raise
        old = passing(path, "old")
        try:
            path.rename(old)
            aside.append(old)
        except FileNotFoundError:
            pass  # another process moved it first
    for old in aside:
        remove(old)


def remove(path: Path) -> None:
    """Take away a file, a link or a folder with all that it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def point(link: Path, target: Path) -> None:
    """Make `link` point to `target`, relative to itself, in one step."""
    fresh = passing(link)
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
        remove(entry)
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
