"""`transept eval --task-table` and `--pairs`: asking a model without training it."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from transept.cli.common import emit, note, say
from transept.errors import InvalidData, UsageError, nearest

if TYPE_CHECKING:
    from transept.use.loaded import Loaded
    from transept.use.prompting import Prompt, Table

TaskTableOption = Annotated[
    Path | None,
    typer.Option("--task-table", metavar="FILE", help="Ask a model the rows of a CSV, TSV or JSON-lines file."),
]
TemplateOption = Annotated[
    str | None,
    typer.Option("--template", help=r"How a row is asked, its answer last: '{text}\nIt was {label}'."),
]
ChoicesOption = Annotated[
    str | None, typer.Option("--choices", help="The answers to choose from: good,bad or LABEL=WORD: 1=good,0=bad.")
]
ShotsOption = Annotated[int, typer.Option("--shots", min=0, help="Examples with their answers before a question.")]
ShotsFromOption = Annotated[
    Path | None,
    typer.Option("--shots-from", metavar="FILE", help="Where examples are drawn; else the table's other rows."),
]
BalancedOption = Annotated[bool, typer.Option("--balanced", help="As many examples of each answer.")]
DrawsOption = Annotated[int, typer.Option("--draws", min=1, help="Times that examples are drawn, each by a seed.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of the first draw; the next ones follow.")]
SeparatorOption = Annotated[str, typer.Option("--separator", help="What stands between examples.")]
ByOption = Annotated[
    Literal["sum", "token", "character", "unconditional", "calibrated"],
    typer.Option("--by", help="What decides the answers that --out gets; all are measured."),
]
PairsOption = Annotated[
    Path | None,
    typer.Option(
        "--pairs", metavar="FILE", help="Ask which sentence is likelier: sentence_good, sentence_bad (BLiMP)."
    ),
]
GroupOption = Annotated[
    str | None, typer.Option("--group", metavar="COLUMN", help="What pairs are counted by; else what BLiMP calls so.")
]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", help="Names of the columns of a table whose first line has none: text,label.")
]

GROUPS = ("linguistics_term", "field", "category", "UID")  # what pairs may be counted by, the likeliest first
BETWEEN = r"\n\n"  # an empty line, between examples
SIGNS = {"n": "\n", "t": "\t", "\\": "\\"}


@dataclass(frozen=True)
class Question:
    """What was said of the questions on the command line."""

    file: Path | None
    template: str | None
    choices: str | None
    separator: str
    columns: str | None


@dataclass(frozen=True)
class Showing:
    """What was said of the examples before them."""

    count: int
    file: Path | None
    balanced: bool
    draws: int
    seed: int


def unasked(asked: Question, showing: Showing, by: str, group: str | None) -> str:
    """An option that was given and means nothing without a table of questions or of pairs, or ""."""
    given = {
        "--template": asked.template,
        "--choices": asked.choices,
        "--columns": asked.columns,
        "--separator": asked.separator != BETWEEN,
        "--shots": showing != Showing(0, None, False, 1, 0),
        "--by": by != "sum",
        "--group": group,
    }
    return next((name for name, value in given.items() if value), "")


def ask(
    loaded: Loaded,
    asked: Question,
    showing: Showing,
    by: str,
    pairs: Path | None,
    group: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask a model a table of questions, or which sentence of pairs is likelier; an option of the other is refused."""
    if pairs is None:
        if group is not None:
            raise UsageError("--group is for --pairs", remedy="Leave it out.")
        few_shot(loaded, asked, showing, by, out, as_json)
        return
    strange = (
        "--task-table" if asked.file else "--out" if out else unasked(replace(asked, columns=None), showing, by, None)
    )
    if strange:
        raise UsageError(f"--pairs goes without {strange}")
    minimal_pairs(loaded, pairs, group, asked.columns, as_json)


