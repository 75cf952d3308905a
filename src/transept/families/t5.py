"""T5 (Raffel et al. 2020): every task as text to text, by an encoder-decoder whose positions are learned scores."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch

from transept.errors import InvalidConfig
from transept.families.configuration import BOOKKEEPING, GENERATION, Keys
from transept.families.hugging_face import (
    ACTIVATIONS,
    Look,
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
from transept.heads.classes import Classes, States
from transept.heads.head import Head
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, Seq2Seq
from transept.names import Drop, Entry, Names, Tied, linear, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.dense import Dense
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import FanIn, Initial
from transept.parts.norm import Norm
from transept.parts.pattern import Causal
from transept.parts.scored import Buckets
from transept.parts.stack import Stack
from transept.spec import replace
from transept.topology import Topology

Heading = Literal["text", "states", "classes", "encoder"]

HEADS: dict[str, Heading] = {
    "T5ForConditionalGeneration": "text",
    "T5WithLMHeadModel": "text",  # its name of old
    "T5Model": "states",
    "T5ForSequenceClassification": "classes",
    "T5EncoderModel": "encoder",
}
HF_MODELS = {"t5": tuple(HEADS), "mt5": tuple(f"M{name}" for name in HEADS)}
HF_WORDS = {"position": "positions: buckets"}
MT5 = {  # what a configuration of mT5's (Xue et al. 2021) means by saying nothing
    "vocab_size": 250112,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}

GATED: dict[str, Any] = {"activation": "gelu_tanh", "gated": True, "embeddings": "separate", "dropout": 0.1}
SIZES: dict[str, dict[str, Any]] = {  # section 3.7; 1.1: their released code, which was pretrained without dropout
    "small": {"width": 512, "hidden": 2048, "heads": 8, "depth": 6, "dropout": 0.1},
    "base": {"width": 768, "hidden": 3072, "heads": 12, "depth": 12, "dropout": 0.1},
    "large": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 24, "dropout": 0.1},
    "3b": {"width": 1024, "hidden": 16_384, "heads": 32, "head_width": 128, "depth": 24, "dropout": 0.1},
    "11b": {"width": 1024, "hidden": 65_536, "heads": 128, "head_width": 128, "depth": 24, "dropout": 0.1},
    "1.1-small": {"width": 512, "hidden": 1024, "heads": 6, "depth": 8, **GATED},
    "1.1-base": {"width": 768, "hidden": 2048, "heads": 12, "depth": 12, **GATED},
    "1.1-large": {"width": 1024, "hidden": 2816, "heads": 16, "depth": 24, **GATED},
    "1.1-xl": {"width": 2048, "hidden": 5120, "heads": 32, "depth": 24, **GATED},
    "1.1-xxl": {"width": 4096, "hidden": 10_240, "heads": 64, "depth": 24, **GATED},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "head_width": 8, "depth": 2}
GOLDEN_VOCAB = 32_128  # 32,000 pieces, 100 sentinels, and rows up to a multiple of 128
INITIAL = FanIn()


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    decoder_depth: int | None = None,
    head_width: int = 64,
    positions: str = "buckets",
    buckets: int = 32,
    far: int = 128,
    dropout: float = 0.0,
    activation: Activation = "relu",
    gated: bool = False,
    eps: float = 1e-6,
    embeddings: Literal["tied", "separate"] = "tied",
    head: Heading = "text",
    labels: int = 2,
    head_dropout: float = 0.0,
    initial: Initial = INITIAL,
) -> Seq2Seq | Model:
    """The description. `gated` with `embeddings` "separate" for the output is version 1.1 (Shazeer 2020).

    A tied output scores with states divided by the root of the width. `head` "text" scores the vocabulary; "states"
    hands on the decoder's states; "classes" reads the same text in the encoder and, moved on by one token, in the
    decoder, and tells one of `labels` classes at its last state; "encoder" is the encoder alone, and its states.
    """
    attend = Attention(heads, bias=False, scale=1.0, dropout=dropout, head_width=head_width)
    feed = FeedForward(hidden, activation, gated, bias=False, dropout=dropout)
    block, norm = Block((attend, feed), Norm("rms", eps), dropout=dropout), Norm("rms", eps)
    embed = Tokens(vocab, dropout=dropout)
    encoder = Stack(block, depth, norm, Buckets(heads, buckets, far), dropout=dropout)
    if head == "encoder":
        return ordered(Model(width, embed, encoder, States(), initial), positions, "buckets")
    block = replace(block, parts=(replace(attend, pattern=Causal()), replace(attend, source="memory"), feed))
    past = Buckets(heads, buckets, far, sees="past")
    decoder = Stack(block, decoder_depth or depth, norm, past, dropout=dropout)
    tied = embeddings == "tied"
    made: dict[str, Head] = {
        "text": Vocabulary(vocab, tied, scale=width**-0.5 if tied else 1.0),
        "states": States(),
        "classes": Classes(labels, "last", Dense("tanh"), head_dropout, drop="both"),
    }
    return ordered(Seq2Seq(width, embed, encoder, decoder, made[head], initial=initial), positions, "buckets")


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways

GATES: dict[str, tuple[Activation, bool]] = {
    **{word: (activation, False) for word, activation in ACTIVATIONS.items()},
    **{f"gated-{word}": (activation, True) for word, activation in ACTIVATIONS.items()},
    "gated-gelu": ("gelu_tanh", True),  # their word for it, whatever "gelu" alone is
}


def from_hf(config: Mapping[str, Any]) -> Seq2Seq | Model:
    """The description of a T5 or mT5 configuration, every key of which is honoured, held to its one value, or refused.

    `tie_word_embeddings` tells whether the output has a matrix of its own, unless the weights do (`filed`).
    `scale_decoder_outputs` tells whether its states are scaled; where it is absent, tied ones are, and mT5's never.
    Raises InvalidConfig with the key.
    """
    name = architecture(config, HF_MODELS)
    many, head = name.startswith("M"), HEADS[name.removeprefix("M")]
    keys = Keys(MT5 | dict(config) if many else config, "mT5" if many else "T5")
    activation, gated = keys.choice("feed_forward_proj", "relu", GATES)
    keys.only("is_gated_act", gated, why="feed_forward_proj says otherwise")
    if keys.choice("dense_act_fn", activation_word(activation), ACTIVATIONS) != activation:
        raise InvalidConfig(f"dense_act_fn is {config['dense_act_fn']}, and feed_forward_proj says otherwise")
    depth, tied = keys.whole("num_layers", 6), keys.truth("tie_word_embeddings", True)
    scaled = keys.truth("scale_decoder_outputs", tied and not many)
    if many and head == "text":
        keys.only("scale_decoder_outputs", False, why="Hugging Face's mT5 reads it and does not honour it")
    deep = depth if keys.absent("num_decoder_layers") else keys.whole("num_decoder_layers", depth)
    spec = declare(
        vocab=keys.whole("vocab_size", 32128),
        width=keys.whole("d_model", 512),
        hidden=keys.whole("d_ff", 2048),
        heads=keys.whole("num_heads", 8),
        depth=depth,
        decoder_depth=deep,
        head_width=keys.whole("d_kv", 64),
        buckets=keys.whole("relative_attention_num_buckets", 32),
        far=keys.whole("relative_attention_max_distance", 128),
        dropout=keys.share("dropout_rate", 0.1),
        activation=activation,
        gated=gated,
        eps=keys.positive("layer_norm_epsilon", 1e-6),
        embeddings="tied" if tied else "separate",
        head=head,
        labels=keys.labels(),
        head_dropout=keys.share("classifier_dropout", 0.0),
        initial=FanIn(keys.positive("initializer_factor", 1.0)),
    )
    if isinstance(spec.head, Vocabulary):
        spec = replace(spec, head=replace(spec.head, scale=spec.width**-0.5 if scaled else 1.0))
    keys.only("is_encoder_decoder", head != "encoder", True, why="a decoder alone is another shape")
    keys.only("is_decoder", False, why="a decoder alone is another shape")
    keys.only("tie_encoder_decoder", False, why="the two stacks share their weights")
    keys.only("pruned_heads", {}, None, why="heads were cut out of the weights")
    keys.done(BOOKKEEPING, GENERATION, "n_positions max_position_embeddings output_past")
    return spec


# The tensors that may hold the one table of tokens.
TABLES = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")


def filed(spec: Seq2Seq | Model, look: Look) -> tuple[Seq2Seq | Model, str]:
    """The description whose output has a matrix of its own where the weights hold one, and a sentence that says so.

    Since version 5 Hugging Face says `tie_word_embeddings: true` of every T5 and mT5 that it writes, whatever it was
    read from; when it reads, it ties the output to the table unless the file holds both and they differ.
    """
    if not isinstance(spec, Seq2Seq) or not isinstance(spec.head, Vocabulary) or not spec.head.tied:
        return spec, ""
    found = dict(look(["lm_head.weight", *TABLES]))
    own, table = found.pop("lm_head.weight", None), next(iter(found.values()), None)
    if own is None or table is None or own.shape != table.shape or torch.equal(own, table):
        return spec, ""
    note = "tie_word_embeddings says that the output scores with the embeddings, and the weights hold an lm_head.weight"
    return replace(spec, head=replace(spec.head, tied=False)), f"{note} of its own: that is used"


def to_hf(spec: Topology) -> dict[str, Any]:
    """The T5 configuration of a description, with T5's token ids. Raises InvalidConfig that names what it cannot say.

    An mT5 is a T5 there: Hugging Face's classes for the two compute the same.
    """
    if not isinstance(spec, Model | Seq2Seq) or not isinstance(spec.embed, Tokens):
        raise OtherShape(f"T5 is an encoder and a decoder of text, this model is a {type(spec).__name__}")
    encoder = spec.encoder_blocks if isinstance(spec, Seq2Seq) else spec.blocks
    head, feed, attend = spec.head, first(encoder, FeedForward), first(encoder, Attention)
    order = encoder.position if isinstance(encoder.position, Buckets) else Buckets(attend.heads)
    gate = (feed.activation, feed.gated)
    scores = head if isinstance(head, Vocabulary) else None
    heads = {name: word for name, word in HEADS.items() if isinstance(spec, Model) == (word == "encoder")}
    config = {
        "architectures": [architecture_of(spec, "T5", heads)],
        "model_type": "t5",
        "vocab_size": spec.embed.vocab,
        "d_model": spec.width,
        "d_ff": feed.hidden,
        "d_kv": attend.head_width or max(spec.width // attend.heads, 1),
        "num_heads": attend.heads,
        "num_layers": encoder.depth,
        "num_decoder_layers": spec.decoder_blocks.depth if isinstance(spec, Seq2Seq) else encoder.depth,
        "relative_attention_num_buckets": order.count,
        "relative_attention_max_distance": order.far,
        "dropout_rate": spec.embed.dropout,
        "layer_norm_epsilon": encoder.cycle()[0].norm.eps,
        "initializer_factor": spec.initial.factor if isinstance(spec.initial, FanIn) else 1.0,
        "feed_forward_proj": next((word for word, said in GATES.items() if said == gate), "relu"),
        "classifier_dropout": head.dropout if isinstance(head, Classes) else 0.0,
        "tie_word_embeddings": scores is None or scores.tied,
        "scale_decoder_outputs": scores is None or scores.scale != 1.0,
        **(label_words(head.count) if isinstance(head, Classes) else {}),
        "is_encoder_decoder": isinstance(spec, Seq2Seq),
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }
    demand_said(spec, from_hf(config), "T5", HF_WORDS)
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Seq2Seq | Model) -> Names:
    """Our weights and those of the architecture that the head tells."""
    table, head, base = "embed.table.weight", spec.head, "transformer." if isinstance(spec.head, Classes) else ""
    entries: list[Entry] = [same(table, f"{base}shared.weight")]
    if isinstance(spec, Model):
        entries += side("stack", f"{base}encoder", spec.blocks)
    else:
        entries += [
            *side("encoder", f"{base}encoder", spec.encoder_blocks),
            *side("decoder", f"{base}decoder", spec.decoder_blocks),
        ]
        cross = f"{base}decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        entries += [Drop(cross, "the first files hold one, and nothing ever read it")]
    if isinstance(head, Vocabulary):
        entries += [Tied(table, "lm_head.weight") if head.tied else same("head.score.weight", "lm_head.weight")]
    else:
        entries += [Drop("lm_head.weight", "it belongs to a head that this model does not have")]
    if isinstance(head, Classes):
        entries += linear("head.dense.linear", "classification_head.dense")
        entries += linear("head.score", "classification_head.out_proj")
    return Names(respelled(entries, ("transformer.", "")))


def side(ours: str, theirs: str, stack: Stack) -> Iterator[Entry]:
    """One stack. The first block's attention keeps the scores of positions for all."""
    yield Tied("embed.table.weight", f"{theirs}.embed_tokens.weight")
    yield same(f"{ours}.position.weight", f"{theirs}.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    yield same(f"{ours}.norm.weight", f"{theirs}.final_layer_norm.weight")
    block = f"{theirs}.block.{{i}}.layer"
    roles = {"attention": "SelfAttention", "cross": "EncDecAttention", "feedforward": "DenseReluDense"}
    matrices = {"down": "wo", "up": "wi"}
    if first(stack, FeedForward).gated:
        matrices = {"down": "wo", "gate": "wi_0", "up": "wi_1"}
    for i, role in enumerate(stack.cycle()[0].roles()):
        kept = matrices if role == "feedforward" else {part: part for part in "qkvo"}
        for mine, other in kept.items():
            yield same(f"{ours}.blocks.{{i}}.{role}.{mine}.weight", f"{block}.{i}.{roles[role]}.{other}.weight")
        yield same(f"{ours}.blocks.{{i}}.{role}_norm.weight", f"{block}.{i}.layer_norm.weight")
