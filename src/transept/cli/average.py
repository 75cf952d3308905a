"""`transept average`: a run's model made again, of other checkpoints, or of a run that did not come to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from transept.cli.common import OverwriteOption, say, verb
from transept.errors import UsageError


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept average runs/multi30k --overwrite",
        "transept average runs/multi30k --last 5 --out models/last5",
        "transept average runs/multi30k --best --out models/best",
    )(average)


def average(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    last: Annotated[
        int | None, typer.Option("--last", min=1, help="Average so many checkpoints; else as many as the recipe says.")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Take the best checkpoint alone.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Where the model goes; else the run's own model/.")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a run's model of its last checkpoints.

    The mean of the last ones, or the best one alone, scored on the validation split.
    """
    from transept.cli.build import keeper, make_task
    from transept.durable import reclaim
    from transept.hub.directory import check_free
    from transept.recipes.recipe import load_recipe
    from transept.train.average import choose
    from transept.train.checkpoint import Checkpoints
    from transept.train.device import choose_device
    from transept.train.finish import write_model
    from transept.train.progress import Progress
    from transept.train.run import RunDirectory
    from transept.train.standing import Standing

    if last is not None and best:
        raise UsageError("--last and --best ask for different models", remedy="Leave one of them out.")
    directory = RunDirectory(run)
    if not directory.checkpoints.is_dir():
        raise UsageError("this is no run directory: it has no checkpoints/", where=run)
    target = out.expanduser().resolve() if out else directory.model
    if out is None and (target / "config.json").exists() and not overwrite:
        raise UsageError(
            "the run ended, and made its model then: this would replace it",
            where=target,
            remedy=f"Put another beside it (transept average {run} --last 5 --out {run}-last5), or use --overwrite.",
        )
    if RunDirectory(target).config.is_file():
        raise UsageError("a run is in this directory; no model replaces it", where=target, remedy="Use --out ANOTHER.")
    check_free(target, overwrite)
    recipe = load_recipe(run)
    checkpoints = Checkpoints(directory.checkpoints)
    with directory.held():
        for name in checkpoints.clean() + reclaim(directory.path):
            say(f"removed {name}, left by a process that died")
        newest = checkpoints.newest(say)
        if newest is None:
            raise checkpoints.none()
        state = checkpoints.load(newest).state
        done, standing = Progress(**state["progress"]), Standing(**state["standing"])
        updates = choose(checkpoints, 0 if best else last or recipe.train.average, standing.update, say)
        scores = write_model(
            make_task(recipe, say),
            recipe.train,
            directory,
            updates,
            choose_device(recipe.train.device),
            {
                "stopped": f"stopped: the model was made after update {done.update:,}",
                "tokens": done.tokens,
                "seconds": done.seconds,
            },
            out=target,
            keep=keeper(recipe),
        )
    named = ", ".join(f"{update:,}" for update in updates)
    place = out or target
    print(f"{place}: the mean of updates {named}" if len(updates) > 1 else f"{place}: update {named}")
    print("on the validation split: " + " · ".join(f"{name} {value:.4g}" for name, value in scores.items()))
