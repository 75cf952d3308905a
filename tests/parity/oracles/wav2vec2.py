"""wav2vec 2.0 with every head, its frames normed over time or over channels.

Theirs lets padding into the statistics over time, so that it is compared without any; `test_sound` pads the others.
"""

from collections.abc import Callable
from typing import Any

import torch
import transformers

from laws.subjects import on
from parity.subjects import Batch, Change, perturb
from transept.heads.classes import Classes
from transept.heads.contrast import Contrast
from transept.heads.letters import Letters
from transept.inputs.waveform import Waveform
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.convolution import Convolutions, Convolved
from transept.parts.feedforward import FeedForward
from transept.parts.masking import Masking
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Window
from transept.parts.scored import Alibi
from transept.parts.stack import Stack
from transept.topology import Built

SIDES = ("none",)
OWN = {  # the keys of one architecture, which say nothing of the others
    "Wav2Vec2ForPreTraining": (
        *("num_codevectors_per_group", "num_codevector_groups", "codevector_dim", "proj_codevector_dim"),
        *("contrastive_logits_temperature", "num_negatives", "diversity_loss_weight", "feat_quantizer_dropout"),
    ),
    "Wav2Vec2ForCTC": ("vocab_size", "final_dropout"),
    "Wav2Vec2ForSequenceClassification": ("classifier_proj_size", "use_weighted_layer_sum"),
}
IDLE = tuple(key for keys in OWN.values() for key in keys)
IDLE += ("adapter_kernel_size", "adapter_stride", "num_adapter_layers")  # of adapters, which are refused
IDLE += ("tdnn_dim", "tdnn_kernel", "tdnn_dilation", "xvector_output_dim")  # of a head for voices
IDLE += ("ctc_loss_reduction", "ctc_zero_infinity")  # of their training
SAMPLES = (150, 90, 61, 130)
LARGE = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}


def sound(architecture: str = "Wav2Vec2ForPreTraining", **changes: Any) -> Any:
    """A wav2vec 2.0 of theirs. No two sizes are equal, so that none can be taken for another."""
    config: dict[str, Any] = {
        "vocab_size": 11,
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "conv_dim": (8, 14, 10),
        "conv_kernel": (5, 3, 2),
        "conv_stride": (3, 2, 1),
        "num_conv_pos_embeddings": 6,
        "num_conv_pos_embedding_groups": 4,
        "num_codevectors_per_group": 5,
        "codevector_dim": 6,
        "proj_codevector_dim": 7,
        "classifier_proj_size": 9,
        "num_labels": 3,
        "attn_implementation": "eager",
    }
    return perturb(getattr(transformers, architecture)(transformers.Wav2Vec2Config(**config | changes))).eval()


def batch(ours: Built, theirs: Any, side: str, seed: int) -> Batch:
    """Four rows of samples, some of whose frames are hidden where the model has a vector for that.

    Theirs counts frames from the first column, so that it knows padding on the right alone.
    """
    draws = torch.Generator().manual_seed(seed)
    embed: Any = ours.spec.embed
    size = max(SAMPLES)
    lengths = torch.tensor(SAMPLES if side != "none" else (size,) * len(SAMPLES))[:, None]
    waves = torch.randn(len(SAMPLES), size, generator=draws)
    real = torch.arange(size) < lengths
    waves = waves.masked_fill(~real, 0.0)
    frames = torch.tensor([embed.features.frames(int(length)) for length in lengths])[:, None]
    heard = torch.arange(int(frames.max())) < frames
    mine: dict[str, Any] = {"inputs": waves}
    others: dict[str, Any] = {"input_values": waves}
    alone: list[dict[str, Any]] = [{"input_values": waves[i : i + 1, real[i]]} for i in range(len(waves))]
    if side != "none":
        mine, others = mine | {"valid": real}, others | {"attention_mask": real.long()}
    if side == "left":
        mine = {"inputs": waves.flip(1), "valid": real.flip(1)}
        alone = [{"input_values": one["input_values"].flip(1)} for one in alone]
    if embed.times.share or embed.channels.share:
        hide = (torch.rand(heard.shape, generator=draws) < 0.3) & heard
        mine, others = mine | {"hide": hide}, others | {"mask_time_indices": hide}
        alone = [one | {"mask_time_indices": hide[i : i + 1, heard[i]]} for i, one in enumerate(alone)]
    return Batch(mine, others, heard if side != "none" else None, None, alone)


