"""Linformer (Wang et al. 2020): RoBERTa whose attention mixes the keys and values of a row down to a few."""

from typing import Any, Literal

from transept.families import roberta
from transept.families.orders import ordered
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.feedforward import Activation
from transept.parts.initial import Initial, Normal
from transept.parts.lowrank import LowRank
from transept.parts.position import Learned
from transept.spec import edit, replace

Share = Literal["heads", "keys", "layers"]

BASE: dict[str, Any] = {"width": 768, "hidden": 3072, "heads": 12, "depth": 12}
BASE |= {"dropout": 0.1, "attention_dropout": 0.1, "length": 512}
SIZES: dict[str, dict[str, Any]] = {  # table 2: the ranks of RoBERTa-base, and what shares a projection
    "base-128": BASE | {"rank": 128},
    "base-128-keys": BASE | {"rank": 128, "share": "keys"},
    "base-128-layers": BASE | {"rank": 128, "share": "layers"},
    "base-256": BASE | {"rank": 256},
    "base-256-keys": BASE | {"rank": 256, "share": "keys"},
    "base-256-layers": BASE | {"rank": 256, "share": "layers"},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2, "length": 64, "rank": 8}
GOLDEN_VOCAB = roberta.GOLDEN_VOCAB
INITIAL = Normal(0.02)


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    length: int,
    rank: int,
    share: Share = "heads",
    segments: int = 0,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu",
    eps: float = 1e-5,
    head: roberta.Heading = "masked",
    labels: int = 2,
    head_dropout: float | None = None,
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = INITIAL,
    positions: str = "learned",
) -> Model:
    """RoBERTa's description with attention of rank `rank` to `length` positions.

    `share` tells what a projection is one for (section 4): "heads", all of an attention (the paper's headwise), where
    keys and values have one each; "keys", both of them too (key-value); "layers", all layers (layerwise). No pattern
    but `full`: each of the few keys holds the whole row, what comes after a token too.
    """
    words: dict[str, Any] = {
        "dropout": dropout,
        "attention_dropout": attention_dropout,
        "activation": activation,
        "eps": eps,
    }
    words |= {"head": head, "labels": labels, "head_dropout": head_dropout, "embeddings": embeddings}
    shape: dict[str, Any] = {
        "vocab": vocab,
        "width": width,
        "hidden": hidden,
        "heads": heads,
        "depth": depth,
        "segments": segments,
    }
    spec = roberta.declare(**shape, **words, length=length, initial=initial)
    core = LowRank(length, rank, share)
    stack = edit(spec.stack, lambda part: replace(part, core=core) if isinstance(part, Attention) else part)
    assert isinstance(spec.embed, Tokens)
    spec = replace(spec, embed=replace(spec.embed, position=Learned(length)), stack=stack)
    return ordered(spec, positions, "learned", length)
