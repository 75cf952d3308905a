"""Llama, Mistral and Qwen2, with every head, rotation and window that is read."""

from collections.abc import Callable
from typing import Any

import transformers

from laws.subjects import on
from parity.oracles.gpt import of_a_decoder
from parity.subjects import PAD, VOCAB, Change, perturb
from transept.heads.classes import Classes
from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Window
from transept.parts.position import Learned
from transept.parts.rotary import Banded, Interpolated, Rotary
from transept.parts.stack import Stack

SIDES = ("none", "right", "left")  # their rotations tell distances, so padding on the left moves nothing
DOUBLE = False  # their norms and their softmax are of float32, whatever the weights are
COMPUTED = ("inv_freq",)
IDLE = ("tie_word_embeddings",)  # of a model without scores of a vocabulary
IDLE += ("use_sliding_window", "sliding_window", "max_window_layers")  # of Qwen2, whose layer_types tell


def of_kind(kind: str, architecture: str, **changes: Any) -> Any:
    """A model of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 96,
        "pad_token_id": PAD,
        "attn_implementation": "eager",
    }
    made = getattr(transformers, f"{kind}Config")(**config | changes)
    return perturb(getattr(transformers, kind + architecture)(made), COMPUTED).eval()


def llama(architecture: str = "ForCausalLM", **changes: Any) -> Any:
    return of_kind("Llama", architecture, **changes)


def mistral(architecture: str = "ForCausalLM", **changes: Any) -> Any:
    return of_kind("Mistral", architecture, **{"sliding_window": 4} | changes)


def qwen2(architecture: str = "ForCausalLM", **changes: Any) -> Any:
    return of_kind("Qwen2", architecture, **changes)


LINEAR = {"rope_type": "linear", "rope_theta": 1000.0, "factor": 4.0}
YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA_3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0}
LLAMA_3 |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 24}
IN_TURN = {"use_sliding_window": True, "sliding_window": 4}

SUBJECTS: dict[str, Callable[[], Any]] = {
    "next token": llama,
    "next token, biases": lambda: llama(num_key_value_heads=4, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-3),
    "next token, one key and value head, narrow": lambda: llama(num_key_value_heads=1, head_dim=6, hidden_act="gelu"),
    "next token, one table": lambda: llama(tie_word_embeddings=True),
    "next token, interpolated": lambda: llama(rope_parameters=dict(LINEAR)),
    "next token, YaRN": lambda: llama(rope_parameters=dict(YARN)),
    "next token, bands of frequencies": lambda: llama(rope_parameters=dict(LLAMA_3)),
    "states": lambda: llama("Model"),
    "classes": lambda: llama("ForSequenceClassification", num_labels=5),
    "Mistral": mistral,
    "Mistral, states, a window of one": lambda: mistral("Model", sliding_window=1),
    "Mistral, classes": lambda: mistral("ForSequenceClassification", num_labels=5, head_dim=12),
    "Qwen2": lambda: qwen2(tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
    "Qwen2, windows at the end": lambda: qwen2(**IN_TURN, max_window_layers=1),
    "Qwen2, windows in turn": lambda: qwen2(
        **IN_TURN, layer_types=["sliding_attention", "full_attention", "sliding_attention"], max_window_layers=0
    ),
    "Qwen2, states": lambda: qwen2("Model"),
    "Qwen2, classes": lambda: qwen2("ForSequenceClassification", num_labels=5),
}

FIRST, QWEN2 = "next token", "Qwen2"


def with_rotary(**values: Any) -> Change:
    return on(Rotary, **values)


MUTANTS: dict[str, tuple[str, Change]] = of_a_decoder(FIRST) | {
    "no positions": (FIRST, on(Attention, position=None)),
    "learned positions": (FIRST, on(Tokens, position=Learned(96))),
    "pairs interleaved": (FIRST, with_rotary(pairs="interleaved")),
    "half of a head turns": (FIRST, with_rotary(share=0.5)),
    "another base": (FIRST, with_rotary(base=100.0)),
    "interpolated": (FIRST, with_rotary(scaling=Interpolated(2.0))),
    "not interpolated": ("next token, interpolated", with_rotary(scaling=None)),
    "bands left": ("next token, bands of frequencies", with_rotary(scaling=None)),
    "bands interpolated": ("next token, bands of frequencies", with_rotary(scaling=Interpolated(8.0))),
    "other bands": ("next token, bands of frequencies", on(Banded, low=0.25)),
    "bands of a longer text": ("next token, bands of frequencies", on(Banded, length=96)),
    "unscaled attention": (FIRST, on(Attention, scale=1.0)),
    "all heads with keys and values": (FIRST, on(Attention, kv_heads=None)),
    "biases": (FIRST, on(Attention, bias=True)),
    "no biases": ("next token, biases", on(Attention, bias=False)),
    "biases of queries, keys and values alone": ("next token, biases", on(Attention, bias="qkv")),
    "feed-forward without biases": ("next token, biases", on(FeedForward, bias=False)),
    "not gated": (FIRST, on(FeedForward, gated=False)),
    "layer norm": (FIRST, on(Norm, form="layer")),
    "norms after": (FIRST, on(Block, place="after")),
    "no final norm": (FIRST, on(Stack, norm=None)),
    "a wider window": ("Mistral", on(Attention, pattern=Causal() & Window(4))),
    "a narrower window": ("Mistral", on(Attention, pattern=Causal() & Window(2))),
    "no window": ("Mistral", on(Attention, pattern=Causal())),
    "no biases in Qwen2": (QWEN2, on(Attention, bias=False)),
    "all biases in Qwen2": (QWEN2, on(Attention, bias=True)),
    "windows everywhere": ("Qwen2, windows at the end", on(Attention, pattern=Causal() & Window(3))),
    "windows nowhere": ("Qwen2, windows in turn", on(Attention, pattern=Causal())),
    "the first state told": ("classes", on(Classes, pool="first")),
    "one class less": ("classes", on(Classes, count=4)),
}

PUBLISHED: dict[str, int] = {
    "7b": 6_738_415_616,
    "13b": 13_015_864_320,
    "2-7b": 6_738_415_616,
    "3-8b": 8_030_261_248,
    "3.2-1b": 1_235_814_400,
    "mistral-7b": 7_241_732_096,
    "qwen2-0.5b": 494_032_768,
}
