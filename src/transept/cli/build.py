"""From a recipe to its task: the one place where commands make one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from transept.errors import Where
    from transept.tasks.settings.recipe import Recipe
    from transept.tasks.task import Task
    from transept.train.adapting import Keep


def make_task(recipe: Recipe, say: Callable[[str], None]) -> Task[Any]:
    """The task that a recipe names; `say` hears what was found on the way.

    Whatever can be refused is refused here, before a directory is made: the device, the texts of every split, batches
    that cannot be cut, a model that cannot be built or has nothing of the names that are frozen or adapted.
    """
    from transept.errors import InvalidConfig
    from transept.tasks.registry import task_class
    from transept.topology import outline
    from transept.train.adapting import adapted, shares
    from transept.train.device import choose_device, choose_precision

    try:
        choose_precision(recipe.train.precision, choose_device(recipe.train.device))
        task: Any = task_class(recipe.task)(recipe, say=say)
        task.facts()
        task.batches("train", 0)
        shares(adapted(outline(task.spec), recipe.train), recipe.train.optimizer)
    except InvalidConfig as error:
        if error.key is None or error.where is not None:
            raise
        raise InvalidConfig(**error.fields(where=_said(recipe, error.key))) from None
    checked: Task[Any] = task
    return checked


def _said(recipe: Recipe, key: str) -> Where | None:
    """Where a recipe says a key, or what is around it."""
    while key and recipe.where(key) is None:
        key = key.rpartition(".")[0]
    return recipe.where(key)


def keeper(recipe: Recipe) -> Keep | None:
    """What writes a model's adapters beside it, where a recipe trains such."""
    if recipe.train.lora is None:
        return None
    from transept.hub.adapters import ADAPTERS, save_adapters
    from transept.hub.files import read_json
    from transept.hub.kinds import classes, read_labels
    from transept.topology import Built

    def keep(model: nn.Module, folder: Path) -> None:
        assert isinstance(model, Built)
        labels = read_labels(read_json(folder / "config.json"), classes(model.spec))
        save_adapters(folder / ADAPTERS, model, base=recipe.start, labels=labels)

    return keep
