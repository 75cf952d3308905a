"""The files of a folder, or of an archive that need not be unpacked, by their names in it."""

import io
import tarfile
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from transept.errors import InvalidData

TARS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError, RuntimeError)


def is_archive(path: Path) -> bool:
    """Whether a file's name says that others are in it."""
    return path.name.lower().endswith((".zip", *TARS))


class Archive:
    """The files under a place. `files` are its files, or the archive, for messages and cards."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def names(self) -> list[str]:
        """Every file, sorted, with `/` between folders; those whose names or folders begin with a dot are left out."""
        try:
            if self.path.is_dir():
                found = [file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if file.is_file()]
            elif self._zip is not None:
                found = [info.filename for info in self._zip.infolist() if not info.is_dir()]
            else:
                found = list(self._members)
        except OSError as error:
            raise InvalidData(f"cannot be read: {error.strerror or error}", where=self.path) from None
        return sorted(name for name in found if not any(part.startswith((".", "__MACOSX")) for part in name.split("/")))

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.path / name).is_file() if self.path.is_dir() else name in self._known

    def open(self, name: str) -> BinaryIO:
        """A file, to be read from its beginning. InvalidData where it cannot be."""
        try:
            if self.path.is_dir():
                return (self.path / name).open("rb")
            return io.BytesIO(self._zip.read(name) if self._zip is not None else self._members[name])
        except OSError as error:
            raise InvalidData(f"cannot be read: {error.strerror or error}", where=self.where(name)) from None
        except BROKEN as error:
            raise InvalidData(f"cannot be unpacked: {error}", where=self.where(name)) from None

    def where(self, name: str) -> str:
        """A file's place, for messages."""
        return str(self.path / name) if self.path.is_dir() else f"{self.path}: {name}"

    def stamp(self, name: str) -> tuple[int, int]:
        """What changes when a file does: its size, and when it was written or the sum of its bytes."""
        if self.path.is_dir():
            stat = (self.path / name).stat()
            return stat.st_size, stat.st_mtime_ns
        if self._zip is not None:
            info = self._zip.getinfo(name)
            return info.file_size, info.CRC
        return len(self._members[name]), zlib.crc32(self._members[name])

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _zip(self) -> zipfile.ZipFile | None:
        if not self.path.name.lower().endswith(".zip"):
            return None
        try:
            return zipfile.ZipFile(self.path)
        except OSError as error:
            raise InvalidData(f"cannot be read: {error.strerror or error}", where=self.path) from None
        except BROKEN as error:
            raise InvalidData(f"no whole .zip file: {error}", where=self.path, remedy="Copy it again.") from None

    @cached_property
    def _members(self) -> dict[str, bytes]:
        """What a tar holds: one that is packed can only be read from its beginning, so it is read once."""
        found = {}
        try:
            with tarfile.open(self.path) as tar:
                for member in tar:
                    if member.isfile() and (file := tar.extractfile(member)) is not None:
                        found[member.name.removeprefix("./")] = file.read()
        except OSError as error:
            raise InvalidData(f"cannot be read: {error.strerror or error}", where=self.path) from None
        except BROKEN as error:
            raise InvalidData(f"no whole .tar file: {error}", where=self.path, remedy="Copy it again.") from None
        return found
