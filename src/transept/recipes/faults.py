"""What is wrong with a recipe, in words: file, line, key, reason, nearest name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from transept.errors import InvalidConfig, Where, nearest

Path = tuple[str | int, ...]

SHOWN = 10


def explain(
    error: ValidationError, data: Mapping[str, Any], places: Mapping[Path, Where], schema: type[BaseModel], name: str
) -> InvalidConfig:
    """One error for all faults, in the order of the file; `places` says where a key stands."""
    faults: dict[Path, list[str]] = {}
    misspelt: set[Path] = set()
    for fault in error.errors(include_url=False):
        path = _path(fault["loc"], data, missing=fault["type"] == "missing")
        if fault["type"] == "extra_forbidden":
            misspelt.add(path)
        key, sentence = _sentence(fault, path, data, schema)
        one = InvalidConfig(sentence, where=_place(path, places, name), key=key).reason()
        if one not in faults.setdefault(path, []):
            faults[path].append(one)
    # A misspelt key is two faults, and the one that helps comes first.
    order = sorted(faults, key=lambda path: (path not in misspelt, _place(path, places, name).line or 0))
    told = [InvalidConfig("; or ".join(faults[path]), where=_place(path, places, name)) for path in order]
    lines = [told[0].what, *map(str, told[1:SHOWN])]
    if len(told) > SHOWN:
        lines.append(f"and {len(told) - SHOWN} more")
    return InvalidConfig(**told[0].fields(what="\n".join(lines)))


def _path(location: Path, data: Any, missing: bool) -> Path:
    """The keys of a location without the names of union members, which stand in no file."""
    path: list[str | int] = []
    here, last = data, len(location) - 1
    for index, name in enumerate(location):
        if _holds(here, name):
            here = here[name]
        elif not (missing and index == last):
            continue
        path.append(name)
    return tuple(path)


def _holds(here: Any, name: str | int) -> bool:
    return (isinstance(here, dict) and name in here) or (isinstance(here, list) and isinstance(name, int))


def _sentence(fault: Any, path: Path, data: Mapping[str, Any], schema: type[BaseModel]) -> tuple[str | None, str]:
    """The key that a fault is about, where its sentence does not say it, and the sentence."""
    key, given, context = ".".join(map(str, path)), fault["input"], fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            known = sorted({name for kind in _kinds(schema, path[:-1], data) for name in kind.model_fields})
            hint = _near(str(path[-1]), known, path[:-1], schema)
            return None, f"unknown key '{key}'.{hint or ' ' + _listed(known)}"
        case "missing":
            return None, f"'{key}' is not set"
        case "value_error":
            return key, str(context["error"])
        case "union_tag_not_found":
            return None, f"'{key}.{context['discriminator'].strip(chr(39))}' is not set"
        case "union_tag_invalid":
            choices = [choice.strip("' ") for choice in context["expected_tags"].split(",")]
            key = f"{key}.{context['discriminator'].strip(chr(39))}"
            return key, f"there is no {context['tag']!r}.{nearest(context['tag'], choices)} {_listed(choices)}"
        case "literal_error":
            choices = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            return key, f"there is no {given!r}.{nearest(str(given), choices)} {_listed(choices)}"
        case _:
            reason = fault["msg"].removeprefix("Input should be ").replace("an object", "a mapping")
            return None, f"{key} must be {reason}, not {_shown(given)}"


def _near(name: str, known: list[str], above: Path, schema: type[BaseModel]) -> str:
    """The nearest key beside it, or the same key elsewhere."""
    if hint := nearest(name, known):
        return hint
    here = ".".join(map(str, above))
    elsewhere = [dotted.rpartition(".") for dotted in _keys(schema)]
    same = [f"{outer}.{last}" for outer, _, last in elsewhere if last == name and outer != here]
    return f" Did you mean '{same[0]}'?" if same else ""


def _kinds(schema: type[BaseModel], path: Path, data: Any) -> list[type[BaseModel]]:
    """The classes that may describe what stands at a path."""
    kinds = [schema]
    for name in path:
        data = data[name]
        inner = [k for kind in kinds if (f := kind.model_fields.get(str(name))) for k in _classes(f.annotation)]
        kinds = [kind for kind in inner if _fits(kind, data)] or inner
    return kinds


def _fits(kind: type[BaseModel], data: Any) -> bool:
    """Whether the names that tell the members of a union apart are those of the data."""
    for name, field in kind.model_fields.items():
        if get_origin(field.annotation) is Literal and field.is_required() and isinstance(data, dict):
            return data.get(name) in get_args(field.annotation)
    return True


def _classes(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _classes(part)]


def _keys(schema: type[BaseModel]) -> list[str]:
    return list(dict.fromkeys(_walk(schema, "")))


def _walk(schema: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in schema.model_fields.items():
        yield prefix + name
        for kind in _classes(field.annotation):
            yield from _walk(kind, f"{prefix}{name}.")


def _place(path: Path, places: Mapping[Path, Where], name: str) -> Where:
    """Where a key stands, or the nearest thing around it."""
    for end in range(len(path), 0, -1):
        inner = [place for found, place in places.items() if found[:end] == path[:end]]
        if inner:
            return inner[0]
    return Where(name)


def _listed(names: Iterable[str]) -> str:
    return f"There are: {', '.join(names)}."


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
