"""Documents as ids: where each begins and ends, the cache, and documents that a tokenizer cannot take."""

from pathlib import Path

import numpy as np
import pytest

from transept.data.config import Tokens
from transept.data.documents import Documents
from transept.data.learned import BERT, END, NOTHING, learn
from transept.data.texts import tokenise_texts
from transept.errors import InvalidData

TEXT = Documents(
    ["A dog. It barks.", "A cat.\nIt sleeps. It is a cat.", "x"],
    (Path("f.txt"),),
    [(0, 1), (0, 3), (0, 6)],
    ("plain text, an empty line ends one",),
)
BYTES = learn(TEXT.texts, Tokens(kind="byte"), END)


def silent(text: str) -> None:
    pass


def test_each_document_ends_and_the_first_is_opened() -> None:
    found = tokenise_texts(TEXT, BYTES, BYTES.eos, "stop", None, silent)
    assert found.ids[0] == BYTES.eos
    for row, text in enumerate(TEXT.texts):
        assert found.document(row)[-1] == BYTES.eos
        assert BYTES.decode(found.document(row).tolist()) == text
        assert BYTES.decode(np.concatenate(found.sentences(row)).tolist()) == text
    assert [len(found.sentences(row)) for row in range(3)] == [2, 3, 1]
    assert found.lengths.sum() == len(found.ids) - 1


def test_without_an_end_ids_are_the_texts_alone() -> None:
    found = tokenise_texts(TEXT, BYTES, None, "none", None, silent)
    assert BYTES.decode(found.ids.tolist()) == "".join(TEXT.texts)
    assert found.bounds.tolist() == [0, 16, 46, 47]


def test_the_cache_gives_the_same_and_is_made_again_where_it_is_torn(tmp_path: Path) -> None:
    said: list[str] = []
    plain = tokenise_texts(TEXT, BYTES, BYTES.eos, "stop", None, silent)
    first, second = (tokenise_texts(TEXT, BYTES, BYTES.eos, "stop", tmp_path, said.append) for _ in range(2))
    assert len(said) == 1 and "kept in" in said[0]
    assert isinstance(second.ids, np.memmap)
    for found in (first, second):
        assert found.fingerprint == plain.fingerprint
    other = tokenise_texts(TEXT, BYTES, BYTES.eos, "none", tmp_path, said.append)
    assert other.fingerprint != plain.fingerprint and len(said) == 2
    for file in tmp_path.glob("*/ids.npy"):
        file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    assert tokenise_texts(TEXT, BYTES, BYTES.eos, "stop", tmp_path, said.append).fingerprint == plain.fingerprint
    assert "torn" in said[2]


def test_a_character_that_a_vocabulary_does_not_have_is_told_with_its_line() -> None:
    letters = learn(["A dog. It is barks.\nA cat sleeps"], Tokens(kind="character"), NOTHING)
    with pytest.raises(InvalidData) as caught:
        tokenise_texts(TEXT, letters, None, "none", None, silent)
    assert str(caught.value).startswith("f.txt:6: the character 'x' is not in the vocabulary of")
    two = Documents(["A dog.\nA d\u00e9g."], (Path("f.txt"),), [(0, 4)], ("plain text, each file is one",))
    with pytest.raises(InvalidData, match=r"f\.txt:5: the character 'é'"):
        tokenise_texts(two, letters, None, "none", None, silent)


def test_a_document_of_which_nothing_is_left_is_told_with_its_line() -> None:
    pieces = learn(TEXT.texts, Tokens(kind="wordpiece", size=60), BERT)
    text = Documents(["A dog.", "\u200b\u0007"], (Path("f.txt"),), [(0, 1), (0, 9)], ("JSON lines",))
    with pytest.raises(InvalidData, match=r"f\.txt:9: the tokenizer leaves nothing of this document"):
        tokenise_texts(text, pieces, None, "none", None, silent)
