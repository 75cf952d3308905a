"""Documents as sentences of tokens."""

import torch

from transept.data.parted import parted, places, stacked
from transept.data.tokenizer import Encoding

TEXT = 'One two. "Three!" he said.\nFour'


def row(text: str) -> Encoding:
    """A token for each word and for each sign, between two marks."""
    import re

    found = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
    spans = [(0, 0), *found, (0, 0)]
    of = [None, *[0] * len(found), None]
    return Encoding([99, *range(len(found)), 98], [0] * len(spans), of, spans, of)


def test_a_sentence_ends_with_a_stop_or_a_line_and_marks_are_of_none() -> None:
    one = row(TEXT)
    words = [TEXT[start:end] for start, end in one.spans[1:-1]]
    sentences = [[words[token] for token in sentence] for sentence in parted(TEXT, one)]
    assert sentences == [["One", "two", "."], ['"', "Three", "!", '"'], ["he", "said", "."], ["Four"]]


def test_a_piece_that_begins_with_a_space_is_where_its_letters_are() -> None:
    text = "Go. On"
    one = Encoding([0, 1, 2], [0] * 3, [0] * 3, [(0, 2), (2, 3), (3, 6)], [0] * 3)  # "Go", ".", " On"
    assert parted(text, one) == [[0, 1], [2]]


def test_documents_are_padded_behind_their_sentences_and_words() -> None:
    documents = [[[1, 2, 3], [4]], [[5, 6]]]
    ids, valid = stacked(documents, 9)
    assert ids.tolist() == [[[1, 2, 3], [4, 9, 9]], [[5, 6, 9], [9, 9, 9]]]
    assert torch.equal(valid, ids != 9)
    assert [places(document) for document in documents] == [6, 2]
