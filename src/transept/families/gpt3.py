"""GPT-3 (Brown et al. 2020): GPT-2 with dense and banded layers in turn, and its shape at Hugging Face, GPT-Neo."""

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
    masks,
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
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.names import Entry, Names, linear, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.norm import Norm
from transept.parts.pattern import Causal
from transept.parts.position import Learned
from transept.parts.stack import Stack
from transept.topology import Topology

HEADS: dict[str, Heading] = {
    "GPTNeoForCausalLM": "vocabulary",
    "GPTNeoModel": "states",
    "GPTNeoForSequenceClassification": "classes",
    "GPTNeoForTokenClassification": "tags",
    "GPTNeoForQuestionAnswering": "spans",
}
HF_MODELS = {"gpt_neo": tuple(HEADS)}
HF_WORDS = {"bias": "bias: out", "scale": "scale: 1.0"}
LAYERS: dict[str, Layer] = {"global": "dense", "local": "banded"}

# Table 2.1. The width of XL is no multiple of the 24 heads that it names; 16 of its 128 features make its 1.3B
# parameters. That of 13B is none of its heads' 128 features either, so theirs is said.
SIZES: dict[str, dict[str, Any]] = {
    "small": {"width": 768, "heads": 12, "depth": 12},
    "medium": {"width": 1024, "heads": 16, "depth": 24},
    "large": {"width": 1536, "heads": 16, "depth": 24},
    "xl": {"width": 2048, "heads": 16, "depth": 24},
    "2.7b": {"width": 2560, "heads": 32, "depth": 32},
    "6.7b": {"width": 4096, "heads": 32, "depth": 32},
    "13b": {"width": 5140, "heads": 40, "depth": 40, "head_width": 128},
    "175b": {"width": 12288, "heads": 96, "depth": 96},
}
TOY: dict[str, Any] = {"vocab": 23, "width": 32, "heads": 4, "depth": 2, "length": 64, "window": 4}
GOLDEN_VOCAB = 50_257  # GPT-2's
INITIAL = Normal(0.02, residual="scaled")


def declare(
    *,
    vocab: int,
    width: int,
    heads: int,
    depth: int,
    length: int = 2048,
    positions: str = "learned",
    window: int = 256,
    layers: tuple[Layer, ...] = ("dense", "banded"),
    hidden: int | None = None,
    head_width: int | None = None,
    dropout: float = 0.0,
    embed_dropout: float | None = None,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu_tanh",
    eps: float = 1e-5,
    bias: bool | Literal["qkv", "out"] = True,
    scale: float | None = None,
    head: Heading = "vocabulary",
    labels: int = 2,
    head_dropout: float = 0.0,
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = INITIAL,
) -> Model:
    """The description.

    `layers` are the kinds of layers in turn. In a "banded" one a token sees `window` tokens, itself among them; the
    paper does not tell how many, 256 is GPT-Neo's. GPT-Neo has `bias` "out" and `scale` 1.0, the paper's are GPT-2's:
    biases everywhere and 1/sqrt(head width). The other words are GPT-2's.
    """
    attend = Attention(heads, Causal(), bias=bias, scale=scale, dropout=attention_dropout, head_width=head_width)
    feed = FeedForward(hidden or 4 * width, activation)
    dense = Block((attend, feed), Norm(eps=eps), dropout=dropout)
    kinds = {"dense": dense, "banded": banded(dense, window)}
    stack = Stack(tuple(kinds[layer] for layer in layers), depth, Norm(eps=eps))
    embed = Tokens(vocab, Learned(length), dropout=dropout if embed_dropout is None else embed_dropout)
    spec = Model(width, embed, stack, head_of(head, vocab, embeddings, labels, head_dropout), initial)
    return ordered(spec, positions, "learned", length)


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a GPT-Neo configuration, every key of which is honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "GPT-Neo")
    words: dict[str, Any] = {
        "vocab": keys.whole("vocab_size", 50257),
        "width": keys.whole("hidden_size", 2048),
        "heads": keys.whole("num_heads", 16),
        "depth": keys.whole("num_layers", 24),
        "length": keys.whole("max_position_embeddings", 2048),
        "window": keys.whole("window_size", 256),
        "hidden": None if keys.absent("intermediate_size") else keys.whole("intermediate_size", 4),
        "dropout": keys.share("resid_dropout", 0.0),
        "embed_dropout": keys.share("embed_dropout", 0.0),
        "attention_dropout": keys.share("attention_dropout", 0.0),
        "activation": keys.choice("activation_function", "gelu_new", ACTIVATIONS),
        "eps": keys.positive("layer_norm_epsilon", 1e-5),
        "bias": "out",
        "scale": 1.0,
        "initial": Normal(keys.positive("initializer_range", 0.02)),
        **head_words(keys, HEADS[architecture(config, HF_MODELS)], "tied"),
    }
    words["layers"] = kinds_of_layers(keys, words["depth"])
    keys.alias("num_attention_heads", "num_heads", words["heads"])
    keys.alias("num_hidden_layers", "num_layers", words["depth"])
    keys.only("is_encoder_decoder", False, why="an encoder with a decoder is another shape")
    summary = "summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout"
    keys.done(BOOKKEEPING, GENERATION, summary, "classifier_dropout")
    return declare(**words)


