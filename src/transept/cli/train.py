"""`transept train`: a recipe becomes a run directory with a model in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transept.cli.common import FromOption, OverridesArgument, RecipeArgument, console, say, verb
from transept.errors import UsageError

if TYPE_CHECKING:
    from transept.tasks.settings.recipe import Recipe
    from transept.train.run import Mode


# What a verb takes; the others take a text.
INPUTS = {
    "caption": "PICTURE",
    "see": "PICTURE",
    "hear": "SOUND",
    "transcribe": "SOUND",
    "show": "",
    "answer": "QUESTION CONTEXT",
}


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept train transformer-tiny-multi30k data.dir=multi30k",
        "transept train pairs data.train=[train.en,train.de] data.valid=[valid.en,valid.de] run=runs/mine",
        "transept train runs/mine --resume",
        "transept train pairs --from runs/mine data.train=more.tsv data.valid=valid.tsv run=runs/tuned",
        "transept train runs/mine/config.yaml run=runs/five --seeds 5",
        "torchrun --nproc-per-node 2 -m transept train transformer-base data.dir=wmt train.accumulate=2",
    )(train)


def train(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    start: FromOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run from its last checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")] = False,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="N|LIST", help="Train with seeds 1 to N, or with those of a list as 1,2,7."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
) -> None:
    """Train a model from a recipe.

    Ctrl-C saves and leaves; --resume then ends at the weights that an unbroken run would have. With --seeds each seed
    has a directory of its own in that of the run, and a table says how they differ.
    """
    from transept.recipes.recipe import load_recipe
    from transept.train.seeds import asked_of, parse

    if resume and overwrite:
        raise UsageError("--resume goes on with a run and --overwrite replaces it", remedy="Leave one of them out.")
    found = load_recipe(recipe, overrides or [], {"start": start} if start else {})
    mode: Mode = "resume" if resume else "overwrite" if overwrite else "new"
    chosen = parse(seeds) if seeds is not None else asked_of(Path(found.run)) if resume else None
    if dry_run:
        preview(found, mode)
    elif chosen is not None:
        from transept.cli.seeds import run_seeds

        run_seeds(found, chosen, mode)
    else:
        run_recipe(found, mode)


def preview(recipe: Recipe, mode: Mode) -> None:
    """Everything up to the first update, and nothing written."""
    from transept.cli.build import make_task
    from transept.recipes.recipe import resolve
    from transept.train.run import RunDirectory

    RunDirectory.check(recipe.run, mode)
    facts = make_task(recipe, say).facts()
    print(resolve(recipe), end="")
    for name, words in facts.items():
        print(f"# {name}: {words}")
    print(f"# nothing was written; without --dry-run this trains in {recipe.run}")


def run_recipe(recipe: Recipe, mode: Mode) -> None:
    """Train as a recipe says. Its texts are read before the run directory is touched."""
    from transept.cli.build import keeper, make_task
    from transept.recipes.recipe import resolve
    from transept.train.loop import train as loop
    from transept.train.run import RunDirectory

    leads = os.environ.get("RANK", "0") == "0"  # torchrun's number of this process
    # After a failure torchrun starts all processes again with the same words. A run that it began goes on then; one
    # that stood there before is refused, or replaced, as it was asked.
    restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    if restarted and RunDirectory(recipe.run).begun_by_this_torchrun():
        mode = "resume"
    if leads:
        RunDirectory.check(recipe.run, mode)
    task = make_task(recipe, say if leads else lambda text: None)
    run = RunDirectory.prepare(recipe.run, resolve(recipe), mode) if leads else RunDirectory(recipe.run)
    result = loop(
        task,
        recipe.train,
        run,
        resume=restarted or mode == "resume",
        console=console(),
        sections=recipe.sections(),
        usual=recipe.usual(),
        keep=keeper(recipe),
    )
    if leads and result.finished:
        if task.verb:
            print(f"use it:   transept {task.verb} {run.path} {INPUTS.get(task.verb, 'TEXT')}".rstrip())
        print(f"score it: transept eval {run.path}")
