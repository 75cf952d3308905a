"""The ways in: `search` answers texts, `describe` what is no text, `extend` continues prompts. All are one search."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.decode.batch import NARROW, Chooser, decode_batch, pad, plan
from transept.decode.beam import Beam
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, Limit, Special, Stop, Undecodable
from transept.decode.parallel import each
from transept.decode.protocol import Decoder, Translator
from transept.decode.rules import rules_of
from transept.decode.single import Single
from transept.errors import InvalidData, Nth, UsageError
from transept.parts.memory import Memory

Ids = Sequence[Sequence[int]]


def search(
    model: Translator,
    sources: Ids,
    settings: Search,
    special: Special,
    prefix: Ids | None = None,
    numbers: Sequence[int] | None = None,
    stop: Stop | None = None,
) -> list[list[Hypothesis]]:
    """Up to `settings.n_best` targets for each source, best first, in the order of the sources.

    `prefix` holds the tokens that each target must begin with; they are neither scored nor returned. `numbers` names
    the sources, whose places here are their names otherwise: a draw hangs on the seed and on this. `stop` is as in
    `extend`. A source or a start longer than the model's limit raises InvalidData; scores that are no numbers raise
    Undecodable, which has the others' results. The model decodes in evaluation mode and is left as it was.
    """
    forced = [[]] * len(sources) if prefix is None else prefix
    if len(forced) != len(sources):
        raise UsageError(
            f"{len(forced)} prefixes for {len(sources)} sources", remedy="Give an empty one where none is."
        )
    starts = [special.start(tokens) for tokens in forced]

    def encode(rows: Sequence[int]) -> Memory:
        return model.encode(*pad([sources[i] for i in rows], model.device, NARROW))

    counted = range(len(sources)) if numbers is None else numbers
    return _search(model, encode, sources, starts, settings, special, counted, stop)


def describe(
    model: Translator,
    inputs: Sequence[Tensor],
    size: int,
    settings: Search,
    special: Special,
    prefix: Ids | None = None,
    numbers: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """As `search`, for inputs of one shape that are no tokens, as pictures.

    `size` is how many places of each the decoder reads: what `max_ratio` and `batch_tokens` count.
    """
    forced = [[]] * len(inputs) if prefix is None else prefix
    if len(forced) != len(inputs):
        raise UsageError(f"{len(forced)} prefixes for {len(inputs)} inputs", remedy="Give an empty one where none is.")
    starts = [special.start(tokens) for tokens in forced]

    def encode(rows: Sequence[int]) -> Memory:
        return model.encode(torch.stack([inputs[i] for i in rows]).to(model.device))

    counted = range(len(inputs)) if numbers is None else numbers
    return _search(model, encode, [range(size)] * len(inputs), starts, settings, special, counted, None, tokens=False)


def extend(
    model: Decoder,
    prompts: Ids,
    settings: Search,
    special: Special,
    numbers: Sequence[int] | None = None,
    stop: Stop | None = None,
) -> list[list[Hypothesis]]:
    """What follows each prompt: as `search`, for a model without an encoder. A prompt is taken as it is: no bos.

    `stop` may end an answer after any of its tokens; a beam, whose hypotheses change places, does not ask it.
    """
    counted = range(len(prompts)) if numbers is None else numbers
    return _search(model, lambda rows: None, prompts, prompts, settings, special, counted, stop)


@torch.inference_mode()
def _search(
    model: Decoder,
    encode: Callable[[Sequence[int]], Memory | None],
    sources: Ids,
    starts: Ids,
    settings: Search,
    special: Special,
    numbers: Sequence[int],
    stop: Stop | None,
    tokens: bool = True,
) -> list[list[Hypothesis]]:
    assert len(numbers) == len(sources), "a number for each"
    limits, bounds = limits_of(sources, starts, settings, model.spec.limit(), tokens)
    results: list[list[Hypothesis]] = [[Hypothesis([], 0.0, [], "length", bound)] for bound in bounds]
    failed: list[int] = []
    asked = [i for i in range(len(sources)) if limits[i] > 0]
    suppress = torch.tensor(special.suppress, dtype=torch.long, device=model.device)
    batches = plan([(len(sources[i]), len(starts[i])) for i in asked], settings.batch_tokens)

    def run(batch: list[int]) -> tuple[list[int], Chooser]:
        rows = [asked[i] for i in batch]
        chooser = _chooser(settings, special.ends, limits[rows], [numbers[i] for i in rows], stop)
        begun = [starts[i] for i in rows]
        rules = rules_of(settings, special, begun, limits[rows])
        for _ in decode_batch(model, encode(rows), begun, limits[rows], suppress, chooser, rules):
            pass
        return rows, chooser

    training = model.training
    model.train(False)
    try:
        for rows, chooser in each(run, batches, model.device):
            for at, i in enumerate(rows):
                found = [] if chooser.failed[at] else chooser.hypotheses(at)
                results[i] = [special.told(one, int(limits[i]), bounds[i]) for one in found]
                failed += [i] if chooser.failed[at] else []
    finally:
        model.train(training)
    if failed:
        raise Undecodable(sorted(failed), results)
    return results


def _chooser(
    settings: Search, ends: tuple[int, ...], limits: NDArray[np.int64], numbers: Sequence[int], stop: Stop | None
) -> Chooser:
    if settings.method == "beam":
        return Beam(settings, ends, limits)
    return Single(settings, ends, limits, numbers, stop)


def limits_of(
    sources: Ids, starts: Ids, settings: Search, most: int | None, tokens: bool = True
) -> tuple[NDArray[np.int64], list[Limit]]:
    """How many tokens each sentence may get, and what says so: the settings, or the positions that the model has.

    `tokens` tells that the sources are such, which take positions too.
    """
    limits = np.array([int(settings.max_ratio * len(source)) + settings.max_extra for source in sources], np.int64)
    bounds: list[Limit] = ["extra"] * len(limits)

    def narrow(i: int, limit: int, bound: Limit) -> None:
        if limit < limits[i]:
            limits[i], bounds[i] = limit, bound

    for i, (source, start) in enumerate(zip(sources, starts, strict=True)):
        if not source or not start:
            raise InvalidData(
                "has no tokens", nth=Nth("sentence", i + 1), remedy="Leave empty sentences out, or end them with eos."
            )
        if settings.max_whole is not None:
            if len(start) >= settings.max_whole:
                raise InvalidData(
                    f"has {len(start)} tokens, and with its answer it may have {settings.max_whole}",
                    nth=Nth("sentence", i + 1),
                    remedy="Let the answer have its own: {option}, or raise max_whole.",
                    option="max_tokens=...",
                )
            narrow(i, settings.max_whole - len(start), "whole")
        if most is not None:
            if (longest := max(len(source) if tokens else 0, len(start))) > most:
                raise InvalidData(
                    f"has {longest} tokens, and the model has {most} positions",
                    nth=Nth("sentence", i + 1),
                    remedy="Split the sentence: nothing is cut in silence.",
                )
            narrow(i, most - len(start) + 1, "positions")  # the last token is chosen, but never read
    return limits, bounds
