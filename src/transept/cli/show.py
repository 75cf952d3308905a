"""`transept show`: a model laid flat, and its patterns drawn."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from transept.cli.common import JsonOption, console, emit, meant, verb
from transept.errors import UsageError, nearest

if TYPE_CHECKING:
    from transept.cli.flat import Row
    from transept.hub.directory import Stored
    from transept.parts.pattern import Pattern
    from transept.topology import Topology

DRAWN = 8  # tokens on a side of a drawn pattern of a model; of one that is asked for, twice as many
PICTURED = 64  # the same in a picture
LISTED = 12  # names of classes that a line holds


def add(app: typer.Typer) -> None:
    verb(
        app,
        "transept show runs/demo",
        "transept show bert:base",
        "transept show OWNER/NAME",
        "transept show transformer:tiny norm=before kv_heads=1",
        'transept show --pattern "causal & window(4) | first(1)" --size 24',
        'transept show --pattern "local(64, 1, 1) | global_blocks(64)" --size 512 --png bigbird.png',
    )(show)


def show(
    model: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL|FAMILY[:SIZE]]", help="A model or run directory, or a family's name."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="With a family: what its declaration takes.")
    ] = None,
    pattern: Annotated[str | None, typer.Option("--pattern", help="Draw this pattern of attention.")] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=1, max=4096, help="Tokens a side that patterns are drawn at.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Write the patterns as a picture too.")
    ] = None,
    length: Annotated[int, typer.Option("--length", min=1, help="Tokens a side that operations are counted at.")] = 64,
    as_json: JsonOption = False,
) -> None:
    """Print a model flat: parts, shapes, parameters.

    Each part with its shapes, parameters, operations for a token, and the file that it comes from; who may attend to
    whom as a drawing, in which a row is a query.
    """
    if model is None and pattern is None:
        raise UsageError(
            "there is nothing to show", remedy='Name a model, a family, or a --pattern "causal & window(4)".'
        )
    drawn: dict[str, Pattern] = {}
    if pattern is not None:  # first of all, since it may not parse
        from transept.parts.pattern_text import parse_pattern

        found = parse_pattern(pattern)
        drawn = {str(found): found}
    if model is not None:
        more = _show_model(model, settings or [], length, as_json)
        if not as_json:  # whose lines are the parts
            _show_patterns(more, size or DRAWN, as_json)
        drawn |= more
    if pattern is not None:
        _show_patterns({str(found): found}, size or 2 * DRAWN, as_json)
    if png is not None:
        from transept.cli.drawing import picture
        from transept.durable import replace_file

        replace_file(png, picture(drawn, size or PICTURED))
        print(f"{png}: drawn at {size or PICTURED} tokens a side", file=sys.stderr)


def _show_model(name: str, settings: list[str], length: int, as_json: bool) -> dict[str, Pattern]:
    """Print the table of a model; its patterns by their places."""
    from transept.cli.flat import flatten, patterns
    from transept.topology import outline

    stored = _stored(name, settings)
    title, spec = (name, stored.model.spec) if stored else _declared(name, settings)
    layer = stored.model if stored else outline(spec)
    rows = flatten(layer, length)
    if as_json:
        for row in rows:
            emit(asdict(row))
        if stored:
            emit({"holds": _held(name, stored)})
        return {f"{place}: {found}": found for place, found in patterns(layer).items()}
    total = sum(row.parameters for row in rows)
    print(f"{title}: {total:,} parameters")
    print(f"Operations: multiplications and additions for one token of each stack, at {length} tokens a side.\n")
    console().print(_table(rows))
    print()
    if stored:
        print("\n".join([*_told(name, stored), ""]))
    return {f"{place}: {found}": found for place, found in patterns(layer).items()}


def _stored(name: str, settings: list[str]) -> Stored | None:
    """What a directory holds, or a model of the hub by OWNER/NAME; None where the name is a family's."""
    if not Path(name).exists() and "/" not in name:
        return None
    if settings:
        raise UsageError(f"{settings[0]!r} changes a family's declaration; {name} is a model that is built")
    from transept.hub.directory import read_blank

    return read_blank(name)


def _held(name: str, stored: Stored) -> dict[str, Any]:
    """What a model holds beside its weights, as plain data."""
    from transept.use.opened import Opened

    opened = Opened(Path(name), stored)
    words, found = stored.tokenizer, {"verbs": list(opened.verbs), "labels": list(stored.labels)}
    found |= {"embedding": [str(opened.embedding)] if "embed" in opened.verbs else []}
    told: dict[str, Any] = found | {"tokenizer": None, "unread": stored.unread, "processor": None, "search": None}
    told["note"] = stored.note
    if words is not None:
        special = {role: {"id": index, "token": words.tokens([index])[0]} for role, index in words.special.items()}
        told["tokenizer"] = {"tokens": words.vocab, "special": special, "padding_side": words.side}
    if stored.processor is not None:
        told["processor"] = {"kind": type(stored.processor).__name__} | asdict(stored.processor)
    if stored.generation is not None:
        told["search"] = stored.generation.search.model_dump() | {"longest": stored.generation.longest}
    return told


