"""What the card of a trained model says: how it was trained, and its scores by the search that it is used with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from transept.data.cache import TokenPairs
from transept.data.columnar import spoken as called
from transept.data.dates import EXAMPLE as DATE
from transept.data.dates import TAGS
from transept.decode.config import Search
from transept.hub.card import Measure, Record, Text
from transept.models import Seq2SeqLayer
from transept.tasks.measure import Measured
from transept.tasks.score import RESAMPLES
from transept.tasks.task import samples_of

if TYPE_CHECKING:
    from torch import nn

    from transept.tasks.translation import Translation


def record_of(task: Translation, model: Seq2SeqLayer, told: Mapping[str, Any]) -> Record:
    """The record for the card. `told` is training's: the keys of `transept.train.finish.write_model`."""
    data = task.recipe.data
    languages = tuple(language for language in (data.source, data.target) if language)
    where = names(task.valid)
    found = recorded(
        told, task.measure(model, "valid", task.recipe.search, RESAMPLES), where, notes(told, task.recipe.search)
    )
    return replace(
        found,
        does=f"It translates {' into '.join(languages)}." if len(languages) == 2 else "It turns one text into another.",
        languages=languages,
        texts=[Text("train", names(task.train), len(task.train)), Text("valid", where, len(task.valid))],
        samples=sampled(task, model),
        example=example(task),
    )


def recorded(told: Mapping[str, Any], found: Measured, where: str, notes: Sequence[str]) -> Record:
    """What every card has of a training and of what was measured on the split that `where` names."""
    measures = []
    for score in found.scores.values():
        low, high = score.interval or (None, None)
        measures.append(Measure(score.name, where, score.value, low, high, score.signature))
    more = [Measure(spoken(name), where, value) for name, value in found.more.items()]
    return Record(
        title=str(told["data"]["title"]),
        facts=told["data"],
        measures=[*measures, *more, Measure("loss, nats a token", where, found.loss)],
        curve=told["curve"],
        score=told["score"],
        command=told["command"],
        recipe=told["recipe"],
        versions=told["versions"],
        notes=list(notes),
    )


def sampled(task: Any, model: nn.Module) -> list[tuple[str, str]]:
    """What goes in and what comes out, of each sample of a task."""
    found = samples_of(task, model, task.recipe.train.samples)
    return [(sample["source"], sample["output"]) for sample in found]


def example(task: Translation) -> str:
    """An input that shows how the model is used, with the tags that it needs; "" leaves it to the samples."""
    return DATE if set(TAGS) <= set(task.tokenizer.tags) else ""


def names(tokens: TokenPairs) -> str:
    """The files behind a split, without their folders: a card is read on other machines."""
    return ", ".join(map(called, tokens.text.files))


def spoken(name: str) -> str:
    """A measure's key as people write it."""
    return name.replace("_", " ")


def notes(told: Mapping[str, Any], search: Search) -> list[str]:
    """What a reader of the numbers must know, where texts were written by a search."""
    way = f"beam search with {search.beam} hypotheses" if search.method == "beam" else f"the method '{search.method}'"
    return [*weights_of(told), results_of(f"by {way}")]


def weights_of(told: Mapping[str, Any], unit: str = "target tokens") -> list[str]:
    """Which weights a model has, and how much of a `unit` was trained on."""
    made = told["checkpoints"]
    which = f"update {made[0]:,}" if len(made) == 1 else f"updates {', '.join(f'{update:,}' for update in made)}"
    weights = "The weights are those of" if len(made) == 1 else "The weights are the mean of the checkpoints of"
    return [
        f"{weights} {which}. Training {told['stopped']}.",
        f"{told['tokens']:,} {unit} were trained on in {told['seconds']:,.0f} seconds.",
    ]


def results_of(way: str = "") -> str:
    """What the results of a card are of."""
    return (
        f"The results above are of the validation split, which chose the checkpoints{f', {way}' if way else ''}; "
        "a test split has no such advantage: score one with `transept eval`."
    )
