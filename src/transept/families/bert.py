"""BERT (Devlin et al. 2019): an encoder that was trained to tell masked words and whether a sentence is the next."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.errors import InvalidConfig
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
from transept.families.orders import ordered
from transept.heads.classes import Classes, Pooled, Spans, Tags
from transept.heads.head import Head
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.names import Copy, Drop, Entry, Names, Tied, flipped, linear, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.dense import Dense
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.norm import Norm
from transept.parts.position import Learned
from transept.parts.relative import RelativeKeys
from transept.parts.stack import Stack
from transept.topology import Topology

Heading = Literal["pretraining", "masked", "pooled", "classes", "tags", "spans"]

HEADS: dict[str, Heading] = {
    "BertForPreTraining": "pretraining",
    "BertForMaskedLM": "masked",
    "BertModel": "pooled",
    "BertForSequenceClassification": "classes",
    "BertForTokenClassification": "tags",
    "BertForQuestionAnswering": "spans",
}
HF_MODELS = {"bert": tuple(HEADS)}
HF_WORDS = {"position": "positions: learned"}

SIZES: dict[str, dict[str, Any]] = {  # base and large: section 3; the others: Turc et al. 2019
    "tiny": {"width": 128, "hidden": 512, "heads": 2, "depth": 2, "dropout": 0.1, "attention_dropout": 0.1},
    "mini": {"width": 256, "hidden": 1024, "heads": 4, "depth": 4, "dropout": 0.1, "attention_dropout": 0.1},
    "small": {"width": 512, "hidden": 2048, "heads": 8, "depth": 4, "dropout": 0.1, "attention_dropout": 0.1},
    "medium": {"width": 512, "hidden": 2048, "heads": 8, "depth": 8, "dropout": 0.1, "attention_dropout": 0.1},
    "base": {"width": 768, "hidden": 3072, "heads": 12, "depth": 12, "dropout": 0.1, "attention_dropout": 0.1},
    "large": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 24, "dropout": 0.1, "attention_dropout": 0.1},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2, "length": 64}
GOLDEN_VOCAB = 30_522  # the word pieces of the uncased English models
INITIAL = Normal(0.02)  # the released code cuts it off at two deviations


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    length: int = 512,
    segments: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu",
    eps: float = 1e-12,
    positions: str = "learned",
    head: Heading = "pretraining",
    labels: int = 2,
    head_dropout: float | None = None,
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = INITIAL,
) -> Model:
    """The description.

    `head` "pretraining" scores the vocabulary and, as the second head, whether the second text follows the first
    (class 0: it does); "masked" the vocabulary alone; "pooled" hands on the first state through a dense matrix;
    "classes" and "tags" tell `labels` classes, of the whole text or of each token; "spans" tells where an answer is.
    `head_dropout` None is `dropout`. `positions` is how order is told (`families.orders`): "relative_keys(511)" scores
    queries against learned distances instead of adding learned positions (Shaw et al. 2018), "relative_both(511)" keys
    too (Huang et al. 2020, method 4). `embeddings` "separate" scores the vocabulary with a matrix of its own.
    """
    norm, pooler = Norm(eps=eps), Dense("tanh")
    attend = Attention(heads, dropout=attention_dropout)
    block = Block((attend, FeedForward(hidden, activation)), norm, "after", dropout)
    embed = Tokens(vocab, Learned(length), norm, dropout=dropout, segments=segments)
    drop = dropout if head_dropout is None else head_dropout
    masked = Vocabulary(vocab, embeddings == "tied", bias=True, dense=Dense(activation, norm))
    made: dict[str, Head] = {
        "pretraining": masked,
        "masked": masked,
        "pooled": Pooled("first", pooler),
        "classes": Classes(labels, "first", pooler, drop),
        "tags": Tags(labels, drop),
        "spans": Spans(),
    }
    second = Classes(2, "first", pooler) if head == "pretraining" else None
    spec = Model(width, embed, Stack(block, depth), made[head], initial, second)
    return ordered(spec, positions, "learned", length)


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a BERT configuration, every key of which is honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "BERT")
    length = keys.whole("max_position_embeddings", 512)
    orders = {"relative_key": f"relative_keys({length - 1})", "relative_key_query": f"relative_both({length - 1})"}
    words = words_of(keys, HEADS[architecture(config, HF_MODELS)])
    words |= {"positions": keys.choice("position_embedding_type", "absolute", {"absolute": "learned"} | orders)}
    words |= {"length": length}
    finish(keys)
    return declare(**words)


def words_of(keys: Keys, head: str, vocab: int = GOLDEN_VOCAB, activation: str = "gelu") -> dict[str, Any]:
    """The words of `declare` in a configuration of BERT's or of RoBERTa's: all but the positions.

    `vocab` and `activation` are what an absent vocab_size and hidden_act stand for.
    """
    labels = keys.labels()
    if head == "spans" and labels != 2:
        raise InvalidConfig(f"num_labels is {labels}, and an answer has two ends")
    return {
        "vocab": keys.whole("vocab_size", vocab),
        "width": keys.whole("hidden_size", 768),
        "hidden": keys.whole("intermediate_size", 3072),
        "heads": keys.whole("num_attention_heads", 12),
        "depth": keys.whole("num_hidden_layers", 12),
        "segments": keys.whole("type_vocab_size", 2),
        "dropout": keys.share("hidden_dropout_prob", 0.1),
        "attention_dropout": keys.share("attention_probs_dropout_prob", 0.1),
        "activation": keys.choice("hidden_act", activation, ACTIVATIONS),
        "eps": keys.positive("layer_norm_eps", 1e-12),
        "head": head,
        "labels": labels,
        "head_dropout": None if keys.absent("classifier_dropout") else keys.share("classifier_dropout", 0.0),
        "embeddings": "tied" if keys.truth("tie_word_embeddings", True) else "separate",
        "initial": Normal(keys.positive("initializer_range", 0.02)),
    }


def finish(keys: Keys) -> None:
    """The keys, old and new, that can have one value only, and those that compute nothing."""
    keys.only("is_decoder", False, why="a decoder sees back only, which is another shape")
    keys.only("add_cross_attention", False, why="a decoder reads another stack, which is another shape")
    keys.only("is_encoder_decoder", False, why="an encoder with a decoder is another shape")
    keys.only("tie_encoder_decoder", False, why="an encoder with a decoder is another shape")
    keys.only("pruned_heads", {}, None, why="heads were cut out of the weights")
    pooler = "pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type"
    keys.done(BOOKKEEPING, GENERATION, "directionality output_past", pooler)


def to_hf(spec: Topology) -> dict[str, Any]:
    """The BERT configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model, _ = over_tokens(spec, "BERT")
    if isinstance(first(model.blocks, Attention).position, RelativeKeys):
        raise InvalidConfig(
            "BERT's position_embedding_type says relative keys, and Hugging Face has not honoured it since version 5",
            remedy="Train it with positions: learned.",
        )
    config = {
        "architectures": [architecture_of(model, "BERT", HEADS)],
        "model_type": "bert",
        **config_of(model),
        "max_position_embeddings": model.limit() or 512,
        "pad_token_id": 0,
    }
    demand_said(spec, from_hf(config), "BERT", HF_WORDS)
    return config


