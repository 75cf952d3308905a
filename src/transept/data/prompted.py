"""Tables put into words: what a model reads of each row, and what is right to write."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transept.data.cache import Rows, TokenPairs
from transept.data.classes import amounts, by_number, numbered
from transept.data.config import Split
from transept.data.config_tables import PromptedTable, TablesData
from transept.data.files import find
from transept.data.pairs import Pairs
from transept.data.tables import NO_ROWS, Row, Table, no_column, open_table, place, text_of
from transept.data.templates import Template
from transept.errors import InvalidConfig, InvalidData


@dataclass(frozen=True, eq=False)
class Prompted:
    """N rows of a table: what is read of each, and the texts that are right, one or more.

    `right` (N,) are the numbers of the choices, or the numbers themselves; None of texts. `lines` are the rows' lines.
    """

    name: str
    table: PromptedTable
    path: Path
    sources: list[str]
    answers: list[list[str]]
    lines: list[int]
    right: NDArray[np.int64] | NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def where(self, row: int) -> str:
        """File and line of a row."""
        return place(self.path, self.lines[row])


@dataclass(frozen=True)
class TablePairs(Pairs):
    """Pairs out of several tables: pair i is of row `rows[i]` of table `of[i]`, whose file is `files[of[i]]`."""

    of: Sequence[int] = ()
    rows: Sequence[int] = ()

    def where(self, row: int) -> str:
        return place(self.files[self.of[row]], self.lines[row])


def read_prompted(data: TablesData, split: Split, say: Callable[[str], None]) -> list[Prompted]:
    """Every table of a split; `say` as in `read_rows`.

    Raises InvalidConfig where one names no file, InvalidData with file and line.
    """
    found = []
    for name, table in data.chosen.items():
        key, entry = f"data.tables.{name}.{split}", table.entry(split)
        if entry is None:
            raise InvalidConfig(
                f"{key} is not set",
                remedy=f"Name a table: {key}=FILE; data.tables.{name}=null leaves it out.",
            )
        found.append(read_rows(name, table, find(data.dir, entry, key), say))
    return found


def read_rows(name: str, table: PromptedTable, path: Path, say: Callable[[str], None]) -> Prompted:
    """The rows of a file, in words. `say` hears as what the classes of the file count, where these are others."""
    template = Template(table.source)
    sources, answers, lines = list[str](), list[list[str]](), list[int]()
    opened, rows = rows_of(path, table.head, [*template.names, table.answer], f"data.tables.{name}.head")
    for line, row in rows:
        where = opened.where(line)
        sources.append(template.fill({column: joined(row, column, where) for column in template.names}))
        answers.append(texts_in(row, table.answer, where))
        lines.append(line)
    whole = Prompted(name, table, path, sources, answers, lines)
    if table.choices is None and table.numbers is None:
        return whole
    several = next((at for at, texts in enumerate(answers) if len(texts) > 1), None)
    if several is not None:
        raise InvalidData(f"'{table.answer}' has several answers, and one is right", where=whole.where(several))
    labels = [texts[0].strip() for texts in answers]
    if table.choices is not None:
        whose = f"data.tables.{name}.choices"
        labels = list(by_number(labels, table.choices, opened.classes.get(table.answer, ()), path, whose, say))
        classes = numbered(labels, table.choices, whole.where, whose)
        written = [[table.choices[number]] for number in classes]
        return Prompted(name, table, path, sources, written, lines, classes)
    assert table.numbers is not None
    right = amounts(labels, whole.where)
    beyond = np.flatnonzero((right < table.numbers.least) | (right > table.numbers.most))
    if len(beyond):
        first, own = int(beyond[0]), table.numbers
        raise InvalidData(
            f"the number {labels[first]} is not between {own.least:g} and {own.most:g} (data.tables.{name}.numbers)",
            where=whole.where(first),
        )
    return Prompted(name, table, path, sources, [[table.numbers.write(number)] for number in right], lines, right)


def rows_of(path: Path, head: Sequence[str], names: Sequence[str], said: str) -> tuple[Table, list[tuple[int, Row]]]:
    """A table, and its rows with their lines; every one has the columns `names`. InvalidData where one has not.

    `head` are the names of all columns where no line of the table has them, and `said` is where a person named them.
    """
    table = open_table(path, head or None, said, [{name} for name in names])
    if table.head is not None:
        for name in names:
            if name not in table.head:
                raise no_column(name, table.head, str(path) if head else table.top)
    found = []
    for line, row in table.rows:
        if row is None:
            raise InvalidData("the line is empty", where=table.where(line), remedy="Take it out: each line is a row.")
        found.append((line, row))
    if not found:
        raise InvalidData("the table has no rows", where=path, remedy=NO_ROWS)
    return table, found


def texts_in(row: Row, name: str, where: str) -> list[str]:
    """What a row has in a column: a text, or several where it is a list of JSON. InvalidData where one is empty."""
    texts = _pieces(row, name, where)
    if not texts or not all(text.strip() for text in texts):
        raise InvalidData(f"'{name}' is empty", where=where, remedy="Take the row out, or put a text there.")
    return texts


def joined(row: Row, name: str, where: str) -> str:
    """What a row has in a column as one text; a list is joined by spaces. InvalidData where there is nothing."""
    texts = [text for text in _pieces(row, name, where) if text.strip()]
    if not texts:
        raise InvalidData(f"'{name}' is empty", where=where, remedy="Take the row out, or put a text there.")
    return " ".join(texts)


def _pieces(row: Row, name: str, where: str) -> list[str]:
    given = row.get(name)
    return (
        [text_of({name: one}, name, where) for one in given] if isinstance(given, list) else [text_of(row, name, where)]
    )


def pairs_of(tables: Sequence[Prompted]) -> TablePairs:
    """A pair for every row and each of its answers, the tables one after the other."""
    found = [
        (table.sources[row], answer, table.lines[row], of, row)
        for of, table in enumerate(tables)
        for row in range(len(table))
        for answer in table.answers[row]
    ]
    source, target, lines, of, rows = (list(column) for column in zip(*found, strict=True))
    return TablePairs(source, target, tuple(table.path for table in tables), lines, of=of, rows=rows)


def cut_sources(tokens: TokenPairs, longest: int, kept: int) -> tuple[TokenPairs, int]:
    """Pairs whose sources have `longest` tokens at the most, and how many were cut: the last ones before the `kept`
    that stand at the end go."""
    lengths = np.diff(tokens.offsets)
    over = np.flatnonzero(lengths[::2] > longest)
    if not len(over):
        return tokens, 0
    gone = np.zeros(len(tokens.ids), bool)
    for row in over.tolist():
        first, last = tokens.offsets[2 * row], tokens.offsets[2 * row + 1]
        gone[first + longest - kept : last - kept] = True
        lengths[2 * row] = longest
    offsets: Rows = np.cumsum([0, *lengths], dtype=np.int64)
    return TokenPairs(tokens.ids[~gone], offsets, tokens.rows, tokens.text), len(over)
