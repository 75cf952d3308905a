"""Llama (Touvron et al. 2023) and its kin, Mistral (Jiang et al. 2023) and Qwen2 (Yang et al. 2024).

A decoder whose order is told by rotation, with root mean square norms before, gated feed-forward networks, few biases,
and keys and values that several heads share. Mistral adds a window; Qwen2 has biases on queries, keys and values.
"""

from collections.abc import Mapping
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.families.configuration import BOOKKEEPING, GENERATION, Keys
from transept.families.decoders import (
    DEEPEST,
    Heading,
    Layer,
    banded,
    bases,
    head_config,
    head_names,
    head_of,
    head_words,
    shortest,
    windows,
)
from transept.families.hugging_face import (
    ACTIVATIONS,
    activation_word,
    architecture,
    demand_said,
    first,
    over_tokens,
    respelled,
)
from transept.families.orders import ordered
from transept.families.rotation import longest, rope, rotation, turning
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.names import Drop, Entry, Names, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.norm import Norm
from transept.parts.pattern import Causal
from transept.parts.rotary import Banded, Rotary, Scaling
from transept.parts.stack import Stack
from transept.topology import Topology

KINDS = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}
ENDS: dict[str, Heading] = {"ForCausalLM": "vocabulary", "Model": "states", "ForSequenceClassification": "classes"}
HF_MODELS = {kind: tuple(f"{name}{end}" for end in ENDS) for kind, name in KINDS.items()}
HF_WORDS = {"position": "positions: rotary"}
LAYERS: dict[str, Layer] = {"full_attention": "dense", "sliding_attention": "banded"}
DEFAULTS = {  # what a key stands for that a configuration leaves out
    "llama": {"vocab_size": 32000, "intermediate_size": 11008, "max_position_embeddings": 2048},
    "mistral": {"vocab_size": 32000, "intermediate_size": 14336, "max_position_embeddings": 131072},
    "qwen2": {"vocab_size": 151936, "intermediate_size": 22016, "max_position_embeddings": 32768},
}
KV_HEADS = {"llama": None, "mistral": 8, "qwen2": 32}

