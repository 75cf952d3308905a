"""`transept generate`: what a model writes after a prompt, while it is written where a person looks on."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, note, verb
from transept.cli.lines import FileOption, Lines, TextsArgument, WholeOption, split_settings
from transept.cli.searching import Searching
from transept.cli.translate import NBestOption, ScoresOption, show, tell_cut

if TYPE_CHECKING:
    from transept.decode.hypothesis import Limit
    from transept.use.loaded import Loaded
    from transept.use.text import Text

TOGETHER = 16  # prompts that are continued together


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept generate models/gpt2 "Once upon a time" temperature=0.8 top_p=0.95 seed=7',
        'transept generate models/gpt2 "Q: Who wrote Faust? A:" --until Q: --max-tokens 20',
        "transept generate models/gpt2 -f prompts.txt --json > texts.jsonl",
        kind=Searching,
    )(generate)


def generate(
    model: ModelArgument,
    texts: TextsArgument = None,
    file: FileOption = None,
    whole: WholeOption = False,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Write so many tokens at most.")] = None,
    until: Annotated[
        list[str] | None, typer.Option("--until", help="Cut before this text; may be given several times.")
    ] = None,
    echo: Annotated[bool, typer.Option("--echo", help="Put the prompt before what is written.")] = False,
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Show a text while it is written; else on a terminal.")
    ] = None,
    n_best: NBestOption = None,
    scores: ScoresOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Go on with prompts: from arguments, a file, stdin.

    Each line is a prompt. What is written may hold line ends of its own: --json keeps each text on one line.
    """
    from transept.decode.config import Search
    from transept.errors import UsageError
    from transept.use.loaded import load

    settings, given = split_settings(texts or [], Search.model_fields)
    if n_best is not None:
        settings["n_best"] = n_best
    if stream and (as_json or scores):
        raise UsageError("--stream shows bare texts", remedy="Leave out --json and --scores, or --stream.")
    lines = Lines(given, file, TOGETHER, whole, machine=as_json)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("generate")
    asked: dict[str, Any] = {"max_tokens": max_tokens, "until": until or (), "echo": echo} | settings
    method = loaded.settings(**settings).method  # a wrong setting is told before any line is read
    loaded.generate([], **asked)
    cut: Counter[Limit | None] = Counter()
    looked_on = sys.stdout.isatty() and not (as_json or scores) and method != "beam" and not n_best
    if stream or (stream is None and looked_on):
        lines.window = 1

        def stream_one(batch: list[str], first: int) -> list[Text]:
            return [written(loaded, prompt, first, asked) for prompt in batch]

        for _, _, answer in lines.answered(stream_one):
            cut[answer.limit] += 1
    else:
        for number, prompt, answer in lines.answered(lambda batch, first: loaded.generate(batch, first=first, **asked)):
            cut[answer.limit] += 1
            show(number, prompt, answer, scores, as_json)
    tell_cut(cut, "texts", "--max-tokens sets it", loaded)
    lines.end()


def written(loaded: Loaded, prompt: str, number: int, asked: dict[str, Any]) -> Text:
    """Show a text while it is written; the whole of it."""
    pieces = loaded.stream(prompt, number=number, **asked)
    for piece in pieces:
        print(piece, end="", flush=True)
    print(flush=True)
    assert pieces.answer is not None
    return pieces.answer
