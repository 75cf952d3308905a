"""Sequence to sequence by the simple recurrent network (Elman 1990), as Sutskever et al. 2014 had it by LSTM."""

from typing import Any, Literal

from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, Seq2Seq
from transept.parts.cell import Elman
from transept.parts.initial import Initial, Uniform
from transept.parts.recurrent import Reading, Recurrent
from transept.parts.start import Start
from transept.spec import replace

SIZES: dict[str, dict[str, Any]] = {
    "reduced": {"width": 256, "hidden": 512, "depth": 1, "dropout": 0.3},  # ours: nobody published one
}
TOY: dict[str, Any] = {"vocab": 23, "width": 16, "hidden": 24, "depth": 1}
GOLDEN_VOCAB = 10_000

BEGINNING = Uniform(0.08)  # as Sutskever et al. 2014


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    depth: int,
    dropout: float = 0.0,
    reads: Reading = "backward",
    form: Literal["seq2seq", "language_model"] = "seq2seq",
    activation: Literal["tanh", "relu"] = "tanh",
    initial: Initial = BEGINNING,
) -> Seq2Seq | Model:
    """The description: `lstm` with another cell, whose state is one vector."""
    embed, head = Tokens(vocab, dropout=dropout), Vocabulary(vocab, tied=False, bias=True)
    cell = Elman(hidden, activation)
    decoder = Recurrent(cell, depth, dropout=dropout)
    if form == "language_model":
        return Model(width, embed, decoder, head, initial)
    encoder = Recurrent(cell, depth, reads, dropout=dropout)
    decoder = replace(decoder, start=Start("bridge" if reads == "both" else "final"))
    return Seq2Seq(width, embed, encoder, decoder, head, embed, initial)
