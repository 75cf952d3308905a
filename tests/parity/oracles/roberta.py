"""RoBERTa with every head, and with other ids of padding, from which its positions count."""

from collections.abc import Callable
from typing import Any

import torch
import transformers

from laws.subjects import on
from parity.oracles.bert import of_an_encoder
from parity.subjects import VOCAB, Change, perturb
from transept.heads.classes import Classes
from transept.parts.dense import Dense

IDLE = ("tie_word_embeddings", "classifier_dropout")  # of models that score no vocabulary, or no classes


def roberta(architecture: str = "RobertaForMaskedLM", **changes: Any) -> Any:
    """A RoBERTa of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 39,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "attn_implementation": "eager",
    }
    made = getattr(transformers, architecture)
    model = made(made.config_class(**config | changes))
    return perturb(model).eval()


def separate() -> Any:
    """A matrix of its own for the vocabulary. Theirs then reads one of the two biases, which agree in a real file."""
    model = roberta(tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.bias.copy_(model.lm_head.decoder.bias)
    return model


SUBJECTS: dict[str, Callable[[], Any]] = {
    "masked words": roberta,
    "masked words, relu": lambda: roberta(hidden_act="relu", type_vocab_size=2),  # relu in the blocks, gelu in the head
    "masked words, two tables": separate,
    "masked words, padding is 0": lambda: roberta(pad_token_id=0, bos_token_id=1),
    "pooled, padding is 2": lambda: roberta("RobertaModel", pad_token_id=2, eos_token_id=1),
    "XLM-RoBERTa": lambda: roberta("XLMRobertaForMaskedLM"),
    "classes": lambda: roberta("RobertaForSequenceClassification", num_labels=5, classifier_dropout=0.3),
    "tags": lambda: roberta("RobertaForTokenClassification", num_labels=5, hidden_act="gelu_new"),
    "spans": lambda: roberta("RobertaForQuestionAnswering"),
}

MUTANTS: dict[str, tuple[str, Change]] = of_an_encoder("masked words") | {
    "a classifier with relu": ("classes", on(Classes, dense=Dense("relu"))),
    "the last state pooled": ("classes", on(Classes, pool="last")),
}

PUBLISHED: dict[str, int] = {"base": 124_697_433, "large": 355_412_057}
