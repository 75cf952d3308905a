import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transept.data.lines import read_lines, split_lines
from transept.errors import InvalidData

# What Python's str.splitlines and text files also take for line ends.
ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh"


def wc(raw: bytes) -> int:
    return raw.count(b"\n") + (not raw.endswith(b"\n") and raw != b"")


@given(st.text(st.sampled_from("ab \n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeffß漢"), max_size=40))
def test_lines_are_counted_as_wc_counts_them(text: str):
    raw = b"x" + text.encode()  # no byte-order mark at the start
    lines = split_lines(raw, "f")
    assert len(lines) == wc(raw)
    assert [line + "\n" for line in lines] == [
        (line.removesuffix("\r")) + "\n" for line in raw.decode().removesuffix("\n").split("\n")
    ]


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r\r\n", ["a\r"]),
        (b"a\rb\n", ["a\rb"]),
        (ODD.encode() + b"\n" + ODD.encode(), [ODD, ODD]),
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        (b"a\n\xef\xbb\xbfb", ["a", "\ufeffb"]),
    ],
)
def test_only_the_line_feed_ends_a_line(raw: bytes, lines: list[str]):
    assert split_lines(raw, "f") == lines


@pytest.mark.parametrize("name", ["t.gz", "t"])
def test_gzip_is_read_by_name_and_by_content(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(gzip.compress(b"eins\nzwei\n"))
    assert read_lines(tmp_path / name) == ["eins", "zwei"]


@pytest.mark.parametrize(
    ("raw", "line", "offset", "words"),
    [
        (b"good\nb\xe4d\n", 2, 6, "byte 0xe4 at offset 6 (byte 2 of the line)"),
        (b"\xef\xbb\xbfgood\nb\xe4d\n", 2, 9, "byte 0xe4 at offset 9 (byte 2 of the line)"),
        (b"\xef\xbb\xbf\xe4\n", 1, 3, "byte 0xe4 at offset 3 (byte 4 of the line)"),
        (b"one\ntwo\ncut \xe6\xbc", 3, 12, "byte 0xe6 at offset 12 (byte 5 of the line)"),
        (b"half \xed\xa0\x80\n", 1, 5, "byte 0xed at offset 5"),
        (b"one\ntwo\nth\x00ree\n", 3, 10, "a NUL byte at offset 10 (byte 3 of the line)"),
        ("one\ntwo\n".encode("utf-16"), 1, None, "UTF-16"),
        ("one\ntwo\n".encode("utf-16-be"), 1, 0, "as in UTF-16 text"),
        ("one\ntwo\n".encode("utf-16-le"), 1, 1, "as in UTF-16 text"),
    ],
)
def test_what_is_not_utf8_is_named_with_line_and_byte(
    tmp_path: Path, raw: bytes, line: int, offset: int | None, words: str
):
    (tmp_path / "t.txt").write_bytes(raw)
    with pytest.raises(InvalidData) as caught:
        read_lines(tmp_path / "t.txt")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 't.txt'}:{line}: ")
    assert words in message
    assert offset is None or f"offset {offset} " in message
    assert caught.value.remedy is not None
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("damage", ["torn", "plain"])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: str):
    whole = gzip.compress(b"some text\n" * 1000)
    (tmp_path / "t.gz").write_bytes({"torn": whole[: len(whole) // 2], "plain": b"some text\n"}[damage])
    with pytest.raises(InvalidData, match="not a whole gzip file"):
        read_lines(tmp_path / "t.gz")


def test_what_cannot_be_opened_is_named(tmp_path: Path):
    with pytest.raises(InvalidData, match="cannot be read"):
        read_lines(tmp_path)