def config_of(spec: Model) -> dict[str, Any]:
    """What configurations of BERT's and of RoBERTa's both say: all but the positions."""
    attend, feed, embed, head = first(spec.blocks, Attention), first(spec.blocks, FeedForward), spec.embed, spec.head
    assert isinstance(embed, Tokens)
    own = head.dropout if isinstance(head, Classes | Tags) and head.dropout != embed.dropout else None
    return {
        "vocab_size": embed.vocab,
        "hidden_size": spec.width,
        "num_hidden_layers": spec.blocks.depth,
        "num_attention_heads": attend.heads,
        "intermediate_size": feed.hidden,
        "hidden_act": activation_word(feed.activation),
        "hidden_dropout_prob": embed.dropout,
        "attention_probs_dropout_prob": attend.dropout,
        "classifier_dropout": own,
        "type_vocab_size": max(embed.segments, 1),
        "initializer_range": spec.initial.std if isinstance(spec.initial, Normal) else 0.02,
        "layer_norm_eps": embed.norm.eps if embed.norm else 1e-12,
        "tie_word_embeddings": head.tied if isinstance(head, Vocabulary) else True,
        **label_words(head.count if isinstance(head, Classes | Tags) else 2),
    }


# ------------------------------------------------------------------ Hugging Face: the names of the weights

