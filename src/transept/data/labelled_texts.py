"""Texts, or pairs of texts, with a class or a number each: the rows of a table, by the names of its columns."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from transept.data.columnar import is_columnar
from transept.data.config_senses import FilesData
from transept.data.doubts import demand_row
from transept.data.files import ending
from transept.data.tables import NO_ROWS, column_of, open_table, place, text_of
from transept.errors import InvalidData

TABLES = (".csv", ".tsv", ".jsonl", ".json")
USUAL: dict[str, tuple[str, ...]] = {  # what columns are often called, the likeliest first
    "text": ("text", "sentence", "sentence1", "text1", "premise", "question1", "question", "review"),
    "other": ("sentence2", "text2", "text_pair", "hypothesis", "question2"),
    "label": ("label", "class", "category", "target", "score", "similarity", "gold_label", "sentiment"),
}


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """Rows of a table, each with its "text", its "label" and, where they are pairs, its "other" text.

    `lines` are where they begin in `source`, from 1; `columns` what the table calls each; `classes` are the names
    that it has for the labels, in order, where it tells them.
    """

    source: Path
    said: Mapping[str, Sequence[str]]
    lines: Sequence[int]
    columns: Mapping[str, str]
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.source,)

    @property
    def texts(self) -> Sequence[str]:
        return self.said["text"]

    @property
    def others(self) -> Sequence[str] | None:
        """The second texts, where rows are pairs."""
        return self.said.get("other")

    def where(self, row: int) -> str:
        """File and line of a row."""
        return place(self.source, self.lines[row])

    def name(self, row: int) -> str:
        """The text of a row; of a pair both, a TAB between them, as the command line takes them."""
        return self.texts[row] if self.others is None else f"{self.texts[row]}\t{self.others[row]}"

    def select(self, rows: Sequence[int]) -> "LabelledTexts":
        """Only these, in this order."""
        said = {word: [own[row] for row in rows] for word, own in self.said.items()}
        return replace(self, said=said, lines=[self.lines[row] for row in rows])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is said, whatever the file is called."""
        return hashlib.sha256(json.dumps({word: list(said) for word, said in self.said.items()}).encode()).hexdigest()


def is_table(path: Path) -> bool:
    """Whether a file's name says a table: CSV, TSV, JSON lines, Parquet or a data set of the hub."""
    return is_columnar(path) or (not path.is_dir() and ending(path) in TABLES)


def read_labelled_texts(
    path: Path, data: FilesData, say: Callable[[str], None], *, labelled: bool = True
) -> LabelledTexts:
    """The rows of a table. `say` hears how it was read. Raises InvalidData with file and line.

    An empty line is no row; an empty text or label is refused. With `labelled` there must be a label.
    """
    if not is_table(path):
        raise InvalidData(
            "texts with labels are a table: .csv, .tsv or .jsonl, gzipped or not, or .parquet",
            where=path,
            remedy="Name a file of that kind; data.columns says which columns are read.",
        )

    own = {"text": data.columns.text, "label": data.columns.label}
    needed = {word: {name} if name else {*USUAL[word]} for word, name in own.items() if labelled or word != "label"}
    table = open_table(path, data.head, needed=list(needed.values()))
    found = [(line, row) for line, row in table.rows if row is not None]
    if not found:
        raise InvalidData("the table has no rows", where=path, remedy=NO_ROWS)
    known = [name for name in table.head or found[0][1] if name]
    words = [word for word in USUAL if word != "other" or data.columns.other != ""]
    chosen = {
        word: column_of(word, getattr(data.columns, word), USUAL[word], known, table.top, word in needed, table.doubt)
        for word in words
    }
    columns = {word: name for word, name in chosen.items() if name is not None}
    if len(set(columns.values())) < len(columns):
        raise InvalidData(
            f"one column is read twice: {', '.join(f'{word} is {name!r}' for word, name in columns.items())}",
            where=table.top,
            remedy="Name the right ones by data.columns.",
        )
    said: dict[str, list[str]] = {word: [] for word in columns}
    for line, row in found:
        where = table.where(line)
        for word, column in columns.items():
            value = text_of(row, column, where)
            if not value.strip():
                raise InvalidData(
                    f"the {'label' if word == 'label' else 'text'} is empty ('{column}')",
                    where=where,
                    remedy="Mend the row, or take it out.",
                )
            said[word].append(value.strip() if word == "label" else value)
    if table.first and found[0][0] == 1 and "label" in said:
        demand_row(said["text"], said["label"], table.where(1), say)
    spoken = {"text": "the text", "other": "the second text", "label": "the label"}
    called = ", ".join(f"{spoken[word]} is '{name}'" for word, name in columns.items())
    classes = table.classes.get(columns.get("label", ""), ())
    named = f"; its classes are {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}" if classes else ""
    say(f"{path}: {len(found):,} rows of {table.found()}; {called}{named}")
    return LabelledTexts(path, said, [line for line, _ in found], columns, classes)
