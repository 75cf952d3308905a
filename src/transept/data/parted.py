"""Documents as a model of sentences reads them: the tokens of a text, sentence by sentence.

Shapes: B documents, L sentences of the longest, W tokens of the longest sentence.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from transept.data.documents import sentences
from transept.data.tokenizer import Encoding


def parted(text: str, row: Encoding) -> list[list[int]]:
    """The tokens of each sentence of a text. Sentences end with a stop or a line; a token is where its last letter is.

    What stands around a text is of no sentence, and left out.
    """
    ends = np.cumsum([len(part) for part in sentences(text, "stop")])
    numbers = np.searchsorted(ends, [max(end - 1, 0) for _, end in row.spans], side="right")
    found: dict[int, list[int]] = {}
    for token, of, number in zip(row.ids, row.texts, numbers.tolist(), strict=True):
        if of is not None:
            found.setdefault(number, []).append(token)
    return list(found.values())


def places(document: Sequence[Sequence[int]]) -> int:
    """The places of a document in a batch, padding counted: as many for each sentence as the longest has tokens."""
    return len(document) * max(map(len, document))


def stacked(documents: Sequence[Sequence[Sequence[int]]], fill: int) -> tuple[Tensor, Tensor]:
    """Documents beside each other, (B, L, W) int64 with `fill` behind the short ones, and what of it is real."""
    wide = max(len(sentence) for document in documents for sentence in document)
    shape = (len(documents), max(map(len, documents)), wide)
    ids, valid = torch.full(shape, fill), torch.zeros(shape, dtype=torch.bool)
    for i, document in enumerate(documents):
        for j, sentence in enumerate(document):
            ids[i, j, : len(sentence)], valid[i, j, : len(sentence)] = torch.tensor(sentence), True
    return ids, valid
