"""A stage on a server, and waiting for its page, for the tests that look at it in a browser."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transept.errors import UsageError
from transept.look.server import Server
from transept.look.stage import Stage


def until(page: Any, told: str) -> None:
    """Wait for an expression to be true. The page's own policy forbids playwright's way, which evaluates text in it."""
    end = time.monotonic() + 30
    while not page.evaluate(told):
        assert time.monotonic() < end, told
        page.wait_for_timeout(20)


@contextmanager
def calm(stage: Stage) -> Iterator[None]:
    """While the test's own thread asks the model: no request that a page made passes it at the same time, whose hooks
    would see both.
    """
    with stage._lock:
        yield


class Over:
    """What a server has once its test is over: a browser may go on asking over connections that it kept."""

    def __getattr__(self, name: str) -> Any:
        raise UsageError(f"the test is over, and {name} is asked")


class Shown:
    """A stage on a server for as long as a test looks at it."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.server = stage, Server(stage)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.address

    def __exit__(self, *_: object) -> None:
        """What is asked has its answer, and what waits never has: another test may use the same model by itself."""
        self.server.stage = Over()  # type: ignore[assignment]
        self.server.shutdown()
        self.server.server_close()
        self.stage._lock.acquire()
        self.stage._lock = threading.Lock()
