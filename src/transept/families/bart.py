"""BART (Lewis et al. 2020): an encoder-decoder that was trained to write noised text again; mBART (Liu et al. 2020)."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.families import transformer
from transept.families.configuration import Keys
from transept.families.hugging_face import (
    OtherShape,
    architecture,
    architecture_of,
    demand_said,
    label_words,
    respelled,
)
from transept.families.orders import ordered
from transept.heads.classes import Classes, Spans, States
from transept.heads.head import Head
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.names import Constant, Drop, Entry, Names, Tied, linear, reshaped, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.dense import Dense
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.norm import Norm
from transept.parts.pattern import Causal
from transept.parts.position import Learned
from transept.parts.stack import Stack
from transept.spec import replace
from transept.topology import Topology

Heading = Literal["text", "states", "classes", "spans"]

HEADS: dict[str, Heading] = {
    "BartForConditionalGeneration": "text",
    "BartModel": "states",
    "BartForSequenceClassification": "classes",
    "BartForQuestionAnswering": "spans",
}
HF_MODELS = {"bart": tuple(HEADS), "mbart": tuple(f"M{name}" for name in HEADS)}
HF_WORDS = {"position": "positions: learned", "place": "norm: after", "norm": "norm: after"}
OFFSET = 2  # rows before the first position's

SIZES: dict[str, dict[str, Any]] = {  # section 2.1; base and large as BERT's
    "base": {"width": 768, "hidden": 3072, "heads": 12, "depth": 6, "dropout": 0.1},
    "large": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 12, "dropout": 0.1},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2, "length": 64}
GOLDEN_VOCAB = 50_265  # GPT-2's pieces of bytes, and special tokens
INITIAL = Normal(0.02)


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    decoder_depth: int | None = None,
    length: int = 1024,
    positions: str = "learned",
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation_dropout: float = 0.0,
    activation: Activation = "gelu",
    norm: Literal["after", "before"] = "after",
    scaled: bool = False,
    head: Heading = "text",
    head_bias: bool = False,
    labels: int = 3,
    head_dropout: float = 0.0,
    initial: Initial = INITIAL,
) -> Seq2Seq:
    """The description. `norm` "before" with `scaled` embeddings is mBART.

    `head` "text" scores the vocabulary; "states" hands on the decoder's states; "classes" and "spans" read the same
    text in the encoder and, moved on by one token, in the decoder, and tell one of `labels` classes at its last state,
    or where an answer is.
    """
    attend = Attention(heads, dropout=attention_dropout)
    feed = FeedForward(hidden, activation, dropout=activation_dropout)
    encoder = Block((attend, feed), place=norm, dropout=dropout)
    decoder = replace(encoder, parts=(replace(attend, pattern=Causal()), replace(attend, source="memory"), feed))
    embed = Tokens(vocab, Learned(length, OFFSET), Norm(), width**0.5 if scaled else 1.0, dropout)
    last = Norm() if norm == "before" else None
    made: dict[str, Head] = {
        "text": Vocabulary(vocab, bias=head_bias),
        "states": States(),
        "classes": Classes(labels, "last", Dense("tanh"), head_dropout, drop="both"),
        "spans": Spans(),
    }
    stacks = Stack(encoder, depth, last), Stack(decoder, decoder_depth or depth, last)
    spec = Seq2Seq(width, embed, *stacks, made[head], source=embed, initial=initial, share="table")
    return ordered(spec, positions, "learned", length)


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Seq2Seq:
    """The description of a BART or mBART configuration, every key honoured, held to its one value, or refused.

    Their logits always have a bias, `final_logits_bias`. Raises InvalidConfig with the key.
    """
    name = architecture(config, HF_MODELS)
    before, head = name.startswith("M"), HEADS[name.removeprefix("M")]
    keys = Keys(config, "mBART" if before else "BART")
    labels = 3 if not before and keys.absent("id2label") and keys.absent("num_labels") else keys.labels()
    spec = declare(
        vocab=keys.whole("vocab_size", 50265),
        length=keys.whole("max_position_embeddings", 1024),
        norm="before" if before else "after",
        scaled=keys.truth("scale_embedding", False),
        head=head,
        head_bias=True,
        labels=labels,
        head_dropout=keys.share("classifier_dropout", 0.0),
        **transformer.words_of(keys),
    )
    spec = transformer.sided(spec, keys)
    norms = f"the norms have another place, which Hugging Face's {keys.kind} reads and does not honour"
    for key, value in (("normalize_before", before), ("add_final_layer_norm", before), ("normalize_embedding", True)):
        keys.only(key, value, why=norms)
    keys.only("static_position_embeddings", False, why="positions are sinusoids, which is not BART's shape")
    keys.only("tie_word_embeddings", True, why="each side and the output have tables of their own")
    transformer.finish(keys, spec, "classif_dropout force_bos_token_to_be_generated output_past")
    return spec


def to_hf(spec: Topology) -> dict[str, Any]:
    """The BART configuration of a description, mBART's where norms come before, with BART's token ids.

    Raises InvalidConfig that names each field that they cannot say.
    """
    if not isinstance(spec, Seq2Seq):
        raise OtherShape(f"BART is an encoder and a decoder of text, this model is a {type(spec).__name__}")
    head, before = spec.head, spec.encoder_blocks.cycle()[0].place == "before"
    name = ("M" if before else "") + architecture_of(spec, "BART", HEADS)
    config = {
        "architectures": [name],
        "model_type": "mbart" if before else "bart",
        "vocab_size": spec.embed.vocab,
        "max_position_embeddings": spec.embed.limit() or 1024,
        **transformer.config_of(spec),
        "classifier_dropout": head.dropout if isinstance(head, Classes) else 0.0,
        **(label_words(head.count) if isinstance(head, Classes) else {}),
        "is_encoder_decoder": True,
        "use_cache": True,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
    }
    if isinstance(head, Vocabulary):  # without a bias of ours, final_logits_bias is zero
        spec = replace(spec, head=replace(head, bias=True))
    demand_said(spec, from_hf(config), "mBART" if before else "BART", HF_WORDS)
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights

ELSEWHERE = "it belongs to a head that this model does not have"


def names(spec: Seq2Seq) -> Names:
    """Our weights and those of the architecture that the head tells, with `model.` before the stacks' names or not."""
    base, table, head = "" if isinstance(spec.head, States) else "model.", "embed.table.weight", spec.head
    entries: list[Entry] = [same(table, f"{base}shared.weight")]
    for ours, side, stack in (("source", "encoder", spec.encoder_blocks), ("embed", "decoder", spec.decoder_blocks)):
        entries += [
            Tied(table, f"{base}{side}.embed_tokens.weight"),
            same(f"{ours}.position.weight", f"{base}{side}.embed_positions.weight"),
            *linear(f"{ours}.norm", f"{base}{side}.layernorm_embedding"),
            *transformer.blocks(side, base),
            *(linear(f"{side}.norm", f"{base}{side}.layer_norm") if stack.norm else ()),
            Drop(f"{base}{side}.version", "the number of a format of fairseq's"),
        ]
    if isinstance(head, Vocabulary):
        bias: Entry = Constant("final_logits_bias", (1, head.size), 0.0, "Declare head_bias: true to keep it.")
        if head.bias:
            bias = reshaped("head.bias", "final_logits_bias", (head.size,), (1, head.size))
        entries += [Tied(table, "lm_head.weight"), bias]
    else:
        entries += [Drop("lm_head.weight", ELSEWHERE), Drop("final_logits_bias", ELSEWHERE)]
    if isinstance(head, Classes):
        entries += linear("head.dense.linear", "classification_head.dense")
        entries += linear("head.score", "classification_head.out_proj")
    elif isinstance(head, Spans):
        entries += linear("head.score", "qa_outputs")
    return Names(respelled(entries, ("model.", "") if base else ("", "model.")))