def kinds_of_layers(keys: Keys, depth: int) -> tuple[Layer, ...]:
    """The shortest cycle of layers that says what `attention_types` says: runs of words, each so many times."""
    said = [[["global", "local"], 12]] if keys.absent("attention_types") else keys.listed("attention_types")
    words: list[str] = []
    for run in said:
        match run:
            case [[*cycle], int(times)] if cycle and all(word in ("global", "local") for word in cycle):
                if not 0 <= times <= DEEPEST:
                    raise InvalidConfig(f"attention_types repeats {cycle!r:.40} {times} times")
                words += [str(word) for word in cycle] * times
            case _:
                raise InvalidConfig(f"attention_types has {run!r:.40}, and is made of [['global', 'local'], times]")
    if len(words) != depth:
        raise InvalidConfig(f"attention_types tells {len(words)} layers, and num_layers is {depth}")
    keys.only("attention_layers", words, why="attention_types tells other layers")
    return shortest([LAYERS[word] for word in words])


def to_hf(spec: Topology) -> dict[str, Any]:
    """The GPT-Neo configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model, _ = over_tokens(spec, "GPT-Neo")
    block, attend, feed = model.blocks.cycle()[0], first(model.blocks, Attention), first(model.blocks, FeedForward)
    found, embed = windows(model.blocks), model.embed
    assert isinstance(embed, Tokens)
    cycle = ["global" if window is None else "local" for window in found]
    whole, rest = divmod(model.blocks.depth, len(cycle))
    runs = [[cycle, whole], *([[cycle[:rest], 1]] if rest else [])]
    config = {
        "model_type": "gpt_neo",
        **head_config(model, HEADS, True, "GPT-Neo"),
        "vocab_size": embed.vocab,
        "max_position_embeddings": model.limit() or 2048,
        "hidden_size": model.width,
        "num_layers": model.blocks.depth,
        "attention_types": runs,
        "num_heads": attend.heads,
        "intermediate_size": None if feed.hidden == 4 * model.width else feed.hidden,
        "window_size": next((window for window in found if window is not None), 256),
        "activation_function": activation_word(feed.activation),
        "resid_dropout": block.dropout,
        "embed_dropout": embed.dropout,
        "attention_dropout": attend.dropout,
        "layer_norm_epsilon": block.norm.eps,
        "initializer_range": model.initial.std if isinstance(model.initial, Normal) else 0.02,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    demand_said(spec, from_hf(config), "GPT-Neo", HF_WORDS)
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells."""
    base, other = bases(spec.head, "transformer.")
    ours, theirs = "stack.blocks.{i}", f"{base}h.{{i}}"
    patterns = [part.pattern for block in spec.blocks.cycle() for part in block.parts if isinstance(part, Attention)]
    table: list[Entry] = [
        same("embed.table.weight", f"{base}wte.weight"),
        same("embed.position.weight", f"{base}wpe.weight"),
        *(same(f"{ours}.attention.{name}.weight", f"{theirs}.attn.attention.{name}_proj.weight") for name in "qkv"),
        *linear(f"{ours}.attention.o", f"{theirs}.attn.attention.out_proj"),
        *linear(f"{ours}.attention_norm", f"{theirs}.ln_1"),
        *linear(f"{ours}.feedforward.up", f"{theirs}.mlp.c_fc"),
        *linear(f"{ours}.feedforward.down", f"{theirs}.mlp.c_proj"),
        *linear(f"{ours}.feedforward_norm", f"{theirs}.ln_2"),
        *masks(f"{theirs}.attn.attention", patterns),
        *linear("stack.norm", f"{base}ln_f"),
        *head_names(spec.head),
    ]
    return Names(respelled(table, (base, other)))
