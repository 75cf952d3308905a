"""Generating Wikipedia by summarising long sequences (Liu et al. 2018): one decoder over source, delimiter and article.

T-D is the 2017 decoder without a memory. In T-DMCA layers look in turn at a block of tokens (local), and at keys that a
convolution makes of three tokens each (memory-compressed); a mixture of experts may widen the layer in the middle.
"""

from typing import Any, Literal

from transept.families.orders import ordered
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.initial import Initial, Xavier
from transept.parts.mixture import Mixture
from transept.parts.norm import Norm
from transept.parts.pattern import Causal
from transept.parts.pattern_blocks import Local
from transept.parts.planner import Auto
from transept.parts.position import Sinusoid
from transept.parts.shorten import Shorten
from transept.parts.stack import Stack
from transept.spec import replace

Layer = Literal["dense", "local", "compressed"]

MCA: tuple[Layer, ...] = ("local", "compressed", "local", "compressed", "local")
BASE: dict[str, Any] = {"width": 512, "hidden": 2048, "heads": 8, "dropout": 0.1}
SIZES: dict[str, dict[str, Any]] = {  # sections 4.2 and 5.2
    "td": BASE | {"layers": ("dense",) * 5},
    "tdmca": BASE | {"layers": MCA},
    "tdmca-moe-128": BASE | {"layers": MCA, "experts": 128},
    "tdmca-moe-256": BASE | {"layers": MCA, "experts": 256},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "block": 4, "experts": 4}
TOY |= {"layers": ("local", "compressed")}
FORMER = {"size": "block"}
GOLDEN_VOCAB = 32_000  # pieces of words
INITIAL = Xavier()


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    layers: tuple[Layer, ...] = MCA,
    block: int = 256,
    look_back: int = 0,
    by: int = 3,
    experts: int | None = None,
    chosen: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    norm: Literal["after", "before"] = "before",
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = INITIAL,
    positions: str = "sinusoid",
) -> Model:
    """The description.

    `layers` are the kinds of all layers, in order: "dense" sees all that came before; "local" its block of `block`
    tokens, and `look_back` blocks before that (tensor2tensor has one, the paper none); "compressed" a key for every
    `by` tokens. With `experts`, the network of the layer in the middle is a mixture of so many, of which a token goes
    through `chosen`. `norm` "before" is tensor2tensor's, "after" that of 2017.
    """
    attend = Attention(heads, Causal(), bias=False, dropout=attention_dropout)
    near = Causal() & Local(block, look_back)
    kinds = {"dense": attend, "local": replace(attend, pattern=near, core=Auto())}
    kinds |= {"compressed": replace(attend, shorten=Shorten(by))}
    feed = FeedForward(hidden)
    feeds = [feed] * len(layers) if experts is None else mixed(feed, len(layers), experts, chosen)
    blocks = [Block((kinds[kind], one), place=norm, dropout=dropout) for kind, one in zip(layers, feeds, strict=True)]
    embed = Tokens(vocab, Sinusoid(), scale=width**0.5, dropout=dropout)
    stack = Stack(tuple(blocks), len(layers), Norm() if norm == "before" else None)
    spec = Model(width, embed, stack, Vocabulary(vocab, tied=embeddings == "tied"), initial)
    return ordered(spec, positions, "sinusoid")


def mixed(feed: FeedForward, depth: int, experts: int, chosen: int) -> list[FeedForward | Mixture]:
    """The networks of all layers, that in the middle a mixture."""
    wide = Mixture(experts, feed.hidden, chosen, feed.activation)
    return [wide if i == depth // 2 else feed for i in range(depth)]
