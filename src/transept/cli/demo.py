"""`transept demo`: the whole of it, from made text to scored translations, with no file and no network."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transept.cli.common import JsonOption, console, say, verb
from transept.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from transept.data.dates import DatePair
    from transept.use.loaded import Loaded

PAIRS, HELD_OUT, SEED = 60_000, 1000, 2017
SHOWN = 12


def add(app: typer.Typer) -> None:
    verb(app, "transept demo", "transept demo --json | tail -n 1", "transept demo train.stop=300u run=runs/short")(demo)


def demo(
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Keys of the recipe 'dates' to change.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a date translator in two minutes, and score it.

    A small 2017 Transformer learns to write dates of one language in another, from data made here: no file and no
    network is needed. It is scored on dates that it never saw, and between languages that training never paired.
    """
    from transept.cli.build import make_task
    from transept.data.dates import write_dates
    from transept.recipes.recipe import load_recipe, resolve
    from transept.tasks.settings.translation import TranslationRecipe
    from transept.train.loop import train
    from transept.train.run import RunDirectory

    wanted = load_recipe("dates", overrides or [])
    assert isinstance(wanted, TranslationRecipe)
    if wanted.data.dir is not None:
        raise UsageError(
            f"the demo makes its data and writes it into its run, so data.dir={wanted.data.dir} would not be read",
            remedy="Leave it out; `transept train dates data.dir=...` trains on data that is there.",
        )
    named = any(change.partition("=")[0].strip() == "run" for change in overrides or [])
    place = Path(wanted.run) if named else free_directory(Path(wanted.run))
    recipe = load_recipe("dates", overrides or [], {"run": str(place), "data.dir": str(place / "data")})
    run = RunDirectory.prepare(place, resolve(recipe))
    screen = console(stderr=as_json)
    sets = write_dates(place / "data", PAIRS, SEED, HELD_OUT)
    tell = say if as_json else print
    tell(f"{len(sets.train):,} pairs of dates, 13 languages; {len(sets.held_out)} pairs of languages are held out")
    begun = time.monotonic()
    result = train(make_task(recipe, tell), recipe.train, run, console=screen)
    if not result.finished:
        return
    from transept.use.loaded import load

    model = load(place)
    seen, unseen = exact(model, sets.valid), exact(model, sets.pairs)
    seconds = time.monotonic() - begun
    show(screen, model, sets.pairs)
    tell(f"exact match on {len(sets.valid):,} dates never seen: {seen:.2f} %")
    tell(f"exact match on {len(sets.pairs):,} such dates between languages never paired: {unseen:.2f} %")
    tell(f"{seconds:.0f} s from the start of training; the run is in {place}. Try it:")
    source = sets.pairs[0].source
    tell(f'  transept translate {place} "{source}"\n  transept eval {place}\n  transept show {place}')
    if as_json:
        told = {"exact_match": round(seen, 2), "held_out_pairs": round(unseen, 2), "seconds": round(seconds, 1)}
        print(json.dumps(told | {"run": str(place)}))


def free_directory(wanted: Path) -> Path:
    """The directory, or the first of runs/demo-2, runs/demo-3 ... that is not there: a demo writes over nothing."""
    number, place = 2, wanted
    while place.exists():
        place, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return place


def exact(model: Loaded, pairs: Sequence[DatePair]) -> float:
    """The share of dates that come out right to the last sign, in percent."""
    answers = model.translate([pair.source for pair in pairs])
    return 100 * sum(str(answer) == pair.target for answer, pair in zip(answers, pairs, strict=True)) / len(pairs)


def show(screen: Console, model: Loaded, pairs: Sequence[DatePair]) -> None:
    """A dozen translations between languages that training never paired."""
    from rich.table import Table
    from rich.text import Text

    chosen = [pairs[len(pairs) * i // SHOWN] for i in range(SHOWN)]
    table = Table(
        "", "asked", "answered", title="between languages never paired in training", title_justify="left", box=None
    )
    for pair, answer in zip(chosen, model.translate([pair.source for pair in chosen]), strict=True):
        right = str(answer) == pair.target
        words = str(answer) if right else f"{answer}   (right: {pair.target})"
        table.add_row("✓" if right else "✗", Text(pair.source), Text(words))
    screen.print()
    screen.print(table)
    screen.print()
