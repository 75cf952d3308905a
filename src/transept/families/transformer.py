"""The Transformer of "Attention Is All You Need" (Vaswani et al. 2017), and its shape at Hugging Face, Marian."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch

from transept.errors import InvalidConfig
from transept.families.configuration import BOOKKEEPING, GENERATION, Keys
from transept.families.hugging_face import ACTIVATIONS, OtherShape, activation_word, demand_said, first
from transept.families.orders import ordered
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, Seq2Seq
from transept.names import Constant, Copy, Drop, Entry, Names, Rule, Tied, linear, reshaped, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal, Xavier
from transept.parts.norm import Norm
from transept.parts.pattern import Causal
from transept.parts.position import Sinusoid
from transept.parts.stack import Stack
from transept.spec import Part, edit, replace
from transept.topology import Topology

HF_MODELS = {"marian": ("MarianMTModel",)}
HF_WORDS = {  # the word of `declare` that decides a field of the description
    "position": "positions: sinusoid",
    "place": "norm: after",
    "norm": "norm: after",
    "order": "order: halves",
    "bias": "bias: true",
    "kv_heads": "kv_heads: null",
}

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"width": 128, "hidden": 256, "heads": 4, "depth": 4, "dropout": 0.3},  # Wu et al. 2021
    "iwslt": {"width": 512, "hidden": 1024, "heads": 4, "depth": 6, "dropout": 0.3},  # fairseq, IWSLT14
    "base": {"width": 512, "hidden": 2048, "heads": 8, "depth": 6, "dropout": 0.1},  # table 3
    "big": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 6, "dropout": 0.3},  # table 3
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2}  # for tests and for a first look
GOLDEN_VOCAB = 37_000  # the paper's joint vocabulary, section 5.1; published sizes are described with it

FUSED_XAVIER = Xavier(gain=0.5**0.5)  # as fairseq, whose queries, keys and values begin as one matrix


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    decoder_depth: int | None = None,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation_dropout: float = 0.0,
    activation: Activation = "relu",
    norm: Literal["after", "before"] = "after",
    embeddings: Literal["tied", "separate"] = "tied",
    positions: str = "sinusoid",
    order: Literal["halves", "interleaved"] = "halves",
    bias: bool = True,
    head_bias: bool = False,
    kv_heads: int | None = None,
    form: Literal["seq2seq", "language_model"] = "seq2seq",
    initial: Initial = FUSED_XAVIER,
) -> Seq2Seq | Model:
    """The description.

    `norm` "after" is the paper's; "before" is what tensor2tensor came to, with one more norm at each end. `embeddings`
    "tied" has one matrix for source, target and output (section 3.4); "separate" has three. `order` "halves" is
    Marian's, equal to the paper's "interleaved" up to a fixed permutation of features, and the one that Hugging Face
    reads. `bias` False has no biases in the attention's projections, as the paper's own code. `positions` is how order
    is told (`families.orders`): "relative(16)" is Shaw et al. 2018, and "structural + relative(16) + tree(16)" Wang et
    al. 2019, whose encoder reads dependency trees. `form` "language_model" is the decoder alone, without a source (Liu
    et al. 2018).
    """
    attend = Attention(heads, kv_heads=kv_heads, bias=bias, dropout=attention_dropout)
    feed = FeedForward(hidden, activation, dropout=activation_dropout)
    encoder = Block((attend, feed), place=norm, dropout=dropout)
    decoder = replace(encoder, parts=(replace(attend, pattern=Causal()), replace(attend, source="memory"), feed))
    embed = Tokens(vocab, Sinusoid(order), scale=width**0.5, dropout=dropout)
    last = Norm() if norm == "before" else None
    tied = embeddings == "tied"
    if form == "language_model":
        alone = Stack(replace(encoder, parts=(replace(attend, pattern=Causal()), feed)), decoder_depth or depth, last)
        return ordered(Model(width, embed, alone, Vocabulary(vocab, tied, head_bias), initial), positions, "sinusoid")
    spec = Seq2Seq(
        width,
        embed,
        Stack(encoder, depth, last),
        Stack(decoder, decoder_depth or depth, last),
        Vocabulary(vocab, tied=tied, bias=head_bias),
        source=None if tied else embed,
        initial=initial,
    )
    return ordered(spec, positions, "sinusoid")


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Seq2Seq:
    """The description of a Marian configuration, every key of which is honoured, held to its one value, or refused.

    Marian's logits always have a bias, `final_logits_bias`. Raises InvalidConfig with the key.
    """
    keys = Keys(config, "Marian")
    spec = declare(vocab=keys.whole("vocab_size", 58101), head_bias=True, **words_of(keys))
    assert isinstance(spec, Seq2Seq)
    source = replace(spec.embed, scale=spec.width**0.5 if keys.truth("scale_embedding", False) else 1.0)
    shared, tied = keys.truth("share_encoder_decoder_embeddings", True), keys.truth("tie_word_embeddings", True)
    if config.get("decoder_vocab_size") is None:
        keys.only("decoder_vocab_size", None, why="absent")
        vocab = source.vocab
    else:
        vocab = keys.whole("decoder_vocab_size", source.vocab)
    if shared and vocab != source.vocab:
        raise InvalidConfig(
            f"decoder_vocab_size is {vocab} and vocab_size {source.vocab}, but the two sides share one table"
        )
    spec = replace(
        sided(spec, keys),
        embed=replace(source, vocab=vocab),
        head=Vocabulary(vocab, tied=tied, bias=True),
        source=None if shared else source,
    )
    norms = "the norms have another place, which Hugging Face's Marian reads and does not honour"
    for key in ("normalize_before", "normalize_embedding", "add_final_layer_norm"):
        keys.only(key, False, why=norms)
    keys.only("static_position_embeddings", True, why="positions are learned, which is not Marian's shape")
    keys.whole("max_position_embeddings", 1024)  # the model directory keeps it as the longest text
    finish(keys, spec, "classifier_dropout classif_dropout")
    return spec


def words_of(keys: Keys) -> dict[str, Any]:
    """The words of `declare` in a configuration of Marian's or of BART's, which has the same keys."""
    return {
        "width": keys.whole("d_model", 1024),
        "hidden": keys.whole("encoder_ffn_dim", 4096),
        "heads": keys.whole("encoder_attention_heads", 16),
        "depth": keys.whole("encoder_layers", 12),
        "decoder_depth": keys.whole("decoder_layers", 12),
        "dropout": keys.share("dropout", 0.1),
        "attention_dropout": keys.share("attention_dropout", 0.0),
        "activation_dropout": keys.share("activation_dropout", 0.0),
        "activation": keys.choice("activation_function", "gelu", ACTIVATIONS),
        "initial": Normal(keys.positive("init_std", 0.02)),
    }


def sided(spec: Seq2Seq, keys: Keys) -> Seq2Seq:
    """The description with what a configuration says of one side alone."""
    heads, hidden = keys.whole("decoder_attention_heads", 16), keys.whole("decoder_ffn_dim", 4096)

    def other(part: Part) -> Part:
        if isinstance(part, Attention):
            return replace(part, heads=heads)
        return replace(part, hidden=hidden) if isinstance(part, FeedForward) else part

    encoder = replace(spec.encoder_blocks, skip=keys.share("encoder_layerdrop", 0.0))
    decoder: Stack = edit(replace(spec.decoder_blocks, skip=keys.share("decoder_layerdrop", 0.0)), other)
    return replace(spec, encoder=encoder, decoder=decoder)


def finish(keys: Keys, spec: Seq2Seq, *aside: str) -> None:
    """The keys, old and new, that can have one value only, and those that compute nothing."""
    for key, meant, value in (
        ("hidden_size", "d_model", spec.width),
        ("num_attention_heads", "encoder_attention_heads", first(spec.encoder_blocks, Attention).heads),
        ("num_hidden_layers", "encoder_layers", spec.encoder_blocks.depth),
    ):
        keys.alias(key, meant, value)
    keys.only("add_bias_logits", False, why="the bias of the logits is final_logits_bias, which is always there")
    keys.only("is_encoder_decoder", True, why="a decoder alone is another shape")
    keys.only("is_decoder", False, why="a decoder alone is another shape")
    keys.only("tie_encoder_decoder", False, why="the two stacks share their weights")
    keys.only("pruned_heads", {}, None, why="heads were cut out of the weights")
    keys.done(BOOKKEEPING, GENERATION, "extra_pos_embeddings", *aside)


def to_hf(spec: Topology) -> dict[str, Any]:
    """The Marian configuration of a description, with our token ids (pad 0, bos 1, eos 2).

    What Marian cannot say is whatever reading this configuration back would lose. Raises InvalidConfig that names each
    such field, its value and Marian's, and the word that would change it.
    """
    if not isinstance(spec, Seq2Seq) or not isinstance(spec.head, Vocabulary):
        raise OtherShape(f"Marian is an encoder and a decoder of text, this model is a {type(spec).__name__}")
    if (source := spec.source_tokens) is None:
        raise InvalidConfig(f"Marian reads text, this model {type(spec.source).__name__}")
    config = {
        "architectures": list(HF_MODELS["marian"]),
        "model_type": "marian",
        "vocab_size": source.vocab,
        "decoder_vocab_size": spec.embed.vocab,
        **config_of(spec),
        "share_encoder_decoder_embeddings": spec.source is None,
        "tie_word_embeddings": spec.head.tied,
        "max_position_embeddings": 1024,
        "is_encoder_decoder": True,
        "use_cache": True,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
        "forced_eos_token_id": None,
    }
    said = from_hf(config)
    with_bias = replace(spec, head=replace(spec.head, bias=True))  # without one of ours, final_logits_bias is zero
    demand_said(with_bias, said, "Marian", HF_WORDS)
    return config


def config_of(spec: Seq2Seq) -> dict[str, Any]:
    """What configurations of Marian's and of BART's both say."""
    config: dict[str, Any] = {
        "d_model": spec.width,
        "dropout": spec.embed.dropout,
        "init_std": spec.initial.std if isinstance(spec.initial, Normal) else 0.02,
        "scale_embedding": spec.embed.scale != 1.0,
    }
    for side, stack in (("encoder", spec.encoder_blocks), ("decoder", spec.decoder_blocks)):
        attend, feed = first(stack, Attention), first(stack, FeedForward)
        config |= {f"{side}_layers": stack.depth, f"{side}_attention_heads": attend.heads}
        config |= {f"{side}_ffn_dim": feed.hidden, f"{side}_layerdrop": stack.skip}
        config |= {"activation_function": activation_word(feed.activation)}
        config |= {"attention_dropout": attend.dropout, "activation_dropout": feed.dropout}
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Seq2Seq) -> Names:
    """Our weights and MarianMTModel's."""
    table, vocab, head = "embed.table.weight", spec.embed.vocab, spec.head
    assert isinstance(head, Vocabulary), "their one architecture scores a vocabulary"
    source, target = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
    second = Tied if head.tied else Copy  # untied, their loader ties nothing at all
    tables: list[Entry] = [same(table, target)]
    if spec.source is None:
        tables = [same(table, "model.shared.weight"), second(table, source), second(table, target)]
    else:
        tables += [same("source.table.weight", source)]
    score = Tied(table, "lm_head.weight") if head.tied else same("head.score.weight", "lm_head.weight")
    bias: Entry = Constant("final_logits_bias", (1, vocab), 0.0, "Declare head_bias: true to keep it.")
    if head.bias:
        bias = reshaped("head.bias", "final_logits_bias", (vocab,), (1, vocab))
    positions = (
        Drop(f"model.{side}.embed_positions.weight", "sinusoids, computed here", _sinusoids)
        for side in ("encoder", "decoder")
    )
    return Names(*tables, score, bias, *positions, *blocks("encoder"), *blocks("decoder"))


