"""Names that lead out of a model directory, and JSON that is not what it seems."""

import os
from pathlib import Path

import pytest

from transept.errors import InvalidData
from transept.hub.files import member, read_json, write_json


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (tmp_path / "secret").write_text("{}")
    return made


def test_a_file_is_found(root: Path) -> None:
    assert member(root, "config.json") == root / "config.json"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../secret", "/etc/passwd", "a/b", "a\\b", "..\\secret", "config.json\0", "config.json/"]
)
def test_a_path_is_no_name(root: Path, name: str) -> None:
    with pytest.raises(InvalidData, match="is not the name of a file"):
        member(root, name)


@pytest.mark.parametrize("name", ["config.jsn", "%2e%2e%2fsecret", "x" * 5000])
def test_what_is_missing_is_refused_with_what_is_there(root: Path, name: str) -> None:
    with pytest.raises(InvalidData, match=r"(?s)is missing.*The directory holds config.json"):
        member(root, name)


def test_a_directory_that_is_not_there_is_not_called_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"(?s)is missing.*There is no such directory"):
        member(tmp_path / "nothing", "config.json")
    (tmp_path / "void").mkdir()
    with pytest.raises(InvalidData, match=r"(?s)is missing.*The directory is empty"):
        member(tmp_path / "void", "config.json")


def test_a_link_out_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "system").symlink_to("/etc/passwd")
    (root / "loop").symlink_to(root / "loop")
    for name in ("out", "system"):
        with pytest.raises(InvalidData, match="outside of the model directory"):
            member(root, name)
    with pytest.raises(InvalidData, match="is missing"):
        member(root, "loop")


def test_a_link_within_is_followed(root: Path, tmp_path: Path) -> None:
    (root / "same").symlink_to("config.json")
    (tmp_path / "other").symlink_to(root)
    assert member(root, "same").read_text() == "{}"
    assert member(tmp_path / "other", "config.json").read_text() == "{}"


def test_a_download_cache_consists_of_links(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "abc").write_text('{"a": 1}')
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    assert read_json(member(snapshot, "config.json")) == {"a": 1}
    (snapshot / "other").symlink_to("../../../outside")
    with pytest.raises(InvalidData):
        member(snapshot, "other")


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_only_regular_files_are_opened(root: Path, kind: str) -> None:
    (root / "x").mkdir() if kind == "directory" else os.mkfifo(root / "x")
    with pytest.raises(InvalidData, match="not a regular file"):
        member(root, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"a": 1, "a": 2}', "the key 'a' is given twice"),
        (b'{"a": {"b": 1, "b": 1}}', "the key 'b' is given twice"),
        (b'{"a": NaN}', "NaN is not a finite number"),
        (b'{"a": -Infinity}', "-Infinity is not a finite number"),
        (b'{"a": 1e999}', "1e999 is not a finite number"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"\xef\xbb\xbf{}", "not valid JSON.*BOM"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b'{"a": 1} x', "not valid JSON"),
    ],
)
def test_json_that_is_not_what_it_seems(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(InvalidData, match=message) as caught:
        read_json(tmp_path / "config.json")
    assert str(caught.value).startswith(str(tmp_path / "config.json"))


def test_json_there_and_back(tmp_path: Path) -> None:
    data = {"a": [1, 2.5, None, True, "日本"], "b": {"c": -1e-9}}
    write_json(tmp_path / "x.json", data)
    assert read_json(tmp_path / "x.json") == data
    assert "日本" in (tmp_path / "x.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
