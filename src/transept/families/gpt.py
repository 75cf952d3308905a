"""GPT (Radford et al. 2018): a decoder that learned to tell the next token, and was then fine-tuned to tell classes."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.families.configuration import BOOKKEEPING, GENERATION, Keys
from transept.families.decoders import (
    Heading,
    bases,
    counted,
    head_config,
    head_names,
    head_of,
    head_words,
    masks,
)
from transept.families.hugging_face import architecture, demand_said, first, over_tokens, respelled
from transept.families.orders import ordered
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.names import Drop, Entry, Names, fused, linear, same, transposed
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
    "OpenAIGPTLMHeadModel": "vocabulary",
    "OpenAIGPTModel": "states",
    "OpenAIGPTForSequenceClassification": "classes",
}
HF_MODELS = {"openai-gpt": tuple(HEADS)}
HF_WORDS = {"position": "positions: learned"}
ACTIVATIONS: dict[str, Activation] = {  # theirs calls the approximation by tanh "gelu"
    "gelu": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}

SIZES: dict[str, dict[str, Any]] = {  # section 4.1
    "base": {"width": 768, "heads": 12, "depth": 12, "length": 512, "dropout": 0.1, "attention_dropout": 0.1}
}
TOY: dict[str, Any] = {"vocab": 23, "width": 32, "heads": 4, "depth": 2, "length": 64}
GOLDEN_VOCAB = 40_478  # 40,000 merges and their 478 characters
INITIAL = Normal(0.02)


def declare(
    *,
    vocab: int,
    width: int,
    heads: int,
    depth: int,
    length: int = 512,
    positions: str = "learned",
    hidden: int | None = None,
    dropout: float = 0.0,
    embed_dropout: float | None = None,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu_tanh",
    eps: float = 1e-5,
    head: Heading = "vocabulary",
    labels: int = 2,
    head_dropout: float = 0.0,
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = INITIAL,
) -> Model:
    """The description.

    `hidden` None is 4 * `width`, `embed_dropout` None is `dropout`. `head` "vocabulary" scores the next token, with the
    embeddings where they are "tied"; "classes" tells `labels` classes of the whole text by its last token, "tags" of
    each token; "spans" tells where an answer is; "states" is none.
    """
    attend = Attention(heads, Causal(), dropout=attention_dropout)
    feed = FeedForward(hidden or 4 * width, activation)
    block = Block((attend, feed), Norm(eps=eps), "after", dropout)
    embed = Tokens(vocab, Learned(length), dropout=dropout if embed_dropout is None else embed_dropout)
    top = head_of(head, vocab, embeddings, labels, head_dropout)
    return ordered(Model(width, embed, Stack(block, depth), top, initial), positions, "learned", length)


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a GPT configuration, every key of which is honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "GPT")
    words = words_of(keys, HEADS[architecture(config, HF_MODELS)], {"vocab_size": 40478, "n_positions": 512})
    words["initial"] = Normal(keys.positive("initializer_range", 0.02))
    words["activation"] = keys.choice("afn", "gelu", ACTIVATIONS)
    finish(keys, words)
    return declare(**words)


def words_of(keys: Keys, head: Heading, defaults: Mapping[str, int]) -> dict[str, Any]:
    """The words of `declare` in a configuration of GPT's or of GPT-2's, which has the same keys."""
    return {
        "vocab": keys.whole("vocab_size", defaults["vocab_size"]),
        "width": keys.whole("n_embd", 768),
        "heads": keys.whole("n_head", 12),
        "depth": keys.whole("n_layer", 12),
        "length": keys.whole("n_positions", defaults["n_positions"]),
        "dropout": keys.share("resid_pdrop", 0.1),
        "embed_dropout": keys.share("embd_pdrop", 0.1),
        "attention_dropout": keys.share("attn_pdrop", 0.1),
        "eps": keys.positive("layer_norm_epsilon", 1e-5),
        **head_words(keys, head, "tied"),
    }


def finish(keys: Keys, words: Mapping[str, Any]) -> None:
    """The keys, old and new, that can have one value only, and those that compute nothing."""
    for key, meant, word in (
        ("n_ctx", "n_positions", "length"),
        ("max_position_embeddings", "n_positions", "length"),
        ("hidden_size", "n_embd", "width"),
        ("num_attention_heads", "n_head", "heads"),
        ("num_hidden_layers", "n_layer", "depth"),
    ):
        keys.alias(key, meant, words[word])
    keys.only("n_special", 0, why="the table has rows beyond vocab_size")
    keys.only("add_cross_attention", False, why="a decoder that reads another stack is another shape")
    keys.only("is_encoder_decoder", False, why="an encoder with a decoder is another shape")
    keys.only("tie_encoder_decoder", False, why="an encoder with a decoder is another shape")
    keys.only("pruned_heads", {}, None, why="heads were cut out of the weights")
    summary = "summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout"
    keys.done(BOOKKEEPING, GENERATION, summary, "predict_special_tokens output_past is_decoder")


def to_hf(spec: Topology) -> dict[str, Any]:
    """The GPT configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model, _ = over_tokens(spec, "GPT")
    activation = first(model.blocks, FeedForward).activation
    config = {
        "model_type": "openai-gpt",
        **head_config(model, HEADS, True, "GPT"),
        **config_of(model),
        "afn": next((word for word, ours in ACTIVATIONS.items() if ours == activation), "gelu"),
    }
    demand_said(spec, from_hf(config), "GPT", HF_WORDS)
    return config


