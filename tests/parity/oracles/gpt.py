"""GPT with every head, and what may be wrong with any decoder."""

from collections.abc import Callable
from typing import Any

import transformers

from laws.subjects import on
from parity.subjects import PAD, VOCAB, Change, perturb
from transept.heads.classes import Classes
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Window
from transept.parts.position import Learned, Sinusoid
from transept.parts.rotary import Rotary
from transept.parts.scored import Alibi
from transept.parts.stack import Stack

COMPUTED = (".attn.bias",)  # the mask of each block
SUMMARY = ("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout")
IDLE = (*SUMMARY, "tie_word_embeddings")  # of a head for choices, and of a model without scores of a vocabulary


def gpt(architecture: str = "OpenAIGPTLMHeadModel", **changes: Any) -> Any:
    """A GPT of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 80,
        "pad_token_id": PAD,
        "attn_implementation": "eager",
    }
    model = getattr(transformers, architecture)(transformers.OpenAIGPTConfig(**config | changes))
    return perturb(model, COMPUTED).eval()


SUBJECTS: dict[str, Callable[[], Any]] = {
    "next token": gpt,
    "next token, two tables, relu": lambda: gpt(tie_word_embeddings=False, afn="relu"),
    "next token, silu, another epsilon": lambda: gpt(afn="silu", layer_norm_epsilon=1e-3),
    "states": lambda: gpt("OpenAIGPTModel"),
    "classes": lambda: gpt("OpenAIGPTForSequenceClassification", num_labels=5),
    "one class": lambda: gpt("OpenAIGPTForSequenceClassification", num_labels=1),
}


def is_dense(part: Any) -> bool:
    return isinstance(part, Attention) and part.pattern == Causal()


def of_a_decoder(variant: str) -> dict[str, tuple[str, Change]]:
    """What may be wrong with any decoder that has three blocks of four heads, and scores the next token."""
    changes: dict[str, Change] = {
        "sinusoids": on(Tokens, position=Sinusoid()),
        "embeddings with a norm": on(Tokens, norm=Norm()),
        "scaled embeddings": on(Tokens, scale=32.0**0.5),
        "two heads": on(Attention, heads=2),
        "one key and value head": on(Attention, kv_heads=1),
        "heads half as wide": on(Attention, head_width=4),
        "sees ahead": on(Attention, is_dense, pattern=Full()),
        "a window": on(Attention, is_dense, pattern=Causal() & Window(2)),
        "scored by distance": on(Stack, position=Alibi(4)),
        "relu": on(FeedForward, activation="relu"),
        "quick gelu": on(FeedForward, activation="gelu_quick"),
        "another epsilon": on(Norm, eps=1e-2),
        "one block less": on(Stack, depth=2),
        "one block more": on(Stack, depth=4),
        "shared weights": on(Stack, weights=1),
        "scores with a bias": on(Vocabulary, bias=True),
        "scaled scores": on(Vocabulary, scale=32.0**-0.5),
    }
    return {name: (variant, change) for name, change in changes.items()}


def of_a_gpt(variant: str) -> dict[str, tuple[str, Change]]:
    """What may be wrong with any of GPT's, whose positions are learned and whose norms are of layers."""
    changes: dict[str, Change] = {
        "no positions": on(Tokens, position=None),
        "positions a row later": lambda part: (
            Learned(part.length - 1, part.offset + 1) if isinstance(part, Learned) else part
        ),
        "rotary positions": on(Attention, position=Rotary()),
        "no biases in attention": on(Attention, bias=False),
        "gated": on(FeedForward, gated=True),
        "root mean square norm": on(Norm, form="rms"),
    }
    return of_a_decoder(variant) | {name: (variant, change) for name, change in changes.items()}


MUTANTS: dict[str, tuple[str, Change]] = of_a_gpt("next token") | {
    "unscaled attention": ("next token", on(Attention, scale=1.0)),
    "norms before": ("next token", on(Block, place="before")),
    "a final norm": ("next token", on(Stack, norm=Norm())),
    "the first state told": ("classes", on(Classes, pool="first")),
    "the mean told": ("classes", on(Classes, pool="mean")),
    "classes with a bias": ("classes", on(Classes, bias=True)),
    "one class less": ("classes", on(Classes, count=4)),
}

PUBLISHED: dict[str, int] = {"base": 116_534_784}
