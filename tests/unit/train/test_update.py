import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import processes
from safetensors.torch import load_file, save_file
from torch import Tensor
from toy_task import LENGTHS, ToyBatches, ToyModel, ToyTask

from transept.errors import OutOfMemory
from transept.train.config import Optimizer
from transept.train.flat import Flat
from transept.train.optimizer import FlatAdam, LossScale
from transept.train.update import Sums, gather, seed_of
from transept.train.workers import Workers, join

PLACE = (3, 0)


def gradient(task: ToyTask, chosen: range, workers: Workers | None = None) -> tuple[Tensor, Sums]:
    """The mean gradient of an update, and what was summed."""
    torch.manual_seed(0)
    model = task.build().train()
    flat = Flat(model)
    sums = gather(task, model, flat, task.batches("train", 0), chosen, PLACE, workers or Workers())
    return flat.gradient / sums.tokens, sums


class WholeBatches(ToyBatches):
    """The same examples in one batch."""

    def __getitem__(self, index: int) -> object:
        parts = [ToyBatches.__getitem__(self, i) for i in range(len(self))]
        return type(parts[0])([p.rows[0] for p in parts], torch.cat([p.inputs for p in parts]))


class WholeTask(ToyTask):
    def batches(self, split: str, epoch: int) -> WholeBatches:
        return WholeBatches(self.seed, epoch)


def whole() -> tuple[Tensor, Sums]:
    return gradient(WholeTask(dropout=0.0), range(1))


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_micro_batches_of_different_lengths_give_the_gradient_of_the_whole() -> None:
    (ours, sums), (reference, one) = gradient(ToyTask(dropout=0.0), range(10)), whole()
    assert sums.tokens == one.tokens == sum(LENGTHS)
    assert sums.nll == pytest.approx(one.nll, rel=1e-6)
    assert relative(ours, reference) <= 1e-6


def test_the_mean_of_means_is_seen_to_be_wrong() -> None:
    means = [gradient(ToyTask(dropout=0.0), range(i, i + 1))[0] for i in range(10)]
    assert relative(torch.stack(means).mean(0), whole()[0]) > 1e-2


def joined(world: int, work: Callable[[Workers], None]) -> None:
    """Do something in some joined processes; each must end well."""

    def member() -> None:
        with join(on_gpu=False) as workers:
            work(workers)

    assert processes(world, member) == [0] * world


@pytest.mark.parametrize("chosen", [range(10), range(9, 10), range(0, 7)], ids=["even", "one rank is empty", "uneven"])
def test_processes_share_an_update_and_agree(tmp_path: Path, chosen: range) -> None:
    """Dropout is on: a batch draws the same numbers in whichever process it is."""

    def work(workers: Workers) -> None:
        found, sums = gradient(ToyTask(), chosen, workers)
        save_file({"gradient": found, "tokens": torch.tensor(sums.tokens)}, tmp_path / str(workers.rank))

    joined(2, work)
    reference, sums = gradient(ToyTask(), chosen)
    for rank in ("0", "1"):
        found = load_file(tmp_path / rank)
        assert found["tokens"] == sums.tokens
        assert relative(found["gradient"], reference) <= 1e-6


def foreign_listeners(workers: Workers) -> list[str]:
    """Addresses that this process listens on and others could reach; /proc has them in hexadecimal."""
    own = {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    tables = [Path(f"/proc/self/net/{kind}").read_text().splitlines()[1:] for kind in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    listening = [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own]
    assert listening or not workers.leads
    return [place for place in listening if not place.startswith(("0100007F", "0000000000000000FFFF00000100007F"))]


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="open ports are read from /proc")
@pytest.mark.parametrize("careless", [False, True], ids=["as it is", "as torch does it"])
def test_processes_listen_on_this_machine_only(careless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(workers: Workers) -> None:
        assert bool(foreign_listeners(workers)) == (careless and workers.leads)

    if careless:
        store = torch.distributed.TCPStore

        def open_to_all(*given: Any, master_listen_fd: int | None, **named: Any) -> Any:
            if master_listen_fd is not None:
                os.close(master_listen_fd)
            return store(*given, **named)

        monkeypatch.setattr(torch.distributed, "TCPStore", open_to_all)
    joined(2, work)


def test_a_batchs_random_numbers_depend_on_its_place_alone() -> None:
    assert seed_of(1, 2, 3) == seed_of(1, 2, 3)
    assert len({seed_of(s, e, i) for s in range(5) for e in range(5) for i in range(5)}) == 125
    first, _ = gradient(ToyTask(), range(4))
    torch.rand(100)
    again, _ = gradient(ToyTask(), range(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, gradient(ToyTask(dropout=0.3), range(4))[0])


def test_a_scaled_loss_gives_the_same_gradient() -> None:
    """float16's way through, in float32 arithmetic as far as a processor goes: scaled means, summed back."""
    task = ToyTask(dropout=0.0)
    found = []
    for scale in (None, LossScale(2.0**10)):
        torch.manual_seed(0)
        model = task.build().train()
        flat = Flat(model, torch.bfloat16)
        gather(task, model, flat, task.batches("train", 0), range(10), PLACE, Workers(), scale)
        found.append(flat.gradient.clone())
    assert relative(found[1], found[0]) <= 2e-2  # bfloat16 has 8 bits


def test_running_out_of_memory_says_what_to_change() -> None:
    class Greedy(ToyTask):
        def loss(self, model: ToyModel, batch: object) -> object:
            torch.empty(2**60)
            raise AssertionError

    with pytest.raises(OutOfMemory, match=r"supervised tokens does not fit.*\n.*Halve train\.batch_tokens"):
        gradient(Greedy(), range(2))


def test_two_processes_take_the_same_steps(tmp_path: Path) -> None:
    def train(workers: Workers) -> Tensor:
        torch.manual_seed(0)
        task = ToyTask()
        model = task.build().train()
        flat = Flat(model)
        adam = FlatAdam(flat, Optimizer())
        for start in (0, 4, 8):
            sums = gather(task, model, flat, task.batches("train", 0), range(start, min(start + 4, 10)), PLACE, workers)
            adam.step(0.01, sums.tokens)
        return flat.master

    joined(2, lambda workers: save_file({"master": train(workers)}, tmp_path / str(workers.rank)))
    one, two = (load_file(tmp_path / rank)["master"] for rank in ("0", "1"))
    assert torch.equal(one, two)
    torch.testing.assert_close(one, train(Workers()), rtol=1e-5, atol=1e-6)
