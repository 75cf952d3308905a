"""The Vision Transformer (Dosovitskiy et al. 2021): squares of a picture are its words."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.families.configuration import BOOKKEEPING, GENERATION, Keys
from transept.families.hugging_face import (
    ACTIVATIONS,
    OtherShape,
    activation_word,
    architecture,
    architecture_of,
    demand_said,
    first,
    label_words,
    respelled,
)
from transept.families.orders import ordered
from transept.heads.classes import Averaged, Classes, Pooled, States
from transept.heads.head import Head
from transept.inputs.patches import Patches
from transept.models import Model
from transept.names import Drop, Entry, Names, Rule, linear, reshaped, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.convnet import Convnet
from transept.parts.dense import Dense
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal, Xavier
from transept.parts.norm import Norm
from transept.parts.stack import Stack
from transept.spec import replace
from transept.topology import Topology

Heading = Literal["classes", "pooled", "states"]

HEADS: dict[str, Heading] = {"ViTForImageClassification": "classes", "ViTModel": "pooled"}
HF_MODELS = {"vit": tuple(HEADS)}
HF_WORDS = {"position": "positions: learned", "net": "stages: [], pools: [], stage_norm: none"}

SIZES: dict[str, dict[str, Any]] = {  # tiny and small: Touvron et al. 2021; the others: table 1 and section 4.1
    "tiny-16": {"width": 192, "hidden": 768, "heads": 3, "depth": 12},
    "small-16": {"width": 384, "hidden": 1536, "heads": 6, "depth": 12},
    "base-16": {"width": 768, "hidden": 3072, "heads": 12, "depth": 12},
    "base-32": {"width": 768, "hidden": 3072, "heads": 12, "depth": 12, "patch": 32},
    "large-16": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 24},
    "huge-14": {"width": 1280, "hidden": 5120, "heads": 16, "depth": 32, "patch": 14},
}

TOY: dict[str, Any] = {"labels": 7, "image": 12, "patch": 4, "width": 32, "hidden": 48, "heads": 4, "depth": 2}
INITIAL = Xavier()


def declare(
    *,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    labels: int = 1000,
    image: int = 224,
    patch: int = 16,
    channels: int = 3,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation_dropout: float = 0.0,
    activation: Activation = "gelu_tanh",
    eps: float = 1e-6,
    bias: bool = True,
    stages: tuple[tuple[int, ...], ...] = (),
    pools: tuple[int, ...] = (),
    stage_norm: Literal["none", "batch"] = "none",
    positions: str = "learned",
    head: Heading = "classes",
    pooler: Activation = "tanh",
    resize: Literal["bicubic", "bilinear"] | None = None,
    initial: Initial = INITIAL,
) -> Model:
    """The description. The defaults are those of the paper's own code: tanh GELU, a small epsilon, Glorot's matrices.

    `image` and `patch` are the sides of a picture and of a square, in pixels; `resize` lets pictures of other sizes in.
    `bias` False has no biases of queries, keys and values. `head` "classes" scores `labels` classes by the state of the
    class token, "pooled" hands it on through a dense matrix with the activation `pooler`, "states" hands on all.
    `positions` is how order is told (`families.orders`): "grid", "grid_sinusoid", "grid_bias" and "grid_rotary" tell
    rows and columns. `stages`, `pools` and `stage_norm` are a convolutional network that pictures go through first
    (`parts.convnet`; the hybrid of the paper's section 3.1, whose own network is a ResNet): squares are cut out of what
    it computes, and one of `patch` pixels is a single one of its places where the pools make up as many.
    """
    attend = Attention(heads, bias=bias or "out", dropout=attention_dropout)
    feed = FeedForward(hidden, activation, dropout=activation_dropout)
    norm = Norm(eps=eps)
    block = Block((attend, feed), norm, dropout=dropout)
    net = Convnet(stages, pools, channels, stage_norm) if stages or pools else None
    if net is None and stage_norm != "none":
        raise InvalidConfig(
            f"stage_norm: {stage_norm} is of stages, and there are none", remedy="Say stages and pools."
        )
    embed = Patches((image, image), (patch, patch), channels, resize=resize, dropout=dropout, net=net)
    made: dict[str, Head] = {"classes": Classes(labels), "pooled": Pooled("first", Dense(pooler)), "states": States()}
    return ordered(Model(width, embed, Stack(block, depth, norm), made[head], initial), positions, "learned")


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a ViT configuration, every key of which is honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "ViT")
    return sized(declare(**words_of(keys), head=HEADS[architecture(config, HF_MODELS)]), keys)


def words_of(keys: Keys) -> dict[str, Any]:
    """The words of `declare` in a configuration of ViT's or DeiT's: all but the head and the sizes of pictures."""
    return {
        "labels": keys.labels(),
        "channels": keys.whole("num_channels", 3),
        "width": keys.whole("hidden_size", 768),
        "hidden": keys.whole("intermediate_size", 3072),
        "heads": keys.whole("num_attention_heads", 12),
        "depth": keys.whole("num_hidden_layers", 12),
        "dropout": keys.share("hidden_dropout_prob", 0.0),
        "attention_dropout": keys.share("attention_probs_dropout_prob", 0.0),
        "activation": keys.choice("hidden_act", "gelu", ACTIVATIONS),
        "eps": keys.positive("layer_norm_eps", 1e-12),
        "bias": keys.truth("qkv_bias", True),
        "pooler": keys.choice("pooler_act", "tanh", ACTIVATIONS),
        "initial": Normal(keys.positive("initializer_range", 0.02)),
    }


def sized(spec: Model, keys: Keys) -> Model:
    """The model with the sizes of pictures and squares that the configuration tells; nothing else may be left in it."""
    size, patch = _pair(keys, "image_size", 224), _pair(keys, "patch_size", 16)
    if not keys.absent("pooler_output_size"):
        keys.alias("pooler_output_size", "hidden_size", spec.width)
    heads = first(spec.blocks, Attention).heads
    if not keys.absent("head_dim"):
        keys.alias("head_dim", "hidden_size / num_attention_heads", spec.width // heads)
    keys.only("pruned_heads", {}, None, why="heads were cut out of the weights")
    for key in ("is_encoder_decoder", "tie_encoder_decoder", "is_decoder", "add_cross_attention"):
        keys.only(key, False, why="a model with a decoder is another shape")
    keys.done(BOOKKEEPING, GENERATION, "encoder_stride tie_word_embeddings")  # of other heads
    assert isinstance(spec.embed, Patches)
    return replace(spec, embed=replace(spec.embed, size=size, patch=patch))


def _pair(keys: Keys, key: str, default: int) -> tuple[int, int]:
    """A height and a width: one number for both, or two."""
    both = default if keys.absent(key) else keys.config[key]
    if not isinstance(both, (list, tuple)):
        side = keys.whole(key, default)
        return side, side
    if len(both) != 2 or any(type(side) is not int or side < 1 for side in both):
        raise InvalidConfig(f"{key} must be a whole number or a height and a width, not {both!r:.40}")
    return both[0], both[1]


def to_hf(spec: Topology) -> dict[str, Any]:
    """The ViT configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model = pictured(spec, "ViT")
    config = {"architectures": [architecture_of(model, "ViT", HEADS)], "model_type": "vit", **config_of(model)}
    demand_said(model, from_hf(config), "ViT", HF_WORDS)
    return config


def pictured(spec: Topology, name: str) -> Model:
    """A description that is at least one stack over pictures, without what a call of theirs says and no configuration:
    how positions follow another size. Raises InvalidConfig where it is not, or where they would follow otherwise.
    """
    if not isinstance(spec, Model) or not isinstance(spec.embed, Patches):
        over = f" over {type(spec.embed).__name__}" if isinstance(spec, Model) else ""
        raise OtherShape(f"{name} is one stack over pictures, this model is a {type(spec).__name__}{over}")
    return replace(spec, embed=replace(spec.embed, resize=None)) if spec.embed.resize == "bicubic" else spec


def config_of(spec: Model) -> dict[str, Any]:
    """What configurations of ViT's and DeiT's both say."""
    attend, feed, embed, head = first(spec.blocks, Attention), first(spec.blocks, FeedForward), spec.embed, spec.head
    assert isinstance(embed, Patches)
    inner = head.heads[0] if isinstance(head, Averaged) else head
    dense = head.dense if isinstance(head, Pooled) else None
    return {
        "hidden_size": spec.width,
        "num_hidden_layers": spec.blocks.depth,
        "num_attention_heads": attend.heads,
        "intermediate_size": feed.hidden,
        "hidden_act": activation_word(feed.activation),
        "hidden_dropout_prob": embed.dropout,
        "attention_probs_dropout_prob": attend.dropout,
        "initializer_range": spec.initial.std if isinstance(spec.initial, Normal) else 0.02,
        "layer_norm_eps": spec.blocks.norm.eps if spec.blocks.norm else 1e-12,
        "image_size": _said(embed.size),
        "patch_size": _said(embed.patch),
        "num_channels": embed.channels,
        "qkv_bias": attend.bias is True,
        "pooler_output_size": spec.width,
        "pooler_act": activation_word(dense.activation) if dense else "tanh",
        **label_words(inner.count if isinstance(inner, Classes) else 2),
    }


def _said(size: tuple[int, int]) -> int | list[int]:
    return size[0] if size[0] == size[1] else list(size)


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells; a file may have `vit.` before them or not."""
    return table(spec, "vit.")


def table(spec: Model, base: str) -> Names:
    """The names of ViT's and of DeiT's weights, which have `base` before them where there is a head of classes.

    Their models call the parts of a block otherwise than their files do, since version 5.
    """
    prefix = base if isinstance(spec.head, Classes | Averaged) else ""
    entries = [*_embeddings(spec, f"{prefix}embeddings"), *_blocks(prefix), *linear("stack.norm", f"{prefix}layernorm")]
    match spec.head:
        case Classes():
            entries += linear("head.score", "classifier")
        case Averaged():
            entries += linear("head.heads.0.score", "cls_classifier")
            entries += linear("head.heads.1.score", "distillation_classifier")
        case Pooled():
            entries += linear("head.dense.linear", "pooler.dense")
    if not isinstance(spec.head, Pooled):
        for part in ("weight", "bias"):
            entries.append(Drop(f"{prefix}pooler.dense.{part}", "it belongs to a head that this model does not have"))
    return Names(respelled(entries, (prefix, "") if prefix else ("", base)))


def _embeddings(spec: Model, theirs: str) -> list[Entry]:
    embed, width = spec.embed, spec.width
    assert isinstance(embed, Patches)
    rows = embed.before() + embed.grid()[0] * embed.grid()[1]
    found: list[Entry] = [
        *linear("embed.project", f"{theirs}.patch_embeddings.projection"),
        reshaped("embed.position", f"{theirs}.position_embeddings", (rows, width), (1, rows, width)),
        reshaped("embed.token", f"{theirs}.cls_token", (width,), (1, 1, width)),
    ]
    if embed.front == "distilled":
        found.append(reshaped("embed.distilled", f"{theirs}.distillation_token", (width,), (1, 1, width)))
    return found


def _blocks(prefix: str) -> list[Entry]:
    found: list[Entry] = []
    for ours, model, file in (
        ("attention.q", "attention.q_proj", "attention.attention.query"),
        ("attention.k", "attention.k_proj", "attention.attention.key"),
        ("attention.v", "attention.v_proj", "attention.attention.value"),
        ("attention.o", "attention.o_proj", "attention.output.dense"),
        ("attention_norm", "layernorm_before", "layernorm_before"),
        ("feedforward.up", "mlp.fc1", "intermediate.dense"),
        ("feedforward.down", "mlp.fc2", "output.dense"),
        ("feedforward_norm", "layernorm_after", "layernorm_after"),
    ):
        for part in ("weight", "bias"):
            rule = same(f"stack.blocks.{{i}}.{ours}.{part}", f"{prefix}layers.{{i}}.{model}.{part}")
            found.append(Rule(rule.ours, rule.theirs, filed=(f"{prefix}encoder.layer.{{i}}.{file}.{part}",)))
    return found
