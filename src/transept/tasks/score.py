"""How good translations are: BLEU, chrF and exact match, each with a 95 % interval and the words to repeat it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from transept.errors import InvalidData

RESAMPLES = 1000
SEED = 12345  # of the draws that intervals come from, as sacreBLEU's
NORMAL_95 = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class Score:
    """A score in percent, its 95 % interval where one was asked for, and the signature that repeats it."""

    name: str
    value: float
    interval: tuple[float, float] | None
    signature: str

    def __str__(self) -> str:
        reach = "" if self.interval is None else f" [{self.interval[0]:.2f}, {self.interval[1]:.2f}]"
        return f"{self.name} {self.value:.2f}{reach}  {self.signature}"


Case = Literal["mixed", "lower"]
References = str | Sequence[str]  # of one output: the right text, or several of them


def bleu(
    outputs: Sequence[str],
    references: Sequence[References],
    *,
    tokenize: str = "13a",
    case: Case = "mixed",
    resamples: int = 0,
) -> Score:
    """Corpus BLEU (Papineni et al. 2002) by sacreBLEU (Post 2018), one reference a sentence or more.

    `tokenize="none"` counts the words between spaces: for text that is tokenised already.
    `case` "lower" compares without regard to case: for models that read and write lower case only.
    The interval comes from `resamples` draws of the sentences (Koehn 2004); 0 asks for none.
    """
    demand_same_length(outputs, references)
    # Tokenised input makes sacreBLEU warn on stderr unless told; with "none" it is what was asked for.
    metric = _Bleu(lowercase=case == "lower", tokenize=tokenize, force=tokenize == "none")
    return _interval(metric, "BLEU", outputs, references, resamples)


def chrf(
    outputs: Sequence[str], references: Sequence[References], *, case: Case = "mixed", resamples: int = 0
) -> Score:
    """chrF2: the F-score of character n-grams up to six, recall counting twice (Popović 2015), by sacreBLEU."""
    demand_same_length(outputs, references)
    return _interval(_Chrf(lowercase=case == "lower"), "chrF2", outputs, references, resamples)


def exact_match(outputs: Sequence[str], references: Sequence[References], *, case: Case = "mixed") -> Score:
    """The share of outputs that equal a reference but for outer white space, with Wilson's interval (1927)."""
    demand_same_length(outputs, references)
    spelt = str.lower if case == "lower" else str
    right = [[spelt(one.strip()) for one in several(each)] for each in references]
    hits = sum(spelt(output.strip()) in wanted for output, wanted in zip(outputs, right, strict=True))
    low, high = wilson(hits, len(outputs))
    return Score(
        "exact match",
        100 * hits / len(outputs),
        (100 * low, 100 * high),
        f"n:{len(outputs)}|case:{case}|interval:wilson",
    )


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `hits` in `count`; it stays inside 0 and 1 and is right near them."""
    share, z = hits / count, NORMAL_95
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def resampled(
    resamples: int, values: Callable[[np.random.Generator], Iterable[float]]
) -> tuple[tuple[float, float] | None, str]:
    """The 95 % interval of what `values` measures on draws of the data (Efron 1979), and the end of the signature that
    repeats it. 0 asks for none."""
    if not resamples:
        return None, ""
    low, high = np.quantile(np.fromiter(values(np.random.default_rng(SEED)), float), (0.025, 0.975))
    return (float(low), float(high)), f"|resamples:{resamples}|seed:{SEED}"


def redrawn(
    count: int, resamples: int, measure: Callable[[NDArray[np.int64]], float]
) -> tuple[tuple[float, float] | None, str]:
    """As `resampled`, of a measure of `count` rows: it is given so many at a time, drawn with replacement."""
    return resampled(resamples, lambda draws: map(measure, draws.integers(0, count, (resamples, count))))


# sacreBLEU resamples with float32 counts, and stops with a TypeError where a score of such counts stands beside a plain
# 0.0 (`statistics.mean`). Plain numbers go in here, so plain numbers come out.
class _Bleu(BLEU):
    def _compute_score_from_stats(self, stats: Any) -> Any:
        return super()._compute_score_from_stats([int(count) for count in stats])


class _Chrf(CHRF):
    def _compute_score_from_stats(self, stats: Any) -> Any:
        return super()._compute_score_from_stats([int(count) for count in stats])


def several(references: References) -> Sequence[str]:
    """The right texts of one output."""
    return [references] if isinstance(references, str) else references


def _interval(
    metric: BLEU | CHRF, name: str, outputs: Sequence[str], references: Sequence[References], resamples: int
) -> Score:
    # sacreBLEU counts one resample as none, and seeds the others itself (12345), so that scores repeat.
    # Stream i has every sentence's reference i, None where a sentence has fewer.
    streams = [list(stream) for stream in zip_longest(*map(several, references))]
    found = metric.corpus_score(list(outputs), streams, n_bootstrap=max(resamples, 1))
    # Around the mean of the resamples, as sacreBLEU has it, but never beyond what a score can be.
    ends = (max(found._mean - found._ci, 0.0), min(found._mean + found._ci, 100.0)) if resamples > 1 else None
    return Score(name, found.score, ends, str(metric.get_signature()))


def demand_same_length(outputs: Sequence[str], references: Sequence[References]) -> None:
    """Refuse outputs without a reference each, and none at all."""
    if len(outputs) != len(references):
        raise InvalidData(f"{len(outputs)} outputs cannot be scored against {len(references)} references")
    if not outputs:
        raise InvalidData("there is nothing to score: no sentence was given")
