"""Attention after the step (Luong et al. 2015): the new state looks, everywhere or around one place."""

from typing import Any, Literal

from transept.errors import InvalidConfig, nearest
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.parts.attention import Attention
from transept.parts.attentive import Feeding
from transept.parts.cell import Lstm
from transept.parts.core import Core, Fused
from transept.parts.initial import Initial, Uniform
from transept.parts.place import Place
from transept.parts.readout import Readout
from transept.parts.recurrent import Reading, Recurrent
from transept.parts.scores import Additive, Location
from transept.parts.start import Start

SIZES: dict[str, dict[str, Any]] = {
    "luong": {"width": 1000, "hidden": 1000, "depth": 4, "dropout": 0.2},  # section 4.1
    "reduced": {"width": 256, "hidden": 256, "depth": 1, "dropout": 0.2},  # ours, for a processor
}
TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 32, "depth": 2}
GOLDEN_VOCAB = 50_000  # section 4.1

BEGINNING = Uniform(0.1)  # section 4.1

SCORES: dict[str, tuple[str, Core]] = {"dot": ("", Fused()), "general": ("q", Fused()), "concat": ("qk", Additive())}
PLACES: dict[str, Literal["same", "predicted"] | None] = {"global": None, "local_m": "same", "local_p": "predicted"}


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    depth: int,
    dropout: float = 0.0,
    score: Literal["dot", "general", "concat", "location"] = "general",
    reach: Literal["global", "local_m", "local_p"] = "global",
    window: int = 10,
    feed: bool = True,
    reads: Reading = "backward",
    longest: int = 256,
    initial: Initial = BEGINNING,
) -> Seq2Seq:
    """The description.

    `score` is how a state and a source token are compared (section 3.1); "location" does not look at the source, and
    has weights for `longest` places. `reach` "local_m" looks `window` tokens around the same place, "local_p" around a
    predicted one (section 3.2). `feed` hands h~ to the next step (section 3.3). The decoder begins with the encoder's
    last states; where `reads` is "both", with tanh of a matrix of the two directions' own.
    """
    scores = SCORES | {"location": ("", Location(longest))}
    for name, word, known in (("score", score, scores), ("reach", reach, PLACES)):
        if word not in known:
            raise InvalidConfig(f"luong has no {name} {word!r}.{nearest(word, known)}")
    project, core = scores[score]
    at = PLACES[reach]
    place = Place(window, at) if at else None
    attend = Attention(1, source="memory", core=core, bias=False, scale=1.0, project=project, place=place)
    embed, cell = Tokens(vocab, dropout=dropout), Lstm(hidden)
    encoder = Recurrent(cell, depth, reads, dropout=dropout)
    start = Start("bridge" if reads == "both" else "final")
    decoder = Feeding(cell, attend, Readout(hidden), start, dropout, depth, feed, between=dropout)
    return Seq2Seq(width, embed, encoder, decoder, Vocabulary(vocab, tied=False), embed, initial)
