"""Tiny models of Hugging Face's with tokenizers, every parameter random, saved as they save them."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SENTENCE = "the a cat dog sat sees on mat in house paris is capital of france who what where ada lived london and"
WORDS = SENTENCE.split(" ")
PIECES = ["##s", "##ing", "##ed", "##n", "play", "walk", ".", ",", "?", "'", "-", "1", "##2"]
SIGNS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = ["the cat sat on the mat.", "ada lived in london, and walked.", "paris is the capital of france.", "a dog?"]

_MADE = TemporaryDirectory()
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 48,
    "vocab_size": len(SIGNS) + len(WORDS) + len(PIECES),
}


@cache
def word_pieces() -> PreTrainedTokenizerFast:
    """BERT's kind, uncased."""
    vocab = {token: i for i, token in enumerate([*SIGNS, *WORDS, *PIECES])}
    backend = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SIGNS, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, **names)


@cache
def bytes_pairs() -> PreTrainedTokenizerFast:
    """GPT-2's kind: pieces of bytes, so that characters of several bytes come in parts."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS, trainer)
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=end, eos_token=end, unk_token=end, clean_up_tokenization_spaces=False
    )


def shaken(model: torch.nn.Module, seed: int = 0, scale: float = 0.1) -> torch.nn.Module:
    """Every parameter with noise, so that none hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


@cache
def theirs(architecture: str, labels: tuple[str, ...] = (), **changes: Any) -> Path:
    """The directory of a tiny model of theirs with a tokenizer: BERT's, or GPT-2's."""
    root = Path(_MADE.name) / str(len(list(Path(_MADE.name).iterdir()))) / architecture
    kind = getattr(transformers, architecture)
    if labels:
        named = {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}
        changes |= {"num_labels": len(labels)} | named
    if architecture.startswith("GPT2"):
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48, "vocab_size": 300}
        config = kind.config_class(**sizes | {"bos_token_id": 0, "eos_token_id": 0} | changes)
    else:
        config = kind.config_class(**SIZES | changes)
    torch.manual_seed(0)
    shaken(kind(config)).save_pretrained(root)
    (bytes_pairs() if architecture.startswith("GPT2") else word_pieces()).save_pretrained(root)
    return root


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