def few_shot(loaded: Loaded, asked: Question, showing: Showing, by: str, out: Path | None, as_json: bool) -> None:
    """Ask a model every row of a table, as often as examples are drawn, and tell how often it is right."""
    from transept.data.shots import Shots
    from transept.use.prompting import WAYS, weigh

    assert asked.file is not None
    prompt, labels = prompt_of(asked)
    if showing.count == 0 and (showing.draws > 1 or showing.file or showing.balanced):
        raise UsageError("no examples are drawn", remedy="Say how many stand before a question: --shots 4.")
    read = {path.resolve() for path in (asked.file, showing.file) if path is not None}
    if out is not None and out.resolve() in read:
        raise UsageError("--out would replace what is asked", where=out, remedy="Write the answers elsewhere.")
    table = read_table(asked.file, prompt, labels, asked.columns)
    examples = read_table(showing.file, prompt, labels, asked.columns) if showing.file else table
    same = examples is table or (showing.file is not None and showing.file.resolve() == asked.file.resolve())
    hits: dict[str, list[int]] = {way: [] for way in WAYS}
    answers: list[int] = []
    for draw in range(showing.draws):
        shots = None
        if showing.count:
            seed, aside = showing.seed + draw, int(same)
            shots = Shots.draw(
                examples.right, showing.count, seed, prompt.choices, balanced=showing.balanced, aside=aside
            )
        found = weigh(loaded, prompt, table, shots, examples, same)
        if draw == 0:
            say(f"the first prompt: {shortened(found.prompts[0])!r}")
            if by not in found.scores:
                raise UsageError(f"nothing stands before an answer: --by {by} has nothing to compare with")
            answers = found.chosen(by).tolist()
        for way in found.scores:
            hits[way].append(int((found.chosen(way) == table.right).sum()))
    if out is not None:
        out.write_text("".join(f"{prompt.choices[answer]}\n" for answer in answers), encoding="utf-8")
    tell_shots(
        loaded, asked.file, prompt, table, showing, {way: found for way, found in hits.items() if found}, as_json
    )


def tell_shots(
    loaded: Loaded,
    file: Path,
    prompt: Prompt,
    table: Table,
    showing: Showing,
    hits: dict[str, list[int]],
    as_json: bool,
) -> None:
    from transept.tasks.score import wilson

    count = len(table.rows)
    times = [int((table.right == number).sum()) for number in range(len(prompt.choices))]
    often = max(range(len(times)), key=times.__getitem__)
    found: dict[str, dict[str, Any]] = {}
    for way, own in hits.items():
        shares = [100 * one / count for one in own]
        found[way] = {"value": statistics.mean(shares)}
        if len(own) == 1:
            low, high = wilson(own[0], count)
            found[way] |= {"low": 100 * low, "high": 100 * high}
        else:
            found[way] |= {"deviation": statistics.stdev(shares), "draws": shares}
    if as_json:
        emit(
            {"model": str(loaded.path), "table": str(file), "questions": count, "choices": list(prompt.choices)}
            | {
                "shots": showing.count,
                "seed": showing.seed,
                "accuracy": found,
                "most_frequent": 100 * times[often] / count,
            }
        )
        return
    each = ", ".join(f"{choice} {number:,}" for choice, number in zip(prompt.choices, times, strict=True))
    shown = f", {showing.count} examples before each" if showing.count else ""
    print(f"{file}: {count:,} questions ({each}){shown}\n")
    for way, score in found.items():
        if "low" in score:
            print(f"{way:<16} {score['value']:.2f}  [{score['low']:.2f}, {score['high']:.2f}]")
        else:
            reach = f"{min(score['draws']):.2f} to {max(score['draws']):.2f}"
            print(f"{way:<16} {score['value']:.2f} ± {score['deviation']:.2f}  {reach} in {showing.draws} draws")
    print(f"{'most frequent':<16} {100 * times[often] / count:.2f}  always {prompt.choices[often]!r}")


def prompt_of(asked: Question) -> tuple[Prompt, list[str]]:
    """The prompt that was asked for, and the labels that its choices stand for."""
    from transept.data.templates import Template
    from transept.use.prompting import Prompt

    if asked.template is None or asked.choices is None:
        missing = "--template" if asked.template is None else "--choices"
        raise UsageError(
            f"--task-table needs {missing}",
            remedy=r"For example: --template '{text}\nIt was {label}' --choices 1=good,0=bad.",
        )
    try:
        template = Template(spelt(asked.template))
    except ValueError as error:
        raise UsageError(f"--template: {error}") from None
    words = [word.partition("=") for word in asked.choices.split(",")]
    if len({bool(sign) for _, sign, _ in words}) > 1:
        raise UsageError("--choices: some say LABEL=WORD and some do not", remedy="Write all in one way.")
    named = bool(words[0][1])
    choices = tuple((word if named else label).strip() for label, _, word in words)
    labels = [label.strip() for label, _, _ in words]
    if len(set(labels)) < len(labels):
        raise UsageError(f"--choices: {asked.choices!r} names a label twice")
    return Prompt(template, choices, spelt(asked.separator)), labels


