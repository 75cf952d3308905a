"""DistilBERT with every head."""

from collections.abc import Callable
from typing import Any

import transformers

from laws.subjects import on
from parity.oracles.bert import of_an_encoder
from parity.subjects import PAD, VOCAB, Change, perturb
from transept.heads.classes import Classes
from transept.inputs.tokens import Tokens
from transept.parts.dense import Dense

IDLE = ("tie_word_embeddings", "seq_classif_dropout", "qa_dropout")  # each of models with other heads
IDLE += ("sinusoidal_pos_embds",)  # how a table began that is stored


def distilbert(architecture: str = "DistilBertForMaskedLM", **changes: Any) -> Any:
    """A DistilBERT of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "dim": 32,
        "n_layers": 3,
        "n_heads": 4,
        "hidden_dim": 48,
        "max_position_embeddings": 40,
        "pad_token_id": PAD,
        "attn_implementation": "eager",
    }
    model = getattr(transformers, architecture)(transformers.DistilBertConfig(**config | changes))
    return perturb(model).eval()


SUBJECTS: dict[str, Callable[[], Any]] = {
    "masked words": distilbert,
    "masked words, two tables, tanh gelu": lambda: distilbert(tie_word_embeddings=False, activation="gelu_new"),
    "states": lambda: distilbert("DistilBertModel"),
    "classes": lambda: distilbert("DistilBertForSequenceClassification", num_labels=5, seq_classif_dropout=0.3),
    "tags, relu": lambda: distilbert("DistilBertForTokenClassification", num_labels=5, activation="relu"),
    "spans": lambda: distilbert("DistilBertForQuestionAnswering", qa_dropout=0.3),
}

MUTANTS: dict[str, tuple[str, Change]] = of_an_encoder("masked words") | {
    "segments": ("masked words", on(Tokens, segments=2)),
    "a classifier with tanh": ("classes", on(Classes, dense=Dense("tanh"))),
    "the last state pooled": ("classes", on(Classes, pool="last")),
}

PUBLISHED: dict[str, int] = {"base": 66_985_530}
