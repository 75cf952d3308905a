"""GPT-2 with every head."""

from collections.abc import Callable
from typing import Any

import transformers

from laws.subjects import on
from parity.oracles.gpt import SUMMARY, of_a_gpt
from parity.subjects import PAD, VOCAB, Change, perturb
from transept.heads.classes import Classes, Tags
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.stack import Stack

IDLE = (*SUMMARY, "tie_word_embeddings")  # of a head for choices, and of a model without scores of a vocabulary


def gpt2(architecture: str = "GPT2LMHeadModel", **changes: Any) -> Any:
    """A GPT-2 of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 80,
        "pad_token_id": PAD,
        "bos_token_id": None,
        "eos_token_id": None,
        "attn_implementation": "eager",
    }
    return perturb(getattr(transformers, architecture)(transformers.GPT2Config(**config | changes))).eval()


SUBJECTS: dict[str, Callable[[], Any]] = {
    "next token": gpt2,
    "next token, exact gelu, narrow": lambda: gpt2(activation_function="gelu", n_inner=48),
    "next token, two tables, unscaled": lambda: gpt2(tie_word_embeddings=False, scale_attn_weights=False),
    "next token, relu, another epsilon": lambda: gpt2(activation_function="relu", layer_norm_epsilon=1e-3),
    "states": lambda: gpt2("GPT2Model"),
    "classes": lambda: gpt2("GPT2ForSequenceClassification", num_labels=5),
    "tags": lambda: gpt2("GPT2ForTokenClassification", num_labels=5, classifier_dropout=0.3),
    "spans": lambda: gpt2("GPT2ForQuestionAnswering"),
}

MUTANTS: dict[str, tuple[str, Change]] = of_a_gpt("next token") | {
    "unscaled attention": ("next token", on(Attention, scale=1.0)),
    "scaled attention": ("next token, two tables, unscaled", on(Attention, scale=None)),
    "norms after": ("next token", on(Block, place="after")),
    "no final norm": ("next token", on(Stack, norm=None)),
    "the first state told": ("classes", on(Classes, pool="first")),
    "the mean told": ("classes", on(Classes, pool="mean")),
    "one class less": ("classes", on(Classes, count=4)),
    "one tag less": ("tags", on(Tags, count=4)),
}

PUBLISHED: dict[str, int] = {
    "small": 124_439_808,
    "medium": 354_823_168,
    "large": 774_030_080,
    "xl": 1_557_611_200,
}
