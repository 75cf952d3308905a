import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import KILLED, processes
from rich.console import Console
from torch import Tensor
from toy_task import ToyTask, config

from transept.errors import TranseptError, UsageError
from transept.train.checkpoint import Checkpoints
from transept.train.loop import train
from transept.train.run import RunDirectory
from transept.train.workers import Workers, check_share

SETTINGS = {"stop": "12u", "accumulate": 4}


def member(run: RunDirectory, resume: bool = False, task: ToyTask | None = None) -> None:
    train(task or ToyTask(), config(**SETTINGS), run, resume=resume, console=Console(quiet=True))


def signalled(rank: int, call: int, number: int) -> ToyTask:
    """A task in which one process gets a signal in its so-manyth loss."""
    task = ToyTask()
    loss = task.loss

    def sending(model: Any, batch: Any) -> Any:
        if os.environ.get("RANK") == str(rank) and len(task.met) == call:
            os.kill(os.getpid(), number)
        return loss(model, batch)

    task.loss = sending  # type: ignore[method-assign]
    return task


@pytest.fixture
def whole(tmp_path: Any, everything: Callable[..., dict[str, Tensor]]) -> Callable[[int], dict[str, Tensor]]:
    """The end of an uninterrupted run in one or several processes."""

    def end(world: int) -> dict[str, Tensor]:
        run = RunDirectory.prepare(tmp_path / f"whole{world}", "")
        if world == 1:
            member(run)
        else:
            assert processes(world, lambda: member(run)) == [0] * world
        return everything(run)

    return end


def trained(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != "seen"}  # each process has seen its own


def test_the_number_of_processes_changes_no_result(whole: Callable[[int], dict[str, Tensor]]) -> None:
    one, two = trained(whole(1)), trained(whole(2))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-6)


def test_only_the_leading_process_writes(run: RunDirectory) -> None:
    assert processes(2, lambda: member(run)) == [0, 0]
    assert [line.count('"event": "valid"') for line in run.metrics.read_text().splitlines()].count(1) == 3
    assert Checkpoints(run.checkpoints).newest(pytest.fail) == 12
    assert (run.model / "model.safetensors").is_file()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_stops_all_at_the_same_update_and_they_resume(
    run: RunDirectory,
    rank: int,
    whole: Callable[[int], dict[str, Tensor]],
    everything: Callable[..., dict[str, Tensor]],
) -> None:
    assert processes(2, lambda: member(run, task=signalled(rank, 6, signal.SIGTERM))) == [0, 0]
    (stopped,) = Checkpoints(run.checkpoints).updates()
    assert stopped == 4
    assert processes(2, lambda: member(run, resume=True)) == [0, 0]
    assert all(torch.equal(tensor, everything(run)[name]) for name, tensor in trained(whole(2)).items())


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_others_and_the_run_resumes(
    run: RunDirectory,
    rank: int,
    whole: Callable[[int], dict[str, Tensor]],
    everything: Callable[..., dict[str, Tensor]],
) -> None:
    def left() -> None:
        with pytest.raises(TranseptError, match="another process of the run died"):
            member(run, task=signalled(rank, 13, signal.SIGKILL))
        os._exit(7)

    codes = processes(2, left)
    assert codes[rank] == KILLED
    assert codes[1 - rank] == 7  # at once, not after a time-out
    assert Checkpoints(run.checkpoints).newest(pytest.fail) == 5
    assert processes(2, lambda: member(run, resume=True)) == [0, 0]
    assert all(torch.equal(tensor, everything(run)[name]) for name, tensor in trained(whole(2)).items())


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError, "CUDA out of memory"),
        (RuntimeError("NCCL error: unhandled cuda error (out of memory)"), RuntimeError, "^NCCL error"),
        (RuntimeError("Connection closed by peer"), TranseptError, "another process of the run died"),
    ],
)
def test_memory_that_ran_out_is_not_blamed_on_the_others(
    monkeypatch: pytest.MonkeyPatch, said: RuntimeError, kind: type[Exception], words: str
) -> None:
    def fail(tensor: Tensor) -> None:
        raise said

    monkeypatch.setattr(torch.distributed, "all_reduce", fail)
    with pytest.raises(kind, match=words):
        Workers(0, 2).sum(torch.ones(1))


def test_batches_that_cannot_be_shared_evenly_are_refused() -> None:
    check_share(4, 2)
    with pytest.raises(UsageError, match=r"train\.accumulate=6"):
        check_share(4, 3)


def test_batches_that_follow_each_other_are_of_one_process() -> None:
    check_share(4, 1, follows=True)
    with pytest.raises(UsageError, match=r"hands on \(data\.rows=segments\), and 2 processes share them"):
        check_share(4, 2, follows=True)


def test_every_batch_has_one_owner() -> None:
    owned = [Workers(rank, 3).shares_of(range(4, 14)) for rank in range(3)]
    assert sorted(index for share in owned for index in share) == list(range(4, 14))
