"""What the parity laws compare: for each family with a Hugging Face shape, tiny random models of theirs.

`SUBJECTS[family][variant]` makes one. Every parameter of it, and every buffer that is stored, is moved by N(0, 0.1), so
that a bias forgotten at zero or a gain at one cannot hide; what they compute rather than store is left alone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
import transformers
from torch import Tensor

from transept.errors import InvalidData
from transept.families.registry import all_families
from transept.models import Seq2SeqLayer

logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()

VOCAB, PAD, BOS, EOS = 43, 0, 1, 2


def marian(**changes: Any) -> Any:
    """A Marian model. The defaults differ from each other wherever a mistake could mistake one for another."""
    config: dict[str, Any] = {
        "vocab_size": VOCAB,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 3,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "activation_function": "relu",
        "scale_embedding": True,
        "max_position_embeddings": 64,
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
        "attn_implementation": "eager",
    }
    model = transformers.MarianMTModel(transformers.MarianConfig(**config | changes))
    if model.config.share_encoder_decoder_embeddings and not model.config.tie_word_embeddings:
        # Their class then makes three tables where the configuration speaks of one; they agree in a real checkpoint.
        perturb(model, computed=("embed_positions",))
        for side in (model.model.encoder, model.model.decoder):
            side.embed_tokens.weight.data.copy_(model.model.shared.weight)
        return model.eval()
    return perturb(model, computed=("embed_positions",)).eval()


@torch.no_grad()
def perturb(model: Any, computed: tuple[str, ...]) -> Any:
    """Move every stored tensor by N(0, 0.1), and make sure of it."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    for name, tensor in tensors:
        if not any(word in name for word in computed):
            before = tensor.clone()
            tensor.add_(torch.randn_like(tensor) * 0.1)
            assert not torch.isclose(tensor, before, rtol=0, atol=1e-7).all(), name
    return model


Maker = Callable[[], Any]

SUBJECTS: dict[str, dict[str, Maker]] = {
    "transformer": {
        "relu, one table": marian,
        "gelu": lambda: marian(activation_function="gelu"),
        "swish, unscaled": lambda: marian(activation_function="swish", scale_embedding=False),
        "tanh gelu": lambda: marian(activation_function="gelu_new"),
        "quick gelu": lambda: marian(activation_function="quick_gelu"),
        "two tables, one vocabulary": lambda: marian(share_encoder_decoder_embeddings=False),
        "two tables, two vocabularies": lambda: marian(share_encoder_decoder_embeddings=False, decoder_vocab_size=29),
        "three tables": lambda: marian(share_encoder_decoder_embeddings=False, tie_word_embeddings=False),
        "one table and a matrix": lambda: marian(tie_word_embeddings=False),
        "sides of other sizes": lambda: marian(decoder_attention_heads=2, decoder_ffn_dim=40, encoder_layers=1),
    },
}

NAMED = {f"{family}: {variant}": (family, variant) for family, made in SUBJECTS.items() for variant in made}


@dataclass(frozen=True)
class Pair:
    """Their model, and ours made of it by the family's table."""

    family: ModuleType
    theirs: Any
    ours: Seq2SeqLayer


@cache
def pair(name: str) -> Pair:
    """The pair of a subject. Tests share it: whoever changes it works on a copy."""
    family, variant = NAMED[name]
    torch.manual_seed(0)
    module = all_families()[family]
    theirs = SUBJECTS[family][variant]()
    return Pair(module, theirs, imported(module, theirs))


def imported(module: ModuleType, theirs: Any, spec: Any = None) -> Any:
    """Their weights in a model of ours; `spec` stands in for what their configuration says."""
    spec = spec or module.from_hf(theirs.config.to_dict())
    model = spec.build()
    wanted = model.state_dict()
    state, _ = module.names(spec).to_ours(theirs.state_dict(), wanted)
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise InvalidData(f"{name} has another shape")
    model.load_state_dict(state)
    return model.eval()


@dataclass(frozen=True)
class Batch:
    """Source (B, S) and target (B, T) with which of them are real; labels (B, T), -100 where there is none."""

    source: Tensor
    real: Tensor
    target: Tensor
    valid: Tensor
    labels: Tensor

    def for_theirs(self) -> dict[str, Tensor]:
        return {
            "input_ids": self.source,
            "attention_mask": self.real.long(),
            "decoder_input_ids": self.target,
            "decoder_attention_mask": self.valid.long(),
        }

    def for_ours(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.source, self.target, self.real, self.valid


LENGTHS = ((9, 7), (4, 3), (6, 7), (1, 1))


def batch(model: Seq2SeqLayer, side: str = "right", seed: int = 1) -> Batch:
    """Random rows of several lengths, padded on a side; "none" has rows of one length."""
    draws = torch.Generator().manual_seed(seed)
    sizes = (model.spec.source or model.spec.embed).vocab, model.spec.embed.vocab
    lengths = torch.tensor([LENGTHS[0]] * len(LENGTHS) if side == "none" else LENGTHS)
    made = []
    for i, vocab in enumerate(sizes):
        width = int(lengths[:, i].max())
        real = torch.arange(width) < lengths[:, i : i + 1]
        real = real.flip(1) if side == "left" else real
        ids = torch.randint(EOS + 1, vocab, real.shape, generator=draws).masked_fill(~real, PAD)
        made.append((ids, real))
    (source, real), (target, valid) = made
    labels = torch.randint(EOS, sizes[1], target.shape, generator=draws).masked_fill(~valid, -100)
    return Batch(source, real, target, valid, labels)