LLAMA_3: dict[str, Any] = {"vocab": 128_256, "heads": 32, "kv_heads": 8, "base": 500_000.0}
QWEN_2: dict[str, Any] = {"vocab": 151_936, "base": 1_000_000.0, "bias": "qkv", "eps": 1e-6}
SIZES: dict[str, dict[str, Any]] = {
    # Touvron et al. 2023a, table 2
    "7b": {"width": 4096, "hidden": 11008, "heads": 32, "depth": 32, "eps": 1e-6},
    "13b": {"width": 5120, "hidden": 13824, "heads": 40, "depth": 40, "eps": 1e-6},
    # Touvron et al. 2023b
    "2-7b": {"width": 4096, "hidden": 11008, "heads": 32, "depth": 32},
    # Dubey et al. 2024, table 3, and the release of 3.2
    "3-8b": LLAMA_3 | {"width": 4096, "hidden": 14336, "depth": 32},
    "3.2-1b": LLAMA_3
    | {"width": 2048, "hidden": 8192, "depth": 16, "scaling": Banded(32.0, 8192), "embeddings": "tied"},
    # Jiang et al. 2023, table 1
    "mistral-7b": {"width": 4096, "hidden": 14336, "heads": 32, "kv_heads": 8, "depth": 32, "window": 4096},
    # Yang et al. 2024, table 1
    "qwen2-0.5b": QWEN_2
    | {"width": 896, "hidden": 4864, "heads": 14, "kv_heads": 2, "depth": 24, "embeddings": "tied"},
}
TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "kv_heads": 2, "depth": 2}
GOLDEN_VOCAB = 32_000  # Llama's, Llama 2's and Mistral's
INITIAL = Normal(0.02)


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    kv_heads: int | None = None,
    head_width: int | None = None,
    positions: str = "rotary",
    base: float = 10_000.0,
    scaling: Scaling | None = None,
    window: int | None = None,
    layers: tuple[Layer, ...] = ("banded",),
    attention_dropout: float = 0.0,
    activation: Activation = "silu",
    eps: float = 1e-5,
    bias: bool | Literal["qkv", "out"] = False,
    feedforward_bias: bool = False,
    head: Heading = "vocabulary",
    labels: int = 2,
    embeddings: Literal["tied", "separate"] = "separate",
    initial: Initial = INITIAL,
) -> Model:
    """The description.

    `base` and `scaling` are of the rotation. With a `window`, a token sees so many tokens, itself among them, in the
    "banded" of the `layers`, which are taken in turn. `head` "vocabulary" scores the next token, "classes" tells
    `labels` classes of the whole text by its last token, "states" is none.
    """
    norm, position = Norm("rms", eps), Rotary(base, scaling=scaling)
    own: dict[str, Any] = {"kv_heads": kv_heads, "head_width": head_width, "position": position}
    attend = Attention(heads, Causal(), bias=bias, dropout=attention_dropout, **own)
    dense = Block((attend, FeedForward(hidden, activation, gated=True, bias=feedforward_bias)), norm)
    kinds = {"dense": dense, "banded": dense if window is None else banded(dense, window)}
    blocks: Block | tuple[Block, ...] = dense if window is None else tuple(kinds[layer] for layer in layers)
    top = head_of(head, vocab, embeddings, labels, 0.0)
    return ordered(Model(width, Tokens(vocab), Stack(blocks, depth, norm), top, initial), positions, "rotary")


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a configuration of the three, every key honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    named = architecture(config, HF_MODELS)
    kind = next(kind for kind, names in HF_MODELS.items() if named in names)
    keys, default = Keys(config, KINDS[kind]), DEFAULTS[kind]
    width, heads = keys.whole("hidden_size", 4096), keys.whole("num_attention_heads", 32)
    own = None if keys.absent("head_dim") else keys.whole("head_dim", 1)
    words: dict[str, Any] = {
        "vocab": keys.whole("vocab_size", default["vocab_size"]),
        "width": width,
        "hidden": keys.whole("intermediate_size", default["intermediate_size"]),
        "heads": heads,
        "depth": keys.whole("num_hidden_layers", 32),
        "kv_heads": optional(keys, "num_key_value_heads", KV_HEADS[kind]),
        "head_width": None if own is None or own * heads == width else own,
        "attention_dropout": keys.share("attention_dropout", 0.0),
        "activation": keys.choice("hidden_act", "silu", ACTIVATIONS),
        "eps": keys.positive("rms_norm_eps", 1e-6),
        "initial": Normal(keys.positive("initializer_range", 0.02)),
        **head_words(keys, ENDS[named.removeprefix(KINDS[kind])], "separate"),
        **rotation(keys, keys.whole("max_position_embeddings", default["max_position_embeddings"])),
    }
    words["kv_heads"] = None if words["kv_heads"] == heads else words["kv_heads"]
    if kind == "qwen2":
        words |= {"bias": "qkv", **sliding(keys, words["depth"])}
        keys.only("use_mrope", False, why="positions of three kinds turn each head, for pictures beside text")
    elif kind == "mistral":
        words["window"] = optional(keys, "sliding_window", 4096)
    else:
        words["bias"] = keys.truth("attention_bias", False)
        words["feedforward_bias"] = keys.truth("mlp_bias", False)
        keys.only("pretraining_tp", 1, None, why="products were taken in slices, which rounds otherwise")
    keys.only("is_encoder_decoder", False, why="an encoder with a decoder is another shape")
    keys.done(BOOKKEEPING, GENERATION)
    return declare(**words)


def optional(keys: Keys, key: str, default: int | None) -> int | None:
    """A whole number or null; `default` where the key is left out."""
    if keys.absent(key):
        return None if key in keys.config else default
    return keys.whole(key, 1)


def sliding(keys: Keys, depth: int) -> dict[str, Any]:
    """The words of Qwen2's windows: of the layers that `layer_types` names, else of those after the first few."""
    window = optional(keys, "sliding_window", 4096) if keys.truth("use_sliding_window", False) else None
    keys.absent("sliding_window")  # read, and of no effect, where it is not used
    dense = keys.whole("max_window_layers", 28, least=0)
    if keys.absent("layer_types"):
        if window is None or dense >= depth:
            return {}
        if depth > DEEPEST:
            raise InvalidConfig(f"num_hidden_layers is {depth}, and at most {DEEPEST} layers are told apart")
        layers: list[Layer] = ["dense" if i < dense else "banded" for i in range(depth)]
    else:
        said = keys.listed("layer_types")
        if len(said) != depth or not all(isinstance(word, str) and word in LAYERS for word in said):
            raise InvalidConfig(f"layer_types must be {depth} of {', '.join(LAYERS)}, not {said!r:.60}")
        layers = [LAYERS[word] for word in said]
    if "banded" not in layers:
        return {}
    if window is None:
        raise InvalidConfig("layer_types names sliding_attention, and there is no sliding_window or it is not used")
    return {"window": window, "layers": shortest(layers)}


