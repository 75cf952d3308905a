"""Hierarchical attention (Yang et al. 2016): words make sentences, sentences make the class of a document."""

from typing import Any

from transept.heads.classes import Classes
from transept.inputs.sentences import Sentences
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.cell import Gru
from transept.parts.initial import Initial, Xavier
from transept.parts.queried import Queried
from transept.parts.recurrent import Recurrent

SIZES: dict[str, dict[str, Any]] = {
    "published": {"inner": 200, "hidden": 50, "align": 100},  # section 3.3
    "reduced": {"inner": 64, "hidden": 32, "align": 32},  # ours, for a processor
}
TOY: dict[str, Any] = {"vocab": 23, "labels": 5, "inner": 12, "hidden": 8, "align": 8}
GOLDEN_VOCAB = 30_000

BEGINNING = Xavier()


def declare(
    *,
    vocab: int,
    inner: int,
    hidden: int,
    align: int,
    labels: int = 5,
    dropout: float = 0.0,
    initial: Initial = BEGINNING,
) -> Model:
    """The description.

    `inner` is the width of the words' embeddings, `hidden` that of each direction of both GRUs, `align` that of the
    vectors of words and of sentences that are looked for (section 2.2).
    """
    gru, look = Recurrent(Gru(hidden), reads="both"), Queried(align)
    documents = Sentences(Tokens(vocab, dropout=dropout), inner, gru, look)
    return Model(2 * hidden, documents, gru, Classes(labels, look, dropout=dropout), initial)
