"""From a recipe to its task: the one place where commands make one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transept.recipes.recipe import Recipe
    from transept.tasks.task import Task


def make_task(recipe: Recipe, say: Callable[[str], None]) -> Task[Any]:
    """The task that a recipe names, its texts read; `say` hears what was found on the way."""
    from transept.tasks.registry import task_class

    task: Task[Any] = task_class(recipe.task)(recipe, say=say)
    return task
