import os
import signal
import threading

import pytest

from transept.errors import Interrupted
from transept.train.signals import Asked, listening


def test_wishes_are_heard_and_the_old_handlers_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with listening() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == Asked(interrupt=False, terminate=True)
        os.kill(os.getpid(), signal.SIGINT)
        assert asked == Asked(interrupt=True, terminate=True)
        assert "Ctrl-C again leaves at once" in capfd.readouterr().err
        with pytest.raises(Interrupted, match="left at once"):
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_thread_hears_nothing_and_trains_all_the_same() -> None:
    heard: list[Asked] = []

    def work() -> None:
        with listening() as asked:
            heard.append(asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [Asked()]