def blocks(side: str, base: str = "model.") -> Iterator[Rule]:
    """The blocks of one side, which BART calls so too."""
    ours, theirs = f"{side}.blocks.{{i}}", f"{base}{side}.layers.{{i}}"
    attentions = [("attention", "self_attn"), ("cross", "encoder_attn")][: 2 if side == "decoder" else 1]
    for mine, other in attentions:
        for part, name in (("q", "q_proj"), ("k", "k_proj"), ("v", "v_proj"), ("o", "out_proj")):
            yield from linear(f"{ours}.{mine}.{part}", f"{theirs}.{other}.{name}")
        yield from linear(f"{ours}.{mine}_norm", f"{theirs}.{other}_layer_norm")
    yield from linear(f"{ours}.feedforward.up", f"{theirs}.fc1")
    yield from linear(f"{ours}.feedforward.down", f"{theirs}.fc2")
    yield from linear(f"{ours}.feedforward_norm", f"{theirs}.final_layer_norm")


def _sinusoids(table: torch.Tensor) -> str | None:
    """Why this table is not the sinusoids in halves that we compute; None where it is."""
    if table.dim() != 2 or table.size(1) % 2:
        return f"a table of sinusoids has two sides, the second even, not {tuple(table.shape)}"
    made = Sinusoid("halves").build(table.size(1))(torch.arange(table.size(0))[None])[0]
    far = float((table.float() - made).abs().max())
    limit = 1e-5 if table.dtype == torch.float32 else 1e-2
    return None if far <= limit else f"its values are {far:.1e} away from the sinusoids in halves"
