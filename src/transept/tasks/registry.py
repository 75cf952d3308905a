"""The tasks that there are: every module beside this one that offers TASK, found by its file's name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from transept import tasks
from transept.errors import InvalidConfig, UsageError, nearest


@cache
def all_tasks() -> dict[str, Any]:
    """Every task's class by its name, which is its file's name."""
    names = sorted(module.name for module in pkgutil.iter_modules(tasks.__path__))
    modules = {name: importlib.import_module(f"{tasks.__name__}.{name}") for name in names}
    return {name: module.TASK for name, module in modules.items() if hasattr(module, "TASK")}


def task_class(name: str) -> Any:
    """The class of a task, which is called with a recipe. Raises InvalidConfig with the nearest name."""
    known = all_tasks()
    if name not in known:
        raise InvalidConfig(
            f"there is no {name!r}.{nearest(name, known)}", key="task", remedy=f"There are: {', '.join(known)}."
        )
    return known[name]


def task_of(verb: str | None, what: str) -> Any:
    """The class of the task whose models have a verb. Raises UsageError, saying what the model is, where none has."""
    for found in all_tasks().values():
        if verb in getattr(found, "verbs", (found.verb,)):
            return found
    raise UsageError(f"nothing here scores a model that is {what}", remedy=elsewhere(verb))


def elsewhere(verb: str | None) -> str:
    """How a model is scored that `eval` does not score."""
    if verb is None:
        return "Score one that a recipe trained."
    return (
        f"`transept {verb} MODEL -f FILE --json` gives its answers, which other tools score (sacrebleu, scikit-learn);"
        " eval scores what a recipe trained."
    )
