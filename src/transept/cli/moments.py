"""The checkpoints of a run as models: one of them where a model is asked for, or one after another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from transept.cli.common import note
from transept.errors import InvalidData, UsageError

if TYPE_CHECKING:
    from transept.look.film import Film
    from transept.topology import Built
    from transept.use.loaded import Loaded


def opened(path: str, device: str) -> Loaded:
    """A model. A checkpoint, `RUN/checkpoints/00002380`, is the run's model with the weights of that update, and a run
    that has none yet its newest checkpoint.
    """
    from transept.use.loaded import load

    folder = Path(path).resolve()
    if unfinished(folder):
        folder = folder / "checkpoints" / f"{_newest(folder):08d}"
        note(f"{path}: this run has no model yet, and is read from its last checkpoint, {folder.name}")
    elif folder.parent.name != "checkpoints" or not folder.name.isdecimal() or (folder / "config.json").exists():
        return load(path, device=device, say=note)
    run = folder.parent.parent
    if int(folder.name) not in (kept := updates_of(run)):
        raise InvalidData("there is no such checkpoint", where=path, remedy=f"There are: {spoken(kept)}.")
    if unfinished(run):
        return begun(folder, device)
    last = load(run, device=device, say=note)
    return placed(folder, last, model_at(run, last)(int(folder.name)))


def placed(path: Path, last: Loaded, model: Built) -> Loaded:
    """A model that stands at a path, with all that stands beside another."""
    from transept.hub.directory import Stored
    from transept.use.loaded import Loaded

    stored = Stored(
        model,
        tokenizer=last.tokenizer,
        generation=last.generation,
        labels=last.labels,
        processor=last.processor,
        beside=last.beside,
        sentences=last.sentences,
    )
    return Loaded(path, stored)


def unfinished(run: Path) -> bool:
    """Whether a run has checkpoints, and no model of them yet."""
    from transept.train.run import RunDirectory

    directory = RunDirectory(run)
    ended = (run / "config.json").exists() or (directory.model / "config.json").exists()
    return directory.config.is_file() and directory.checkpoints.is_dir() and not ended


def _newest(run: Path) -> int:
    """The last update of a run whose checkpoint is sound."""
    from transept.train.checkpoint import Checkpoints

    checkpoints = Checkpoints(run / "checkpoints")
    updates_of(run)  # refuses where there is none
    if (newest := checkpoints.newest(note)) is None:
        raise checkpoints.none()
    return newest


def begun(checkpoint: Path, device: str) -> Loaded:
    """A checkpoint of a run that has no model yet: what its task would write, without measuring anything.

    What stands beside the weights, a vocabulary say, is made of the run's data as when it began.
    """
    from tempfile import TemporaryDirectory

    from transept.cli.build import make_task
    from transept.recipes.recipe import load_recipe
    from transept.train.adapting import handed_on
    from transept.train.checkpoint import Checkpoints
    from transept.train.device import choose_device
    from transept.train.finish import model_of
    from transept.use.loaded import load

    recipe, checkpoints = load_recipe(checkpoint.parent.parent), Checkpoints(checkpoint.parent)
    task = make_task(recipe, note)
    made = model_of(task, recipe.train, checkpoints, [int(checkpoint.name)], choose_device("cpu"))
    with TemporaryDirectory(prefix="transept-look-") as room:
        task.save_model(handed_on(made), Path(room) / "model", None)
        found = load(Path(room) / "model", device=device, say=note)
    return placed(checkpoint, found, found.model)


def film_of(path: Path, last: Loaded) -> Film:
    """What a run kept on its way, to be looked at one after another. UsageError where that is less than two moments."""
    from transept.look.film import Film

    updates = updates_of(path)
    if len(updates) < 2:
        raise UsageError(
            f"the run kept one checkpoint, of update {updates[0]:,}, and a film needs two",
            where=path,
            remedy=f"Keep more while it trains: `transept train {path / 'config.yaml'} run=ANOTHER train.keep=20`.",
        )
    return Film(updates, model_at(path, last), path / "checkpoints")


def updates_of(run: Path) -> list[int]:
    """The updates whose checkpoints a run has, rising; at least one."""
    from transept.train.checkpoint import Checkpoints
    from transept.train.run import RunDirectory
    from transept.train.seeds import asked_of, folder

    directory = RunDirectory(run)
    if seeds := asked_of(run):
        raise UsageError(
            "this holds a run for each seed, and a film is of one run",
            where=run,
            remedy=f"Name one: {', '.join(str(folder(run, seed)) for seed in seeds[:4])}"
            f"{', ...' if len(seeds) > 4 else '.'}",
        )
    if not directory.config.is_file() or not directory.checkpoints.is_dir():
        raise UsageError(
            "this is no run directory: it has no checkpoints",
            where=run,
            remedy="A film is of a run: name the directory that `transept train` wrote.",
        )
    if not (updates := Checkpoints(directory.checkpoints).updates()):
        raise UsageError("the run has no checkpoint yet", where=directory.checkpoints, remedy="Train it first.")
    return updates


def model_at(run: Path, last: Loaded) -> Callable[[int], Built]:
    """What gives the model of an update. One model is filled again and again: the one before is gone then."""
    from transept.recipes.recipe import load_recipe
    from transept.topology import Built
    from transept.train.adapting import adapted, handed_on
    from transept.train.checkpoint import Checkpoints
    from transept.train.finish import fill
    from transept.train.run import RunDirectory

    checkpoints, config = Checkpoints(RunDirectory(run).checkpoints), load_recipe(run).train
    own = copy.deepcopy(last.model)
    filled = own if config.lora is None else adapted(own, config).eval()

    def model(update: int) -> Built:
        fill(filled, checkpoints.weights(update))
        made = handed_on(filled)
        assert isinstance(made, Built)
        return made

    return model


def spoken(updates: list[int]) -> str:
    """Updates for people, as their directories are called."""
    return ", ".join(f"{update:08d}" for update in updates)
