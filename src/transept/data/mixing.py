"""How much of each of several tables an epoch takes, and which rows (Raffel et al. 2020, section 3.5.2)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def shares(counts: Sequence[int], limit: int | None = None, temperature: float = 1.0) -> list[int]:
    """How many rows of each table an epoch takes: together as many as all have, each `limit` at the most.

    A table's share is min(rows, limit) to the power 1/temperature; every table has one row at the least.
    """
    sizes = np.minimum(counts, np.inf if limit is None else limit)
    rates = sizes ** (1 / temperature)
    return [max(round(float(share)), 1) for share in sizes.sum() * rates / rates.sum()]


def drawn(count: int, take: int, seed: int, epoch: int, table: int) -> NDArray[np.int64]:
    """Which `take` of `count` rows an epoch has, in order.

    The epochs walk through one permutation after another, so that no row comes twice before every other came once.
    """
    first = epoch * take
    rounds = range(first // count, (first + take - 1) // count + 1)
    walked = np.concatenate([np.random.default_rng([seed, table, each]).permutation(count) for each in rounds])
    begin = first - rounds.start * count
    return np.sort(walked[begin : begin + take])
