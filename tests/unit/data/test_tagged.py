"""Sentences with tags: every kind of file, where a word's first token is, and spans of tags."""

import itertools
from pathlib import Path

import pytest

from transept.data.config_senses import TaggedData
from transept.data.spans import begin_and_go_on, spans_of
from transept.data.tagged import TaggedTexts, first_tokens, read_tagged
from transept.data.tokenizer import Encoding
from transept.data.trees import read_trees
from transept.errors import InvalidData

TREE = """\
# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\t_\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\t_\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\t_\t_\t0\troot\t_\t_
4\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_

1\tYes\tyes\tINTJ\t_\t_\t0\troot\t_\t_
"""
WORDS, TAGS = [["Do", "n't", "go", "."], ["Yes"]], [["AUX", "PART", "VERB", "PUNCT"], ["INTJ"]]
FILES = {
    "a.conllu": (TREE, [2, 8]),
    "a.conll": ("-DOCSTART- X O\n\nDo _ AUX\nn't _ PART\ngo _ VERB\n. _ PUNCT\n\n\nYes _ INTJ\n", [3, 9]),
    "a.tsv": ("Do\tAUX\nn't\tPART\ngo\tVERB\n.\tPUNCT\n\nYes\tINTJ\n", [1, 6]),
    "a.jsonl": (
        '{"tokens": ["Do", "n\'t", "go", "."], "tags": ["AUX", "PART", "VERB", "PUNCT"]}\n'
        '{"tags": ["INTJ"], "tokens": ["Yes"]}\n',
        [1, 2],
    ),
}


BARE = TREE.replace("\t3\t", "\t_\t").replace("\t0\t", "\t_\t")  # parts of speech alone, nothing hangs from anything


def read(path: Path, text: str, **data: object) -> TaggedTexts:
    path.write_text(text)
    return read_tagged(path, TaggedData.model_validate(data), lambda told: None)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same_sentences(tmp_path: Path, name: str) -> None:
    text, lines = FILES[name]
    found = read(tmp_path / name, text)
    assert [list(words) for words in found.words] == WORDS
    assert [list(tags) for tags in found.tags] == TAGS
    assert found.where(1) == f"{tmp_path / name}:{lines[1]}" and found.texts[0] == "Do n't go ."
    assert found.fingerprint == read(tmp_path / "b.tsv", FILES["a.tsv"][0]).fingerprint
    assert found.select([1]).texts == ["Yes"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "Do\tAUX\ngo\n", r"a.tsv:2: the word 'go' has no tag"),
        ("a.conll", "\n", r"a.conll: holds no sentence"),
        ("a.jsonl", '{"tokens": ["a"], "tags": ["X", "Y"]}\n', r"a.jsonl:1: 1 words and 2 tags"),
        ("a.jsonl", '{"tokens": ["a"], "tags": [3]}\n', r"a.jsonl:1: 'tags' is \[3\], and must be a list of texts"),
        ("a.jsonl", '{"tokens": ["a"], "tag": ["X"]}\n', r"a.jsonl:1: no column is called tags or ner_tags"),
        ("a.tsv", "Do\t\n", r"a.tsv:1: a word or its tag is empty"),
        ("a.conllu", TREE.replace("\t_\n", "\n", 1), r"a.conllu:2: a word has 10 columns"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        read(tmp_path / name, text)


def test_a_word_of_a_treebank_without_a_tag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"a.conllu:8: the word 'Yes' has no part of speech \(UPOS is _\)"):
        read(tmp_path / "a.conllu", TREE.replace("INTJ", "_"))


def test_a_treebank_without_trees_has_its_tags(tmp_path: Path) -> None:
    found = read(tmp_path / "a.conllu", BARE)
    assert ([*map(list, found.words)], [*map(list, found.tags)]) == (WORDS, TAGS)
    assert found.heads is None
    assert read(tmp_path / "a.conllu", TREE).heads == [(2, 2, 2, 2), (0,)]
    mixed = BARE.replace("n't\tnot\tPART\t_\t_\t_", "n't\tnot\tPART\t_\t_\t3")
    with pytest.raises(InvalidData, match=r"a.conllu:3: the HEAD of 'Do' is '_', no number of a word"):
        read(tmp_path / "a.conllu", mixed)
    with pytest.raises(InvalidData, match=r"a.conllu:3: the HEAD of 'Do' is '_', no number of a word"):
        read_trees(tmp_path / "a.conllu")


def encoding(spans: list[tuple[int, int] | None]) -> Encoding:
    count = len(spans)
    texts = [None if span is None else 0 for span in spans]
    return Encoding([0] * count, [0] * count, texts, [span or (0, 0) for span in spans], [None] * count)


def test_the_first_token_of_each_word() -> None:
    words = ["Do", "n't", "go"]  # "Do n't go": 0-2, 3-6, 7-9
    pieces = [None, (0, 1), (1, 2), (3, 4), (4, 6), (7, 9), None]
    assert first_tokens(words, encoding(pieces)) == [1, 3, 5]
    spaced = [(0, 2), (2, 6), (6, 9)]  # pieces of bytes begin with the space
    assert first_tokens(words, encoding(spaced)) == [0, 1, 2]
    lost = [None, (0, 2), (7, 9), None]  # the tokenizer leaves nothing of the second word
    assert first_tokens(words, encoding(lost)) == [1, None, 2]
    shared = [(0, 9)]  # one token of three words is the first one's
    assert first_tokens(words, encoding(shared)) == [0, None, None]
    assert first_tokens(words, encoding([(0, 2)])) == [0, None, None]  # cut off behind it


def by_hand(tags: tuple[str, ...]) -> set[tuple[int, int, str]]:
    """Every interval that is a span: it begins at its first word, goes on at the others, and not behind its last."""

    def kind(tag: str) -> str:
        return tag[2:] if tag[:2] in ("B-", "I-") else "" if tag == "O" else tag

    found = set()
    for first, end in itertools.combinations(range(len(tags) + 1), 2):
        own = tags[first:end]
        name = kind(own[0])
        begun = own[0].startswith("B-") or first == 0 or kind(tags[first - 1]) != name
        inside = all(kind(tag) == name and not tag.startswith("B-") for tag in own[1:])
        over = end == len(tags) or tags[end].startswith("B-") or kind(tags[end]) != name
        if name and begun and inside and over:
            found.add((first, end, name))
    return found


def test_spans_are_their_definition() -> None:
    for size in range(5):
        for tags in itertools.product(("O", "B-X", "I-X", "I-Y", "Z"), repeat=size):
            assert set(spans_of(tags)) == by_hand(tags), tags


def test_which_tags_are_of_spans() -> None:
    assert begin_and_go_on(["O", "B-X", "I-X"]) and begin_and_go_on(["B-X"])
    assert not begin_and_go_on(["NOUN", "VERB"]) and not begin_and_go_on(["O", "I-X"])
    assert not begin_and_go_on(["B-X", "NOUN"])
