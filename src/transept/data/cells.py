"""Files that lie in the cells of a table, as pictures and sounds of the hub do."""

import hashlib
import io
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from transept.data.archive import Archive
from transept.errors import InvalidData


class Cells(Archive):
    """The files of a table by the numbers of their rows: in memory as they are packed, or where a cell says."""

    def __init__(self, path: Path, held: Mapping[str, bytes | Path]) -> None:
        super().__init__(path)
        self.held = held

    @cached_property
    def names(self) -> list[str]:
        return list(self.held)

    def has(self, name: str) -> bool:
        return name in self.held

    def open(self, name: str) -> BinaryIO:
        cell = self.held[name]
        try:
            return io.BytesIO(cell) if isinstance(cell, bytes) else cell.open("rb")
        except OSError as error:
            raise InvalidData(f"cannot be read: {error.strerror or error}", where=self.where(name)) from None

    def where(self, name: str) -> str:
        return f"{self.path}: row {name}"

    def stamp(self, name: str) -> tuple[int, int]:
        """What tells whether a file was changed: of one in memory its size and the beginning of its hash."""
        cell = self.held[name]
        if isinstance(cell, Path):
            stat = cell.stat()
            return stat.st_size, stat.st_mtime_ns
        return len(cell), int.from_bytes(hashlib.sha256(cell).digest()[:8], "big")
