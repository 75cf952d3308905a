"""The Memorizing Transformer (Wu et al. 2022): a decoder one layer of which finds keys and values of long ago."""

from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.families.orders import ordered
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Window
from transept.parts.pattern_blocks import Local
from transept.parts.recall import Recall
from transept.parts.scored import Buckets
from transept.parts.stack import Stack
from transept.spec import replace

BASE: dict[str, Any] = {"width": 1024, "heads": 8, "depth": 12, "hidden": 4096, "recalls": 9}
SIZES: dict[str, dict[str, Any]] = {  # section 4 and table 4: one network, with more and more that it remembers
    "1536": {**BASE, "remembers": 1536, "carries": 512},
    "8k": {**BASE, "remembers": 8192},
    "65k": {**BASE, "remembers": 65_536},
    "262k": {**BASE, "remembers": 262_144},
}
TOY: dict[str, Any] = {"vocab": 23, "width": 32, "heads": 4, "depth": 2, "hidden": 64, "recalls": 2}
TOY |= {"segment": 3, "neighbours": 2, "remembers": 6}
FORMER = {"size": "remembers"}
GOLDEN_VOCAB = 32_000  # section 4.1, T5's

BEGINNING = Normal(0.02)


def declare(
    *,
    vocab: int,
    width: int,
    heads: int,
    depth: int,
    hidden: int,
    recalls: int,
    positions: str = "buckets",
    segment: int = 512,
    neighbours: int = 32,
    remembers: int = 65_536,
    carries: int | None = None,
    search: Literal["exact", "faiss"] = "exact",
    dropout: float = 0.0,
    initial: Initial = BEGINNING,
) -> Model:
    """The description.

    Layer `recalls`, counted from 1, finds `neighbours` among the last `remembers` tokens before a `segment`. `carries`
    adds Transformer-XL's states: a token then sees so many before it, and none but its segment's where it is None.
    `positions` is how order is told.
    """
    if not 1 <= recalls <= depth:
        raise InvalidConfig(f"recalls={recalls} is none of the layers 1 to {depth}")
    near = Causal() & (Window(carries) if carries else Local(segment))
    attend, feed = Attention(heads, near, bias=False), FeedForward(hidden, "relu", bias=False)
    plain = Block((attend, feed), Norm(), dropout=dropout)
    recall = replace(attend, recall=Recall(neighbours, segment, remembers, search))
    layers = (plain,) * (recalls - 1) + (replace(plain, parts=(recall, feed)),) + (plain,) * (depth - recalls)
    stack = Stack(layers, depth, Norm(), Buckets(heads, sees="past"), carries=carries)
    return ordered(
        Model(width, Tokens(vocab, dropout=dropout), stack, Vocabulary(vocab), initial), positions, "buckets"
    )
