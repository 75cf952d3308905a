"""`transept why`: how much each word that was read counts for what the model says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, say, verb
from transept.errors import UsageError, nearest

if TYPE_CHECKING:
    from transept.look.reading import Read

BAR = 24  # signs of the longest bar


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept why runs/demo "<2de> 5 March 2026"',
        'transept why runs/demo "<2de> 5 March 2026" --output März --method gradient',
        'transept why runs/sst2 "a gorgeous and moving film ." --json',
    )(why)


def why(
    model: ModelArgument,
    given: Annotated[str, typer.Argument(metavar="INPUT", help="A text, or the file of a picture.")],
    output: Annotated[
        str | None,
        typer.Option(
            metavar="WORD", help="The output to explain: its number from 1, or what it says.", show_default=False
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="leave-one-out, gradient, integrated, or attention.")
    ] = "leave-one-out",
    most: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tokens that the model writes at most; as many as it would by itself, if this is left out.",
            show_default=False,
        ),
    ] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """See which words count for what a model says.

    They are the numbers of "Why this word" on the page of `transept look`. leave-one-out is measured: how much less
    probable the output is without each word. The others are faster, and say what they add up to.
    """
    from transept.cli.moments import opened
    from transept.look.reasons import first_of
    from transept.look.stage import Stage

    stage = Stage(opened(model, device))
    number = stage.open(given, most=most, named=True)
    read = stage.made_of(number)
    outputs = outputs_of(read)
    at = first_of(read) if output is None else place_of(output, outputs)
    found = stage.why(number, at, method)
    told = {"input": given, "output": outputs[at], "number": at + 1, "method": method} | found
    if as_json:
        emit(told | {"tokens": {side.name: side.texts for side in read.sides if side.name in found["sides"]}})
        return
    say(f"{outputs[at]!r}, output {at + 1} of {len(outputs)}, has a probability of {found['probability']:.4f}.")
    say(meaning(told))
    lines = list(lines_of(read, found))
    longest = max((abs(value) for *_, value in lines), default=0.0)
    wide = [
        max((len(text) for text in column), default=0) for column in zip(*(line[:2] for line in lines), strict=True)
    ]
    for side, word, value in lines:
        place = f"{side:<{wide[0]}}  " if len(found["sides"]) > 1 else ""
        bar = "█" * round(BAR * abs(value) / longest) if longest else ""
        print(f"{place}{word:<{wide[1]}}  {value:+.4f}  {bar}".rstrip())


def outputs_of(read: Read) -> list[str]:
    """What can be explained: each class that is told, or each token written. UsageError where there is none."""
    if not read.asked:
        raise UsageError(
            "this model writes no text and tells no class of this, so that there is nothing to explain",
            remedy="See what attends to what: transept look MODEL INPUT.",
        )
    if read.answers:
        return [name for name, _ in read.answers][: len(read.asked)]
    return [read.spoken(choice.index).strip() for choice in read.asked]


def place_of(output: str, outputs: Sequence[str]) -> int:
    """The place of an output that was numbered from 1, or named. UsageError where there is no such one."""
    if output.isdecimal() and 1 <= int(output) <= len(outputs):  # first: a number that is written stands there twice
        return int(output) - 1
    if output in outputs:
        return outputs.index(output)
    told = ", ".join(f"{at} {text}" for at, text in enumerate(outputs, 1))
    raise UsageError(
        f"there is no output {output!r}.{nearest(output, outputs)}", remedy=f"Those that can be explained: {told}."
    )


def meaning(told: Mapping[str, Any]) -> str:
    """What the numbers are, and whether they add up."""
    said = {
        "leave-one-out": "Each number is how much less probable it is without the word.",
        "gradient": "Each number is input times gradient, of its logit: a slope.",
        "integrated": f"Each number is a share of its logit, {told['value']:.4f}, beside that of nothing.",
        "attention": "Each number is the share of what attention brings to it, the mean of all layers.",
    }[told["method"]]
    return said if told["apart"] is None else f"{said} They miss what they should add up to by {told['apart']:.4f}."


def lines_of(read: Read, found: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Each word that could count: its side, itself, its number. What was written after an output could not."""
    for name, numbers in found["sides"].items():
        side = next(one for one in read.sides if one.name == name)
        last = (
            len(numbers) if found["at"] is None or (side is read.sides[0] and len(read.sides) > 1) else found["at"] + 1
        )
        together = {tuple(tokens): value for tokens, value in found["together"].get(name, [])}
        for word in side.grouped():
            if word.tokens[0] < last:
                text = "".join(side.texts[at] for at in word.tokens if at < last).strip() or word.text
                own = together.get(word.tokens)
                yield name, text, sum(numbers[at] for at in word.tokens) if own is None else own
