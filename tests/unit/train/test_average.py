from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from transept.errors import InvalidData, UsageError
from transept.train.average import average, averaged, choose
from transept.train.checkpoint import Checkpoints


def files(folder: Path, count: int) -> list[Path]:
    for index in range(count):
        tensors = {"w": torch.randn(4, 3), "seen": torch.tensor(10 + index)}
        save_file(tensors, folder / f"{index}.safetensors")
    return sorted(folder.iterdir())


def test_floats_are_averaged_and_counts_copied(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    paths = files(tmp_path, 3)
    mean = average(paths)
    expected = torch.stack([load_file(path)["w"].double() for path in paths]).mean(0).float()
    torch.testing.assert_close(mean["w"], expected, rtol=1e-7, atol=0)
    assert mean["w"].dtype == torch.float32
    assert mean["seen"] == 12
    assert mean["seen"].dtype == torch.int64


def test_the_mean_of_one_is_itself(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    (path,) = files(tmp_path, 1)
    assert torch.equal(average([path])["w"], load_file(path)["w"])


def test_different_models_are_refused(tmp_path: Path) -> None:
    paths = files(tmp_path, 1)
    save_file({"w": torch.ones(5)}, tmp_path / "z.safetensors")
    with pytest.raises(InvalidData, match=r"z\.safetensors"):
        average([*paths, tmp_path / "z.safetensors"])


def checkpoints(folder: Path, saved: dict[int, bool]) -> Checkpoints:
    found = Checkpoints(folder)
    for update, regular in saved.items():
        found.save(update, {"w": torch.full((2,), float(update))}, {"m": torch.ones(1)}, {"regular": regular})
    return found


def test_the_last_regular_checkpoints_are_chosen(tmp_path: Path) -> None:
    found = checkpoints(tmp_path, {100: True, 200: True, 250: False, 300: True, 333: False})
    assert choose(found, 2, best=100, report=pytest.fail) == [200, 300]
    assert choose(found, 9, best=100, report=pytest.fail) == [100, 200, 300]
    assert choose(found, 0, best=100, report=pytest.fail) == [100]
    assert choose(found, 0, best=None, report=pytest.fail) == [333]
    assert torch.equal(averaged(found, [200, 300])["w"], torch.full((2,), 250.0))


def test_a_short_run_gives_its_newest(tmp_path: Path) -> None:
    assert choose(checkpoints(tmp_path, {60: False}), 10, best=60, report=pytest.fail) == [60]


def test_nothing_to_average_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint"):
        choose(Checkpoints(tmp_path), 3, None, pytest.fail)


def test_a_damaged_checkpoint_is_not_averaged(tmp_path: Path) -> None:
    found = checkpoints(tmp_path, {100: True, 200: True})
    (found.path(100) / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(InvalidData, match="00000100"):
        averaged(found, [100, 200])


@pytest.mark.parametrize("name", ["model.safetensors", "state.json"])
def test_damaged_checkpoints_are_passed_over_with_a_line_each(tmp_path: Path, name: str) -> None:
    found = checkpoints(tmp_path, {100: True, 200: True, 300: True, 333: False})
    (found.path(200) / name).write_bytes(b"torn")
    said: list[str] = []
    assert choose(found, 2, best=100, report=said.append) == [100, 300]
    assert found.prune(keep=2, average=2, best=None) == []
    assert choose(found, 0, best=200, report=said.append) == [333]
    assert [name in line and "00000200" in line for line in said] == [True]
