import os
import re
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from transept import durable
from transept.durable import new_folder, replace_file
from transept.train import checkpoint
from transept.train.checkpoint import Checkpoints
from unit.train.conftest import in_child

__all__ = ["in_child"]  # a fixture


class Recorder:
    """What a save asks of the disk, in order: (what, path)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str]] = []
        for name in ("rename", "replace", "mkdir", "unlink"):
            monkeypatch.setattr(os, name, self.seen(name, getattr(os, name)))
        fsync = os.fsync
        monkeypatch.setattr(
            os, "fsync", lambda handle: (self.events.append(("fsync", path_of(handle))), fsync(handle))[1]
        )

    def seen(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(path: object, *rest: object, **named: object) -> object:
            self.events.append((name, str(path)))
            return real(path, *rest, **named)

        return call


def path_of(handle: int) -> str:
    return os.readlink(f"/proc/self/fd/{handle}")


def faults_of_order(events: list[tuple[str, str]], folder: Path) -> list[str]:
    """What is wrong with a save: data, then manifest, then the directory, one rename, then the parent, all flushed."""
    renames = [i for i, (what, path) in enumerate(events) if what == "rename" and ".tmp-" in path]
    if len(renames) != 1:
        return [f"{len(renames)} renames"]
    at = renames[0]
    fresh = Path(events[at][1])
    flushed = [path for what, path in events[:at] if what == "fsync"]
    faults = [f"{name} is not flushed before the rename" for name in FILES if str(fresh / name) not in flushed]
    if str(fresh / FILES[-1]) in flushed:
        before_manifest = flushed[: flushed.index(str(fresh / FILES[-1]))]
        faults += [
            f"{name} is flushed after the manifest" for name in FILES[:-1] if str(fresh / name) not in before_manifest
        ]
    if flushed[-1:] != [str(fresh)]:
        faults.append("the new directory is not flushed last before the rename")
    if ("fsync", str(folder)) not in events[at:]:
        faults.append("the parent is not flushed after the rename")
    return faults


FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json")


def save(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    with monkeypatch.context() as patch:
        recorder = Recorder(patch)
        Checkpoints(folder).save(7, {"w": torch.ones(3)}, {"m": torch.ones(3)}, {"regular": True})
    return faults_of_order(recorder.events, folder)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")
class TestOrder:
    def test_a_save_flushes_everything_before_what_relies_on_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert save(tmp_path, monkeypatch) == []

    @pytest.mark.parametrize(
        ("forgotten", "fault"),
        [
            (r"model\.safetensors$", "model.safetensors is not flushed"),
            (r"state\.json$", "state.json is not flushed"),
            (r"manifest\.json$", "manifest.json is not flushed"),
            (r"00000007\.tmp-[\d-]+$", "new directory is not flushed"),
            (r"folder$", "parent is not flushed"),
        ],
    )
    def test_a_save_that_forgets_to_flush_is_seen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: str, fault: str
    ) -> None:
        flush = durable.flush

        def careless(path: Path) -> None:
            if not re.search(forgotten, str(path)):
                flush(path)

        monkeypatch.setattr(durable, "flush", careless)
        monkeypatch.setattr(checkpoint, "flush", careless)
        folder = tmp_path / "folder"
        folder.mkdir()
        assert any(fault in found for found in save(folder, monkeypatch))

    def test_a_manifest_that_comes_too_early_is_seen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_tensors = checkpoint.write_tensors

        def early(path: Path, tensors: object) -> None:
            durable.write_text(path.parent / "manifest.json", "{}")
            write_tensors(path, tensors)

        monkeypatch.setattr(checkpoint, "write_tensors", early)
        assert any("after the manifest" in found for found in save(tmp_path, monkeypatch))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_are_readable_by_whom_the_umask_allows(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        path = Checkpoints(tmp_path).save(7, {"w": torch.ones(3)}, {"m": torch.ones(3)}, {"regular": True})
        assert {stat.S_IMODE((path / name).stat().st_mode) for name in FILES} == {mode}
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def make(folder: Path, name: str, text: str = "") -> None:
    """A folder with one file in it."""
    with new_folder(folder) as fresh:
        (fresh / name).write_text(text)


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(tmp_path / "model", name)
    assert [entry.name for entry in (tmp_path / "model").iterdir()] == ["two"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_failed_replacement_leaves_the_old(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        with new_folder(folder) as fresh:
            (fresh / "half").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    make(tmp_path / "model", "one")
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path / "model")
    assert [entry.name for entry in (tmp_path / "model").iterdir()] == ["one"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_what_cannot_be_given_its_name_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "model", "one")
    rename = Path.rename

    def refuse(self: Path, target: Path) -> None:
        if ".tmp-" in self.name:
            raise OSError("no")
        rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        make(tmp_path / "model", "two")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
    assert [entry.name for entry in (tmp_path / "model").iterdir()] == ["one"]


def test_several_of_one_process_do_not_meet(tmp_path: Path) -> None:
    with new_folder(tmp_path / "model") as first, new_folder(tmp_path / "model") as second:
        assert first != second
        (first / "one").write_text("1")
        (second / "two").write_text("2")
    assert [entry.name for entry in (tmp_path / "model").iterdir()] == ["one"], "the last to rename"


def test_a_file_is_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file(tmp_path / "new" / "file", b"before")

    def fail(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no"):
            replace_file(tmp_path / "new" / "file", b"after")
    assert [(item.name, item.read_bytes()) for item in (tmp_path / "new").iterdir()] == [("file", b"before")]


def test_files_are_on_the_disk_before_they_have_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("fsync", "rename", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, real=real, name=name: (calls.append(name), real(*args))[1])
    replace_file(tmp_path / "a", b"text")
    assert calls == ["fsync", "replace", "fsync"]
    calls.clear()
    with new_folder(tmp_path / "b") as made:
        (made / "one").write_text("1")
        (made / "two").write_text("2")
    assert calls == ["fsync", "fsync", "fsync", "rename", "fsync"]


def test_links_are_relative_and_move(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        durable.point(tmp_path / "last", tmp_path / "checkpoints" / name)
    assert os.readlink(tmp_path / "last") == "checkpoints/b"


def test_leftovers_of_dead_processes_go_and_nothing_else(tmp_path: Path, in_child: Callable[..., int]) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)  # a number that is nobody's now
    alive = os.getppid()
    for name in (
        f"00000007.tmp-{child}-3",
        f"00000007.old-{child}-4",
        f"00000009.tmp-{alive}-0",
        "00000007",
        "notes.tmp",
        "x.tmp-",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / f"config.yaml.tmp-{child}").write_text("half")
    assert durable.reclaim(tmp_path) == [
        f"00000007.old-{child}-4",
        f"00000007.tmp-{child}-3",
        f"config.yaml.tmp-{child}",
    ]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        ["00000007", f"00000009.tmp-{alive}-0", "notes.tmp", "x.tmp-"]
    )


def test_a_kill_between_the_renames_loses_nothing(
    tmp_path: Path, in_child: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Path, target: Path) -> None:
        rename(self, target)
        os.kill(os.getpid(), signal.SIGKILL)

    make(tmp_path / "model", "text", "old")
    rename = Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        assert in_child(lambda: make(tmp_path / "model", "text", "new")) == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    durable.reclaim(tmp_path)
    assert (tmp_path / "model" / "text").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
