"""BART with every head, and mBART."""

from collections.abc import Callable
from typing import Any

import torch
import transformers

from laws.subjects import on, padded
from parity.subjects import LENGTHS, VOCAB, Batch, Change, pair_batch, perturb
from transept.heads.classes import Classes, Spans
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.dense import Dense
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Window
from transept.parts.position import Learned, Sinusoid
from transept.parts.stack import Stack
from transept.topology import Built

ROOM = 80  # positions


def bart(architecture: str = "BartForConditionalGeneration", **changes: Any) -> Any:
    """A BART of theirs, or an mBART. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": ROOM,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
        "attn_implementation": "eager",
    }
    kind = transformers.MBartConfig if architecture.startswith("M") else transformers.BartConfig
    return perturb(getattr(transformers, architecture)(kind(**config | changes))).eval()


SUBJECTS: dict[str, Callable[[], Any]] = {
    "text": bart,
    "relu": lambda: bart(activation_function="relu"),
    "tanh gelu, scaled": lambda: bart(activation_function="gelu_new", scale_embedding=True),
    "sides of other sizes": lambda: bart(decoder_attention_heads=2, decoder_ffn_dim=40, encoder_layers=1),
    "states": lambda: bart("BartModel"),
    "classes": lambda: bart("BartForSequenceClassification", num_labels=5, classifier_dropout=0.2),
    "one class": lambda: bart("BartForSequenceClassification", num_labels=1),
    "spans": lambda: bart("BartForQuestionAnswering"),
    "mBART": lambda: bart("MBartForConditionalGeneration", scale_embedding=True),
    "mBART, unscaled": lambda: bart("MBartForConditionalGeneration", activation_function="relu"),
    "mBART, states": lambda: bart("MBartModel"),
    "mBART, classes": lambda: bart("MBartForSequenceClassification", num_labels=4),
}

SHIFTED: tuple[type, ...] = (Classes, Spans)


def batch(ours: Built, theirs: Any, side: str, seed: int) -> Batch:
    """Rows of source and target; for a head that reads a whole text the target is the source moved on by one token."""
    spec: Any = ours.spec
    if not isinstance(spec.head, SHIFTED):
        return pair_batch(ours, theirs, side, seed)
    draws = torch.Generator().manual_seed(seed)
    config, size = theirs.config, LENGTHS[0][0]
    rows = [
        torch.cat([torch.randint(3, VOCAB, (length - 1,), generator=draws), torch.tensor([config.eos_token_id])])
        for length in ([size] * len(LENGTHS) if side == "none" else [length for length, _ in LENGTHS])
    ]
    begun = [torch.cat([torch.tensor([config.decoder_start_token_id]), row[:-1]]) for row in rows]
    source, real = padded(rows, side, config.pad_token_id)
    target, _ = padded(begun, side, config.pad_token_id)
    mine = {"source": source, "target": target, "source_valid": real, "target_valid": real}
    others = {"input_ids": source, "attention_mask": real.long()}  # which they move on by themselves
    return Batch(mine, others, real, real, [{"input_ids": row[None]} for row in rows])


FIRST = "text"
MUTANTS: dict[str, tuple[str, Change]] = {
    name: (FIRST, change)
    for name, change in {
        "positions from the second row": on(Learned, offset=1, length=ROOM + 1),
        "positions from the fourth row": on(Learned, offset=3, length=ROOM - 1),
        "sinusoids": on(Tokens, position=Sinusoid()),
        "embeddings without a norm": on(Tokens, norm=None),
        "scaled embeddings": on(Tokens, scale=32**0.5),
        "one input for both sides": on(Seq2Seq, source=None, share="nothing"),
        "two tables": on(Seq2Seq, share="nothing"),
        "two heads": on(Attention, heads=2),
        "two key and value heads": on(Attention, kv_heads=2),
        "no biases in attention": on(Attention, bias=False),
        "unscaled attention": on(Attention, scale=1.0),
        "a decoder that sees ahead": on(Attention, lambda p: p.pattern == Causal(), pattern=Full()),
        "a decoder with a window": on(Attention, lambda p: p.pattern == Causal(), pattern=Causal() & Window(2)),
        "an encoder that sees back only": on(Attention, lambda p: p.pattern == Full(), pattern=Causal()),
        "relu": on(FeedForward, activation="relu"),
        "quick gelu": on(FeedForward, activation="gelu_quick"),
        "another epsilon": on(Norm, eps=1e-2),
        "root mean square norm": on(Norm, form="rms"),
        "norms before": on(Block, place="before"),
        "a final norm": on(Stack, norm=Norm()),
        "one block less": on(Stack, lambda p: p.depth == 3, depth=2),
        "one block more": on(Stack, lambda p: p.depth == 2, depth=3),
        "shared weights": on(Stack, weights=1),
    }.items()
} | {
    "the first state": ("classes", on(Classes, pool="first")),
    "the mean state": ("classes", on(Classes, pool="mean")),
    "a head with gelu": ("classes", on(Dense, activation="gelu")),
    "a head with a norm": ("classes", on(Dense, norm=Norm())),
    "mBART without final norms": ("mBART", on(Stack, norm=None)),
    "mBART with norms after": ("mBART", on(Block, place="after")),
    "mBART unscaled": ("mBART", on(Tokens, scale=1.0)),
}

PUBLISHED = {"base": 139_420_416, "large": 406_291_456}
