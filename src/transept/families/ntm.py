"""The Neural Turing Machine (Graves et al. 2014): a controller that learns to use a memory by an algorithm."""

from typing import Any, Literal

from transept.heads.bits import Bits
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.inputs.vectors import Vectors
from transept.models import Model
from transept.parts.cell import Lstm
from transept.parts.controller import Controller, Direct, Stepping
from transept.parts.initial import Initial, Xavier
from transept.parts.turing import Turing

_LSTM = {"controller": "lstm"}
_COPY = {"channels": 9, "bits": 8, "hidden": 100}
_REPEAT = {"channels": 10, "bits": 9, "hidden": 100}
_RECALL = {"channels": 8, "bits": 6}
_NGRAMS = {"channels": 1, "bits": 1, "hidden": 100}
_SORT = {"channels": 9, "bits": 8}

# Tables 1 and 2: the controller's width, the heads of each kind, 128 x 20 of memory. Channels and bits are our count of
# what the tasks show and answer, so that parameters differ from those published: 17,162 of "copy", 67,561 of
# "copy-lstm".
SIZES: dict[str, dict[str, Any]] = {
    "copy": _COPY,
    "copy-lstm": _COPY | _LSTM,
    "repeat-copy": _REPEAT,
    "repeat-copy-lstm": _REPEAT | _LSTM,
    "recall": _RECALL | {"hidden": 256, "heads": 4},
    "recall-lstm": _RECALL | _LSTM | {"hidden": 100},
    "ngrams": _NGRAMS,
    "ngrams-lstm": _NGRAMS | _LSTM,
    "sort": _SORT | {"hidden": 512, "heads": 8},
    "sort-lstm": _SORT | _LSTM | {"hidden": 100, "depth": 2, "heads": 5},
}
TOY: dict[str, Any] = {
    "vocab": 23,
    "form": "language_model",
    "width": 16,
    "hidden": 24,
    "controller": "lstm",
    "depth": 2,
    "heads": 2,
    "rows": 9,
    "columns": 6,
}

BEGINNING = Xavier()


def declare(
    *,
    hidden: int,
    controller: Literal["direct", "lstm"] = "direct",
    depth: int = 1,
    heads: int = 1,
    rows: int = 128,
    columns: int = 20,
    reach: int = 1,
    first: Literal["learned", "top"] = "top",
    form: Literal["bits", "language_model"] = "bits",
    channels: int = 9,
    bits: int = 8,
    vocab: int = 0,
    width: int = 0,
    dropout: float = 0.0,
    initial: Initial = BEGINNING,
) -> Model:
    """The description.

    `controller` "direct" is one feed-forward layer, "lstm" `depth` layers of LSTM. There are `heads` that read and as
    many that write; `first` tells where they look at first: at the top row, or where they learn to. `form` "bits" is
    the paper's, `channels` numbers in and `bits` out; "language_model" has embeddings of `width` for a vocabulary of
    `vocab`, and scores of it.
    """
    driver: Controller = Direct(hidden) if controller == "direct" else Stepping(Lstm(hidden), depth)
    stack = Turing(driver, rows, columns, heads, heads, reach, first)
    if form == "language_model":
        head = Vocabulary(vocab, tied=False, bias=True)
        return Model(width, Tokens(vocab, dropout=dropout), stack, head, initial)
    return Model(channels, Vectors(channels, dropout=dropout, project="none"), stack, Bits(bits), initial)
