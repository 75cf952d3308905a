"""`transept classify`: the label of a text, or of a pair of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, verb
from transept.cli.lines import WINDOW, FileOption, Lines, PlainTextsArgument, WindowOption, parted

if TYPE_CHECKING:
    from transept.use.classify import Label

TopOption = Annotated[int, typer.Option("--top", min=1, help="So many labels of each, the best first.")]


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept classify models/sst2 "A film to remember."',
        "transept classify models/sst2 -f reviews.txt --top 2",
        "cut -f 1,2 pairs.tsv | transept classify models/mnli --pair --json",
    )(classify)


def classify(
    model: ModelArgument,
    texts: PlainTextsArgument = None,
    file: FileOption = None,
    pair: Annotated[bool, typer.Option("--pair", help="A line is two texts, a TAB between them.")] = False,
    top: TopOption = 1,
    window: WindowOption = WINDOW,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Classify texts, or pairs of texts, line by line.

    A line for each: the label, a TAB, its probability; or the number, where the model gives one.
    """
    from transept.use.loaded import load

    lines = Lines(texts or [], file, window, machine=as_json)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("classify")

    def ask(batch: list[str], first: int) -> list[Label]:
        if not pair:
            return loaded.classify(batch, first=first)
        return loaded.classify([parted(line, "the two texts") for line in batch], first=first)

    for number, text, label in lines.answered(ask):
        show(number, text, label, top, as_json)
    lines.end()


def show(number: int, source: str, label: Label, top: int, as_json: bool) -> None:
    """One label, with its rivals where they were asked for."""
    if as_json:
        told = {"label": str(label), "probability": label.probability, "scores": label.scores}
        emit({"line": number, "source": source} | (told if label.number is None else {"number": label.number}))
        return
    best = list(label.scores.items())[:top]
    print("\t".join(f"{name}\t{share:.4f}" for name, share in best) if best else str(label))
