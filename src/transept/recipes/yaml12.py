"""YAML 1.2 as people mean it: `no` is a word, 1e-9 a number, a key stands once, and every value knows its line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from transept.errors import InvalidConfig, Where

Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+",
        list("-+.0123456789"),
    ),
)


class _Loader(yaml.SafeLoader):
    """Safe, with the scalars of YAML 1.2's core schema: PyYAML knows those of 1.1 alone."""


class _Dumper(yaml.SafeDumper):
    """Puts quotes around what this loader would not read as text."""


for _kind in (_Loader, _Dumper):
    _kind.yaml_implicit_resolvers = {}
    for _name, _form, _first in _SCALARS:
        _kind.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_form})$"), _first)


@dataclass(frozen=True)
class Document:
    """A mapping, and the line of each of its keys and items, counted from 1."""

    data: dict[str, Any]
    lines: dict[Path, int]


def read(text: str, name: str) -> Document:
    """Read a YAML mapping; InvalidConfig names `name`, the line and the reason."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            data = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidConfig(f"this is not YAML: {error.problem}", where=Where.of_line(name, line)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidConfig(f"this is not YAML: {error}", where=name) from error
    if not isinstance(data, dict) or node is None:
        raise InvalidConfig("a recipe is a mapping of keys to values", where=f"{name}:1")
    lines: dict[Path, int] = {}
    try:
        _mark(node, (), lines, name)
    except RecursionError as error:
        raise InvalidConfig("something in it contains itself", where=name) from error
    return Document(data, lines)


def value(text: str) -> Any:
    """The value that a text alone means: a number, true, null, a list in brackets; ValueError where it is not YAML.

    A text without quotes is taken whole: nobody means a comment in it, and ` #` stands in names of folders.
    """
    try:
        found = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        reason = error.problem if isinstance(error, yaml.MarkedYAMLError) and error.problem else str(error)
        raise ValueError(reason) from error
    text = text.strip()
    return text if isinstance(found, str) and text[:1] not in "'\"!&" else found


def scalar(text: str) -> Any:
    """`value`; what is not YAML is the text that it is."""
    try:
        return value(text)
    except ValueError:
        return text


def as_json(data: dict[str, Any]) -> str:
    """A mapping for a strict schema: from JSON it takes a list for a tuple and a text for a path, and no more."""
    return json.dumps(data)


def write(data: dict[str, Any]) -> str:
    """A mapping as YAML, innermost lists and mappings on one line, in the order given."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return text


def _mark(node: yaml.Node, path: Path, lines: dict[Path, int], name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TAG + "str":
                raise InvalidConfig("a key must be a word", where=Where.of_line(name, line))
            place = (*path, key.value)
            if place in lines:
                dotted = ".".join(map(str, place))
                raise InvalidConfig(
                    f"'{dotted}' stands in line {lines[place]} already", where=Where.of_line(name, line)
                )
            lines[place] = line
            _mark(value, place, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[*path, index] = value.start_mark.line + 1
            _mark(value, (*path, index), lines, name)
