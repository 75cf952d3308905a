"""The RNN encoder-decoder (Cho et al. 2014): what was read is one vector, which every step of the writing is given."""

from typing import Any, Literal

from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, Seq2Seq
from transept.parts.cell import Gru
from transept.parts.contextual import Contextual
from transept.parts.initial import Careful, Initial, Uniform
from transept.parts.readout import Readout
from transept.parts.recurrent import Reading, Recurrent
from transept.spec import replace

BEGINNING = Careful()  # appendix A.2: N(0, 0.01^2), orthogonal states
# Weights of 0.01 hand on little: the first hundreds of updates are spent on making them larger.
QUICK = Uniform(0.08)

SIZES: dict[str, dict[str, Any]] = {
    # Section 4.1. Its tables of 100 features are the first factor of the cell's input matrix, and so is this one.
    "cho": {"width": 100, "hidden": 1000, "readout": 500, "reset": "before"},
    # bentrevett/pytorch-seq2seq, the second notebook: torch's cell, the state itself as context, no readout.
    "notebook": {"width": 256, "hidden": 512, "context": "last", "dropout": 0.5},
    "reduced": {"width": 256, "hidden": 384, "readout": 256, "dropout": 0.3, "initial": QUICK},  # ours
}
TOY: dict[str, Any] = {"vocab": 23, "width": 16, "hidden": 24, "readout": 20}
GOLDEN_VOCAB = 15_000  # section 4.1


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    readout: int | None = None,
    depth: int = 1,
    dropout: float = 0.0,
    reset: Literal["before", "after"] = "after",
    reads: Reading = "forward",
    context: Literal["projected", "last"] = "projected",
    form: Literal["seq2seq", "language_model"] = "seq2seq",
    initial: Initial = BEGINNING,
) -> Seq2Seq | Model:
    """The description.

    `reset` "before" is the paper's; "after" is what torch's kernels compute. `dropout` is on embeddings, between layers
    and on what is read out, which the paper does not drop. `readout` is what is left of the maxout; None scores what it
    would read as it is. `context` "last" has no matrices between the last state and the decoder. `form`
    "language_model" has no source.
    """
    embed, head = Tokens(vocab, dropout=dropout), Vocabulary(vocab, tied=False, bias=True)
    encoder = Recurrent(Gru(hidden, reset), depth, reads, dropout=dropout)
    if form == "language_model":
        return Model(width, embed, replace(encoder, reads="forward"), head, initial)
    reading = Readout(readout, "maxout", bias=True) if readout else None
    decoder = Contextual(Gru(hidden, reset), reading, dropout, context)
    return Seq2Seq(width, embed, encoder, decoder, head, embed, initial)
