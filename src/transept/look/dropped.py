"""Files that are dropped on the page, held for as long as it is served.

They lie in a directory that nobody else may read, under numbers of our own: the name that a file brings is only ever
text. What is in them is found out by the code that reads any file.
"""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

LARGEST = 32 << 20  # bytes of a file
LONGEST = 120  # letters of a name


class Dropped:
    """The files by their paths, with the names that they came under."""

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None
        self._names: dict[str, str] = {}
        self._made, self._lock = 0, threading.Lock()

    def keep(self, name: str, content: bytes) -> str:
        """The path of a file that is written now."""
        with self._lock:
            if self._folder is None:
                self._folder = TemporaryDirectory(prefix="transept-look-")
            self._made += 1
            path = Path(self._folder.name) / f"{self._made}.file"  # no path begins another
        path.write_bytes(content)
        self._names[str(path)] = plain(name)
        return str(path)

    def forget(self, path: str) -> None:
        """Remove a file, where it was one of these."""
        if self._names.pop(path, None) is not None:
            Path(path).unlink(missing_ok=True)

    def spoken(self, text: str) -> str:
        """A text with the names that files came under, in place of their paths."""
        for path, name in list(self._names.items()):
            text = text.replace(path, name)
        return text


def plain(name: str) -> str:
    """The last part of a name, of what can be seen."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(sign for sign in last if sign.isprintable())[:LONGEST] or "a file"
