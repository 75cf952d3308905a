"""DistilBERT (Sanh et al. 2019): half of BERT's blocks, taught by BERT, without segments and without a pooler."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.families import bert
from transept.families.configuration import BOOKKEEPING, GENERATION, Keys
from transept.families.hugging_face import (
    ACTIVATIONS,
    activation_word,
    architecture,
    architecture_of,
    demand_said,
    first,
    label_words,
    over_tokens,
    respelled,
)
from transept.heads.classes import Classes, Spans, States, Tags
from transept.heads.head import Head
from transept.heads.vocabulary import Vocabulary
from transept.models import Model
from transept.names import Drop, Entry, Names, Tied, linear, same
from transept.parts.attention import Attention
from transept.parts.dense import Dense
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal
from transept.spec import replace
from transept.topology import Topology

Heading = Literal["masked", "states", "classes", "tags", "spans"]

HEADS: dict[str, Heading] = {
    "DistilBertForMaskedLM": "masked",
    "DistilBertModel": "states",
    "DistilBertForSequenceClassification": "classes",
    "DistilBertForTokenClassification": "tags",
    "DistilBertForQuestionAnswering": "spans",
}
HF_MODELS = {"distilbert": tuple(HEADS)}
HF_WORDS = {"position": "positions: learned"}

SIZES: dict[str, dict[str, Any]] = {  # section 3
    "base": {"width": 768, "hidden": 3072, "heads": 12, "depth": 6, "dropout": 0.1, "attention_dropout": 0.1},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2, "length": 64}
GOLDEN_VOCAB = bert.GOLDEN_VOCAB


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    length: int = 512,
    positions: str = "learned",
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu",
    head: Heading = "masked",
    labels: int = 2,
    head_dropout: float | None = None,
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = bert.INITIAL,
) -> Model:
    """BERT's description without segments; the classifier has a dense matrix with relu in the pooler's place.

    In training theirs drops nothing of what attention gives, and ours `dropout` of it, as BERT.
    """
    spec = bert.declare(
        vocab=vocab,
        width=width,
        hidden=hidden,
        heads=heads,
        depth=depth,
        length=length,
        positions=positions,
        segments=0,
        dropout=dropout,
        attention_dropout=attention_dropout,
        activation=activation,
        head="masked",
        embeddings=embeddings,
        initial=initial,
    )
    drop = dropout if head_dropout is None else head_dropout
    made: dict[str, Head] = {"masked": spec.head, "states": States(), "tags": Tags(labels, drop), "spans": Spans(drop)}
    made["classes"] = Classes(labels, "first", Dense("relu"), drop)
    return replace(spec, head=made[head])


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a DistilBERT configuration, every key of which is honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "DistilBERT")
    word, labels = HEADS[architecture(config, HF_MODELS)], keys.labels()
    if word == "spans" and labels != 2:
        raise InvalidConfig(f"num_labels is {labels}, and an answer has two ends")
    drops = {"classes": keys.share("seq_classif_dropout", 0.2), "spans": keys.share("qa_dropout", 0.1)}
    spec = declare(
        vocab=keys.whole("vocab_size", GOLDEN_VOCAB),
        width=keys.whole("dim", 768),
        hidden=keys.whole("hidden_dim", 3072),
        heads=keys.whole("n_heads", 12),
        depth=keys.whole("n_layers", 6),
        length=keys.whole("max_position_embeddings", 512),
        dropout=keys.share("dropout", 0.1),
        attention_dropout=keys.share("attention_dropout", 0.1),
        activation=keys.choice("activation", "gelu", ACTIVATIONS),
        head=word,
        labels=labels,
        head_dropout=drops.get(word),
        embeddings="tied" if keys.truth("tie_word_embeddings", True) else "separate",
        initial=Normal(keys.positive("initializer_range", 0.02)),
    )
    keys.truth("sinusoidal_pos_embds", False)  # how the table began; it is stored either way
    keys.only("pruned_heads", {}, None, why="heads were cut out of the weights")
    keys.only("is_decoder", False, why="a decoder sees back only, which is another shape")
    keys.only("is_encoder_decoder", False, why="an encoder with a decoder is another shape")
    keys.done(BOOKKEEPING, GENERATION, "output_past tie_weights_")
    return spec


def to_hf(spec: Topology) -> dict[str, Any]:
    """The DistilBERT configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model, embed = over_tokens(spec, "DistilBERT")
    attend, feed, head = first(model.blocks, Attention), first(model.blocks, FeedForward), model.head
    config = {
        "architectures": [architecture_of(model, "DistilBERT", HEADS)],
        "model_type": "distilbert",
        "vocab_size": embed.vocab,
        "dim": model.width,
        "hidden_dim": feed.hidden,
        "n_heads": attend.heads,
        "n_layers": model.blocks.depth,
        "max_position_embeddings": model.limit() or 512,
        "dropout": embed.dropout,
        "attention_dropout": attend.dropout,
        "activation": activation_word(feed.activation),
        "seq_classif_dropout": head.dropout if isinstance(head, Classes) else 0.2,
        "qa_dropout": head.dropout if isinstance(head, Spans) else 0.1,
        "initializer_range": model.initial.std if isinstance(model.initial, Normal) else 0.02,
        "tie_word_embeddings": head.tied if isinstance(head, Vocabulary) else True,
        "pad_token_id": 0,
        **label_words(head.count if isinstance(head, Classes | Tags) else 2),
    }
    demand_said(spec, from_hf(config), "DistilBERT", HF_WORDS)
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells; the head of the pretraining may stand beside."""
    base, head = "" if isinstance(spec.head, States) else "distilbert.", spec.head
    table = trunk(base)
    if isinstance(head, Vocabulary):
        table += [*linear("head.dense.linear", "vocab_transform"), *linear("head.dense.norm", "vocab_layer_norm")]
        table += [same("head.bias", "vocab_projector.bias")]
        matrix = "vocab_projector.weight"
        table += [Tied("embed.table.weight", matrix) if head.tied else same("head.score.weight", matrix)]
    else:
        table += [one for theirs in ("transform", "layer_norm", "projector") for one in bert.unused(f"vocab_{theirs}")]
    if isinstance(head, Classes):
        table += linear("head.dense.linear", "pre_classifier")
    if isinstance(head, Classes | Tags | Spans):
        table += linear("head.score", "qa_outputs" if isinstance(head, Spans) else "classifier")
    return Names(respelled(table, (base, "") if base else ("", "distilbert.")))


def trunk(base: str) -> list[Entry]:
    """Everything before the head, with `base` before their names."""
    embed, ours, theirs = f"{base}embeddings", "stack.blocks.{i}", f"{base}transformer.layer.{{i}}"
    table: list[Entry] = [
        same("embed.table.weight", f"{embed}.word_embeddings.weight"),
        same("embed.position.weight", f"{embed}.position_embeddings.weight"),
        *linear("embed.norm", f"{embed}.LayerNorm"),
        Drop(f"{embed}.position_ids", "positions are counted here"),
    ]
    for mine, other in (
        ("attention.q", "attention.q_lin"),
        ("attention.k", "attention.k_lin"),
        ("attention.v", "attention.v_lin"),
        ("attention.o", "attention.out_lin"),
        ("attention_norm", "sa_layer_norm"),
        ("feedforward.up", "ffn.lin1"),
        ("feedforward.down", "ffn.lin2"),
        ("feedforward_norm", "output_layer_norm"),
    ):
        table += linear(f"{ours}.{mine}", f"{theirs}.{other}")
    return table
