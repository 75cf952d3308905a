"""Why, for a page without a model behind it: worked out while the file is written, of as many outputs as that takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from transept.errors import UsageError
from transept.look.reading import Read

if TYPE_CHECKING:
    from transept.look.stage import Stage

SERVED = "the page asks the model itself where it is served, without --html"
METHODS = ("leave-one-out", "gradient", "attention")  # the others take many passes for each output
WORK = 3 * 10**11  # weights times tokens that are passed for one file, beside the first output of each scene
LARGEST = 10**12  # the same for one output: what needs more is told by its slopes alone
ROOM = 2_000_000  # letters of them in one file, beside what its maps take
DIGITS = 7


def reasons(stage: Stage, scenes: Sequence[dict[str, Any]]) -> list[str]:
    """Put `why` into each scene: what an output hangs on, by its number, what each layer would have said, and the way.

    First the output that the page opens on, of every scene; then the others, in their order, while there is room and
    the model does not work for too long. Gives what was left out.
    """
    work_left, room, left = WORK, ROOM, list[str]()
    known = {scene["id"]: stage.made_of(scene["id"]) for scene in scenes if scene["asked"]}
    for scene in scenes:
        if (read := known.get(scene["id"])) is not None:
            first, heavy = first_of(read), work(read) > LARGEST
            scene["why"] = {first: dict(_told(stage, scene["id"], first, heavy))}
            room -= size_of(scene["why"])
            if heavy:
                left.append(f"words left out one at a time, of scene {scene['id']}, which takes long: {SERVED}")
    for scene in scenes:
        if (read := known.get(scene["id"])) is None:
            continue
        missing = list[int]()
        for output in range(len(read.asked)):
            if output in scene["why"]:
                continue
            if (work_left := work_left - work(read)) < 0 or room < 0:
                missing.append(output)
                continue
            scene["why"][output] = dict(_told(stage, scene["id"], output, heavy=False))
            room -= size_of(scene["why"][output])
        if missing:
            which = f"{len(missing)} of {len(read.asked)} outputs, {missing[0] + 1} to {missing[-1] + 1},"
            left.append(f"why of {which} of scene {scene['id']}: {SERVED}")
    return left


def size_of(told: object) -> int:
    """How many letters it has in the file."""
    return len(json.dumps(told))


def first_of(read: Read) -> int:
    """The output that the page opens on: the first class, or the first token that is part of a word."""
    if read.answers:
        return 0
    if len(read.sides) > 1:
        words = read.sides[1].words[-len(read.asked) :]
    else:
        words = tuple(read.sides[0].words[choice.at + 1] for choice in read.asked if choice.at is not None)
    return next((at for at, word in enumerate(words) if word is not None), 0)


def work(read: Read) -> int:
    """Weights times tokens that leaving out takes for one output: a pass for every token, and for every word."""
    sides = [read.sides[0], *([read.sides[-1]] if len(read.sides) > 1 else [])]
    passes = sum(len(side.texts) + sum(len(word.tokens) > 1 for word in side.grouped()) for side in sides)
    weights = sum(parameter.numel() for parameter in read.example.model.parameters())
    return passes * sum(len(side.texts) for side in sides) * weights


def _told(stage: Stage, number: int, output: int, heavy: bool) -> Iterator[tuple[str, Any]]:
    for method in METHODS[1:] if heavy else METHODS:
        yield method, tried(lambda method=method: stage.why(number, output, method))  # type: ignore[misc]
    yield "lens", tried(lambda: stage.lens(number, output))
    yield "ways", tried(lambda: stage.ways(number, output))


def tried(make: Callable[[], Any]) -> Any:
    """What was made, with few digits; or why it cannot be, as the page tells it."""
    try:
        return short(make())
    except UsageError as error:
        return {"error": error.what}


def short(value: Any) -> Any:
    """The same with numbers of few digits."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {name: short(one) for name, one in value.items()}
    return [short(one) for one in value] if isinstance(value, list | tuple) else value
