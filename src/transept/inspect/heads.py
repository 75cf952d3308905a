"""What a head does, in numbers and in a word: how sharp it is, how far it looks, what it looks at.

The numbers are of one map, (S, T), whose rows sum to 1, or of several; entropies are in nats, distances in tokens (or
in words, for maps of words). Rows that see nothing count for nothing. Labels after Clark et al. 2019, section 3,
Kovaleva et al. 2019 and Voita et al. 2019.

Shapes: S queries, T keys, leading dimensions are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor

from transept.errors import UsageError

Label = Literal[
    "itself", "previous word", "next word", "first word", "same word", "sentence end", "aligner", "broad", "mixed"
]
MOST = 0.5  # of a head's weight on one kind of key: then it is called by it
BROAD = 0.8  # of the entropy of looking at everything alike
SHARP = 0.5  # of what a map could tell at most of where a query looks


def entropy(weights: Tensor) -> Tensor:
    """-sum_j a_j ln a_j of each row, in nats: 0 where one key has all, ln T where all are alike. (..., T) -> (...)"""
    each: Tensor = torch.special.entr(weights.float())
    return each.sum(-1)


def evenness(weights: Tensor) -> Tensor:
    """The entropy of each row over that of looking at all it sees alike, in [0, 1]; 0 where it sees one key or none.

    What a row sees is where its weight is not 0. (..., T) -> (...)
    """
    most = (weights > 0).sum(-1).clamp(min=2).float().log()
    return entropy(weights) / most


def distance(weights: Tensor) -> Tensor:
    """sum_j a_ij |i - j| of each row: how far it looks on average (Vig & Belinkov 2019). (S, T) -> (S)"""
    away = torch.arange(weights.size(-1)) - torch.arange(weights.size(-2))[:, None]
    return (weights.float() * away.abs().to(weights.device)).sum(-1)


def information(weights: Tensor) -> Tensor:
    """How much the query tells of the key, in nats: the entropy of the mean row minus the mean entropy of the rows.

    0 where all rows are alike, however sharp; ln min(S, T) where each query has a key of its own. (..., S, T) -> (...)
    """
    rows = seeing(weights)
    mean = (weights.float() * rows[..., None]).sum(-2) / rows.sum(-1, keepdim=True).clamp(min=1)
    return (entropy(mean) - _mean(entropy(weights), rows)).clamp(min=0)


def seeing(weights: Tensor) -> Tensor:
    """1 for the rows that see something, (..., S)."""
    return (weights.sum(-1) > 0).float()


def _mean(values: Tensor, rows: Tensor) -> Tensor:
    return (values * rows).sum(-1) / rows.sum(-1).clamp(min=1)


@dataclass(frozen=True)
class Report:
    """What a head does in a map: means over its rows. `shares` is how much weight goes to which kind of key.

    `distance` is in tokens, `reach` the share of the row that it is; `parked` is the weight on what is no content.
    `interest`, content * sharpness * reach, tells where a person had best look first.
    """

    label: Label
    shares: dict[str, float]
    entropy: float
    evenness: float
    distance: float
    reach: float
    information: float
    parked: float

    @property
    def interest(self) -> float:
        return (1 - self.parked) * (1 - self.evenness) * self.reach


def report(
    maps: Sequence[Tensor],
    queries: Sequence[Sequence[str]],
    keys: Sequence[Sequence[str]] | None = None,
    parked: Sequence[Sequence[int]] | None = None,
) -> Report:
    """What one head does over several texts.

    maps, (S, T) each; `queries` are the words (or tokens) that look and `keys` those looked at, None where a text looks
    at itself. `parked` are the columns of each text that are no content: what stands around it, and its punctuation.
    """
    if not maps or len(maps) != len(queries) or any(m.dim() != 2 for m in maps):
        raise UsageError("a report is of one map (S, T) or more, and of as many texts")
    own = keys is None
    keys = queries if keys is None else keys
    parked = [()] * len(maps) if parked is None else parked
    kinds: list[dict[str, float]] = []
    numbers: list[tuple[float, ...]] = []
    for weights, asking, asked, aside in zip(maps, queries, keys, parked, strict=True):
        if weights.shape != (len(asking), len(asked)):
            raise UsageError(f"a map of {tuple(weights.shape)} for {len(asking)} words that look at {len(asked)}")
        weights = weights.detach().float().cpu()
        rows = seeing(weights)
        kinds.append(_shares(weights, asking, asked, aside, own, rows))
        parted = weights[:, list(aside)].sum(-1) if aside else torch.zeros(len(weights))
        far = distance(weights) / max(1, weights.size(1))
        told = information(weights) / log(max(2, min(weights.shape)))
        each = (entropy(weights), evenness(weights), distance(weights), far, parted)
        numbers.append((*(float(_mean(value, rows)) for value in each), float(information(weights)), float(told)))
    shares = {name: sum(kind.get(name, 0.0) for kind in kinds) / len(kinds) for name in kinds[0]}
    sharp, even, away, reach, aside_share, tells, told_share = (
        sum(column) / len(numbers) for column in zip(*numbers, strict=True)
    )
    return Report(_label(shares, even, told_share, own), shares, sharp, even, away, reach, tells, aside_share)


def _shares(
    weights: Tensor, asking: Sequence[str], asked: Sequence[str], aside: Sequence[int], own: bool, rows: Tensor
) -> dict[str, float]:
    """The mean weight of a row on each kind of key."""
    kinds: dict[str, Tensor] = {}
    alike = torch.tensor([[one == other for other in asked] for one in asking])
    last = torch.zeros_like(alike)
    if ends := [at for at in aside if at >= len(asked) - 2]:  # the end token and the sign before it
        last[:, ends] = True
    if own:
        at, to = torch.arange(len(asking))[:, None], torch.arange(len(asked))
        kinds |= {"itself": at == to, "previous word": to == at - 1, "next word": to == at + 1}
        kinds |= {"same word": alike & (at != to)}
    else:
        kinds |= {"same word": alike}
    first = torch.zeros_like(alike)
    first[:, :1] = True
    kinds |= {"first word": first, "sentence end": last}
    return {name: float(_mean((weights * here).sum(-1), rows)) for name, here in kinds.items()}


def _label(shares: dict[str, float], even: float, told: float, own: bool) -> Label:
    """The kind of key that most weight goes to; else whether it looks at all alike, or at one key for each query."""
    names: tuple[Label, ...] = ("previous word", "next word", "itself", "same word", "sentence end", "first word")
    best = max(names, key=lambda name: shares.get(name, 0.0))
    if shares.get(best, 0.0) >= MOST and (own or best != "same word"):
        return best
    if not own and told >= SHARP:
        return "aligner"
    return "broad" if even >= BROAD else "mixed"