def config_of(model: Model) -> dict[str, Any]:
    """What configurations of GPT's and of GPT-2's both say."""
    block, attend, embed = model.blocks.cycle()[0], first(model.blocks, Attention), model.embed
    assert isinstance(embed, Tokens)
    return {
        "vocab_size": embed.vocab,
        "n_positions": model.limit() or 512,
        "n_embd": model.width,
        "n_layer": model.blocks.depth,
        "n_head": attend.heads,
        "resid_pdrop": block.dropout,
        "embd_pdrop": embed.dropout,
        "attn_pdrop": attend.dropout,
        "layer_norm_epsilon": block.norm.eps,
        "initializer_range": model.initial.std if isinstance(model.initial, Normal) else 0.02,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells."""
    base, other = bases(spec.head, "transformer.")
    table: list[Entry] = [
        same("embed.table.weight", f"{base}tokens_embed.weight"),
        same("embed.position.weight", f"{base}positions_embed.weight"),
        Drop(f"{base}position_ids", "positions are counted here", counted),
        *blocks(f"{base}h.{{i}}"),
        *head_names(spec.head),
    ]
    return Names(respelled(table, (base, other)))


def blocks(theirs: str) -> list[Entry]:
    """Our weights of a block and theirs, in GPT and GPT-2: matrices are the other way up, queries, keys, values one."""
    ours = "stack.blocks.{i}"
    projections = [f"{ours}.attention.{name}" for name in "qkv"]
    table: list[Entry] = [
        fused([f"{name}.weight" for name in projections], f"{theirs}.attn.c_attn.weight", turned=True),
        fused([f"{name}.bias" for name in projections], f"{theirs}.attn.c_attn.bias"),
        *linear(f"{ours}.attention_norm", f"{theirs}.ln_1"),
        *linear(f"{ours}.feedforward_norm", f"{theirs}.ln_2"),
        *masks(f"{theirs}.attn", [Causal()]),
    ]
    for mine, other in (
        ("attention.o", "attn.c_proj"),
        ("feedforward.up", "mlp.c_fc"),
        ("feedforward.down", "mlp.c_proj"),
    ):
        table.append(transposed(f"{ours}.{mine}.weight", f"{theirs}.{other}.weight"))
        table.append(same(f"{ours}.{mine}.bias", f"{theirs}.{other}.bias"))
    return table