GAMMA, BETA = ("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")  # as TensorFlow has them
ELSEWHERE = "it belongs to a head that this model does not have"


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells.

    A file may hold the heads of the pretraining beside them, and the encoder's names with `bert.` before them or not.
    """
    base = "" if isinstance(spec.head, Pooled) else "bert."
    head, table = spec.head, [*trunk(spec, base)]
    pooler, transform = f"{base}pooler.dense", "cls.predictions.transform"
    if spec.second is not None:
        table += [*linear("second.dense.linear", pooler), *linear("second.score", "cls.seq_relationship")]
    else:
        table += linear("head.dense.linear", pooler) if isinstance(head, Pooled | Classes) else unused(pooler)
        table += unused("cls.seq_relationship")
    theirs = (f"{transform}.dense", f"{transform}.LayerNorm", "cls.predictions.bias", "cls.predictions.decoder")
    table += vocabulary(head, *theirs)
    if isinstance(head, Classes | Tags | Spans):
        table += linear("head.score", "qa_outputs" if isinstance(head, Spans) else "classifier")
    return Names(respelled(table, GAMMA, BETA, (base, "") if base else ("", "bert.")))


def unused(theirs: str) -> list[Entry]:
    """The weight and the bias of a layer of theirs that this model does not have."""
    return [Drop(f"{theirs}.{part}", ELSEWHERE) for part in ("weight", "bias")]


def trunk(spec: Model, base: str) -> list[Entry]:
    """Everything before the head: BERT's and RoBERTa's names, with `base` before them."""
    embed, ours, theirs = f"{base}embeddings", "stack.blocks.{i}", f"{base}encoder.layer.{{i}}"
    assert isinstance(spec.embed, Tokens)
    table: list[Entry] = [
        same("embed.table.weight", f"{embed}.word_embeddings.weight"),
        same("embed.segment.weight", f"{embed}.token_type_embeddings.weight"),
        *linear("embed.norm", f"{embed}.LayerNorm"),
        Drop(f"{embed}.position_ids", "positions are counted here"),
    ]
    if spec.embed.position is None:
        table += [Drop(f"{embed}.position_embeddings.weight", "relative keys tell the order: it is kept and not added")]
    else:
        table += [same("embed.position.weight", f"{embed}.position_embeddings.weight")]
    for mine, other in (
        ("attention.q", "attention.self.query"),
        ("attention.k", "attention.self.key"),
        ("attention.v", "attention.self.value"),
        ("attention.o", "attention.output.dense"),
        ("attention_norm", "attention.output.LayerNorm"),
        ("feedforward.up", "intermediate.dense"),
        ("feedforward.down", "output.dense"),
        ("feedforward_norm", "output.LayerNorm"),
    ):
        table += linear(f"{ours}.{mine}", f"{theirs}.{other}")
    if first(spec.blocks, Attention).position is not None:  # theirs counts from the key to the query
        table += [flipped(f"{ours}.attention.position.weight", f"{theirs}.attention.self.distance_embedding.weight")]
    return table


def vocabulary(head: Head, dense: str, norm: str, bias: str, decoder: str) -> list[Entry]:
    """The names of a head over the vocabulary, whose bias theirs has twice; for another head, what is dropped of it."""
    if not isinstance(head, Vocabulary):
        return [*unused(dense), *unused(norm), *unused(decoder), Drop(bias, ELSEWHERE)]
    table = [*linear("head.dense.linear", dense), *linear("head.dense.norm", norm), same("head.bias", bias)]
    if head.tied:
        return [*table, Tied("embed.table.weight", f"{decoder}.weight"), Tied("head.bias", f"{decoder}.bias")]
    return [*table, same("head.score.weight", f"{decoder}.weight"), Copy("head.bias", f"{decoder}.bias")]
