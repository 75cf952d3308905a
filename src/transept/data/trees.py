"""Dependency trees: sentences of CoNLL-U files, and where each word and each of its tokens stands in its tree.

A file has one word a line, in ten columns that tabs part, and an empty line after each sentence. Words are syntactic
words, as treebanks count them: of a token that is several (`3-4 don't`) the words are read, and its own line is left
out; so are empty nodes (`5.1`), which no basic tree holds.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from transept.data.lines import read_lines
from transept.errors import InvalidData, Where

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
ROOT = "HEAD is the ID of the word that a word hangs from, and 0 for one word, the root."
Place = tuple[int, int, int]  # depth, and the interval [first, end) of a word and all below it


@dataclass(frozen=True)
class Sentence:
    """Words with their parts of speech, and for each the number from 0 of the word that it hangs from; a root its own.

    `relations` are the names of the arcs, `line` where the sentence begins in its file. `heads` are empty where no word
    has one.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]
    line: int = 1


def read_trees(path: Path, *, bare: bool = False) -> list[Sentence]:
    """The sentences of a CoNLL-U file, gzipped or not; with `bare` also those whose words all have `_` as HEAD, which
    have tags and no tree. Raises InvalidData with file, line and reason."""
    sentences = list(_sentences(read_lines(path), path, bare))
    if not sentences:
        raise InvalidData("holds no sentence", where=path)
    return sentences


def _sentences(lines: list[str], path: Path, bare: bool) -> Iterator[Sentence]:
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*lines, ""], 1):
        if line.strip():
            if not line.startswith("#"):
                rows.append((number, _columns(line, Where.of_line(path, number))))
        elif rows:
            yield _sentence(rows, path, bare)
            rows = []


def _columns(line: str, where: str) -> list[str]:
    columns = line.split("\t")
    if len(columns) != len(COLUMNS):
        found = f"{len(columns)} columns" if len(columns) > 1 else "no tab"
        raise InvalidData(
            f"a word has {len(COLUMNS)} columns with tabs between them, and here is {found}",
            where=where,
            remedy=f"They are {', '.join(COLUMNS)}; one that says nothing is _.",
        )
    return columns


def _sentence(rows: list[tuple[int, list[str]]], path: Path, bare: bool) -> Sentence:
    words: list[tuple[int, list[str]]] = []
    for number, columns in rows:
        if re.fullmatch(r"\d+-\d+", columns[0]):
            first, last = map(int, columns[0].split("-"))
            if first != len(words) + 1 or last <= first:
                raise InvalidData(
                    f"the range {columns[0]} must begin with the next word, {len(words) + 1}, and end after it",
                    where=Where.of_line(path, number),
                )
        elif re.fullmatch(r"\d+\.\d+", columns[0]):
            if int(columns[0].split(".")[0]) != len(words):
                raise InvalidData(
                    f"the empty node {columns[0]} stands after word {len(words)}", where=Where.of_line(path, number)
                )
        elif columns[0] != str(len(words) + 1):
            raise InvalidData(
                f"the word after {len(words)} has the ID {columns[0]!r:.20}, not {len(words) + 1}",
                where=Where.of_line(path, number),
                remedy="IDs count from 1; an empty line parts sentences.",
            )
        else:
            words.append((number, columns))
    if not words:
        raise InvalidData("a sentence without a word", where=Where.of_line(path, rows[0][0]))
    form, tag, relation = (tuple(columns[at] for _, columns in words) for at in (1, 3, 7))
    if bare and all(columns[6] == "_" for _, columns in words):
        return Sentence(form, tag, (), relation, rows[0][0])
    heads = [_head(number, columns, len(words), path) for number, columns in words]
    roots = [i for i, head in enumerate(heads) if head == i]
    if len(roots) != 1:
        said = "no word" if not roots else " and ".join(f"{words[i][1][1]!r} (line {words[i][0]})" for i in roots[:3])
        verb = "hangs" if len(roots) < 2 else "hang"
        raise InvalidData(
            f"a tree has one root, and {said} {verb} from 0",
            where=Where.of_line(path, words[roots[1] if roots else 0][0]),
            remedy=ROOT,
        )
    if (circle := circle_in(heads)) is not None:
        names = " -> ".join(words[i][1][1] for i in (*circle, circle[0]))
        raise InvalidData(
            f"the heads go round in a circle, which no tree does: {names}",
            where=Where.of_line(path, words[circle[0]][0]),
            remedy=ROOT,
        )
    return Sentence(form, tag, tuple(heads), relation, rows[0][0])


