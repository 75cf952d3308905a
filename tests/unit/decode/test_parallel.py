"""Batches beside each other: the same answers in the same order, and threads as they were."""

import threading
from collections.abc import Iterator

import pytest
import torch

from laws.subjects import families, lively
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.decode.parallel import each
from transept.decode.search import search
from transept.errors import InvalidData

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_come_in_order_from_threads_of_one() -> None:
    meeting = threading.Barrier(2, timeout=20)  # passed only if two are at work at once

    def work(i: int) -> tuple[int, int, bool]:
        meeting.wait()
        return i, torch.get_num_threads(), torch.is_inference_mode_enabled()

    with torch.inference_mode():
        assert list(each(work, range(6), CPU)) == [(i, 1, True) for i in range(6)]
    assert torch.get_num_threads() == 2
    assert list(each(lambda _: torch.is_inference_mode_enabled(), range(2), CPU)) == [False, False]


def test_one_batch_has_all_threads() -> None:
    assert list(each(lambda _: torch.get_num_threads(), [0], CPU)) == [2]


def test_a_failure_is_the_callers_and_ends_the_rest() -> None:
    begun = []

    def work(i: int) -> None:
        begun.append(i)
        if i == 1:
            raise InvalidData("the second is wrong")

    with pytest.raises(InvalidData, match="the second is wrong"):
        list(each(work, range(50), CPU))
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    "settings",
    [
        Search(beam=3, n_best=2, batch_tokens=12, max_extra=6),
        Search(method="sample", batch_tokens=12, max_extra=6),
        Search(method="greedy", batch_tokens=12, max_extra=6),
    ],
)
def test_answers_are_those_of_one_thread(settings: Search) -> None:
    model = lively(families()["transformer"])
    draws = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 7, (40,), generator=draws).tolist()
    sources = [torch.randint(3, 23, (length,), generator=draws).tolist() for length in lengths]
    special = Special(bos=1, eos=2)
    beside = search(model, sources, settings, special)
    torch.set_num_threads(1)
    alone = search(model, sources, settings, special)
    assert [[h.tokens for h in found] for found in beside] == [[h.tokens for h in found] for found in alone]
    assert [[h.finish for h in found] for found in beside] == [[h.finish for h in found] for found in alone]
