"""What is asked of a scene beyond its maps: what a cut changes, what an output hangs on, and attention followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from transept.errors import UsageError, nearest
from transept.heads.classes import Classes
from transept.inspect.attribution import Attribution, agreement, input_x_gradient, integrated_gradients, leave_one_out
from transept.inspect.contributions import contributions, value_weighted
from transept.inspect.cut import Cut, HeadAt, Link, effect
from transept.inspect.example import Choice, Example
from transept.inspect.lens import lens
from transept.inspect.rollout import layers, rolled
from transept.inspect.streams import stream
from transept.models import ModelLayer
from transept.parts.attention import AttentionLayer

if TYPE_CHECKING:
    from transept.look.reading import Read
    from transept.look.scene import Scene, Seen

MOST = 4096  # pairs of tokens that are cut at once
LEAST = 0.005  # shares of a way that are told
STEPS = 200  # of integrated gradients: with 50 a trained translator's bars may miss half of what they should add up to


def cut_of(read: Read, scene: Scene, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The probability of every output that can be explained, before a cut and after.

    asked: `layer`, and `head`, or `queries` and `keys` (numbers of tokens), whose links are cut in this head, in those
    of a list, or in all of them where `head` is None; `layer` may be a list too. `instead` is what would stand there
    without it, where that is another.
    """
    if not read.asked:
        raise UsageError("nothing was chosen here that could become less probable: this model writes no text or class")
    cuts = list(_cuts(scene, asked))
    example, choices = read.example, read.asked

    def ask() -> Tensor:
        return example.logits().softmax(-1)

    found = effect(example.model, ask, *cuts)
    before, after = (
        [float((scores if one.at is None else scores[one.at])[one.index]) for one in choices]
        for scores in (found.before, found.after)
    )
    return {"before": before, "after": after, "instead": [_instead(read, found.after, one) for one in choices]}


def _instead(read: Read, after: Tensor, choice: Choice) -> str | None:
    best = int((after if choice.at is None else after[choice.at]).argmax())
    return read.spoken(best) if choice.at is not None and best != choice.index else None


def _cuts(scene: Scene, asked: Mapping[str, Any]) -> list[Cut]:
    at, head, queries, keys = (asked.get(name) for name in ("layer", "head", "queries", "keys"))
    heads: list[Any] = head if isinstance(head, list) else [head]
    if not heads or not all(type(one) is int for one in heads if one is not None) or (None in heads and len(heads) > 1):
        raise UsageError("a head is a number, a list of several, or none for all of them")
    layers = [_layer_of(scene, one) for one in (at if isinstance(at, list) else [at])]
    if not layers:
        raise UsageError("a cut is in an attention, or in several, and none was named")
    if queries is None and keys is None:
        if head is None:
            raise UsageError("a cut is of a head, or of the links from queries to keys")
        return [HeadAt(layer.name, one) for layer in layers for one in heads]
    if not isinstance(queries, list) or not isinstance(keys, list):
        raise UsageError("links are cut from a list of tokens to a list of tokens, by their numbers")
    if not 0 < (count := len(layers) * len(queries) * len(keys) * len(heads)) <= MOST:
        raise UsageError(f"links are cut from tokens to tokens, at most {MOST:,} of them, not {count:,}")
    for layer in layers:
        for side, most, what in ((queries, layer.size, "rows"), (keys, layer.shape[2], "columns")):
            if not all(type(one) is int and 0 <= one < most for one in side):
                raise UsageError(f"{layer.name} has {most} {what}, not all of {side}")
    names = dict.fromkeys(layer.name for layer in layers)  # blocks that share weights are one
    return [Link(name, query, key, one) for name in names for one in heads for query in queries for key in keys]


def _layer_of(scene: Scene, at: object) -> Seen:
    if type(at) is not int or not 0 <= at < len(scene.layers):
        raise UsageError(f"the scene has {len(scene.layers)} attentions, and no number {at}")
    return scene.layers[at]


# ------------------------------------------------------------------ attention through all layers


def followed(read: Read, scene: Scene) -> list[Tensor]:
    """Attention rollout after each attention of a scene, (S, T) with rows and columns as its own map has them.

    Where a second stack reads the first, a row is parted: what its own side has stands in its maps of itself, what the
    other side has in those across. UsageError where attention cannot be followed: see `inspect.rollout`.
    """
    steps, found = layers(read.example), list[Tensor]()
    made: dict[str, list[Tensor]] = {}
    for trunk, all_rolled in rolled(steps).items():
        for step, one in zip(steps[trunk], all_rolled, strict=True):
            made.setdefault(step.name, []).append(one)
    for layer in scene.layers:
        whole, (_, rows, columns) = made[layer.name].pop(0), layer.shape
        found.append(whole[:, rows:] if layer.role == "cross" else whole[:, :columns])
    return found


# ------------------------------------------------------------------ why


@torch.no_grad()
def attended(example: Example, choice: Choice) -> Attribution:
    """How long the vectors are that attention brings, for the row that decides: each layer's add up to 1, and the mean
    of the layers is taken (Kobayashi et al. 2020).
    """
    own, across = list[Tensor](), list[Tensor]()
    for one in stream(example).writes:
        if isinstance(one.layer, AttentionLayer):
            lengths = value_weighted(one)
            line = lengths[choice.at] if choice.at is not None else _deciding(example, lengths)
            (across if one.layer.spec.source == "memory" else own).append(line / line.sum().clamp(min=1e-12))
    sides = {"source": own} if example.target is None else {"source": across, "target": own}
    found = {name: torch.stack(lines).mean(0).cpu() for name, lines in sides.items() if lines}
    return Attribution(found, float(example.score(choice)))


