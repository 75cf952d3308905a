"""Marian, the shape that the 2017 Transformer has at Hugging Face."""

from collections.abc import Callable
from typing import Any

import transformers

from laws.subjects import on
from parity.subjects import BOS, EOS, PAD, VOCAB, Change, perturb
from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Window
from transept.parts.position import Sinusoid
from transept.parts.stack import Stack

COMPUTED = ("embed_positions",)
DOUBLE = False  # their table of sinusoids is of float32 and stays so


def marian(**changes: Any) -> Any:
    """A Marian model. The defaults differ from each other wherever a mistake could mistake one for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "activation_function": "relu",
        "scale_embedding": True,
        "max_position_embeddings": 96,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
        "attn_implementation": "eager",
    }
    model = transformers.MarianMTModel(transformers.MarianConfig(**config | changes))
    if model.config.share_encoder_decoder_embeddings and not model.config.tie_word_embeddings:
        # Their class then makes three tables where the configuration speaks of one; they agree in a real checkpoint.
        perturb(model, COMPUTED)
        for side in (model.model.encoder, model.model.decoder):
            side.embed_tokens.weight.data.copy_(model.model.shared.weight)
        return model.eval()
    return perturb(model, COMPUTED).eval()


SUBJECTS: dict[str, Callable[[], Any]] = {
    "relu, one table": marian,
    "gelu": lambda: marian(activation_function="gelu"),
    "swish, unscaled": lambda: marian(activation_function="swish", scale_embedding=False),
    "tanh gelu": lambda: marian(activation_function="gelu_new"),
    "quick gelu": lambda: marian(activation_function="quick_gelu"),
    "two tables, one vocabulary": lambda: marian(share_encoder_decoder_embeddings=False),
    "two tables, two vocabularies": lambda: marian(share_encoder_decoder_embeddings=False, decoder_vocab_size=29),
    "three tables": lambda: marian(share_encoder_decoder_embeddings=False, tie_word_embeddings=False),
    "one table and a matrix": lambda: marian(tie_word_embeddings=False),
    "sides of other sizes": lambda: marian(decoder_attention_heads=2, decoder_ffn_dim=40, encoder_layers=1),
}

FIRST = "relu, one table"
MUTANTS: dict[str, tuple[str, Change]] = {
    name: (FIRST, change)
    for name, change in {
        "interleaved sinusoids": on(Sinusoid, order="interleaved"),
        "other frequencies": on(Sinusoid, base=1000.0),
        "no positions": on(Tokens, position=None),
        "unscaled embeddings": on(Tokens, scale=1.0),
        "embeddings scaled by the width": on(Tokens, scale=32.0),
        "two heads": on(Attention, heads=2),
        "two key and value heads": on(Attention, kv_heads=2),
        "no biases in attention": on(Attention, bias=False),
        "unscaled attention": on(Attention, scale=1.0),
        "a decoder that sees ahead": on(Attention, lambda p: p.pattern == Causal(), pattern=Full()),
        "a decoder with a window": on(Attention, lambda p: p.pattern == Causal(), pattern=Causal() & Window(2)),
        "an encoder that sees back only": on(Attention, lambda p: p.pattern == Full(), pattern=Causal()),
        "gelu": on(FeedForward, activation="gelu"),
        "silu": on(FeedForward, activation="silu"),
        "gated": on(FeedForward, gated=True),
        "another epsilon": on(Norm, eps=1e-2),
        "root mean square norm": on(Norm, form="rms"),
        "norms before": on(Block, place="before"),
        "a final norm": on(Stack, norm=Norm()),
        "one block less": on(Stack, lambda p: p.depth == 3, depth=2),
        "one block more": on(Stack, lambda p: p.depth == 2, depth=3),
        "shared weights": on(Stack, weights=1),
    }.items()
}

PUBLISHED: dict[str, int] = {}
