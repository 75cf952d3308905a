"""What the tests of training share: a toy task beside them, runs of it, and children that may be killed."""

import io
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from transept.train.checkpoint import Checkpoints
from transept.train.run import RunDirectory


@pytest.fixture
def console() -> Console:
    """A console that is no terminal; `console.file.getvalue()` is what it was told."""
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.prepare(tmp_path / "run", "run: toy\n")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and no waiting for the disk: what is flushed when is the business of test_durable."""
    torch.set_num_threads(1)
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def _everything(run: RunDirectory, update: int | None = None) -> dict[str, Tensor]:
    checkpoints = Checkpoints(run.checkpoints)
    path = checkpoints.path(checkpoints.updates()[-1] if update is None else update)
    model, optimizer = load_file(path / "model.safetensors"), load_file(path / "optimizer.safetensors")
    return model | {f"optimizer.{name}": tensor for name, tensor in optimizer.items()}


@pytest.fixture
def everything() -> Callable[..., dict[str, Tensor]]:
    """All tensors of a run's newest checkpoint, or of a given one."""
    return _everything


def _in_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with Path(os.devnull).open("w") as nothing:
                os.dup2(nothing.fileno(), 1)
                work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], int]:
    """Do something in a forked process; its exit code, or minus the signal that killed it."""
    return _in_child


def processes(world: int, work: Callable[[], object]) -> list[int]:
    """Do something in some processes that find each other as torchrun's do; their exit codes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    children = []
    for rank in range(world):
        if (child := os.fork()) == 0:
            code = 1
            try:
                told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
                os.environ |= {name: str(value) for name, value in told.items()} | {"MASTER_ADDR": "127.0.0.1"}
                work()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


KILLED = -signal.SIGKILL
