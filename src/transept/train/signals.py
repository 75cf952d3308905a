"""Stopping by hand: the first signal asks for an end after the update, a second Ctrl-C leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from transept.errors import Interrupted


@dataclass
class Asked:
    """What signals have asked for so far: Ctrl-C an interruption, SIGTERM an orderly end."""

    interrupt: bool = False
    terminate: bool = False


@contextmanager
def listening() -> Iterator[Asked]:
    """Take SIGINT and SIGTERM as wishes. In a thread, where Python delivers no signals, there are never any."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def take(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            asked.terminate = True
        elif asked.interrupt:
            raise Interrupted(
                "left at once; what was not saved is lost", remedy="--resume goes on from the last checkpoint."
            )
        else:
            asked.interrupt = True
            # Not by print: the handler may run in the middle of one.
            os.write(2, b"\nfinishing this update, then saving; Ctrl-C again leaves at once\n")

    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