def _deciding(example: Example, lengths: Tensor) -> Tensor:
    """The row that a class is told by, or the mean of all."""
    model = example.model
    assert isinstance(model, ModelLayer)
    pool = model.spec.head.pool if isinstance(model.spec.head, Classes) else None
    row = {"first": 0, "second": 1, "last": -1}.get(pool) if isinstance(pool, str) else None
    return lengths.mean(0) if row is None else lengths[row]


def integrated(example: Example, choice: Choice) -> Attribution:
    """From nothing to the vectors, so finely that the error is small for most models."""
    return integrated_gradients(example, choice, steps=STEPS)


# What a person picks, what it is measured in, and how it is found.
METHODS: dict[str, tuple[str, Callable[..., Attribution]]] = {
    "attention": ("share", attended),
    "gradient": ("logit", input_x_gradient),
    "integrated": ("logit", integrated),
    "leave-one-out": ("probability", leave_one_out),
}


def output_of(read: Read, output: int) -> Choice:
    """An output that can be explained, by its number. UsageError where there is none."""
    if not 0 <= output < len(read.asked):
        raise UsageError(f"{len(read.asked)} outputs can be explained here, and not number {output}")
    return read.asked[output]


def against_of(read: Read, output: int, against: int | None) -> Choice:
    """An output rather than another class or token; where there is no such one, whoever scores it says so."""
    return replace(output_of(read, output), against=against)


def ways(read: Read, output: int) -> list[list[Any]]:
    """The way from what was read to an output, through the attentions of the stack that made it, the last first (ALTI).

    Each line is [attention, row, column, share, across]: how much of the output came to the row from the column there,
    which is one of the other stack where `across` is true, and the row itself where it stayed. Shares below `LEAST` are
    left out. UsageError where the trunk is not blocks in a row.
    """
    example, choice, found = read.example, output_of(read, output), list[list[Any]]()
    steps = contributions(example)["stack" if example.target is None else "decoder"]
    rows = steps[0].keys.size(0) if steps else 0
    now = torch.eye(rows)[choice.at] if choice.at is not None else _deciding(example, torch.eye(rows))
    for number, step in reversed(list(enumerate(steps))):
        flows, across = now[:, None] * step.keys, step.source == "memory"
        for row, column in (flows >= LEAST).nonzero().tolist():
            found.append([number, row, column, round(float(flows[row, column]), 6), across])
        if across:
            now = now * step.own
            found += [
                [number, row, row, round(float(now[row]), 6), False] for row in (now >= LEAST).nonzero()[:, 0].tolist()
            ]
        else:
            now = flows.sum(0)
    return found


def agreed(read: Read, output: int, against: int | None = None) -> dict[str, Any]:
    """How far the methods order what was read alike: `table` has Spearman's correlation of every two of `methods`."""
    choice = against_of(read, output, against)
    found = [find(read.example, choice) for _, find in METHODS.values()]
    return {"methods": list(METHODS), "table": [[agreement(one, other) for other in found] for one in found]}


@torch.no_grad()
def said_of(read: Read, output: int, spoken: Callable[[int], str]) -> list[list[Any]]:
    """What each depth of the stack would have said in place of an output, from what entered (0) to the last layer: its
    likeliest token or class, how probable that is, and how probable the output. See `inspect.lens`.
    """
    choice = output_of(read, output)
    scores = lens(read.example)
    shares = (scores if choice.at is None else scores[:, choice.at]).softmax(-1)
    best = shares.argmax(-1).tolist()
    return [
        [spoken(token), float(row[token]), float(row[choice.index])] for token, row in zip(best, shares, strict=True)
    ]


def why_of(
    read: Read,
    output: int,
    method: str,
    against: int | None = None,
    paced: Callable[[int, int], object] | None = None,
) -> dict[str, Any]:
    """How much each token of each side that was read counts for an output, by one of `METHODS`.

    `against` is another class, or another token that could have stood there: then it is why this one rather than that.
    `together` are words of several tokens whose numbers do not add up: what each was measured to be. `apart` is how far
    the numbers are from adding up to what they should, where a method has that, and `value` what is explained. `paced`
    hears how many words were left out, and of how many.
    """
    if method not in METHODS:
        raise UsageError(f"no method is called {method!r}.{nearest(method, METHODS)}", remedy=", ".join(METHODS))
    unit, find = METHODS[method]
    choice = against_of(read, output, against)
    with torch.no_grad():
        probability = float(read.example.probability(replace(choice, against=None)))
    names = {"source": read.sides[0].name, "target": read.sides[-1].name}
    words = {"source": read.sides[0].grouped(), "target": read.sides[-1].grouped()}
    found = find(read.example, choice, **({"words": words, "paced": paced} if find is leave_one_out else {}))
    return {
        "unit": unit,
        "at": choice.at,
        "sides": {names[side]: numbers.tolist() for side, numbers in found.tokens.items()},
        "together": {
            names[side]: [[list(tokens), value] for tokens, value in measured.items()]
            for side, measured in (found.together or {}).items()
        },
        "value": found.value,
        "baseline": found.baseline,
        "apart": found.error,
        "probability": probability,
    }