def to_hf(spec: Topology) -> dict[str, Any]:
    """The configuration of a description: Qwen2's with its biases, else Mistral's with a window, else Llama's.

    Raises InvalidConfig that names what it cannot say.
    """
    model, _ = over_tokens(spec, "Llama")
    attend, feed, norm = first(model.blocks, Attention), first(model.blocks, FeedForward), model.blocks.norm
    bands, embed = windows(model.blocks), model.embed
    assert isinstance(embed, Tokens)
    kind = "qwen2" if attend.bias == "qkv" else "mistral" if any(bands) else "llama"
    name, rotary = KINDS[kind], attend.position if isinstance(attend.position, Rotary) else Rotary()
    config: dict[str, Any] = {
        "model_type": kind,
        **head_config(model, {f"{name}{end}": head for end, head in ENDS.items()}, False, name),
        "vocab_size": embed.vocab,
        "hidden_size": model.width,
        "intermediate_size": feed.hidden,
        "num_hidden_layers": model.blocks.depth,
        "num_attention_heads": attend.heads,
        "num_key_value_heads": attend.kv_heads or attend.heads,
        "head_dim": attend.head_width or model.width // attend.heads,
        "hidden_act": activation_word(feed.activation),
        "max_position_embeddings": longest(rotary),
        "initializer_range": model.initial.std if isinstance(model.initial, Normal) else 0.02,
        "rms_norm_eps": norm.eps if norm else 1e-6,
        "rope_parameters": rope(rotary),
        "attention_dropout": attend.dropout,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    if kind == "qwen2":
        config |= windowed(bands, model.blocks.depth)
        if attend.head_width is None:
            del config["head_dim"]  # no word of its configuration, though its code reads it
    elif kind == "mistral":
        config["sliding_window"] = bands[0]
    else:
        config |= {"attention_bias": attend.bias is True, "mlp_bias": feed.bias}
    demand_said(spec, from_hf(config), name, HF_WORDS)
    return config


def windowed(bands: list[int | None], depth: int) -> dict[str, Any]:
    """What Qwen2's configuration says of the windows of a cycle of layers."""
    layers = [bands[i % len(bands)] for i in range(depth)]
    kinds = ["full_attention" if window is None else "sliding_attention" for window in layers]
    return {
        "use_sliding_window": any(bands),
        "sliding_window": next(filter(None, bands), None),
        "max_window_layers": kinds.index("sliding_attention") if any(bands) else 28,
        "layer_types": kinds,
    }


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells; they are alike in the three."""
    base, other = bases(spec.head, "model.")
    ours, theirs = "stack.blocks.{i}", f"{base}layers.{{i}}"
    attend, feed = first(spec.blocks, Attention), first(spec.blocks, FeedForward)
    table: list[Entry] = [
        same("embed.table.weight", f"{base}embed_tokens.weight"),
        same("stack.norm.weight", f"{base}norm.weight"),
        same(f"{ours}.attention_norm.weight", f"{theirs}.input_layernorm.weight"),
        same(f"{ours}.feedforward_norm.weight", f"{theirs}.post_attention_layernorm.weight"),
        *head_names(spec.head),
    ]
    for name in "qkvo":
        table.append(same(f"{ours}.attention.{name}.weight", f"{theirs}.self_attn.{name}_proj.weight"))
        if attend.bias is True or attend.bias == ("out" if name == "o" else "qkv"):
            table.append(same(f"{ours}.attention.{name}.bias", f"{theirs}.self_attn.{name}_proj.bias"))
    for name in ("gate", "up", "down"):
        table.append(same(f"{ours}.feedforward.{name}.weight", f"{theirs}.mlp.{name}_proj.weight"))
        if feed.bias:
            table.append(same(f"{ours}.feedforward.{name}.bias", f"{theirs}.mlp.{name}_proj.bias"))
    if isinstance(attend.position, Rotary):
        check = turning(attend.position.base)
        table.append(Drop(f"{theirs}.self_attn.rotary_emb.inv_freq", "frequencies, computed here", check))
    return Names(respelled(table, (base, other)))
