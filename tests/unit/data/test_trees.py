"""CoNLL-U: what is read, what is left out by its rules, and every file that is none, with its line and the reason."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transept.data.trees import circle_in, places, read_trees, token_places, tree_tensor
from transept.errors import InvalidData

TREEBANK = """# sent_id = 1
# text = He doesn't.
1\tHe\the\tPRON\tPRP\tCase=Nom\t2\tnsubj\t_\t_
2-3\tdoesn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdoes\tdo\tVERB\tVBZ\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\t_\t_\t_\t_\t0:exroot\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\tSpaceAfter=No

1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_
"""


def written(folder: Path, text: str, name: str = "a.conllu") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.conllu", "a.conllu.gz"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_treebank_is_read(tmp_path: Path, name: str, ends: str) -> None:
    first, second = read_trees(written(tmp_path, TREEBANK.replace("\n", ends), name))
    assert first.words == ("He", "does", "n't", ".")
    assert first.tags == ("PRON", "VERB", "PART", "PUNCT")
    assert first.heads == (1, 1, 1, 1)
    assert first.relations == ("nsubj", "root", "advmod", "punct")
    assert (first.line, second.line) == (3, 10)
    assert (second.words, second.heads) == (("Yes",), (0,))


def row(number: object, form: str, head: object) -> str:
    return f"{number}\t{form}\t_\tX\t_\t_\t{head}\tdep\t_\t_"


FAULTS = [
    ("1\tHe\t_\tX\t_\t_\t0\troot\t_", 1, "10 columns with tabs between them, and here is 9 columns"),
    ("1 He he PRON PRP _ 0 root _ _", 1, "and here is no tab"),
    (f"{row(1, 'a', 0)}\n{row(3, 'b', 1)}", 2, "the word after 1 has the ID '3', not 2"),
    (f"{row(1, 'a', 0)}\n{row('x', 'b', 1)}", 2, "the ID 'x', not 2"),
    (f"{row(1, 'a', 0)}\n{row(2, 'b', '_')}", 2, "the HEAD of 'b' is '_', no number"),
    (f"{row(1, 'a', 0)}\n{row(2, 'b', -1)}", 2, "the HEAD of 'b' is '-1', no number"),
    (f"{row(1, 'a', 0)}\n{row(2, 'b', 7)}", 2, "the HEAD of 'b' is 7, and the sentence has 2 words"),
    (f"{row(1, 'a', 0)}\n{row(2, 'b', 2)}", 2, "the word 'b' is its own HEAD"),
    (f"{row(1, 'a', 0)}\n{row(2, 'b', 0)}", 2, "one root, and 'a' (line 1) and 'b' (line 2) hang from 0"),
    (f"{row(1, 'a', 2)}\n{row(2, 'b', 1)}", 1, "one root, and no word hangs from 0"),
    (f"{row(1, 'a', 0)}\n{row(2, 'b', 3)}\n{row(3, 'c', 2)}", 2, "round in a circle, which no tree does: b -> c -> b"),
    (f"{row(1, 'a', 0)}\n{row('3-4', 'bc', '_')}", 2, "the range 3-4 must begin with the next word, 2"),
    (f"{row(1, 'a', 0)}\n{row('2.1', 'e', '_')}", 2, "the empty node 2.1 stands after word 1"),
    (row("0.1", "e", "_"), 1, "a sentence without a word"),
]


@pytest.mark.parametrize(("text", "line", "reason"), FAULTS, ids=[fault[2] for fault in FAULTS])
def test_what_is_no_tree_is_told_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    for before in ("", f"# a comment\n{row(1, 'whole', 0)}\n\n"):
        path = written(tmp_path, f"{before}{text}\n\n")
        with pytest.raises(InvalidData) as caught:
            read_trees(path)
        assert str(caught.value).startswith(f"{path}:{line + before.count(chr(10))}: "), caught.value
        assert reason in (caught.value.what if not before else reason)


def test_a_file_without_a_sentence(tmp_path: Path) -> None:
    for text in ("", "# nothing\n\n\n"):
        with pytest.raises(InvalidData, match="holds no sentence"):
            read_trees(written(tmp_path, text))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(heads=st.lists(st.integers(0, 7), min_size=1, max_size=8).map(lambda found: [h % len(found) for h in found]))
def test_places_are_those_of_trees_alone(heads: list[int]) -> None:
    def ends(word: int) -> bool:
        for _ in heads:
            word = heads[word]
        return heads[word] == word

    roots = sum(head == word for word, head in enumerate(heads))
    whole = all(ends(word) for word in range(len(heads)))
    assert (circle_in(heads) is None) == whole
    if not whole or roots != 1:
        with pytest.raises(InvalidData, match="one root|hang from each other"):
            places(heads)
        return
    found = places(heads)
    assert sorted(first for _, first, _ in found) == list(range(len(heads)))
    for word, head in enumerate(heads):
        (deep, first, end), (above, start, stop) = found[word], found[head]
        assert (start <= first < stop and end <= stop) and deep == (0 if word == head else above + 1)


def test_a_batch_of_places() -> None:
    made = tree_tensor([places([0, 0]), token_places(places([0]), [0, None, None])])
    assert made.tolist() == [[[0, 0, 2], [1, 1, 2], [0, 0, 0]], [[0, 0, 1]] * 3]
    assert tree_tensor([places([0])], 2).shape == (1, 2, 3)
    with pytest.raises(InvalidData, match="the head of word 1 is 5, and there are 2 words"):
        places([0, 5])
