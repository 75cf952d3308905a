"""What may enter a model that reads no text: rows of its own kind, of different lengths where there are such."""

from typing import get_args

import torch
from torch import Tensor

from laws.subjects import families, reads_text, variants
from transept.families.registry import all_families
from transept.inputs.annotations import Annotations
from transept.inputs.entry import Entry
from transept.inputs.levels import Levels
from transept.inputs.patches import Patches
from transept.inputs.sentences import Sentences
from transept.inputs.vectors import Vectors
from transept.inputs.waveform import Waveform
from transept.models import Model, Seq2Seq
from transept.topology import Topology


def some_rows(entry: Entry | None, lengths: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """A row for each length, or for each one a picture, which has none."""
    draws = torch.Generator().manual_seed(seed)
    match entry:
        case Patches() | Annotations() | Levels():
            size, channels = entry.size, entry.channels
            return [torch.randn(channels, *size, generator=draws) for _ in lengths]
        case Waveform():
            return [torch.randn(length, generator=draws) for length in lengths]
        case Vectors():
            return [torch.randn(length, entry.size, generator=draws) for length in lengths]
        case Sentences(words=words):
            return [torch.randint(words.vocab, (1 + length % 5, 6), generator=draws) for length in lengths]
    raise AssertionError(f"say here what enters a {type(entry).__name__}")


def together(rows: list[Tensor], side: str, filler: float = 0.0) -> tuple[Tensor, Tensor | None]:
    """Rows as one batch, and what is real of it where they have lengths."""
    if rows[0].dtype == torch.long:
        return documents(rows, side, int(filler))
    if rows[0].dim() > 2:
        return torch.stack(rows), None
    size = max(len(row) for row in rows)
    waves, valid = torch.full((len(rows), size, *rows[0].shape[1:]), filler), torch.zeros(len(rows), size) > 0
    for i, row in enumerate(rows):
        at = slice(0, len(row)) if side == "right" else slice(size - len(row), None)
        waves[i, at], valid[i, at] = row, True
    return waves, valid


def documents(rows: list[Tensor], side: str, filler: int) -> tuple[Tensor, Tensor]:
    """Documents (L, W) of different numbers of sentences, as one batch with room for longer ones."""
    shape = (len(rows), max(len(row) for row in rows), rows[0].size(1) + 2)
    ids, valid = torch.full(shape, filler), torch.zeros(shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        for j in range(len(row)):
            at = slice(0, row.size(1)) if side == "right" else slice(2, None)
            place = j if side == "right" else shape[1] - len(row) + j
            ids[i, place, at], valid[i, place, at] = row[j], True
    return ids, valid


def wordless() -> dict[str, Topology]:
    """Each variant of the families that read no text, and each with its other heads, and with choices of its own."""
    made = {name: spec for name, spec in variants().items() if isinstance(spec, Model) and not reads_text(spec)}
    for name, module in all_families().items():
        if name in made:
            for word in get_args(getattr(module, "Heading", None)):
                made[f"{name}, head {word}"] = module.declare(**module.TOY | {"head": word})
    sound = all_families()["wav2vec2"]
    large = {"frame_norm": "layer", "frame_bias": True, "norm": "before"}
    made["wav2vec2, as the large one"] = sound.declare(**sound.TOY | large)
    made["wav2vec2, an odd number of taps"] = sound.declare(**sound.TOY | {"taps": 5})
    turing = all_families()["ntm"]
    for first in ("learned", "top"):
        made[f"ntm, bits, first {first}"] = turing.declare(**turing.TOY | {"form": "bits", "first": first})
    return made


def describers() -> dict[str, Seq2Seq]:
    """Each variant of the families that write text of what is none."""
    return {name: spec for name, spec in variants().items() if isinstance(spec, Seq2Seq) and not reads_text(spec)}


def toys() -> dict[str, Model]:
    """Each family that reads no text."""
    return {name: spec for name, spec in families().items() if isinstance(spec, Model) and not reads_text(spec)}
