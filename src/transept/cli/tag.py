"""`transept tag`: a label for each word of a text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, verb
from transept.cli.lines import WINDOW, FileOption, Lines, PlainTextsArgument, WindowOption


def add(app: typer.Typer) -> None:
    verb(
        app,
        'transept tag models/ner "Ada Lovelace lived in London." --spans',
        "transept tag models/ner -f sentences.txt > tagged.conll",
        "cat sentences.txt | transept tag models/ner --json",
    )(tag)


def tag(
    model: ModelArgument,
    texts: PlainTextsArgument = None,
    file: FileOption = None,
    spans: Annotated[bool, typer.Option("--spans", help="Show what labels with B- and I- put together.")] = False,
    window: WindowOption = WINDOW,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Tag the words of texts: names, parts of speech.

    A line for each word: the word, a TAB, its label; an empty line after each text. With --spans a line for each span:
    the number of the text, the label, the words, where they begin and end, the probability.
    """
    from transept.use.loaded import load

    lines = Lines(texts or [], file, window, machine=as_json)
    loaded = load(model, device=device, say=note)
    loaded.demand_ready("tag")
    for number, text, found in lines.answered(lambda batch, first: loaded.tag(batch, first=first)):
        if as_json:
            told = {"words": [asdict(word) for word in found.words], "spans": [asdict(span) for span in found.spans]}
            emit({"line": number, "source": text} | told)
        elif spans:
            for span in found.spans:
                print(f"{number}\t{span.label}\t{span.text}\t{span.start}\t{span.end}\t{span.probability:.4f}")
        else:
            print("".join(f"{word.word}\t{word.label}\n" for word in found.words))
    lines.end()
