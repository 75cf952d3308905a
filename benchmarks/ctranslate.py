"""The same weights in CTranslate2, whose own converter wants a tokenizer with Marian's vocabulary file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transept.data.subwords import Subwords

Rows = Sequence[Sequence[int]]


def convert(model: Path, folder: Path) -> bool:
    """Write a Marian model directory as CTranslate2's; False where CTranslate2 is not installed."""
    try:
        from ctranslate2.converters.transformers import BartLoader
    except ImportError:
        return False
    from transformers import MarianMTModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    theirs = MarianMTModel.from_pretrained(model)
    theirs.config.normalize_before = theirs.config.normalize_embedding = False  # Marian's shape, in Bart's words
    spec: Any = BartLoader().get_model_spec(theirs)
    names = [str(token) for token in range(theirs.config.vocab_size)]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.config.bos_token = spec.config.decoder_start_token = names[Subwords.bos]
    spec.config.eos_token, spec.config.unk_token = names[Subwords.eos], names[Subwords.unk]
    spec.config.add_source_eos = False  # it is in the ids
    spec.validate()
    spec.optimize()
    folder.mkdir()
    spec.save(str(folder))
    return True


def decode_ctranslate2(folder: Path, kind: str, beam: int, limit: int) -> Callable[[Rows], list[list[int]]]:
    """A beam search in a number format; CTranslate2 sorts and batches by itself."""
    import ctranslate2
    import torch

    threads = torch.get_num_threads()
    translator = ctranslate2.Translator(str(folder), compute_type=kind, inter_threads=1, intra_threads=threads)

    def decode(sources: Rows) -> list[list[int]]:
        found = translator.translate_batch(
            [[str(token) for token in row] for row in sources],
            beam_size=beam,
            length_penalty=1.0,
            max_decoding_length=limit,
            max_batch_size=4096,
            batch_type="tokens",
            return_end_token=True,
        )
        return [[int(token) for token in result.hypotheses[0]] for result in found]

    return decode
