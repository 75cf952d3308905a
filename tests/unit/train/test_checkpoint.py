import errno
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transept.errors import InvalidData, TranseptError, UsageError
from transept.train import checkpoint
from transept.train.average import averaged, choose
from transept.train.checkpoint import CARRIED, FILES, FROZEN, MANIFEST, Checkpoints, superfluous


def save(checkpoints: Checkpoints, update: int, regular: bool = True, value: float = 0.0) -> Path:
    return checkpoints.save(
        update, {"w": torch.full((50,), value or update)}, {"m": torch.ones(50)}, {"regular": regular}
    )


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def test_what_is_saved_is_loaded(checkpoints: Checkpoints) -> None:
    save(checkpoints, 500)
    saved = checkpoints.load(500)
    assert torch.equal(saved.model["w"], torch.full((50,), 500.0))
    assert torch.equal(saved.optimizer["m"], torch.ones(50))
    assert saved.state == {"regular": True}
    assert saved.path.name == "00000500"
    assert sorted(file.name for file in saved.path.iterdir()) == sorted((*FILES, MANIFEST))


def test_what_is_carried_is_saved_and_a_torn_file_of_it_is_noticed(checkpoints: Checkpoints) -> None:
    save(checkpoints, 500)
    path = checkpoints.save(1000, {"w": torch.ones(2)}, {"m": torch.ones(2)}, {}, {"0.0.x": torch.arange(3.0)})
    assert torch.equal(checkpoints.load(1000).carried["0.0.x"], torch.arange(3.0))
    assert checkpoints.load(500).carried == {}
    for damage in (flip, delete):
        damage(path / CARRIED)
        told = list[str]()
        assert Checkpoints(checkpoints.folder).newest(told.append) == 500
        assert CARRIED in told[0]


def delete(file: Path) -> None:
    file.unlink()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", [delete, truncate, empty, flip])
def test_a_torn_checkpoint_is_named_and_passed_over(
    checkpoints: Checkpoints, name: str, damage: Callable[[Path], None]
) -> None:
    save(checkpoints, 500)
    path, told = save(checkpoints, 1000), list[str]()
    damage(path / name)
    assert checkpoints.newest(told.append) == 500
    if (damage, name) != (delete, MANIFEST):  # without a manifest it is no checkpoint
        assert len(told) == 1
        assert str(path) in told[0]
        assert name in told[0] or name == MANIFEST  # a wrong size there speaks of the file
        with pytest.raises(InvalidData, match="00001000"):
            checkpoints.load(1000)
    save(checkpoints, 1000)
    assert Checkpoints(checkpoints.folder).newest(told.append) == 1000


def test_without_hashes_a_flipped_bit_would_pass(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transept.train.checkpoint.digest", lambda file: "always the same")
    flip(save(checkpoints, 500) / "model.safetensors")
    assert checkpoints.newest(print) == 500


def test_no_checkpoint_is_none(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / "00000500.tmp-1").mkdir()
    (checkpoints.folder / "notes").mkdir()
    (checkpoints.folder / "00000700").mkdir()
    assert checkpoints.newest(print) is None


@given(
    saved=st.lists(st.tuples(st.integers(1, 60), st.booleans()), max_size=20, unique_by=lambda pair: pair[0]),
    keep=st.integers(2, 4),
    average=st.integers(0, 5),
    data=st.data(),
)
def test_pruning_keeps_what_is_needed(
    saved: list[tuple[int, bool]], keep: int, average: int, data: st.DataObject
) -> None:
    updates = sorted(update for update, _ in saved)
    regular = sorted(update for update, regular in saved if regular)
    best = data.draw(st.sampled_from([None, *updates]))
    left = set(updates) - set(superfluous(updates, regular, keep, average, best))
    assert best is None or best in left
    assert set(updates[-keep:]) <= left
    assert set(regular[-average:] if average else []) <= left
    assert len(left) >= min(keep, len(updates))
    assert len(left) <= keep + average + 1


@given(
    steps=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12),
    keep=st.integers(2, 3),
    average=st.integers(0, 3),
)
def test_pruning_step_by_step_never_loses_what_a_later_average_needs(
    steps: list[tuple[bool, bool]], keep: int, average: int
) -> None:
    """Saving and pruning in turns leaves what pruning once at the end would."""
    left: list[int] = []
    best = None
    for update, (_, is_best) in enumerate(steps, 1):
        best = update if is_best else best
        left = [*left, update]
        gone = superfluous(left, [u for u in left if steps[u - 1][0]], keep, average, best)
        left = [u for u in left if u not in gone]
    everything = list(range(1, len(steps) + 1))
    once = superfluous(everything, [u for u in everything if steps[u - 1][0]], keep, average, best)
    assert set(everything) - set(once) <= set(left)


