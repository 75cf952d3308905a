"""`transept train RECIPE --seeds 5`: the same recipe by several seeds, and what their models score together."""

from __future__ import annotations

import copy
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transept.cli.common import console, say
from transept.errors import Interrupted, InvalidData, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transept.tasks.settings.recipe import Recipe
    from transept.train.run import Mode


def of_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe of one seed's run."""
    from transept.train.seeds import folder

    train = recipe.train.model_copy(update={"seed": seed})
    return recipe.model_copy(update={"run": str(folder(Path(recipe.run), seed)), "train": train})


def run_seeds(recipe: Recipe, seeds: Sequence[int], mode: Mode) -> None:
    """Train a recipe with each seed in a directory of its own, one after the other, then compare their models.

    Texts are read and a vocabulary is learned once, for all, unless data.labels draws examples for each seed. With
    --resume a seed that ended is not trained again.
    """
    from transept.cli.build import keeper, make_task
    from transept.durable import replace_text
    from transept.recipes.recipe import resolve
    from transept.train.run import RunDirectory
    from transept.train.seeds import Seeds, asked_of, folder, scores_of

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "several seeds are trained one after the other, each by one process",
            remedy="Start torchrun for each: train.seed=1 run=RUN/seed-1, and so on.",
        )
    whole = RunDirectory.check(recipe.run, mode)
    if mode == "resume" and asked_of(whole.path) is None:
        raise UsageError(
            "the run here is one of a single seed",
            where=whole.path,
            remedy="Go on with it without --seeds, or train several in another directory by run=ANOTHER.",
        )
    again = [seed for seed in seeds if mode == "resume" and ended(recipe, seed)]
    if mode == "overwrite":
        for seed in seeds:
            RunDirectory.check(folder(whole.path, seed), mode)
    task: Any = make_task(recipe, say)
    begun = task.remembered() if hasattr(task, "remembered") else None
    whole.path.mkdir(parents=True, exist_ok=True)
    replace_text(whole.config, resolve(recipe))
    scores = {seed: found for seed in seeds if seed in again and (found := scores_of(of(whole, seed))) is not None}
    Seeds(task.score, task.higher, scores).write(whole.path, seeds)
    for place, seed in enumerate(seeds, 1):
        if seed in scores:
            say(f"seed {seed} ({place} of {len(seeds)}): it ended before, and is not trained again")
            continue
        say(f"seed {seed} ({place} of {len(seeds)}): {folder(whole.path, seed)}")
        own = of_seed(recipe, seed)
        if getattr(getattr(recipe, "data", None), "labels", None) is not None:  # each seed draws its own examples
            task = make_task(own, say)
        if not train_one(task, begun, own, mode, keeper(own), seeds, recipe):
            return
        made = scores_of(of(whole, seed))
        if made is None:
            raise InvalidData("the run ended, and there is no model with its scores", where=folder(whole.path, seed))
        scores[seed] = made
        Seeds(task.score, task.higher, {s: scores[s] for s in seeds if s in scores}).write(whole.path, seeds)
    finish(whole, Seeds(task.score, task.higher, {seed: scores[seed] for seed in seeds}), task.verb)


def train_one(
    task: Any, begun: Any, recipe: Recipe, mode: Mode, keep: Any, seeds: Sequence[int], whole: Recipe
) -> bool:
    """Train with one seed; whether it came to its end."""
    from transept.recipes.recipe import resolve
    from transept.train.loop import train as loop
    from transept.train.run import RunDirectory

    there = RunDirectory(recipe.run).config.is_file()
    mine: Mode = mode if there else "new"
    run = RunDirectory.prepare(recipe.run, resolve(recipe), mine)
    try:
        result = loop(
            reseeded(task, recipe, begun),
            recipe.train,
            run,
            resume=mine == "resume",
            console=console(),
            sections=recipe.sections(),
            usual=recipe.usual(),
            keep=keep,
        )
    except Interrupted as error:
        named = ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")
        command = f"transept train {shlex.quote(whole.run)} --seeds {named} --resume"
        raise Interrupted(**error.fields(remedy=f"Go on with: {command}")) from error
    return result.finished


def reseeded(task: Any, recipe: Recipe, begun: Any) -> Any:
    """A task that was made of another seed's recipe, for this one's run.

    The seed says the order of batches and what is drawn for them, which a task makes when it is asked; what it has read
    and learned hangs on none, but for the examples that data.labels draws. What it remembers of updates is as it was
    before the first.
    """
    made = copy.copy(task)
    made.recipe = recipe
    vars(made).pop("fingerprint", None)  # that of the run before
    if begun is not None:
        made.recall(begun)
    return made


def ended(recipe: Recipe, seed: int) -> bool:
    """Whether a seed's run came to its end, by the same recipe."""
    from transept.recipes.recipe import load_recipe
    from transept.train.run import RunDirectory
    from transept.train.seeds import scores_of

    own = of_seed(recipe, seed)
    run = RunDirectory(own.run)
    return run.config.is_file() and scores_of(run) is not None and load_recipe(own.run) == own


def of(whole: Any, seed: int) -> Any:
    """The run of one seed."""
    from transept.train.run import RunDirectory
    from transept.train.seeds import folder

    return RunDirectory(folder(whole.path, seed))


def finish(whole: Any, found: Any, verb: str) -> None:
    """Say what all of them score, in a table and in the card of the best, to which `model` points."""
    from transept.cli.train import INPUTS
    from transept.durable import point, remove
    from transept.hub.card import set_section

    for seed in found.scores:
        model = of(whole, seed).model
        set_section(model, "Seeds", found.section() if seed == found.best else "")
    best = of(whole, found.best).model
    if whole.model.is_dir() and not whole.model.is_symlink():
        remove(whole.model)
    point(whole.model, best)
    print("\n".join(found.lines()))
    print(f"the best is seed {found.best}, which {whole.model} points to; all is in {whole.path / 'seeds.json'}")
    if verb:
        print(f"use it:   transept {verb} {whole.path} {INPUTS.get(verb, 'TEXT')}".rstrip())
    print(f"score it: transept eval {whole.path / f'seed-{found.best}'}")