def _head(number: int, columns: list[str], count: int, path: Path) -> int:
    where, head = Where.of_line(path, number), columns[6]
    if not re.fullmatch(r"\d+", head):
        raise InvalidData(
            f"the HEAD of {columns[1]!r:.40} is {head!r:.20}, no number of a word", where=where, remedy=ROOT
        )
    if int(head) > count:
        raise InvalidData(
            f"the HEAD of {columns[1]!r:.40} is {head}, and the sentence has {count} words", where=where, remedy=ROOT
        )
    if int(head) == int(columns[0]):
        raise InvalidData(f"the word {columns[1]!r:.40} is its own HEAD", where=where, remedy=ROOT)
    return int(columns[0]) - 1 if head == "0" else int(head) - 1


def circle_in(heads: Sequence[int]) -> list[int] | None:
    """Words that hang from each other in a circle, or None where all paths end at a root."""
    done: set[int] = set()
    for word in range(len(heads)):
        path: list[int] = []
        while word not in done and word not in path:
            path.append(word)
            if heads[word] == word:
                break
            word = heads[word]
        else:
            if word not in done:
                return path[path.index(word) :]
        done.update(path)
    return None


def places(heads: Sequence[int]) -> list[Place]:
    """Where each word stands, of which `heads` names the word that it hangs from, and for a root itself.

    Words are counted from the top, each before what hangs from it: a word and all below it have an interval of such
    numbers. Raises InvalidData where the heads are no tree.
    """
    below: list[list[int]] = [[] for _ in heads]
    roots: list[int] = []
    for word, head in enumerate(heads):
        if not 0 <= head < len(heads):
            raise InvalidData(f"the head of word {word} is {head}, and there are {len(heads)} words")
        (roots if head == word else below[head]).append(word)
    if len(roots) != 1 or (circle := circle_in(heads)) is not None:
        reason = f"a tree has one root, not {len(roots)}" if len(roots) != 1 else f"words {circle} hang from each other"
        raise InvalidData(reason)
    depth, first, end = [0] * len(heads), [0] * len(heads), [0] * len(heads)
    count, waiting = 0, [(roots[0], False)]
    while waiting:
        word, left = waiting.pop()
        if left:
            end[word] = count
            continue
        first[word], count = count, count + 1
        depth[word] = 0 if heads[word] == word else depth[heads[word]] + 1
        waiting += [(word, True), *((child, False) for child in reversed(below[word]))]
    return list(zip(depth, first, end, strict=True))


def token_places(words: Sequence[Place], tokens: Sequence[int | None]) -> list[Place]:
    """Where each token stands: where its word does, whose number it names, so that the pieces of a word stand together.

    A token of no word, None, as the mark at a text's end, stands at the root.
    """
    return [(0, 0, len(words)) if word is None else words[word] for word in tokens]


def tree_tensor(rows: Sequence[Sequence[Place]], length: int | None = None) -> Tensor:
    """The places of a batch, (B, S, 3) int64, with zeros where a row is shorter than `length` or than the longest."""
    size = max((len(row) for row in rows), default=0) if length is None else length
    return torch.tensor([[*row, *[(0, 0, 0)] * (size - len(row))] for row in rows], dtype=torch.long).view(-1, size, 3)
