"""`transept probe`: what the layers of a model know of words, and which heads follow syntax."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from transept.cli.common import DeviceOption, JsonOption, ModelArgument, emit, note, say, verb
from transept.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transept.data.trees import Sentence
    from transept.inspect.example import Example
    from transept.use.loaded import Loaded

LIMIT = 400


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept probe models/bert en_ewt-ud-dev.conllu",
        "transept probe models/bert en_ewt-ud-dev.conllu --of relations --hidden 100 --figure layers.svg",
        "transept probe runs/multi30k en_ewt-ud-dev.conllu --of heads --json",
    )(probe)


def probe(
    model: ModelArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Sentences with trees, CoNLL-U, gzipped or not.")],
    of: Annotated[
        Literal["tags", "relations", "heads"],
        typer.Option("--of", help="Parts of speech, relations to governors, or the heads that find governors."),
    ] = "tags",
    hidden: Annotated[int | None, typer.Option("--hidden", min=1, help="Units of a hidden layer; else linear.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=2, help="So many sentences of the file.")] = LIMIT,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Draw accuracy, by layer or relation: .png or .svg.")
    ] = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Probe what a model knows of words.

    A classifier reads the states of each layer, and the same of a control task with random labels: the difference is
    what the states tell. With --of heads the best head for each relation beside the best fixed distance. Every second
    sentence is held out.
    """
    from transept.data.trees import read_trees
    from transept.inspect.figure import demand_kind
    from transept.use.kinds import demand_text
    from transept.use.loaded import load

    if figure is not None:
        demand_kind(figure)
    sentences = read_trees(file)[:limit]
    loaded = load(model, device=device, say=note)
    demand_text(loaded.spec, "probe", loaded.path)
    if of == "heads":
        show_heads(loaded, sentences, figure, as_json)
    else:
        show_layers(loaded, sentences, of, hidden, figure, as_json)


def examples(loaded: Loaded, sentences: Sequence[Sentence]) -> Iterator[tuple[Example, Sentence]]:
    """The sentences as the model reads them; those that are too long, or have words without a token, are counted."""
    from transept.use.explain import worded

    left = 0
    for sentence in sentences:
        example = worded(loaded, sentence.words)
        if example is None:
            left += 1
        else:
            yield example, sentence
    if left == len(sentences):
        raise InvalidData(f"the model takes none of the {left:,} sentences", where=loaded.path)
    if left:
        say(f"{left:,} of {len(sentences):,} sentences left out: too long for the model, or with words of no token")


def show_layers(
    loaded: Loaded, sentences: Sequence[Sentence], of: str, hidden: int | None, figure: Path | None, as_json: bool
) -> None:
    import torch

    from transept.inspect.figure import curves
    from transept.inspect.probe import layers_of
    from transept.inspect.probe import probe as train

    layers: list[list[Any]] = []
    labels, words, held_out = list[str](), list[str](), list[bool]()
    for number, (example, sentence) in enumerate(examples(loaded, sentences)):
        layers.append(layers_of(example))
        labels += sentence.tags if of == "tags" else sentence.relations
        words += [word.lower() for word in sentence.words]
        held_out += [number % 2 == 1] * len(sentence.words)
    found = [
        train(torch.cat(list(layer)), labels, words, held_out, hidden=hidden) for layer in zip(*layers, strict=True)
    ]
    if not as_json:
        print(f"{of} of {found[0].count:,} words held out; the commonest label alone gets {found[0].most:.3f}\n")
        print(f"{'layer':<8}{'accuracy':>10}{'control':>10}{'selectivity':>13}")
    for at, one in enumerate(found):
        if as_json:
            emit({"layer": at, "of": of, **asdict(one), "selectivity": one.selectivity})
        else:
            print(f"{at:<8}{one.accuracy:>10.3f}{one.control:>10.3f}{one.selectivity:>13.3f}")
    if figure is not None:
        lines = {"accuracy": [one.accuracy for one in found], "control task": [one.control for one in found]}
        curves(figure, lines, title=f"{of}, by layer")


def show_heads(loaded: Loaded, sentences: Sequence[Sentence], figure: Path | None, as_json: bool) -> None:
    from transept.inspect.figure import bars
    from transept.inspect.syntax import Tally, word_maps

    tally = Tally()
    for example, sentence in examples(loaded, sentences):
        tally.add(word_maps(example), sentence.heads, sentence.relations)
    found = tally.governors()
    if not found:
        say("no relation occurs ten times in the half of the sentences that is scored: give more of them (--limit)")
    if not as_json and found:
        print(f"{'relation':<14}{'count':>7}{'right':>8}{'offset':>8}{'right':>8}  head")
    for one in found:
        if as_json:
            emit(asdict(one))
        else:
            where = f"{one.attention}:{one.head} {one.looks}"
            print(f"{one.relation:<14}{one.count:>7}{one.accuracy:>8.3f}{one.offset:>+8}{one.baseline:>8.3f}  {where}")
    if figure is not None and found:
        names = [f"{one.relation}, {one.attention}:{one.head}" for one in found]
        both = {"the best head": [one.accuracy for one in found], "the best distance": [one.baseline for one in found]}
        bars(figure, names, both, title="which governor a head finds, by relation", x="right")
