"""Names at the hub, against a cache that is laid out as the hub's own."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import transept
from transept.cli.main import app
from transept.errors import InvalidData
from transept.hub.directory import locate, read, read_blank, read_spec
from transept.hub.export import import_hf
from transept.hub.fetch import fetch, is_name
from unit.hub.made import directory, model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cached(cache: Path, name: str, source: Path) -> None:
    """A model in the hub's cache: contents in `blobs`, a snapshot of links to them, and what `main` is."""
    home = cache / f"models--{name.replace('/', '--')}"
    for folder in ("blobs", f"snapshots/{COMMIT}", "refs"):
        (home / folder).mkdir(parents=True)
    for number, file in enumerate(sorted(source.iterdir())):
        shutil.copy(file, home / "blobs" / f"{number:040x}")
        (home / "snapshots" / COMMIT / file.name).symlink_to(f"../../blobs/{number:040x}")
    (home / "refs" / "main").write_text(COMMIT)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TRANSEPT_OFFLINE", "1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["bert-base-uncased", "owner/name", "Owner/na.me_2"])
def test_a_name_is_found_in_the_cache(name: str, cache: Path, tmp_path: Path) -> None:
    cached(cache, name, directory(tmp_path))
    assert locate(name) == cache / f"models--{name.replace('/', '--')}" / "snapshots" / COMMIT
    loaded: Any = transept.load(name)
    assert loaded.spec == model().spec
    assert loaded.tokenizer is not None
    import_hf(name, tmp_path / "out", check=False)
    assert read(tmp_path / "out").model.spec == model().spec


def test_a_directory_of_the_name_wins(cache: Path, tmp_path: Path) -> None:
    cached(cache, "mine", directory(tmp_path))
    shutil.copytree(tmp_path / "model", Path.cwd() / "mine")
    assert locate("mine") == Path("mine")


@pytest.mark.parametrize("switch", ["TRANSEPT_OFFLINE", "HF_HUB_OFFLINE"])
def test_what_is_not_in_the_cache_is_told(switch: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRANSEPT_OFFLINE")
    monkeypatch.setenv(switch, "1")
    with pytest.raises(
        InvalidData, match=rf"there is no such directory: owner/name; and the cache .* {switch} forbids"
    ):
        transept.load("owner/name")


@pytest.mark.parametrize("path", ["no/such/place", "./nowhere", "../up", "/absolute", "a b", "~/model", "", "a/../b"])
def test_what_cannot_be_a_name_is_told_as_a_path(path: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)  # nobody is asked
    if not path:
        path = str(Path.cwd() / "gone")
    with pytest.raises(InvalidData, match=r"there is no such directory[\s\S]*transept import"):
        locate(path)


def test_a_folder_that_is_here_is_no_owner_at_the_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """runs/dmeo is a slip of the pen where there is a folder runs."""
    assert is_name("runs/dmeo")
    (Path.cwd() / "runs").mkdir()
    assert not is_name("runs/dmeo")
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    with pytest.raises(InvalidData, match="there is no such directory: runs/dmeo"):
        locate("runs/dmeo")


def test_what_goes_wrong_at_the_hub_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRANSEPT_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    asked: list[Any] = []

    def snapshot_download(name: str, **options: object) -> str:
        asked.append((name, options))
        raise OSError("no route\nto the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(
        InvalidData, match="there is no such directory: owner/name; and it could not be fetched: no route\\.\n"
    ):
        import_hf("owner/name", tmp_path / "out")
    ((name, options),) = asked
    assert name == "owner/name"
    assert not any("bin" in pattern or "py" in pattern for pattern in options["allow_patterns"])
    with pytest.raises(InvalidData, match="could not be fetched"):
        read_spec("owner/name")
    assert set(options["allow_patterns"]) - set(asked[1][1]["allow_patterns"]) == {"*.safetensors"}


def test_a_pickle_is_fetched_only_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def snapshot_download(name: str, allow_patterns: list[str], local_files_only: bool) -> str:
        asked.append([pattern for pattern in allow_patterns if "bin" in pattern])
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    fetch("owner/name")
    fetch("owner/name", allow_pickle=True)
    assert asked == [[], [], ["pytorch_model*.bin"]]
    (tmp_path / "model.safetensors").touch()
    fetch("owner/name", allow_pickle=True)
    assert asked[3:] == [[]]


def test_to_look_at_a_model_its_weights_are_not_needed(cache: Path, tmp_path: Path) -> None:
    source = directory(tmp_path)
    (source / "model.safetensors").unlink()
    cached(cache, "owner/name", source)
    assert read_blank("owner/name").model.spec == read_spec("owner/name") == model().spec
    with pytest.raises(
        InvalidData,
        match=r"model.safetensors is missing\n  owner/name may have pickled ones.*transept import .*--allow",
    ):
        read("owner/name")
    shutil.copytree(source, tmp_path / "alone")
    with pytest.raises(InvalidData, match=r"model.safetensors is missing\n(?!.*pickled)"):
        read(tmp_path / "alone")


def test_what_is_left_unread_at_the_hub_is_told(cache: Path, tmp_path: Path) -> None:
    source = directory(tmp_path)
    (source / "tokenizer.json").unlink()
    (source / "vocab.json").write_text("{}")
    (source / "tokenizer_config.json").write_text('{"tokenizer_class": "MarianTokenizer"}')
    cached(cache, "owner/name", source)
    ended = CliRunner().invoke(app, ["import", "owner/name", str(tmp_path / "out")], catch_exceptions=False)
    assert ended.exit_code == 0
    assert "note: the model has no tokenizer here: tokenizer_class is 'MarianTokenizer'" in ended.stderr


def test_the_cache_of_the_environment_is_used_in_a_fresh_process(tmp_path: Path) -> None:
    import subprocess
    import sys

    cached(tmp_path / "hub", "tiny-model", directory(tmp_path))
    code = "import transept; print(type(transept.load('tiny-model').model).__name__)"
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stdout.strip() == "Seq2SeqLayer", done.stderr
