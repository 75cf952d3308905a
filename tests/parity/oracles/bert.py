"""BERT with every head."""

from collections.abc import Callable
from typing import Any

import torch
import transformers

from laws.subjects import on
from parity.subjects import PAD, VOCAB, Change, perturb
from transept.heads.classes import Classes
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.dense import Dense
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Window
from transept.parts.position import Learned, Sinusoid
from transept.parts.relative import RelativeKeys
from transept.parts.scored import Alibi
from transept.parts.stack import Stack

IDLE = ("tie_word_embeddings", "classifier_dropout")  # of models that score no vocabulary, or no classes


def bert(architecture: str = "BertForPreTraining", **changes: Any) -> Any:
    """A BERT of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "pad_token_id": PAD,
        "attn_implementation": "eager",
    }
    model = getattr(transformers, architecture)(transformers.BertConfig(**config | changes))
    return perturb(model).eval()


def separate() -> Any:
    """A matrix of its own for the vocabulary. Theirs then reads one of the two biases, which agree in a real file."""
    model = bert("BertForMaskedLM", tie_word_embeddings=False)
    with torch.no_grad():
        model.cls.predictions.bias.copy_(model.cls.predictions.decoder.bias)
    return model


SUBJECTS: dict[str, Callable[[], Any]] = {
    "pretraining": bert,
    "masked words": lambda: bert("BertForMaskedLM", type_vocab_size=3),
    "masked words, two tables": separate,
    "masked words, tanh gelu": lambda: bert("BertForMaskedLM", hidden_act="gelu_new"),
    "masked words, relu, another epsilon": lambda: bert("BertForMaskedLM", hidden_act="relu", layer_norm_eps=1e-3),
    "pooled": lambda: bert("BertModel"),
    "classes": lambda: bert("BertForSequenceClassification", num_labels=5, classifier_dropout=0.3),
    "one class, silu": lambda: bert("BertForSequenceClassification", num_labels=1, hidden_act="silu"),
    "tags": lambda: bert("BertForTokenClassification", num_labels=5, type_vocab_size=1),
    "spans, quick gelu": lambda: bert("BertForQuestionAnswering", hidden_act="quick_gelu"),
}


def is_pooler(part: Any) -> bool:
    return isinstance(part, Dense) and part.norm is None


def is_transform(part: Any) -> bool:
    return isinstance(part, Dense) and part.norm is not None


def of_an_encoder(variant: str) -> dict[str, tuple[str, Change]]:
    """What may be wrong with any of BERT's relatives."""
    changes: dict[str, Change] = {
        "no positions": on(Tokens, position=None),
        "sinusoids": on(Tokens, position=Sinusoid()),
        "positions a row later": lambda part: (
            Learned(part.length - 1, part.offset + 1) if isinstance(part, Learned) else part
        ),
        "embeddings without a norm": on(Tokens, norm=None),
        "scaled embeddings": on(Tokens, scale=32.0**0.5),
        "two heads": on(Attention, heads=2),
        "two key and value heads": on(Attention, kv_heads=2),
        "no biases in attention": on(Attention, bias=False),
        "unscaled attention": on(Attention, scale=1.0),
        "sees back only": on(Attention, pattern=Causal()),
        "a window": on(Attention, pattern=Window(2)),
        "relative keys": on(Attention, position=RelativeKeys(39)),
        "scored by distance": on(Stack, position=Alibi(4)),
        "relu": on(FeedForward, activation="relu"),
        "quick gelu": on(FeedForward, activation="gelu_quick"),
        "gated": on(FeedForward, gated=True),
        "another epsilon": on(Norm, eps=1e-2),
        "root mean square norm": on(Norm, form="rms"),
        "norms before": on(Block, place="before"),
        "a final norm": on(Stack, norm=Norm(eps=1e-12)),
        "one block less": on(Stack, depth=2),
        "one block more": on(Stack, depth=4),
        "shared weights": on(Stack, weights=1),
        "a transform without a norm": on(Dense, is_transform, norm=None),
        "a transform with tanh": on(Dense, is_transform, activation="tanh"),
        "no transform": on(Vocabulary, dense=None),
        "scores without a bias": on(Vocabulary, bias=False),
        "scaled scores": on(Vocabulary, scale=32.0**-0.5),
    }
    return {name: (variant, change) for name, change in changes.items()}


MUTANTS: dict[str, tuple[str, Change]] = of_an_encoder("pretraining") | {
    "no segments": ("pretraining", on(Tokens, segments=0)),
    "one segment more": ("pretraining", on(Tokens, segments=3)),
    "a pooler with relu": ("pretraining", on(Dense, is_pooler, activation="relu")),
    "no pooler": ("pretraining", on(Classes, dense=None)),
    "the last state pooled": ("pretraining", on(Classes, pool="last")),
    "the mean pooled": ("classes", on(Classes, pool="mean")),
    "one class less": ("classes", on(Classes, count=4)),
}

PUBLISHED: dict[str, int] = {  # with both heads of the pretraining
    "tiny": 4_433_468,
    "mini": 11_267_900,
    "small": 29_058_876,
    "medium": 41_668_412,
    "base": 110_106_428,
    "large": 336_226_108,
}
