"""GPT-Neo, the shape that GPT-3's dense and banded layers have at Hugging Face, with every head."""

from collections.abc import Callable
from typing import Any

import transformers

from laws.subjects import on
from parity.oracles.gpt import is_dense, of_a_gpt
from parity.subjects import PAD, VOCAB, Change, perturb
from transept.heads.classes import Classes, Tags
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.pattern import Causal, Window
from transept.parts.stack import Stack
from transept.spec import replace

DOUBLE = False  # their scores are of float32, whatever the weights are
IDLE = ("tie_word_embeddings", "classifier_dropout", "window_size")  # of other heads, and of layers without a window


def neo(architecture: str = "GPTNeoForCausalLM", **changes: Any) -> Any:
    """A GPT-Neo of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_layers": 3,
        "attention_types": [[["global", "local"], 1], [["global"], 1]],
        "num_heads": 4,
        "window_size": 3,
        "max_position_embeddings": 80,
        "pad_token_id": PAD,
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": "eager",
    }
    return perturb(getattr(transformers, architecture)(transformers.GPTNeoConfig(**config | changes))).eval()


def layers(*words: str) -> dict[str, Any]:
    """The configuration of layers that are all of one cycle."""
    return {"attention_types": [[list(words), 1]], "num_layers": len(words)}


SUBJECTS: dict[str, Callable[[], Any]] = {
    "next token": neo,
    "next token, banded, two tables": lambda: neo(attention_types=[[["local"], 3]], tie_word_embeddings=False),
    "next token, dense, narrow": lambda: neo(attention_types=[[["global"], 3]], intermediate_size=48, window_size=256),
    "next token, three in turn, gelu": lambda: neo(**layers("global", "local", "local"), activation_function="gelu"),
    "next token, a window of one": lambda: neo(window_size=1, layer_norm_epsilon=1e-3),
    "states": lambda: neo("GPTNeoModel", attention_types=[[["local", "global"], 2]], num_layers=4),
    "classes": lambda: neo("GPTNeoForSequenceClassification", num_labels=5),
    "tags": lambda: neo("GPTNeoForTokenClassification", num_labels=5, classifier_dropout=0.3),
    "spans": lambda: neo("GPTNeoForQuestionAnswering"),
}


def is_banded(part: Any) -> bool:
    return isinstance(part, Attention) and part.pattern == Causal() & Window(2)


def turned(part: Any) -> Any:
    return replace(part, block=part.block[::-1]) if isinstance(part, Stack) else part


def with_biases(part: Any) -> Any:
    return replace(part, bias=True) if isinstance(part, Attention) else part


MUTANTS: dict[str, tuple[str, Change]] = of_a_gpt("next token") | {
    "shared weights": ("states", on(Stack, weights=2)),
    "dense where banded": ("next token", on(Attention, is_banded, pattern=Causal())),
    "banded where dense": ("next token", on(Attention, is_dense, pattern=Causal() & Window(2))),
    "banded first": ("next token", turned),
    "a wider band": ("next token", on(Attention, is_banded, pattern=Causal() & Window(3))),
    "a narrower band": ("next token", on(Attention, is_banded, pattern=Causal() & Window(1))),
    "a band on both sides": ("next token", on(Attention, is_banded, pattern=Window(2))),
    "scaled attention": ("next token", on(Attention, scale=None)),
    "biases everywhere": ("next token", with_biases),
    "norms after": ("next token", on(Block, place="after")),
    "no final norm": ("next token", on(Stack, norm=None)),
    "the first state told": ("classes", on(Classes, pool="first")),
    "one class less": ("classes", on(Classes, count=4)),
    "one tag less": ("tags", on(Tags, count=4)),
}

PUBLISHED: dict[str, int] = {  # of the declaration; the paper's names are these, rounded
    "small": 125_226_240,
    "medium": 355_871_744,
    "large": 760_300_032,
    "xl": 1_315_723_264,
    "2.7b": 2_651_553_280,
    "6.7b": 6_658_404_352,
    "13b": 12_936_488_380,
    "175b": 174_604_259_328,
}
