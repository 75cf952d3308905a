import itertools

from hypothesis import given
from hypothesis import strategies as st

from transept.train.amount import Amount
from transept.train.progress import Progress


def walk(lengths: list[int], accumulate: int, tokens: int = 100_000, seconds: float = 60.0) -> list[Progress]:
    """Every point of some epochs."""
    points = [Progress()]
    for length in lengths:
        here = 0
        while here < length:
            last = points[-1]
            count = min(accumulate, length - here)
            start = last if last.position else Progress(last.update, last.epoch, 0, length, last.tokens, last.seconds)
            points.append(start.after(count, tokens, last.seconds + seconds))
            here += count
    return points


def test_measures_in_every_unit() -> None:
    at = Progress(update=7, epoch=2, position=3, length=12, tokens=2_500_000, seconds=5400.0)
    assert [float(at.measure(unit)) for unit in ("u", "e", "Mt", "min", "h")] == [7, 2.25, 2.5, 90, 1.5]
    assert at.share(Amount.parse("14u")) == 0.5
    assert at.share(Amount.parse("1h")) == 1.0


def test_an_epoch_is_over_when_its_last_batch_is_used() -> None:
    *_, before, last = walk([10], accumulate=3)
    assert (before.epoch, before.position) == (0, 9)
    assert (last.epoch, last.position, last.length) == (1, 0, 0)
    assert not before.reached(Amount.parse("1e"))
    assert last.reached(Amount.parse("1e"))


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(1, 4),
    st.sampled_from(["1e", "2e", "0.5e", "3u", "0.3Mt", "2min"]),
)
def test_milestones_are_met_once_each(lengths: list[int], accumulate: int, every: str) -> None:
    points, amount = walk(lengths, accumulate), Amount.parse(every)
    met = sum(now.crossed(amount, before) for before, now in itertools.pairwise(points))
    multiples = points[-1].measure(amount.unit) // amount.number
    assert met <= multiples
    if all(
        now.measure(amount.unit) - before.measure(amount.unit) <= amount.number
        for before, now in itertools.pairwise(points)
    ):
        assert met == multiples