def read_table(path: Path, prompt: Prompt, labels: list[str], columns: str | None) -> Table:
    """The rows of a file with what is right of each. InvalidData names file, line and the nearest column."""
    from transept.data.classes import by_number, numbered
    from transept.data.prompted import joined, rows_of
    from transept.use.prompting import Table

    table, found = rows_of(there(path), named(columns), [*prompt.fields, prompt.label], "--columns")
    rows, right, places = [], [], [table.where(line) for line, _ in found]
    for where, (_, row) in zip(places, found, strict=True):
        rows.append({column: joined(row, column, where) for column in prompt.fields})
        right.append(joined(row, prompt.label, where).strip())
    told = by_number(right, labels, table.classes.get(prompt.label, ()), path, "--choices", say)
    return Table(rows, numbered(told, labels, places.__getitem__, "--choices"), places)


def minimal_pairs(loaded: Loaded, file: Path, group: str | None, columns: str | None, as_json: bool) -> None:
    """Ask a model which sentence of each pair is likelier, and tell how often it is the good one."""
    from transept.data.prompted import joined, rows_of
    from transept.tasks.score import wilson
    from transept.use.likelihood import begins, placed
    from transept.use.minimal import compare

    table, rows = rows_of(there(file), named(columns), ["sentence_good", "sentence_bad"], "--columns")
    known = rows[0][1]
    if group is not None and group not in known:
        raise InvalidData(
            f"there is no column '{group}'.{nearest(group, known)}",
            where=table.where(rows[0][0]),
            remedy=f"The columns are: {', '.join(map(repr, known))}.",
        )
    group = group or next((name for name in GROUPS if name in known), None)
    good, bad = (
        [joined(row, name, table.where(line)) for line, row in rows] for name in ("sentence_good", "sentence_bad")
    )
    kinds = ["all"] * len(rows) if group is None else [joined(row, group, table.where(line)) for line, row in rows]
    with placed([table.where(line) for line, _ in rows]):
        found = compare(loaded, good, bad)
    if not begins(loaded):
        note("the first token of a sentence is not scored: the model has none that begins a text")
    counts: dict[str, tuple[int, int]] = {}
    for kind, right in zip(kinds, found.right.tolist(), strict=True):
        hits, count = counts.get(kind, (0, 0))
        counts[kind] = (hits + right, count + 1)
    if group is not None:
        counts["all"] = (int(found.right.sum()), len(rows))
    told = {}
    for kind, (hits, count) in counts.items():
        low, high = wilson(hits, count)
        told[kind] = {"value": 100 * hits / count, "low": 100 * low, "high": 100 * high, "pairs": count}
    if as_json:
        emit({"model": str(loaded.path), "file": str(file), "group": group, "accuracy": told})
        return
    print(f"{file}: {len(rows):,} pairs; how often the good sentence is the likelier one\n")
    wide = max(map(len, told))
    for kind, score in told.items():
        reach = f"[{score['low']:.2f}, {score['high']:.2f}]"
        print(f"{kind:<{wide}}  {score['value']:6.2f}  {reach:<16}  {score['pairs']:,} pairs")


def there(path: Path) -> Path:
    """A table as it is named, or gzipped. InvalidData names the nearest where there is none."""
    from transept.data.columnar import hub_path, is_hub
    from transept.data.files import existing

    if is_hub(path):
        return hub_path(str(path), "--task-table")
    if found := existing(path):
        return found
    near = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else ""
    raise InvalidData(f"there is no such file.{near}", where=path)


def named(columns: str | None) -> list[str]:
    """The names of columns as --columns has them."""
    return [name.strip() for name in columns.split(",")] if columns else []


def spelt(text: str) -> str:
    r"""A text of the command line, in which \n is a line break, \t a tab and \\ a backslash."""
    return re.sub(r"\\([nt\\])", lambda found: SIGNS[found[1]], text)


def shortened(text: str, most: int = 400) -> str:
    """A text with its middle left out where it is long."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
