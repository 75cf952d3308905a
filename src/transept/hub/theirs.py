"""Hugging Face's side of a comparison: its model, inputs that both take, and what comes out under names of ours."""

import importlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transept.errors import TranseptError
from transept.families.registry import family_of_hf
from transept.heads.classes import Classes
from transept.hub.directory import Stored
from transept.hub.kinds import reads
from transept.models import Model, Seq2Seq
from transept.topology import Built

ROWS, LENGTH = 8, 24
FEW = 2  # rows, where each is as long as a model reads
SAMPLES = 4000  # of a sound: a quarter of a second, twelve frames

# Where their outputs have what our head gives, in this order.
GIVEN = ("prediction_logits", "logits", "start_logits", "projected_states", "pooler_output", "last_hidden_state")


def load_theirs(root: Path, architecture: str) -> tuple[Any, int]:
    """Hugging Face's model, and how many tensors were missing, left over or of another shape when it was loaded.

    Raises TranseptError with the command that installs it.
    """
    try:
        transformers = importlib.import_module("transformers")
    except ImportError:
        raise TranseptError(
            "comparing with Hugging Face needs transformers, which is not installed",
            remedy="Install it: pip install 'transept[hf]'",
        ) from None
    kind = getattr(transformers, architecture)
    model, info = kind.from_pretrained(
        root, attn_implementation="eager", dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    return model.eval(), sum(len(info[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))


@contextmanager
def quiet() -> Iterator[None]:
    """Hugging Face's own warnings and bars are about its settings, which a comparison chooses: they are kept back."""
    try:
        logs = importlib.import_module("transformers.utils.logging")
    except ImportError:  # which `load_theirs` tells
        yield
        return
    bars, level = logs.is_progress_bar_enabled(), logs.get_verbosity()
    logs.disable_progress_bar()
    logs.set_verbosity(logs.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()


# ------------------------------------------------------------------ inputs


@dataclass(frozen=True)
class Given:
    """The same input for both, as arguments of `forward`.

    `real` (B, T) and `source` (B, S) are true where the states of the last stack and of an encoder before it are to be
    compared, None where all are.
    """

    ours: dict[str, Tensor]
    theirs: dict[str, Tensor]
    real: Tensor | None = None
    source: Tensor | None = None


class Draws:
    """Random inputs of the kind that a model takes, the same for the same seed."""

    def __init__(self, stored: Stored, theirs: Any, seed: int) -> None:
        self.spec: Any = stored.model.spec
        self.generator = torch.Generator().manual_seed(seed)
        config, special = theirs.config, stored.generation.special if stored.generation else None
        pads = (stored.generation.pad if stored.generation else None, getattr(config, "pad_token_id", None))
        self.has_pad = any(pad is not None for pad in pads)
        self.pad = next((pad for pad in pads if pad is not None), 0)
        self.eos: int | None = special.eos if special else getattr(config, "eos_token_id", None)
        self.start: int | None = special.bos if special else getattr(config, "decoder_start_token_id", None)
        self.special = {self.pad, self.eos, *(special.tokens() if special else ())}
        longest = stored.generation.longest if stored.generation else self.spec.limit() or LENGTH
        family = family_of_hf(config.model_type)
        whole = family is not None and hasattr(family, "whole") and family.whole(self.spec)
        self.longest, self.rows = (longest, FEW) if whole else (min(LENGTH, longest), ROWS)

    def given(self) -> Given:
        """An input for `forward`."""
        kind = reads(self.spec)
        if kind == "pictures":
            embed = self.spec.embed
            pictures = torch.randn(2, embed.channels, *embed.size, generator=self.generator)
            return Given({"inputs": pictures}, {"pixel_values": pictures})
        if kind == "sound":
            waves = torch.randn(2, SAMPLES, generator=self.generator)
            return Given({"inputs": waves}, {"input_values": waves})
        return self._pairs() if isinstance(self.spec, Seq2Seq) else self._texts()

    def tokens(self, vocab: int, *, longest: int | None = None, close: bool = True) -> tuple[Tensor, Tensor]:
        """Random tokens (B, S) without special ones inside, padded on the right, and which are real.

        `close` ends rows with the end token where there is one.
        """
        most = longest or self.longest
        lengths = torch.randint(1, most + 1, (self.rows,), generator=self.generator)
        lengths[0] = most
        common = torch.tensor([token for token in range(vocab) if token not in self.special] or [self.eos or 0])
        columns = torch.arange(most)
        ids = common[torch.randint(len(common), (self.rows, most), generator=self.generator)]
        ids = ids.masked_fill(columns >= lengths[:, None], self.pad)
        if close and self.eos is not None and self.eos < vocab:
            ids[torch.arange(self.rows), lengths - 1] = self.eos
        return ids, columns < lengths[:, None]

    def _texts(self) -> Given:
        embed, head = self.spec.embed, self.spec.head
        # Theirs tells a row's class by the last token that is not padding, even where the end of a text is its id too.
        ends = not (isinstance(head, Classes) and self.spec.stack.causal and self.pad == self.eos)
        ids, real = self.tokens(embed.vocab, close=ends)
        if isinstance(head, Classes) and not self.has_pad:  # theirs finds the last token of a row by padding, or alone
            ids, real = ids[:1], real[:1]
        ours, theirs = {"inputs": ids, "valid": real}, {"input_ids": ids, "attention_mask": real.long()}
        if embed.segments > 1:
            segments = torch.randint(embed.segments, ids.shape, generator=self.generator).masked_fill(~real, 0)
            ours["segments"] = theirs["token_type_ids"] = segments
        return Given(ours, theirs, real)

    def _pairs(self) -> Given:
        assert self.spec.source_tokens is not None, "a source of text"
        source, real = self.tokens(self.spec.source_tokens.vocab)
        # A classifier reads its source twice (BART); all others answer it.
        labels, valid = (source, real) if isinstance(self.spec.head, Classes) else self.tokens(self.spec.embed.vocab)
        target = torch.cat([torch.full_like(labels[:, :1], self.start or 0), labels[:, :-1]], 1)
        return Given(
            {"source": source, "target": target, "source_valid": real, "target_valid": valid},
            {
                "input_ids": source,
                "attention_mask": real.long(),
                "decoder_input_ids": target,
                "decoder_attention_mask": valid.long(),
            },
            valid,
            real,
        )


# ------------------------------------------------------------------ what comes out


def of_ours(model: Built, given: Given) -> dict[str, Tensor]:
    """What our model computes, by name."""
    out = model(**given.ours)
    found = {"states": out.hidden, "output": out.logits}
    if out.memory is not None:
        found["encoder states"] = out.memory.states
    if out.second is not None:
        found["second output"] = out.second
    return found


def of_theirs(model: Any, given: Given) -> dict[str, Tensor]:
    """The same of theirs, as far as it hands it out."""
    inner: list[Any] = []  # what the model without its head gives: its states are those that the head reads
    hook = model.base_model.register_forward_hook(lambda module, args, out: inner.append(out))
    try:
        out: Mapping[str, Any] = model(**given.theirs, output_hidden_states=True, return_dict=True)
    finally:
        hook.remove()
    name = next(name for name in GIVEN if out.get(name) is not None)
    found: dict[str, Tensor] = {"output": out[name]}
    if name == "start_logits":
        found["output"] = torch.stack([out["start_logits"], out["end_logits"]], -1)
    if name == "projected_states":
        found["output"] = torch.stack([out["projected_states"], out["projected_quantized_states"]], 2)
    if out.get("seq_relationship_logits") is not None:
        found["second output"] = out["seq_relationship_logits"]
    states = inner[0].get("last_hidden_state") if inner else None
    if states is None:
        states = (out.get("decoder_hidden_states") or out["hidden_states"])[-1]
    found["states"] = states
    if out.get("encoder_last_hidden_state") is not None:
        found["encoder states"] = out["encoder_last_hidden_state"]
    return found


def on_real(name: str, value: Tensor, given: Given) -> Tensor:
    """What is to be compared of a result: that of real positions."""
    real = given.source if name.startswith("encoder") else given.real
    return value[real] if real is not None and value.shape[:2] == real.shape else value


def is_decoder(stored: Stored) -> bool:
    """Whether a model continues what it reads, with one stack."""
    return stored.generation is not None and isinstance(stored.model.spec, Model)