def test_pruning_touches_only_checkpoints(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / "notes").mkdir()
    (checkpoints.folder / "00000050").mkdir()  # no manifest: not ours
    for update in (100, 200, 300, 400, 500):
        save(checkpoints, update, regular=update != 300)
    checkpoints.prune(keep=2, average=3, best=100)
    assert checkpoints.updates() == [100, 200, 400, 500]
    assert {"notes", "00000050"} <= {entry.name for entry in checkpoints.folder.iterdir()}
    assert not [entry for entry in checkpoints.folder.iterdir() if ".old-" in entry.name]


def test_damaged_checkpoints_do_not_push_sound_ones_out(checkpoints: Checkpoints) -> None:
    for update in (100, 200, 300, 400):
        save(checkpoints, update)
    for update in (300, 400):
        flip(checkpoints.path(update) / "model.safetensors")
    assert checkpoints.newest(lambda text: None) == 200
    checkpoints.prune(keep=2, average=0, best=None)
    assert checkpoints.updates() == [100, 200]


def test_a_full_disk_is_told_with_what_is_needed_and_free(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(checkpoints, 500)
    real = checkpoint.save_file

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        if path.name == "optimizer.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(TranseptError, match=r"the disk is full; it needs 0\.0 MB and 0\.0 MB are free") as caught:
        save(checkpoints, 1000)
    assert "00001000" in str(caught.value)
    assert "update 500 is whole" in str(caught.value)
    assert [entry.name for entry in checkpoints.folder.iterdir()] == ["00000500"]
    assert checkpoints.fault(500) is None


def test_a_write_that_fails_in_the_library_leaves_the_older_checkpoint(
    checkpoints: Checkpoints, in_child: Callable[..., int]
) -> None:
    """A limit on the size of files stops safetensors itself in the middle."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with pytest.raises(TranseptError, match="could not be written"):
            checkpoints.save(1000, {"w": torch.ones(5000)}, {"m": torch.ones(1)}, {"regular": True})

    save(checkpoints, 500)
    assert in_child(limited) == 0
    assert [entry.name for entry in checkpoints.folder.iterdir()] == ["00000500"]
    assert checkpoints.newest(print) == 500


def test_a_flush_that_fails_is_no_checkpoint(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    save(checkpoints, 500)
    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(TranseptError, match="Input/output error"):
        save(checkpoints, 1000)
    assert checkpoints.updates() == [500]


def test_what_is_frozen_is_written_once_and_read_with_each(checkpoints: Checkpoints) -> None:
    base = {"base": torch.arange(1000.0)}
    for update in (500, 1000):
        checkpoints.save(update, {"w": torch.full((2,), update)}, {"m": torch.ones(2)}, {"regular": True}, {}, base)
        written = (checkpoints.folder / FROZEN).stat()
    assert {file.name for file in checkpoints.path(1000).iterdir()} == {*FILES, MANIFEST}
    again = Checkpoints(checkpoints.folder)
    assert again.updates() == [500, 1000] and again.newest(lambda told: pytest.fail(told)) == 1000
    for found in (again.load(500).model, again.weights(500), averaged(again, [500, 500])):
        assert found.keys() == {"w", "base"} and torch.equal(found["base"], base["base"])
    again.save(1500, {"w": torch.ones(2)}, {"m": torch.ones(2)}, {"regular": True}, {}, base)
    after = (checkpoints.folder / FROZEN).stat()
    assert (after.st_ino, after.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert checkpoints.path(1500).parent == checkpoints.folder and again.fault(1500) is None
    flip(checkpoints.folder / FROZEN)
    assert str(again.fault(1500)).startswith(f"../{FROZEN} is not what was written")
    delete(checkpoints.folder / FROZEN)
    assert again.fault(500) == f"../{FROZEN} is missing"
    for reads in (again.load, again.weights, lambda update: averaged(again, [update])):
        with pytest.raises(InvalidData, match=f"{FROZEN} is missing") as caught:
            reads(500)
        assert "--resume` writes it again" in str(caught.value.remedy)


BASE = {"base": torch.arange(1000.0)}


def save_with(checkpoints: Checkpoints, update: int, frozen: dict[str, torch.Tensor]) -> None:
    model = {"w": torch.full((2,), float(update))}
    checkpoints.save(update, model, {"m": torch.ones(2)}, {"regular": True}, {}, frozen)


def test_what_is_frozen_is_written_again_where_it_is_gone_and_was_this(checkpoints: Checkpoints) -> None:
    """Whoever has the tensors mends the file; other tensors never take the place of those that a manifest names."""
    save_with(checkpoints, 500, BASE)
    file = checkpoints.folder / FROZEN
    for damage in (delete, flip, truncate, empty):
        damage(file)
        told = list[str]()
        assert Checkpoints(checkpoints.folder).newest(told.append, {"base": BASE["base"] + 1}) is None
        assert [each for each in told if "written again" in each] == [] and len(told) == 1
        again, told = Checkpoints(checkpoints.folder), []
        assert again.newest(told.append, BASE) == 500 and len(told) == 1 and str(file) in told[0]
        assert torch.equal(again.load(500).model["base"], BASE["base"])
        assert again.newest(lambda each: pytest.fail(each), BASE) == 500
    assert [entry.name for entry in checkpoints.folder.iterdir() if "tmp" in entry.name] == []


def test_what_is_frozen_is_written_again_by_a_save_that_finds_it_gone(checkpoints: Checkpoints) -> None:
    save_with(checkpoints, 500, BASE)
    for update, damage in ((1000, delete), (1500, truncate)):
        damage(checkpoints.folder / FROZEN)
        save_with(checkpoints, update, BASE)
        assert [checkpoints.fault(each) for each in checkpoints.updates()] == [None] * len(checkpoints.updates())


def test_a_run_that_an_older_version_began_has_a_mean(checkpoints: Checkpoints) -> None:
    """Its first checkpoints hold what is frozen themselves."""
    model = {"w": torch.full((2,), 500.0)} | BASE
    checkpoints.save(500, model, {"m": torch.ones(2)}, {"regular": True})
    save_with(checkpoints, 1000, BASE)
    mean = averaged(checkpoints, [500, 1000])
    assert mean.keys() == model.keys() and torch.equal(mean["base"], BASE["base"])
    assert torch.equal(mean["w"], torch.full((2,), 750.0))


def test_a_run_whose_checkpoints_are_all_damaged_is_not_called_untrained(checkpoints: Checkpoints) -> None:
    with pytest.raises(UsageError, match=r"the run has no checkpoint yet\n  Train it first\."):
        choose(checkpoints, 2, None, pytest.fail)
    save_with(checkpoints, 500, BASE)
    delete(checkpoints.folder / FROZEN)
    with pytest.raises(InvalidData, match="none of the run's checkpoints is whole\n  Copy them again .* --resume"):
        choose(checkpoints, 2, None, lambda told: None)
