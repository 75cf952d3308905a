import math

import pytest

from transept.train.config import Constant, Decaying, InverseSqrt, Noam
from transept.train.schedule import rate_at

UPDATES = (1, 2, 99, 100, 101, 400, 1000, 5000)


@pytest.mark.parametrize("update", UPDATES)
def test_noam_is_the_papers_formula(update: int) -> None:
    expected = 512**-0.5 * min(update**-0.5, update * 4000**-1.5)
    assert rate_at(update, Noam(name="noam", width=512, warmup=4000)) == pytest.approx(expected, rel=1e-12)
    assert rate_at(update, Noam(name="noam", width=512, warmup=4000, rate=2.0)) == pytest.approx(
        2 * expected, rel=1e-12
    )


def test_noam_of_the_base_model_peaks_where_the_paper_has_it() -> None:
    rates = [rate_at(update, Noam(name="noam", width=512, warmup=4000)) for update in range(1, 8001)]
    assert max(range(8000), key=rates.__getitem__) + 1 == 4000
    assert max(rates) == pytest.approx(6.9877e-4, rel=1e-4)


@pytest.mark.parametrize("update", UPDATES)
def test_inverse_sqrt_is_fairseqs_formula(update: int) -> None:
    expected = 0.005 * update / 100 if update < 100 else 0.005 * 100**0.5 * update**-0.5
    assert rate_at(update, InverseSqrt(name="inverse_sqrt", rate=0.005, warmup=100)) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("update", UPDATES)
def test_constant_rises_and_stays(update: int) -> None:
    assert rate_at(update, Constant(name="constant", rate=0.3)) == 0.3
    expected = 0.3 * min(update / 100, 1)
    assert rate_at(update, Constant(name="constant", rate=0.3, warmup=100)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_decaying_goes_from_rate_to_floor_and_stays(name: str) -> None:
    schedule = Decaying(name=name, rate=1.0, warmup=100, floor=0.1, updates=1100)
    assert rate_at(50, schedule) == pytest.approx(0.5)
    assert rate_at(100, schedule) == 1.0
    assert rate_at(600, schedule) == pytest.approx(0.55)
    assert rate_at(1100, schedule) == pytest.approx(0.1)
    assert rate_at(9999, schedule) == pytest.approx(0.1)
    quarter = (1 + math.cos(math.pi / 4)) / 2 if name == "cosine" else 0.75
    assert rate_at(350, schedule) == pytest.approx(0.1 + 0.9 * quarter)
