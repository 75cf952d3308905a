"""Lines of text files, counted as `wc -l` counts them."""

import gzip
import zlib
from pathlib import Path

from transept.errors import InvalidData, Where

GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
WIDE = {b"\xff\xfe": "UTF-16 or UTF-32", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, gzipped or not, without their ends. Raises `InvalidData` with file and line."""
    return split_lines(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked where it is gzipped (by its name or its first bytes)."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidData(f"cannot be read: {error.strerror}", where=path) from error
    if path.suffix != ".gz" and not raw.startswith(GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        remedy = "Copy it again; `gzip -t FILE` says whether a file is whole."
        raise InvalidData(f"not a whole gzip file: {error}", where=path, remedy=remedy) from error


def split_lines(raw: bytes, where: str | Path) -> list[str]:
    """Text as lines: cut at `\\n` alone, one `\\r` before it taken off, a byte-order mark at the start too.

    Other signs that Unicode calls line ends (U+2028, U+0085, VT, FF, a lone CR) stay inside their line: cutting there
    on one side only would shift every pair that follows.
    """
    for mark, name in WIDE.items():
        if raw.startswith(mark):
            remedy = "Write it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE > NEW`."
            raise InvalidData(f"the file is {name}, not UTF-8", where=Where.of_line(where, 1), remedy=remedy)
    if b"\x00" in raw:
        _refuse_nul(raw, where)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A byte-order mark is not counted in the error's offset.
        at = error.start + (len(BOM) if raw.startswith(BOM) else 0)
        line, column = _place(raw, at)
        raise InvalidData(
            f"not UTF-8: byte 0x{raw[at]:02x} at offset {at} (byte {column} of the line), {error.reason}",
            where=Where.of_line(where, line),
            remedy="If it is Latin-1, say, write it as UTF-8: `iconv -f latin1 -t UTF-8 FILE > NEW`.",
        ) from error
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _refuse_nul(raw: bytes, where: str | Path) -> None:
    at = raw.index(b"\x00")
    line, column = _place(raw, at)
    wide = raw[:4096].count(0) * 3 > len(raw[:4096])
    reason = "as in UTF-16 text" if wide else "which no text holds"
    remedy = (
        "Write it as UTF-8: `iconv -f UTF-16LE -t UTF-8 FILE > NEW`."
        if wide
        else "Is it a text file? `tr -d '\\000' < FILE > NEW` takes such bytes out."
    )
    raise InvalidData(
        f"a NUL byte at offset {at} (byte {column} of the line), {reason}",
        where=Where.of_line(where, line),
        remedy=remedy,
    )


def _place(raw: bytes, at: int) -> tuple[int, int]:
    """The line and the byte within it of an offset, both from 1."""
    return raw.count(b"\n", 0, at) + 1, at - raw.rfind(b"\n", 0, at)
