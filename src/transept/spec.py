"""Descriptions: what a model is, as plain frozen data that is checked, compared, changed by `replace` and kept as JSON.

A `Part` is written as a class with annotated fields; the base makes it a frozen dataclass and finds it by its name.
Every value is checked against its annotation, so a description that exists is one that can be read back:

    @Part subclasses  ->  Attention(heads=8)  ->  to_json  ->  from_json  ->  equal
"""

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from typing import (
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from transept.errors import InvalidConfig, nearest

VERSION = 1  # of the document that `to_json` writes; a reader refuses what is newer

__all__ = ["VERSION", "Part", "edit", "from_json", "part_from_dict", "replace", "to_json"]


@dataclass_transform(frozen_default=True)
class Part:
    """A frozen description of one thing. Subclasses become dataclasses; their fields are plain data or other parts.

    `kinds` holds every description by its class name. `former` gives, for a class, the older names of its fields, so
    that files written by earlier versions still load.
    """

    kinds: ClassVar[dict[str, type["Part"]]] = {}
    former: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        known = Part.kinds.get(cls.__name__)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"two descriptions are called {cls.__name__}: {known.__module__} and {cls.__module__}")
        dataclass(frozen=True)(cls)
        Part.kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        hints = _hints(type(self).__name__)
        for field in fields(cast(Any, self)):
            value, hint = getattr(self, field.name), hints[field.name]
            if not fits(value, hint):
                raise InvalidConfig(f"{type(self).__name__}.{field.name} must be {spoken(hint)}, not {value!r}")
        self.validate()

    def validate(self) -> None:
        """Refuse values that fit their types and still make no sense together. Raises InvalidConfig."""

    def hold(self, low: float, *names: str, below: float = float("inf")) -> None:
        """Refuse fields that are under `low`, or not under `below`; one that is None holds. For `validate`."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not low <= value < below:
                end = "" if below == float("inf") else f" and below {below:g}"
                raise InvalidConfig(f"{type(self).__name__}.{name} must be at least {low:g}{end}, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the kind and every field, defaults included."""
        named = {field.name: _plain(getattr(self, field.name)) for field in fields(cast(Any, self))}
        return {"kind": type(self).__name__} | named

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """The description that `to_dict` wrote, if it is one of this class."""
        part = part_from_dict(data)
        if not isinstance(part, cls):
            raise InvalidConfig(f"expected a {cls.__name__}, found a {type(part).__name__}")
        return part


@cache
def _hints(name: str) -> dict[str, Any]:
    return get_type_hints(Part.kinds[name])


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type, strictly: True is no int, a list no tuple; an int serves as a float."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(fits(item, inner[0]) for item in value)
        return len(value) == len(inner) and all(fits(item, one) for item, one in zip(value, inner, strict=True))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def spoken(hint: Any) -> str:
    """An annotation in words, for messages."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(repr(choice) for choice in inner)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if one is types.NoneType else spoken(one) for one in inner)
    if origin is tuple:
        return f"a tuple of {spoken(inner[0])}" if inner else "an empty tuple"
    if isinstance(hint, type) and issubclass(hint, Part):
        kinds = [name for name, kind in Part.kinds.items() if issubclass(kind, hint) and kind is not hint]
        return f"a part of kind {', '.join(sorted(kinds)) or hint.__name__}"
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names.get(hint, f"a {hint.__name__}")


def _plain(value: object) -> Any:
    if isinstance(value, Part):
        return value.to_dict()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


Whole = TypeVar("Whole", bound=Part)


def edit(part: Whole, change: Callable[[Part], Part]) -> Whole:
    """A description with `change` applied to every part of it, from the leaves up: surgery on a whole model.

    edit(spec, lambda part: replace(part, core=Reference()) if isinstance(part, Attention) else part)
    """

    def walk(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(walk(item) for item in value)
        if not isinstance(value, Part):
            return value
        inner = {field.name: walk(getattr(value, field.name)) for field in fields(cast(Any, value))}
        changed = {name: new for name, new in inner.items() if new is not getattr(value, name)}
        return change(replace(cast(Any, value), **changed) if changed else value)

    made: Whole = walk(part)
    return made


Unsaid = Mapping[str, Mapping[str, Any]]


def part_from_dict(data: object, path: str = "spec", unsaid: Unsaid | None = None) -> Part:
    """A description from plain data. Unknown kinds and fields are refused with the nearest name.

    `unsaid` has, by the name of a kind, what fields that are not given are, where that is not their default. Raises
    InvalidConfig whose message holds the path of the field, such as `spec.encoder.block.parts[0].heads`.
    """
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise InvalidConfig(f"{path}: a description is an object with a 'kind', not {data!r:.60}")
    name = data["kind"]
    kind = Part.kinds.get(name)
    if kind is None:
        raise InvalidConfig(f"{path}: there is no part called {name!r}.{nearest(name, Part.kinds)}")
    known = {field.name: field for field in fields(cast(Any, kind))}
    given: dict[str, object] = {}
    unsaid = unsaid or {}
    for key, value in data.items():
        if key == "kind":
            continue
        field = kind.former.get(key, key)
        if field not in known:
            raise InvalidConfig(f"{path}: {name} has no field {key!r}.{nearest(key, known)}")
        if field in given:
            raise InvalidConfig(f"{path}: {name}.{field} is given twice")
        given[field] = _read(value, f"{path}.{key}", unsaid)
    given = {**unsaid.get(name, {}), **given}
    for wanted in known.values():
        if wanted.name not in given and wanted.default is MISSING and wanted.default_factory is MISSING:
            raise InvalidConfig(f"{path}: {name} needs the field {wanted.name!r}")
    try:
        return kind(**given)
    except InvalidConfig as error:
        raise InvalidConfig(**error.fields(what=f"{path}: {error.what}")) from None


def _read(value: object, path: str, unsaid: Unsaid) -> object:
    if isinstance(value, dict):
        return part_from_dict(value, path, unsaid)
    if isinstance(value, list):
        return tuple(_read(item, f"{path}[{i}]", unsaid) for i, item in enumerate(value))
    return value


def to_json(part: Part) -> str:
    """The document that `from_json` reads: a version and the description, every field written."""
    return json.dumps({"transept": VERSION, "spec": part.to_dict()}, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, unsaid: Unsaid | None = None) -> Part:
    """The description in a document; `unsaid` as in `part_from_dict`.

    Raises InvalidConfig on malformed, newer or unknown content.
    """
    try:
        document = json.loads(text, object_pairs_hook=_without_duplicates)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidConfig(f"not a description: {error}") from None
    if not isinstance(document, dict) or set(document) != {"transept", "spec"}:
        raise InvalidConfig("not a description: expected an object with 'transept' (its version) and 'spec'")
    if not isinstance(version := document["transept"], int) or not 1 <= version <= VERSION:
        raise InvalidConfig(
            f"the description has version {version!r}, and this Transept reads 1 to {VERSION}",
            remedy="A newer Transept wrote it: update, or write it again with this one.",
        )
    return part_from_dict(document["spec"], unsaid=unsaid)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidConfig("not a description: a key is given twice in one object")
    return found
