"""BigBird with every head: the blocks of its evaluation on rows of all its positions, and full attention on any."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import Tensor

from laws.subjects import on
from parity.oracles.bert import of_an_encoder
from parity.subjects import LENGTHS, PAD, VOCAB, Batch, Change, perturb, some_text
from transept.heads.classes import Classes, Spans
from transept.parts.attention import Attention
from transept.parts.dense import Dense
from transept.parts.norm import Norm
from transept.parts.pattern import Either, First, Full
from transept.parts.pattern_blocks import GlobalBlocks, Local
from transept.parts.scored import Repeated
from transept.parts.stack import Stack

DOUBLE = False  # what makes a block count several times is a logarithm in float32
SIZE, RANDOM, ROOM = 4, 2, 40
LONG = (ROOM, ROOM - 2, ROOM - 3, ROOM - 1)  # which end in the last block, so that each row alone has the same blocks
IDLE = ("tie_word_embeddings", "classifier_dropout")  # of models that score no vocabulary, or no classes
IDLE += ("block_size", "num_random_blocks")  # of those that see everything


def bigbird(architecture: str = "BigBirdForPreTraining", **changes: Any) -> Any:
    """A BigBird of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": ROOM,
        "block_size": SIZE,
        "num_random_blocks": RANDOM,
        "pad_token_id": PAD,
        "attn_implementation": "eager",
    }
    model = getattr(transformers, architecture)(transformers.BigBirdConfig(**config | changes))
    for module in model.modules():
        if hasattr(module, "bigbird_block_sparse_attention"):
            module.bigbird_block_sparse_attention = with_whole_maps(module.bigbird_block_sparse_attention, model.config)
    return perturb(model).eval()


def with_whole_maps(attend: Callable[..., tuple[Tensor, Tensor]], config: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    """Their maps with what was given to the first block in all: each of its copies is written over the one before."""

    def told(*args: Any, **more: Any) -> tuple[Tensor, Tensor]:
        context, weights = attend(*args, **more)
        size = config.block_size
        weights[:, :, size:-size, :size] *= 1 + config.num_random_blocks
        return context, weights

    return told


def separate() -> Any:
    """A matrix of its own for the vocabulary. Theirs then reads one of the two biases, which agree in a real file."""
    model = bigbird("BigBirdForMaskedLM", tie_word_embeddings=False)
    with torch.no_grad():
        model.cls.predictions.bias.copy_(model.cls.predictions.decoder.bias)
    return model


SUBJECTS: dict[str, Callable[[], Any]] = {
    "pretraining": bigbird,
    "masked words": lambda: bigbird("BigBirdForMaskedLM", rescale_embeddings=True, type_vocab_size=3),
    "masked words, two tables": separate,
    "masked words, no biases, gelu": lambda: bigbird("BigBirdForMaskedLM", use_bias=False, hidden_act="gelu"),
    "pooled, wider blocks": lambda: bigbird("BigBirdModel", block_size=5, num_random_blocks=1, layer_norm_eps=1e-3),
    "pooled, full": lambda: bigbird("BigBirdModel", attention_type="original_full"),
    "pretraining, full": lambda: bigbird(attention_type="original_full", hidden_act="relu"),
    "classes": lambda: bigbird("BigBirdForSequenceClassification", num_labels=5, classifier_dropout=0.3),
    "tags": lambda: bigbird("BigBirdForTokenClassification", num_labels=5),
    "spans": lambda: bigbird("BigBirdForQuestionAnswering"),
}


def batch(ours: Any, theirs: Any, side: str, seed: int) -> Batch:
    """Rows of tokens with segments; where blocks are seen, rows that end in the last of them."""
    draws = torch.Generator().manual_seed(seed)
    full = theirs.config.attention_type == "original_full"
    ids, real = some_text(VOCAB, PAD, [n for n, _ in LENGTHS] if full else list(LONG), side, draws)
    segments = torch.randint(theirs.config.type_vocab_size, ids.shape, generator=draws).masked_fill(~real, 0)
    mine = {"inputs": ids, "valid": real, "segments": segments}
    others = {"input_ids": ids, "attention_mask": real.long(), "token_type_ids": segments}
    alone = [{name: value[i : i + 1, real[i]] for name, value in others.items()} for i in range(len(ids))]
    return Batch(mine, others, real, None, alone)


def without(kind: type, start: int = 0) -> Change:
    """A pattern without its blocks of a kind, which begin at one."""

    def is_one(part: Any) -> bool:
        return isinstance(part, kind) and getattr(part, "start", start) == start

    def change(part: Any) -> Any:
        if isinstance(part, Either):
            return part.left if is_one(part.right) else part.right if is_one(part.left) else part
        return part

    return change


MUTANTS: dict[str, tuple[str, Change]] = of_an_encoder("pretraining") | {
    "positions a row later": ("pretraining, full", of_an_encoder("")["positions a row later"][1]),
    "sees everything": ("pretraining", on(Attention, pattern=Full())),
    "no neighbours": ("pretraining", without(Local)),
    "the first block is not global": ("pretraining", without(GlobalBlocks)),
    "the last block is not global": ("pretraining", without(GlobalBlocks, ROOM // SIZE - 1)),
    "the first token alone is global": ("pretraining", on(GlobalBlocks, lambda part: part.start == 0, size=1)),
    "neighbours behind alone": ("pretraining", on(Local, ahead=0)),
    "the first block counts once": ("pretraining", on(Stack, position=None)),
    "the first block counts once less": ("pretraining", on(Repeated, times=RANDOM)),
    "the first block counts for the last too": ("pretraining", on(Repeated, length=ROOM + 4 * SIZE)),
    "other blocks": ("pooled, wider blocks", on(GlobalBlocks, size=4)),
    "blocks where all is seen": ("pretraining, full", on(Attention, pattern=Local(SIZE, 1, 1) | First(SIZE))),
    "a classifier with relu": ("classes", on(Dense, lambda part: part.activation == "gelu_tanh", activation="relu")),
    "the last state pooled": ("classes", on(Classes, pool="last")),
    "answers without a network": ("spans", on(Spans, feed=None)),
    "answers with another norm": ("spans", on(Spans, norm=Norm(eps=1.0))),
}

PUBLISHED: dict[str, int] = {"base": 128_112_824, "large": 360_228_024}
