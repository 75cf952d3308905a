"""Sentences with a tag for each word: CoNLL-U, columns of words and tags, or JSON lines with two lists."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from transept.data.columnar import is_columnar
from transept.data.config_senses import TaggedData
from transept.data.files import ending, is_json
from transept.data.lines import read_bytes, split_lines
from transept.data.tables import Table, column_of, open_table, place, read_table, shown
from transept.data.tokenizer import Encoding
from transept.data.trees import Sentence, read_trees
from transept.errors import InvalidData, Where

USUAL: dict[str, tuple[str, ...]] = {
    "words": ("tokens", "words", "form"),
    "tags": ("tags", "ner_tags", "pos_tags", "upos", "labels"),
}
DOCUMENT = "-DOCSTART-"  # the word that parts documents in CoNLL-2003's files
Tagged = tuple[int, Sequence[str], Sequence[str]]  # line, words, tags


@dataclass(frozen=True, eq=False)
class TaggedTexts:
    """Sentences: their words, a tag for each, and the line where each begins, from 1; `classes` are the tags that
    the file names itself, in order; `heads`, of a treebank whose sentences all have trees, the word that each word
    hangs from, as in `Sentence`."""

    source: Path
    words: Sequence[Sequence[str]]
    tags: Sequence[Sequence[str]]
    lines: Sequence[int]
    classes: tuple[str, ...] = ()
    heads: Sequence[Sequence[int]] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def texts(self) -> list[str]:
        """The sentences as texts, one space between words."""
        return [" ".join(words) for words in self.words]

    def where(self, row: int) -> str:
        """File and line of a sentence."""
        return place(self.source, self.lines[row])

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what is said, whatever the file is called."""
        told = [[*map(list, self.words)], [*map(list, self.tags)]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def select(self, rows: Sequence[int]) -> "TaggedTexts":
        """Only these, in this order."""
        words, tags, lines = ([of[row] for row in rows] for of in (self.words, self.tags, self.lines))
        heads = None if self.heads is None else [self.heads[row] for row in rows]
        return TaggedTexts(self.source, words, tags, lines, self.classes, heads)  # type: ignore[arg-type]  # mypy joins the three


def read_tagged(path: Path, data: TaggedData, say: Callable[[str], None]) -> TaggedTexts:
    """The sentences of a file. `say` hears how it was read. Raises InvalidData with file and line."""
    classes: tuple[str, ...] = ()
    heads: Sequence[Sequence[int]] | None = None
    found: list[Tagged]
    if is_columnar(path):
        table = open_table(path)
        kind, found = table.kind, list(_lists(table, data))
        names = [data.tags] if data.tags else USUAL["tags"]
        classes = next((table.classes[name] for name in names if name in table.classes), ())
    elif path.is_dir():
        raise InvalidData("tagged sentences are a file, and this is a folder", where=path)
    elif ending(path) == ".conllu":
        kind = "CoNLL-U"
        trees = read_trees(path, bare=True)
        found = [(one.line, one.words, one.tags) for one in trees]
        _demand_tags(trees, path)
        heads = [one.heads for one in trees] if all(one.heads for one in trees) else None
    else:
        lines = split_lines(read_bytes(path), path)
        kind = "JSON lines" if is_json(path) else "a word a line"
        found = list(_lists(read_table(lines, path), data) if is_json(path) else _columns(lines, path))
    if not found:
        raise InvalidData("holds no sentence", where=path)
    for line, words, tags in found:
        for word, tag in zip(words, tags, strict=True):
            if not word.strip() or not tag.strip():
                raise InvalidData("a word or its tag is empty", where=place(path, line))
    count = sum(len(words) for _, words, _ in found)
    say(f"{path}: {len(found):,} sentences of {count:,} words ({kind})")
    return TaggedTexts(
        path, [w for _, w, _ in found], [t for _, _, t in found], [line for line, _, _ in found], classes, heads
    )


def _demand_tags(trees: Sequence[Sentence], path: Path) -> None:
    for one in trees:
        if "_" in one.tags:
            raise InvalidData(
                f"the word {one.words[one.tags.index('_')]!r:.40} has no part of speech (UPOS is _)",
                where=Where.of_line(path, one.line),
                remedy="Give it one, or take the sentence out.",
            )


def _columns(lines: Sequence[str], path: Path) -> Iterator[Tagged]:
    words, tags, first = list[str](), list[str](), 1
    for number, line in enumerate([*lines, ""], 1):
        cells = line.split("\t") if "\t" in line else line.split()
        if not line.strip():
            if words:
                yield first, words, tags
            words, tags = [], []
            continue
        if cells[0] == DOCUMENT:
            continue
        if len(cells) < 2:
            raise InvalidData(
                f"the word {cells[0]!r:.40} has no tag",
                where=Where.of_line(path, number),
                remedy="A line is a word and its tag, a TAB or spaces between; an empty line ends a sentence.",
            )
        first = first if words else number
        words.append(cells[0])
        tags.append(cells[-1])


def _lists(table: Table, data: TaggedData) -> Iterator[Tagged]:
    for line, row in table.rows:
        if row is None:
            continue
        where = table.where(line)
        lists: dict[str, list[str]] = {}
        for key, given in (("words", data.words), ("tags", data.tags)):
            name = column_of(key, given, USUAL[key], list(row), where, True)
            assert name is not None
            value = row[name]
            if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
                raise InvalidData(f"'{name}' is {shown(value)}, and must be a list of texts", where=where)
            lists[key] = value
        if len(lists["words"]) != len(lists["tags"]):
            raise InvalidData(f"{len(lists['words'])} words and {len(lists['tags'])} tags", where=where)
        yield line, lists["words"], lists["tags"]


def first_tokens(words: Sequence[str], row: Encoding) -> list[int | None]:
    """The first token of each word of a text that has one space between its words; None where it has none of its own.

    By that a word is told (Devlin et al. 2019, section 5.3).
    """
    found: list[int | None] = []
    start, at, last = 0, 0, -1
    for word in words:
        end = start + len(word)
        while at < len(row.ids) and (row.texts[at] is None or row.spans[at][1] <= start):
            at += 1
        own = last < at < len(row.ids) and row.spans[at][0] < end
        found.append(at if own else None)
        last = at if own else last
        start = end + 1
    return found


def words_of(words: Sequence[str], row: Encoding) -> list[int | None]:
    """The number of the word that each token of such a text is of, by its last letter; None where it is of none."""
    ends = np.cumsum([len(word) + 1 for word in words])
    last = [end - 1 for _, end in row.spans]
    numbers = np.searchsorted(ends, last, side="right").tolist()
    return [None if text is None else number for text, number in zip(row.texts, numbers, strict=True)]
