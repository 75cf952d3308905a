"""T5 as it was first, version 1.1, and their heads."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import transformers

from laws.subjects import on
from parity.oracles import bart
from parity.subjects import VOCAB, Batch, Change, perturb, text_batch
from transept.heads.classes import Classes
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Window
from transept.parts.position import Sinusoid
from transept.parts.scored import Alibi, Buckets
from transept.parts.stack import Stack
from transept.topology import Built

SIDES = ("none", "right", "left")  # only distances count
DOUBLE = False  # their norms take the mean square in float32


def batch(ours: Built, theirs: Any, side: str, seed: int) -> Batch:
    """Rows of text for the encoder alone, else as BART's, with the padding that their decoder is not told of there."""
    if isinstance(ours.spec, Model):
        return text_batch(ours, theirs, side, seed)
    given = bart.batch(ours, theirs, side, seed)
    if "decoder_input_ids" not in given.theirs:
        more = {"decoder_input_ids": given.ours["target"], "decoder_attention_mask": given.ours["target_valid"].long()}
        given = replace(given, theirs=given.theirs | more)
    return given


def t5(architecture: str = "T5ForConditionalGeneration", **changes: Any) -> Any:
    """A T5 of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "d_model": 32,
        "d_kv": 6,
        "d_ff": 48,
        "num_layers": 3,
        "num_decoder_layers": 2,  # their cache has no room for more than the encoder has
        "num_heads": 4,
        "decoder_start_token_id": 0,
        "attn_implementation": "eager",
    }
    return perturb(getattr(transformers, architecture)(transformers.T5Config(**config | changes))).eval()


def separate() -> Any:
    """Version 1.1, whose output has a matrix of its own; they tie it until a file holds another."""
    model = t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCAB, 32) * 0.3)
    model.config.tie_word_embeddings = False
    model.all_tied_weights_keys.pop("lm_head.weight")
    return model


FEW = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6}  # so that short rows fill them all

SUBJECTS: dict[str, Callable[[], Any]] = {
    "text": t5,
    "few buckets": lambda: t5(**FEW, layer_norm_epsilon=1e-3),
    "1.1": separate,
    "1.1, one table": lambda: t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False, initializer_factor=0.3),
    "silu, gated": lambda: t5(feed_forward_proj="gated-silu"),
    "gelu": lambda: t5(feed_forward_proj="gelu"),
    "states": lambda: t5("T5Model"),
    "classes": lambda: t5("T5ForSequenceClassification", num_labels=5, classifier_dropout=0.2),
    "encoder": lambda: t5("T5EncoderModel", **FEW),
}

FIRST = "text"
MUTANTS: dict[str, tuple[str, Change]] = {
    name: (FIRST, change)
    for name, change in {
        "no positions": on(Stack, position=None),
        "straight lines for positions": on(Stack, position=Alibi(4)),
        "sinusoids": on(Tokens, position=Sinusoid()),
        "scaled embeddings": on(Tokens, scale=32**0.5),
        "scaled attention": on(Attention, scale=None),
        "two heads": on(Attention, heads=2, head_width=12),
        "two key and value heads": on(Attention, kv_heads=2),
        "biases in attention": on(Attention, bias=True),
        "a decoder that sees ahead": on(Attention, lambda p: p.pattern == Causal(), pattern=Full()),
        "a decoder with a window": on(Attention, lambda p: p.pattern == Causal(), pattern=Causal() & Window(2)),
        "an encoder that sees back only": on(Attention, lambda p: p.pattern == Full(), pattern=Causal()),
        "gelu": on(FeedForward, activation="gelu"),
        "gated": on(FeedForward, gated=True),
        "biases": on(FeedForward, bias=True),
        "another epsilon": on(Norm, eps=1e-2),
        "layer norm": on(Norm, form="layer"),
        "norms after": on(Block, place="after"),
        "no final norm": on(Stack, norm=None),
        "an unscaled output": on(Vocabulary, scale=1.0),
        "one block less": on(Stack, lambda p: p.depth == 3, depth=2),
        "one block more": on(Stack, lambda p: p.depth == 2, depth=3),
        "shared weights": on(Stack, weights=1),
    }.items()
} | {
    "buckets for both sides": ("few buckets", on(Buckets, sees="both")),
    "buckets for the past": ("few buckets", on(Buckets, sees="past")),
    "farther buckets": ("few buckets", on(Buckets, far=20)),
    "1.1 scaled": ("1.1", on(Vocabulary, scale=32**-0.5)),
    "1.1 tied": ("1.1", on(Vocabulary, tied=True)),
    "1.1 with relu": ("1.1", on(FeedForward, activation="relu")),
    "1.1 without gates": ("1.1", on(FeedForward, gated=False)),
    "the first state": ("classes", on(Classes, pool="first")),
}

PUBLISHED = {
    "small": 60_506_624,
    "base": 222_903_552,
    "large": 737_668_096,
    "3b": 2_851_598_336,
    "11b": 11_307_321_344,
    "1.1-small": 76_961_152,
    "1.1-base": 247_577_856,
    "1.1-large": 783_150_080,
    "1.1-xl": 2_849_757_184,
    "1.1-xxl": 11_135_332_352,
}