def _told(name: str, stored: Stored) -> list[str]:
    """The same in lines for a person."""
    held, lines = _held(name, stored), [f"Note: {stored.note}"] if stored.note else []
    lines.append(f"Verbs: {', '.join(held['verbs']) or 'none'}")
    lines += [f"Embedding: {how}" for how in held["embedding"]]
    if labels := held["labels"]:
        more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
        lines.append(f"Classes: {', '.join(labels[:LISTED])}{more}")
    if words := held["tokenizer"]:
        special = ", ".join(f"{role} {one['token']} = {one['id']}" for role, one in words["special"].items())
        lines.append(f"Tokens: {words['tokens']:,}, padded on the {words['padding_side']}; {special or 'none special'}")
    elif stored.unread:
        lines.append(f"Tokens: left unread. {stored.unread}")
    if prepared := held["processor"]:
        kind = {"Hearing": "Sound"}.get(prepared.pop("kind"), "Pictures")
        lines.append(f"{kind}: {', '.join(f'{name} {value}' for name, value in prepared.items() if value is not None)}")
    if search := held["search"]:
        method = f"beam of {search['beam']}" if search["method"] == "beam" else search["method"]
        lines.append(f"Search: {method}, at most {search['longest']:,} tokens a side")
    return lines


def _declared(name: str, settings: list[str]) -> tuple[str, Topology]:
    """The title and the description of a family with settings."""
    from transept.families.declared import declared
    from transept.families.registry import all_families, family

    kind, _, size = name.partition(":")
    if kind not in all_families():
        raise UsageError(
            f"{name!r} is neither a directory here nor a family.{nearest(kind, all_families())}",
            remedy=f"Families: {', '.join(all_families())}; as FAMILY:SIZE, such as transformer:base.",
        )
    given = {"family": kind, "size": size or next(iter(family(kind).SIZES))} | _settings(settings)
    spec: Any = declared(given, getattr(family(kind), "GOLDEN_VOCAB", 0))
    vocab = getattr(spec.embed, "vocab", None)
    return f"{kind}:{given['size']}" + (f" with a vocabulary of {vocab:,}" if vocab else ""), spec


def _settings(settings: list[str]) -> dict[str, Any]:
    given = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"{setting!r} is not KEY=VALUE")
        given[key.removeprefix("model.")] = meant(key, value)
    return given


def _table(rows: list[Row]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", overflow="fold")
    table.add_column("part", overflow="fold")
    for column in ("shape", "times", "parameters", "operations"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("from", no_wrap=True)
    above = [""] * (2 + max(row.depth for row in rows))  # the name at each depth that the present line is under
    for row in rows:
        numbers = [f"{n:,}" if n else "" for n in (row.parameters, row.flops)]
        times = f"×{row.times}" if row.times > 1 else ""
        short = row.name.removeprefix(f"{above[row.depth]}.")
        above[row.depth + 1] = row.name
        table.add_row(Text("  " * row.depth + short), Text(row.part), row.shape, times, *numbers, row.source)
    operations = sum(row.flops for row in rows)
    table.add_row(Text("total"), "", "", "", f"{sum(row.parameters for row in rows):,}", f"{operations:,}", "")
    return table


def _show_patterns(drawn: dict[str, Pattern], size: int, as_json: bool) -> None:
    """Patterns below one another: rows are queries, columns keys."""
    from transept.cli.drawing import WIDEST, allowed, assumed, draw

    if as_json:
        for title, pattern in drawn.items():
            rows = ["".join("■" if seen else "·" for seen in line) for line in allowed(pattern, size).tolist()]
            emit({"pattern": title, "rows": rows})
        return
    if size > WIDEST:
        print(f"{size} tokens a side are wider than a terminal: --png FILE draws them", file=sys.stderr)
        return
    for title, pattern in drawn.items():
        more = assumed(pattern)
        print(f"{title}   (a row looks at the columns that are filled{f', here in {more}' if more else ''})")
        lines = draw(pattern, size)
        # Where everything is seen there is nothing to see.
        print("\n".join(f"  {line}" for line in lines) + "\n" if any("·" in line for line in lines) else "  every ■\n")
