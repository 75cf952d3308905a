"""RNNsearch (Bahdanau et al. 2015): the first attention. Each step looks for what of the source it needs next."""

from typing import Any, Literal

from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.parts.attention import Attention
from transept.parts.attentive import Searching
from transept.parts.cell import Gru
from transept.parts.initial import Careful, Initial, Uniform
from transept.parts.readout import Readout
from transept.parts.recurrent import Recurrent
from transept.parts.scores import Additive
from transept.parts.start import Start

BEGINNING = Careful()  # appendix B.1
# Weights of 0.01 hand on little: the first hundreds of updates are spent on making them larger.
QUICK = Uniform(0.08)

SIZES: dict[str, dict[str, Any]] = {
    # Appendix A.2: n = n' = 1000, m = 620, l = 500.
    "rnnsearch": {"width": 620, "hidden": 1000, "align": 1000, "readout": 500, "reset": "before"},
    # bentrevett/pytorch-seq2seq, the third notebook: torch's cell, no readout of the new state.
    "notebook": {"width": 256, "hidden": 512, "align": 512, "state": "after", "start": "bridge", "dropout": 0.5},
    "reduced": {"width": 256, "hidden": 256, "align": 128, "readout": 256, "dropout": 0.3, "initial": QUICK},  # ours
}
TOY: dict[str, Any] = {"vocab": 23, "width": 16, "hidden": 24, "align": 12, "readout": 20}
GOLDEN_VOCAB = 30_000  # section 4.2


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    align: int,
    readout: int | None = None,
    dropout: float = 0.0,
    reset: Literal["before", "after"] = "after",
    state: Literal["before", "after"] = "before",
    start: Literal["backward", "bridge"] = "backward",
    initial: Initial = BEGINNING,
) -> Seq2Seq:
    """The description.

    `align` is the width of the alignment model, `readout` what is left of the maxout; None scores what it would read as
    it is. `reset` "before" is the paper's; "after" is what torch's kernels compute. `state` tells whether the state
    before or the new one is read out, `start` what the first state is made of. `dropout` is on embeddings and on what
    is read out, which the paper does not drop.
    """
    embed, cell = Tokens(vocab, dropout=dropout), Gru(hidden, reset)
    attend = Attention(1, source="memory", core=Additive(), head_width=align, bias=False, scale=1.0, project="qk")
    reading = Readout(readout, "maxout", bias=True) if readout else None
    decoder = Searching(cell, attend, reading, Start(start), dropout, state)
    head = Vocabulary(vocab, tied=False, bias=True)
    return Seq2Seq(width, embed, Recurrent(cell, reads="both"), decoder, head, embed, initial)
