"""One answer while it is chosen, for those who read along: the search of `search.py`, a step at a time."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch

from transept.decode.batch import NARROW, decode_batch, pad
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, Special, Stop, Undecodable
from transept.decode.protocol import Decoder, Translator
from transept.decode.rules import rules_of
from transept.decode.search import limits_of
from transept.decode.single import Single
from transept.errors import UsageError


def demand_streamable(settings: Search) -> None:
    """Refuse a search whose answer may still change while it grows."""
    if settings.method == "beam" or settings.n_best > 1:
        what = f"a beam of {settings.beam}" if settings.method == "beam" else f"the best of {settings.n_best} draws"
        raise UsageError(
            f"{what} is known only at its end, so it cannot be streamed",
            remedy="Stream with method=greedy, or method=sample and n_best=1.",
        )


@torch.inference_mode()
def follow(
    model: Decoder,
    source: Sequence[int] | None,
    start: Sequence[int],
    settings: Search,
    special: Special,
    number: int = 0,
    stop: Stop | None = None,
) -> Iterator[Hypothesis]:
    """The answer after each token of it; the last one is whole, and equals what `search` or `extend` finds alone.

    `source` is None for a model without an encoder; `start` is what stands before the answer: a prompt, or bos and a
    prefix. `number` names the sentence, as in `search`. The model computes a step when the next answer is asked for,
    and is left as it was when the iterator ends or is closed.
    """
    demand_streamable(settings)
    limits, bounds = limits_of([start if source is None else source], [start], settings, model.spec.limit())
    if limits[0] <= 0:
        yield Hypothesis([], 0.0, [], "length", bounds[0])
        return
    suppress = torch.tensor(special.suppress, dtype=torch.long, device=model.device)
    chooser = Single(settings, special.ends, limits, [number], stop)
    training = model.training
    model.train(False)
    try:
        memory = None
        if source is not None:
            memory = cast(Translator, model).encode(*pad([source], model.device, NARROW))
        rules = rules_of(settings, special, [start], limits)
        for _ in decode_batch(model, memory, [start], limits, suppress, chooser, rules):
            if chooser.failed[0]:
                raise Undecodable([0], [[]])
            yield special.told(chooser.hypotheses(0)[0], int(limits[0]), bounds[0])
    finally:
        model.train(training)
