"""Sequence to sequence by LSTM (Sutskever et al. 2014): one network reads, and another begins with its last states."""

from typing import Any, Literal

from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, Seq2Seq
from transept.parts.cell import Lstm
from transept.parts.initial import Initial, Uniform
from transept.parts.recurrent import Reading, Recurrent
from transept.parts.start import Start
from transept.spec import replace

SIZES: dict[str, dict[str, Any]] = {
    "sutskever": {"width": 1000, "hidden": 1000, "depth": 4},  # section 3.4
    "notebook": {"width": 256, "hidden": 512, "depth": 2, "dropout": 0.5},  # bentrevett/pytorch-seq2seq, the first
    "reduced": {"width": 256, "hidden": 256, "depth": 2, "dropout": 0.3},  # ours, for a processor
}
TOY: dict[str, Any] = {"vocab": 23, "width": 16, "hidden": 24, "depth": 2}
GOLDEN_VOCAB = 80_000  # section 3.1, the target's

BEGINNING = Uniform(0.08)  # section 3.4


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    depth: int,
    dropout: float = 0.0,
    reads: Reading = "backward",
    form: Literal["seq2seq", "language_model"] = "seq2seq",
    initial: Initial = BEGINNING,
) -> Seq2Seq | Model:
    """The description.

    `reads` "backward" is the reversed source of section 3.3, "forward" the source as it stands, "both" two
    directions in each layer, of whose last states a matrix makes the decoder's first. `dropout` is on embeddings and on
    what layers hand on, which the paper does not drop. `form` "language_model" has no source.
    """
    embed, head = Tokens(vocab, dropout=dropout), Vocabulary(vocab, tied=False, bias=True)
    decoder = Recurrent(Lstm(hidden), depth, dropout=dropout)
    if form == "language_model":
        return Model(width, embed, decoder, head, initial)
    encoder = Recurrent(Lstm(hidden), depth, reads, dropout=dropout)
    decoder = replace(decoder, start=Start("bridge" if reads == "both" else "final"))
    return Seq2Seq(width, embed, encoder, decoder, head, embed, initial)
