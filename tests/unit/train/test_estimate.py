import os
from pathlib import Path

import pytest
import torch
from toy_task import LENGTHS, ToyTask, config

from transept.errors import InvalidConfig
from transept.train.device import choose_device, choose_precision, multiplies_bfloat16
from transept.train.estimate import estimate, updates_of


def test_takes_one_update_on_the_largest_batch_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    task = ToyTask()
    found = estimate(task, config())
    assert [LENGTHS[row] for _, row in task.met] == [max(LENGTHS)]
    assert found.tokens == max(LENGTHS)
    assert found.updates_per_epoch == 4
    assert found.parameters == sum(p.numel() for p in task.build().parameters())
    assert found.checkpoint >= 3 * 4 * found.parameters
    assert found.peak > 10**7
    assert not os.listdir(tmp_path)
    assert all(isinstance(line, str) for line in found.lines().values())


def test_a_part_of_an_update_is_one() -> None:
    assert [updates_of(batches, 4) for batches in (1, 4, 5, 8)] == [1, 1, 2, 2]


def test_precision_is_chosen_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, chosen in (
        (False, "float32 (the choice for cpu)"),
        (True, "bfloat16 (the choice for a processor that multiplies it)"),
    ):
        monkeypatch.setattr("transept.train.device.multiplies_bfloat16", lambda able=able: able)
        assert str(choose_precision("auto", torch.device("cpu"))) == chosen
    assert str(choose_precision("bfloat16", torch.device("cpu"))) == "bfloat16 (as asked)"
    with pytest.raises(InvalidConfig, match="GPU only"):
        choose_precision("float16", torch.device("cpu"))


def test_a_device_that_is_absent_is_refused() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(InvalidConfig, match=r"train.device: there is no cuda:97 here[\s\S]*auto, cpu"):
        choose_device("cuda:97")
    with pytest.raises(InvalidConfig, match="mps is not supported"):
        choose_device("mps")


def test_a_torch_that_tells_no_more_means_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not multiplies_bfloat16()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert multiplies_bfloat16()