SUBJECTS: dict[str, Callable[[], Any]] = {
    "pretraining": sound,
    "pretraining, three books, no vector": lambda: sound(num_codevector_groups=3, mask_time_prob=0.0),
    "pretraining, as the large one": lambda: sound(**LARGE),
    "letters": lambda: sound("Wav2Vec2ForCTC", pad_token_id=4, mask_feature_prob=0.1, mask_time_prob=0.0),
    "letters, as the large one": lambda: sound("Wav2Vec2ForCTC", **LARGE, num_conv_pos_embeddings=5),
    "letters, norms of frames alone": lambda: sound("Wav2Vec2ForCTC", feat_extract_norm="layer"),
    "letters, norms before alone": lambda: sound("Wav2Vec2ForCTC", do_stable_layer_norm=True),
    "letters, other activations": lambda: sound("Wav2Vec2ForCTC", hidden_act="relu", feat_extract_activation="silu"),
    "classes": lambda: sound("Wav2Vec2ForSequenceClassification", layer_norm_eps=1e-3),
    "states": lambda: sound("Wav2Vec2Model", apply_spec_augment=True),
}

BASE = "pretraining"
MUTANTS: dict[str, tuple[str, Change]] = {
    name: (BASE, change)
    for name, change in {
        "frames normed over channels": on(Convolutions, norm="layer"),
        "convolutions with a bias": on(Convolutions, bias=True),
        "convolutions with relu": on(Convolutions, activation="relu"),
        "other strides": on(Convolutions, strides=(2, 3, 1)),
        "other kernels": on(Convolutions, kernels=(5, 2, 3)),
        "a tap less": on(Convolved, kernel=5),
        "two groups of positions": on(Convolved, groups=2),
        "positions with relu": on(Convolved, activation="relu"),
        "no norm after the positions": on(Waveform, after=None),
        "two heads": on(Attention, heads=2),
        "two key and value heads": on(Attention, kv_heads=2),
        "no biases in attention": on(Attention, bias=False),
        "unscaled attention": on(Attention, scale=1.0),
        "sees back only": on(Attention, pattern=Causal()),
        "a window": on(Attention, pattern=Window(2)),
        "scored by distance": on(Stack, position=Alibi(4)),
        "relu": on(FeedForward, activation="relu"),
        "quick gelu": on(FeedForward, activation="gelu_quick"),
        "gated": on(FeedForward, gated=True),
        "another epsilon": on(Norm, eps=1e-1),
        "root mean square norm": on(Norm, form="rms"),
        "norms before": on(Block, place="before"),
        "a final norm": on(Stack, norm=Norm()),
        "one block less": on(Stack, depth=2),
        "one block more": on(Stack, depth=4),
        "shared weights": on(Stack, weights=1),
        "one book": on(Contrast, groups=1),
        "a code less": on(Contrast, codes=4),
        "other channels quantised": on(Contrast, features=14),
    }.items()
} | {
    "a vector of what is hidden": (
        "pretraining, three books, no vector",
        on(Waveform, times=Masking(0.05, 10, 2)),
    ),
    "a letter less": ("letters", on(Letters, count=10)),
    "the first pooled": ("classes", on(Classes, pool="first")),
    "no projection": ("classes", on(Classes, narrow=None)),
}

PUBLISHED: dict[str, int] = {  # with the head of the pretraining
    "base": 95_044_608,
    "large": 317_380_864,
    "large-lv60": 317_390_592,
}
