"""Data parallel training over processes that torchrun started; one process alone is the same thing with nothing to say.

What listens listens on this machine only, unless the processes are on several. A process that was started again after
a failure meets the others under a new name in the store, where the keys of the failed attempt cannot mislead it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from transept.errors import TranseptError, UsageError, is_out_of_memory

PATIENCE = timedelta(hours=2)  # the others wait while the first validates; a dead process is noticed at once


@dataclass(frozen=True)
class Workers:
    """This process among its like: `rank` of `world`, `local` on this machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that validates, speaks and writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over the processes."""
        if self.world > 1:
            with _others_alive():
                dist.all_reduce(tensor)

    def share(self, tensor: Tensor) -> None:
        """Replace a tensor by that of the leading process."""
        if self.world > 1:
            with _others_alive():
                dist.broadcast(tensor, 0)

    def shares_of(self, batches: range) -> range:
        """Which batches of an update are this process's."""
        return batches[self.rank :: self.world]


@contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise TranseptError(
            f"another process of the run died, or cannot be reached: {str(error).splitlines()[0]}",
            remedy="Look at what it said last, then go on with --resume.",
        ) from error


def check_share(accumulate: int, world: int, *, follows: bool = False) -> None:
    """An update is `accumulate` batches however many processes share them, so that their number changes no result.

    Batches that follow each other cannot be shared: each waits for what the one before it hands on.
    """
    if follows and world > 1:
        raise UsageError(
            f"a batch takes up what the one before it hands on (data.rows=segments), and {world} processes share them",
            remedy="Train in one process, or let windows stand alone: data.rows=windows.",
        )
    if accumulate % world:
        more = -(-accumulate // world) * world
        raise UsageError(
            f"{accumulate} batches of an update cannot be shared evenly by {world} processes",
            remedy=f"Use train.accumulate={more}, with a smaller train.batch_tokens for the same update.",
        )


@contextmanager
def join(on_gpu: bool) -> Iterator[Workers]:
    """The processes that torchrun's environment tells of, joined by nccl on GPUs and by gloo elsewhere."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Workers()
        return
    workers = Workers(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    one_machine = int(os.environ.get("LOCAL_WORLD_SIZE", world)) == world
    if one_machine and "GLOO_SOCKET_IFNAME" not in os.environ:
        os.environ["GLOO_SOCKET_IFNAME"] = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _die_with_parent()
    if on_gpu:
        torch.cuda.set_device(workers.local)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=_store(workers, one_machine),
        rank=workers.rank,
        world_size=world,
        timeout=PATIENCE,
    )
    try:
        yield workers
    finally:
        dist.destroy_process_group()


def _store(workers: Workers, one_machine: bool) -> Any:
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"  # torchrun itself holds the store
    serves = workers.leads and not served
    listener = None
    if serves and one_machine:
        listener = socket.create_server(("127.0.0.1", port)).detach()  # torch by itself listens on every interface
    store = dist.TCPStore(  # type: ignore[attr-defined]  # exported, though not declared so
        host, port, workers.world, serves, timeout=timedelta(minutes=5), master_listen_fd=listener
    )
    return dist.PrefixStore(  # type: ignore[attr-defined]
        f"attempt{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store
    )


def _die_with_parent() -> None:
    """A torchrun that is killed outright leaves its processes running; Linux can end them with it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
