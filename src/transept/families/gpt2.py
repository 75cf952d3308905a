"""GPT-2 (Radford et al. 2019): GPT with its norms before, a last one after the stack, and a quieter beginning."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.families.configuration import Keys
from transept.families.decoders import Heading, bases, head_config, head_names, head_of
from transept.families.gpt import blocks, config_of, finish, words_of
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
    "GPT2LMHeadModel": "vocabulary",
    "GPT2Model": "states",
    "GPT2ForSequenceClassification": "classes",
    "GPT2ForTokenClassification": "tags",
    "GPT2ForQuestionAnswering": "spans",
}
HF_MODELS = {"gpt2": tuple(HEADS)}
HF_WORDS = {"position": "positions: learned"}

DROPOUT = {"dropout": 0.1, "attention_dropout": 0.1}
SIZES: dict[str, dict[str, Any]] = {  # table 2; OpenAI's code names the smallest 117M and 124M, and gives 25 heads
    "small": {"width": 768, "heads": 12, "depth": 12, "length": 1024, **DROPOUT},
    "medium": {"width": 1024, "heads": 16, "depth": 24, "length": 1024, **DROPOUT},
    "large": {"width": 1280, "heads": 20, "depth": 36, "length": 1024, **DROPOUT},
    "xl": {"width": 1600, "heads": 25, "depth": 48, "length": 1024, **DROPOUT},
}
TOY: dict[str, Any] = {"vocab": 23, "width": 32, "heads": 4, "depth": 2, "length": 64}
GOLDEN_VOCAB = 50_257  # section 2.2: 256 bytes, 50,000 merges, the end of a text
INITIAL = Normal(0.02, residual="scaled")


def declare(
    *,
    vocab: int,
    width: int,
    heads: int,
    depth: int,
    length: int = 1024,
    positions: str = "learned",
    hidden: int | None = None,
    dropout: float = 0.0,
    embed_dropout: float | None = None,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu_tanh",
    eps: float = 1e-5,
    scale: float | None = None,
    head: Heading = "vocabulary",
    labels: int = 2,
    head_dropout: float = 0.0,
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = INITIAL,
) -> Model:
    """The description.

    `hidden` None is 4 * `width`, `embed_dropout` None is `dropout`, `scale` None is 1/sqrt(head width). `head`
    "vocabulary" scores the next token, with the embeddings where they are "tied"; "classes" tells `labels` classes of
    the whole text by its last token, "tags" of each token; "spans" tells where an answer is; "states" is none.
    """
    attend = Attention(heads, Causal(), scale=scale, dropout=attention_dropout)
    feed = FeedForward(hidden or 4 * width, activation)
    block = Block((attend, feed), Norm(eps=eps), dropout=dropout)
    embed = Tokens(vocab, Learned(length), dropout=dropout if embed_dropout is None else embed_dropout)
    top = head_of(head, vocab, embeddings, labels, head_dropout)
    spec = Model(width, embed, Stack(block, depth, Norm(eps=eps)), top, initial)
    return ordered(spec, positions, "learned", length)


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a GPT-2 configuration, every key of which is honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "GPT-2")
    words = words_of(keys, HEADS[architecture(config, HF_MODELS)], {"vocab_size": 50257, "n_positions": 1024})
    words["initial"] = Normal(keys.positive("initializer_range", 0.02), residual="scaled")
    words["hidden"] = None if keys.absent("n_inner") else keys.whole("n_inner", 4)
    words["activation"] = keys.choice("activation_function", "gelu_new", ACTIVATIONS)
    words["scale"] = None if keys.truth("scale_attn_weights", True) else 1.0
    deeper = "the deeper a layer, the smaller are its scores, and blocks of one stack are alike here"
    keys.only("scale_attn_by_inverse_layer_idx", False, why=deeper)
    keys.only("reorder_and_upcast_attn", False, why="scores are of float32 whatever the weights are of")
    finish(keys, words)
    return declare(**words)


def to_hf(spec: Topology) -> dict[str, Any]:
    """The GPT-2 configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model, _ = over_tokens(spec, "GPT-2")
    attend, feed = first(model.blocks, Attention), first(model.blocks, FeedForward)
    config = {
        "model_type": "gpt2",
        **head_config(model, HEADS, True, "GPT-2"),
        **config_of(model),
        "n_inner": None if feed.hidden == 4 * model.width else feed.hidden,
        "activation_function": activation_word(feed.activation),
        "scale_attn_weights": attend.scale != 1.0,
    }
    demand_said(spec, from_hf(config), "GPT-2", HF_WORDS)
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells. The first files have no `transformer.` before."""
    base, other = bases(spec.head, "transformer.")
    table: list[Entry] = [
        same("embed.table.weight", f"{base}wte.weight"),
        same("embed.position.weight", f"{base}wpe.weight"),
        *blocks(f"{base}h.{{i}}"),
        *linear("stack.norm", f"{base}ln_f"),
        *head_names(spec.head),
    ]
    return Names(respelled(table, (base, other)))
