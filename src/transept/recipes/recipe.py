"""Recipes: everything that a run needs, in one YAML file or by the name of a paper. Importing this imports no torch."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import transept
from transept.errors import InvalidConfig, UsageError, Where, nearest
from transept.recipes import yaml12
from transept.recipes.faults import explain
from transept.tasks import settings
from transept.tasks.settings.recipe import Recipe

# In this order a resolved recipe is written, and behind them what its task has of its own.
ORDER = ("task", "run", "start", "model", "data", "train")


@cache
def recipe_class(task: str) -> type[Recipe]:
    """What a recipe of a task may say. Raises InvalidConfig with the nearest task."""
    known = [module.name for module in pkgutil.iter_modules(settings.__path__) if module.name != "recipe"]
    if task not in known:
        raise InvalidConfig(
            f"there is no {task!r}.{nearest(task, known)}", key="task", remedy=f"There are: {', '.join(sorted(known))}."
        )
    found: type[Recipe] = importlib.import_module(f"{settings.__name__}.{task}").RECIPE
    return found


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    found = (Path(entry.name) for entry in files("transept.recipes").iterdir())
    return sorted(path.stem for path in found if path.suffix == ".yaml")


def recipe_text(name: str) -> str:
    """The YAML of a recipe that comes with the package; UsageError names the nearest one."""
    if name not in recipe_names():
        raise UsageError(
            f"there is no recipe {name!r}.{nearest(name, recipe_names())}",
            remedy=f"There are: {', '.join(recipe_names())}.",
        )
    return (files("transept.recipes") / f"{name}.yaml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """What a packaged recipe is, in a line: its first comment."""
    return recipe_text(name).partition("\n")[0].lstrip("# ")


def load_recipe(
    name_or_file: str | Path, overrides: Sequence[str] = (), values: Mapping[str, str] | None = None
) -> Recipe:
    """Read a recipe by name, from a YAML file, or from the run directory that it made; then change single keys.

    It is of the class of its task (`recipe_class`). What stands under `variants` in a file is other values of some
    keys, which "variant=NAME" among the overrides chooses; the others are laid over them. `overrides` are
    "train.seed=2", read as the key's type wants it; `values` are texts, taken as they
    are. Raises UsageError for an unknown recipe and InvalidConfig with file, line and the nearest name for what is
    wrong in it.
    """
    name, text = _find(str(name_or_file))
    document = yaml12.read(text, name)
    data = document.data
    _settle(data, Path(name))
    places = {path: Where.of_line(name, line) for path, line in document.lines.items()}
    texts = [_split(override) for override in overrides]
    texts = _vary(data, places, texts)
    for path, value in texts:
        _set(data, path, yaml12.scalar(value))
        places[path] = Where.typed(".".join(path), value)
    for key, value in (values or {}).items():
        _set(data, tuple(key.split(".")), value)
        places[tuple(key.split("."))] = Where.typed(key, value)
    kind = _kind(data, places.get(("task",)))
    # A text such as 2026 reads as a number. Where the key wants a text, what was typed is one.
    for path, value in texts:
        if isinstance(yaml12.scalar(value), (int, float)) and _refused(kind, data, path):
            _set(data, path, value)
            if _refused(kind, data, path):  # neither will do: speak of the number
                _set(data, path, yaml12.scalar(value))
    try:
        recipe = kind.model_validate_json(yaml12.as_json(data))
    except ValidationError as error:
        raise explain(error, data, places, kind, name) from error
    recipe.read_from({".".join(map(str, path)): place for path, place in places.items()})
    return recipe


def _vary(
    data: dict[str, Any], places: dict[yaml12.Path, Where], texts: Sequence[tuple[tuple[str, ...], str]]
) -> list[tuple[tuple[str, ...], str]]:
    """Lay the variant that was asked for over the recipe, and take the table of variants away. The other overrides."""
    variants = data.pop("variants", None) or {}
    chosen = [value for path, value in texts if path == ("variant",)]
    if not isinstance(variants, dict):
        raise InvalidConfig("variants must be a mapping of names", where=places.get(("variants",)))
    for name in chosen:
        if name not in variants:
            has = f"There are: {', '.join(variants)}." if variants else "This recipe has none."
            raise InvalidConfig(f"there is no variant {name!r}.{nearest(name, variants)}", remedy=has)
        for path, value in _leaves(variants[name] or {}):
            _set(data, path, value)
            if (place := places.get(("variants", name, *path))) is not None:
                places[path] = place
    return [(path, value) for path, value in texts if path != ("variant",)]


def _leaves(table: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Each value of nested tables that is no table, with where it stands."""
    if not isinstance(table, dict):
        return [(path, table)]
    return [leaf for key, value in table.items() for leaf in _leaves(value, (*path, str(key)))]


def _kind(data: Mapping[str, Any], where: str | None) -> type[Recipe]:
    """The class of the task that a recipe names; a task that is no text is for the class itself to refuse."""
    task = data.get("task", Recipe.model_fields["task"].default)
    try:
        return recipe_class(task if isinstance(task, str) else Recipe.model_fields["task"].default)
    except InvalidConfig as error:
        raise InvalidConfig(**error.fields(where=where)) from None


def resolve(recipe: Recipe) -> str:
    """The complete recipe as YAML: every default is written, and reading it gives the same recipe."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    head = f"# The complete recipe, every default written. transept {transept.__version__}, torch {torch}.\n"
    told = recipe.model_dump(mode="json")
    return head + yaml12.write({key: told[key] for key in (*ORDER, *told) if key in told})


def _find(given: str) -> tuple[str, str]:
    """The name for messages and the text of a recipe."""
    if given in recipe_names():
        return given, recipe_text(given)
    path = Path(given)
    path = path / "config.yaml" if (path / "config.yaml").is_file() else path
    if not path.is_file():
        raise UsageError(
            f"there is no recipe {given!r}.{nearest(given, recipe_names())}",
            remedy="A recipe is one of 1) a name: " + ", ".join(recipe_names()) + "; 2) a YAML file; "
            "3) a run directory, for its config.yaml.",
        )
    try:
        return str(path), path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"this is not UTF-8 text: {error.reason}", where=path) from error


def _settle(data: dict[str, Any], file: Path) -> None:
    """The config.yaml of a run speaks of the run that it lies in, wherever that was copied or moved to."""
    made = ("checkpoints", "seeds.json")  # by a run, by several
    if file.name == "config.yaml" and any((file.parent / name).exists() for name in made):
        written = data.get("run")
        if not isinstance(written, str) or Path(written).resolve() != file.parent.resolve():
            data["run"] = str(file.parent)


def _split(override: str) -> tuple[tuple[str, ...], str]:
    key, sign, value = override.partition("=")
    if not sign or not all(key.split(".")):
        raise UsageError(f"{override!r} changes no key", remedy="Write KEY=VALUE, for example train.seed=2.")
    return tuple(key.strip().split(".")), value.strip()


def _set(data: dict[str, Any], path: Iterable[str], value: Any) -> None:
    *outer, last = path
    for key in outer:
        inner = data.get(key)
        if not isinstance(inner, dict):
            inner = data[key] = {}
        data = inner
    data[last] = value


def _refused(kind: type[Recipe], data: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether what stands at a key is an error there. Locations name the members of unions too, which no path does."""
    try:
        kind.model_validate_json(yaml12.as_json(data))
    except ValidationError as error:
        locations = [iter(fault["loc"]) for fault in error.errors(include_url=False, include_context=False)]
        return any(all(name in location for name in path) for location in locations)
    return False
