"""Transformer-XL (Dai et al. 2019): a decoder that goes on reading the states of the segment before, by distances."""

from typing import Any, Literal

from transept.families.orders import ordered
from transept.heads.adaptive import Adaptive
from transept.heads.vocabulary import Vocabulary
from transept.inputs.clustered import Clustered
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.clusters import Clusters
from transept.parts.feedforward import FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.pattern import Causal
from transept.parts.relative import Distances
from transept.parts.stack import Stack

LETTERS: dict[str, Any] = {"vocab": 204, "width": 512, "heads": 8, "depth": 12, "hidden": 2048, "dropout": 0.1}
DEEP: dict[str, Any] = {"width": 1024, "heads": 8, "depth": 24, "hidden": 3072, "carries": 768, "dropout": 0.15}
DROPPED: dict[str, Any] = {"attention_dropout": 0.15}
WORDS: dict[str, Any] = {"vocab": 267_735, "cutoffs": (20_000, 40_000, 200_000)}
SIZES: dict[str, dict[str, Any]] = {  # tables 1 to 3, and the released code's scripts, which name what these leave out
    "wt103-base": {**WORDS, "width": 410, "heads": 10, "depth": 16, "hidden": 2100, "carries": 150, "dropout": 0.1},
    "wt103-large": {
        **WORDS,
        **{"width": 1024, "heads": 16, "depth": 18, "hidden": 4096, "carries": 384, "divisor": 4, "biases": "own"},
        **{"dropout": 0.2, "attention_dropout": 0.2},
    },
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
    positions: str = "distances",
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    place: Literal["before", "after"] = "after",
    biases: Literal["shared", "own"] = "shared",
    far: int | None = None,
    cutoffs: tuple[int, ...] = (),
    divisor: int = 1,
    initial: Initial = BEGINNING,
) -> Model:
    """The description.

    `carries` is how many states of earlier segments each layer reads, None for a decoder without recurrence; `biases`
    tells whether layers share u and v; `far` cuts distances beyond it. From each of `cutoffs` on, tokens are a rarer
    cluster of an adaptive softmax, and their vectors are `divisor` times narrower. `positions` is how order is told.
    """
    order = Distances(biases=biases, far=far, dropout=dropout)
    attend = Attention(heads, Causal(), bias=False, dropout=attention_dropout, position=order)
    feed = FeedForward(hidden, "relu", dropout=dropout)
    stack = Stack(Block((attend, feed), place=place, dropout=dropout), depth, dropout=dropout, carries=carries)
    embed, head = Tokens(vocab, scale=width**0.5, dropout=dropout), Vocabulary(vocab, bias=True)
    if cutoffs:
        clusters = Clusters(cutoffs, divisor)
        head = Adaptive(vocab, bias=True, clusters=clusters)
        embed = Clustered(vocab, scale=width**0.5, dropout=dropout, clusters=clusters) if divisor > 1 else embed
    return ordered(Model(width, embed, stack, head, initial), positions, "distances")
