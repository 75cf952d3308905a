"""ViT with every head, over pictures that need not be square."""

from collections.abc import Callable
from typing import Any

import torch
import transformers

from laws.subjects import on
from parity.subjects import Batch, Change, perturb
from transept.heads.classes import Classes, Pooled
from transept.inputs.patches import Patches
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.dense import Dense
from transept.parts.feedforward import FeedForward
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Window
from transept.parts.scored import Alibi
from transept.parts.stack import Stack
from transept.topology import Built

SIDES = ("none",)  # a picture has no padding
DOUBLE = False  # their softmax is of float32 and stays so
IDLE = ("encoder_stride",)  # of a head for masked pictures


def sizes() -> dict[str, Any]:
    """No two sizes are equal, so that none can be taken for another."""
    return {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "image_size": (12, 20),
        "patch_size": (4, 5),
        "num_labels": 5,
        "layer_norm_eps": 1e-6,
        "attn_implementation": "eager",
    }


def vit(architecture: str = "ViTForImageClassification", **changes: Any) -> Any:
    """A ViT of theirs."""
    return perturb(getattr(transformers, architecture)(transformers.ViTConfig(**sizes() | changes))).eval()


def batch(ours: Built, theirs: Any, side: str, seed: int) -> Batch:
    """Three pictures."""
    embed: Any = ours.spec.embed
    pictures = torch.randn(3, embed.channels, *embed.size, generator=torch.Generator().manual_seed(seed))
    return Batch({"inputs": pictures}, {"pixel_values": pictures})


SUBJECTS: dict[str, Callable[[], Any]] = {
    "classes": vit,
    "square, one channel": lambda: vit(image_size=12, patch_size=4, num_channels=1),
    "no biases of queries, keys and values": lambda: vit(qkv_bias=False),
    "tanh gelu, another epsilon": lambda: vit(hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-3),
    "quick gelu, one class": lambda: vit(hidden_act="quick_gelu", num_labels=1),
    "dropout": lambda: vit(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2),
    "pooled": lambda: vit("ViTModel"),
    "pooled with relu": lambda: vit("ViTModel", pooler_act="relu"),
}


def of_pictures(variant: str) -> dict[str, tuple[str, Change]]:
    """What may be wrong with ViT or DeiT."""
    changes: dict[str, Change] = {
        "squares of other sides": on(Patches, patch=(2, 10)),
        "one channel": on(Patches, channels=1),
        "no token in front": on(Patches, front="none"),
        "two heads": on(Attention, heads=2),
        "two key and value heads": on(Attention, kv_heads=2),
        "no biases in attention": on(Attention, bias=False),
        "no bias of the output": on(Attention, bias="qkv"),
        "unscaled attention": on(Attention, scale=1.0),
        "sees back only": on(Attention, pattern=Causal()),
        "a window": on(Attention, pattern=Window(2)),
        "scored by distance": on(Stack, position=Alibi(4)),
        "relu": on(FeedForward, activation="relu"),
        "quick gelu": on(FeedForward, activation="gelu_quick"),
        "gated": on(FeedForward, gated=True),
        "another epsilon": on(Norm, eps=1e-1),
        "root mean square norm": on(Norm, form="rms"),
        "norms after": on(Block, place="after"),
        "no final norm": on(Stack, norm=None),
        "one block less": on(Stack, depth=2),
        "one block more": on(Stack, depth=4),
        "shared weights": on(Stack, weights=1),
        "the second state pooled": on(Classes, lambda part: part.pool == "first", pool="second"),
        "the last state pooled": on(Classes, pool="last"),
        "the mean pooled": on(Classes, pool="mean"),
        "one class less": on(Classes, count=4),
        "a dense matrix before": on(Classes, dense=Dense("tanh")),
    }
    return {name: (variant, change) for name, change in changes.items()}


MUTANTS: dict[str, tuple[str, Change]] = of_pictures("classes") | {
    "two tokens in front": ("classes", on(Patches, front="distilled")),
    "a pooler with relu": ("pooled", on(Dense, activation="relu")),
    "no pooler": ("pooled", on(Pooled, dense=None)),
    "the mean through the pooler": ("pooled", on(Pooled, pool="mean")),
}

PUBLISHED: dict[str, int] = {  # with the 1,000 classes of ImageNet
    "tiny-16": 5_717_416,
    "small-16": 22_050_664,
    "base-16": 86_567_656,
    "base-32": 88_224_232,
    "large-16": 304_326_632,
    "huge-14": 632_045_800,
}
