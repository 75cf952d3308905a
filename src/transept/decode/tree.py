"""A beam search that is kept whole: every candidate of every step, those that lived on and those that were dropped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from transept.decode.batch import decode_batch
from transept.decode.beam import Beam
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, Special, Undecodable
from transept.decode.protocol import Decoder
from transept.decode.rules import rules_of
from transept.decode.search import limits_of
from transept.errors import UsageError
from transept.parts.memory import Memory

State = Literal["lives", "ended", "dropped"]


@dataclass(frozen=True)
class Branch:
    """A candidate of a step: `token` after the branch `parent` of the step before, None for the first token.

    `logprob` is the token's own, `total` the sum on the way to it. It `lives` on, it `ended` among the best, or it was
    `dropped`.
    """

    token: int
    parent: int | None
    logprob: float
    total: float
    state: State


@dataclass(frozen=True)
class Tree:
    """The branches of each step, best first; the hypotheses that were found, best first, and where each has its end.

    An end is (step, branch). What ended and is not among these was beaten later.
    """

    steps: tuple[tuple[Branch, ...], ...]
    ends: tuple[tuple[int, int], ...]
    hypotheses: tuple[Hypothesis, ...]


@torch.inference_mode()
def grow(
    model: Decoder,
    encode: Callable[[], Memory | None],
    source: Sequence[int],
    start: Sequence[int],
    settings: Search,
    special: Special,
    tokens: bool = True,
) -> Tree:
    """The search of `search`, `describe` and `extend` for one sentence, kept whole: all `beam` hypotheses are found.

    `encode` makes the memory that is read, None where the model has no encoder; `source` (the prompt itself, where that
    is so) counts for the maximal length, and takes positions where it is `tokens`; `start` is what stands before the
    answer. Raises UsageError where the search is no beam, Undecodable where scores are no numbers.
    """
    if settings.method != "beam":
        raise UsageError(f"only a beam has branches, and the method is {settings.method}", remedy="Take method=beam.")
    settings = settings.model_copy(update={"n_best": settings.beam})
    limits, bounds = limits_of([source], [start], settings, model.spec.limit(), tokens)
    if limits[0] <= 0:
        return Tree((), (), (Hypothesis([], 0.0, [], "length", bounds[0]),))
    chooser = Beam(settings, special.ends, limits)
    suppress = torch.tensor(special.suppress, dtype=torch.long, device=model.device)
    training = model.training
    model.train(False)
    try:
        rules = rules_of(settings, special, [start], limits)
        for _ in decode_batch(model, encode(), [start], limits, suppress, chooser, rules):
            pass
    finally:
        model.train(training)
    if chooser.failed[0]:
        raise Undecodable([0], [[]])
    found = tuple(special.told(one, int(limits[0]), bounds[0]) for one in chooser.hypotheses(0))
    return Tree(*branches(chooser), found)


def branches(beam: Beam, sentence: int = 0) -> tuple[tuple[tuple[Branch, ...], ...], tuple[tuple[int, int], ...]]:
    """The candidates of each step of a search that is over, and where the hypotheses that it keeps have their ends."""
    steps = list[tuple[Branch, ...]]()
    totals = np.zeros(1, np.float32)  # of what lived on, in the order in which it did
    lived: list[int | None] = [None]  # which branch that is
    places = dict[tuple[int, int], int]()  # where a candidate stands among those that are real
    for step in range(beam.step):
        tokens, parents, logprobs = (table[step, sentence] for table in (beam.token, beam.parent, beam.logprob))
        sums = totals[parents] + logprobs
        real = np.flatnonzero(sums > -np.inf)
        full = step + 1 >= beam.limits[sentence]
        ends = np.isin(tokens, beam.ends) | full
        lives = [at for at in beam.lives[step, sentence].tolist() if sums[at] > -np.inf and not ends[at]]
        own = list[Branch]()
        for at in real.tolist():
            places[step, at] = len(own)
            state: State = "lives" if at in lives else "ended" if ends[at] and at < beam.width else "dropped"
            numbers = float(logprobs[at]), float(sums[at])
            own.append(Branch(int(tokens[at]), lived[parents[at]], *numbers, state))
        steps.append(tuple(own))
        # Dead hypotheses keep their places: a parent is counted among all of them.
        order = beam.lives[step, sentence].tolist()
        totals = np.array([sums[at] if at in lives else -np.inf for at in order], np.float32)
        lived = [places.get((step, at)) for at in order]
    kept = [int(at) for at, score in zip(beam.ended_at[sentence], beam.ended[sentence], strict=True) if score > -np.inf]
    return tuple(steps), tuple((at // (2 * beam.width), places[divmod(at, 2 * beam.width)]) for at in kept)
