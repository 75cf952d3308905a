"""Transformer-XL (Dai et al. 2019): a decoder that goes on reading the states of the segment before, by distances."""

from typing import Any, Literal

from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.pattern import Causal
from transept.parts.relative import Distances
from transept.parts.stack import Stack

LETTERS: dict[str, Any] = {"vocab": 204, "width": 512, "heads": 8, "depth": 12, "hidden": 2048, "dropout": 0.1}
DEEP: dict[str, Any] = {"width": 1024, "heads": 8, "depth": 24, "hidden": 3072, "carries": 768, "dropout": 0.15}
DROPPED: dict[str, Any] = {"attention_dropout": 0.15}
SIZES: dict[str, dict[str, Any]] = {  # tables 1 to 3, and the released code's scripts, which name what these leave out
    "enwik8-12": {**LETTERS, "carries": 512},
    "enwik8-24": {"vocab": 204, **DEEP, **DROPPED},
    "text8-12": {**LETTERS, "vocab": 27, "carries": 512},
    "text8-24": {"vocab": 27, **DEEP, **DROPPED},
}
TOY: dict[str, Any] = {"vocab": 23, "width": 32, "heads": 4, "depth": 2, "hidden": 64, "carries": 5}

BEGINNING = Normal(0.02)  # the released code's


def declare(
    *,
    vocab: int,
    width: int,
    heads: int,
    depth: int,
    hidden: int,
    carries: int | None,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    place: Literal["before", "after"] = "after",
    biases: Literal["shared", "own"] = "shared",
    far: int | None = None,
    initial: Initial = BEGINNING,
) -> Model:
    """The description.

    `carries` is how many states of earlier segments each layer reads, None for a decoder without recurrence; `biases`
    tells whether layers share u and v; `far` cuts distances beyond it.
    """
    order = Distances(biases=biases, far=far, dropout=dropout)
    attend = Attention(heads, Causal(), bias=False, dropout=attention_dropout, position=order)
    feed = FeedForward(hidden, "relu", dropout=dropout)
    stack = Stack(Block((attend, feed), place=place, dropout=dropout), depth, dropout=dropout, carries=carries)
    embed = Tokens(vocab, scale=width**0.5, dropout=dropout)
    return Model(width, embed, stack, Vocabulary(vocab, bias=True), initial)
