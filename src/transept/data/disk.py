"""Writing so that a file or a folder is either whole or not there: a temporary name, fsync, one rename."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, replacing what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes `path` at the end; what stood there is taken away only then.

    Where another process puts the same folder there meanwhile, the last to rename wins.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            _sync(file)
        _sync(temporary)
        temporary.chmod(0o777 & ~_umask())
        _take_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _sync(path.parent)


def _take_place(temporary: Path, path: Path) -> None:
    """Rename a folder over another. A folder can only be renamed over an empty one, so the old one steps aside."""
    while True:
        try:
            os.rename(temporary, path)
            return
        except OSError:
            if not path.exists():
                raise
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            os.rename(path, aside / "old")
        except FileNotFoundError:
            pass  # another process moved it first
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
