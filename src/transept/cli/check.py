"""`transept check`: before a run, everything that would stop it later."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from transept.cli.common import FromOption, OverridesArgument, RecipeArgument, say, verb
from transept.errors import InvalidConfig

if TYPE_CHECKING:
    from transept.tasks.settings.recipe import Recipe
    from transept.train.estimate import Estimate


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept check transformer-tiny-multi30k data.dir=multi30k",
        "transept check sst2 data.dir=sst2 --from models/bert",
        "transept check runs/mine/config.yaml train.batch_tokens=8192",
    )(check)


def check(recipe: RecipeArgument, overrides: OverridesArgument = None, start: FromOption = None) -> None:
    """Try a recipe: files, lengths, memory, one step.

    Reads everything, tokenises, and takes one step on the largest batch. Nothing is written.
    """
    from transept.cli.build import make_task
    from transept.recipes.recipe import load_recipe
    from transept.train.estimate import estimate
    from transept.train.run import RunDirectory

    found = load_recipe(recipe, overrides or [], {"start": start} if start else {})
    show("recipe", f"{recipe}: every key is known")
    task = make_task(found, say)
    for name, words in task.facts().items():
        show(name, words)
    for name, words in task.trial():
        show(name, words)
    if idle := found.train.idle():
        show("rate", idle)
    needed = estimate(task, found.train)
    for name, words in needed.lines().items():
        show(name, words)
    show_disk(found, needed)
    held = RunDirectory(found.run).config.is_file()
    show("run", f"{found.run} " + ("holds a run: --resume, --overwrite or run=ANOTHER" if held else "is free"))
    typed = [recipe, *(["--from", start] if start else []), *(overrides or [])]
    print(f"ready: transept train {shlex.join(typed)}")


def show(name: str, words: str) -> None:
    print(f"{name:<14} {words}")


def show_disk(recipe: Recipe, needed: Estimate) -> None:
    """Room for every checkpoint that the run will hold at once."""
    config = recipe.train
    count = config.keep + config.average + 2  # the best one, and the one being written
    total, there = count * needed.checkpoint + needed.once, Path(recipe.run).absolute()
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    words = f"{total / 2**30:.2f} GiB for {count} checkpoints, {free / 2**30:.1f} GiB are free"
    if free < total:
        raise InvalidConfig(words, where=recipe.run, remedy="Lower train.keep or train.average, or take another place.")
    show("room", words)
