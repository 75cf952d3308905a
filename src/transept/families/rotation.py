"""Rotations in Hugging Face's configurations, both ways, and the frequencies that old files hold."""

from typing import Any

import torch
from torch import Tensor

from transept.families.configuration import Keys
from transept.names import Check
from transept.parts.rotary import Banded, Interpolated, Rotary, Scaling

KINDS = {word: word for word in ("default", "linear", "llama3")}  # the others also change scores, or go by the length


def rotation(keys: Keys, longest: int) -> dict[str, Any]:
    """The words of a rotation: from `rope_parameters`, or from the `rope_theta` and `rope_scaling` of older files."""
    place = "rope_parameters" if keys.absent("rope_scaling") else "rope_scaling"
    said = {} if keys.absent(place) else keys.table(place)
    inner = Keys(said, place)
    kind = inner.choice("rope_type", said.get("type", "default"), KINDS)
    inner.only("type", kind, why="it is another word for rope_type")
    inner.only("partial_rotary_factor", 1.0, 1, why="only some features of a head turn")
    base = inner.positive("rope_theta", keys.positive("rope_theta", 10_000.0))
    scaling: Scaling | None = None
    if kind == "linear":
        scaling = Interpolated(inner.positive("factor", 0.0))
    elif kind == "llama3":
        low, high = inner.positive("low_freq_factor", 0.0), inner.positive("high_freq_factor", 0.0)
        length = inner.whole("original_max_position_embeddings", longest)
        scaling = Banded(inner.positive("factor", 0.0), length, low, high)
    inner.done()
    return {"base": base, "scaling": scaling}


def rope(rotary: Rotary) -> dict[str, Any]:
    """What `rope_parameters` says of a rotation."""
    words: dict[str, Any] = {"rope_type": "default", "rope_theta": rotary.base}
    match rotary.scaling:
        case Interpolated() as scaling:
            words |= {"rope_type": "linear", "factor": scaling.factor}
        case Banded() as scaling:
            words |= {"rope_type": "llama3", "factor": scaling.factor, "low_freq_factor": scaling.low}
            words |= {"high_freq_factor": scaling.high, "original_max_position_embeddings": scaling.length}
    return words


def longest(rotary: Rotary) -> int:
    """How many tokens a configuration gives a model, where a rotation knows no end."""
    return int(rotary.scaling.factor * rotary.scaling.length) if isinstance(rotary.scaling, Banded) else 2048


def turning(base: float) -> Check:
    """What tells why frequencies are not those of a base; it gives None where they are."""

    def check(found: Tensor) -> str | None:
        made = base ** -(torch.arange(found.numel()) / found.numel())
        near = torch.allclose(found.flatten().float(), made, rtol=1e-2, atol=0.0)
        return None if near else f"they are not those of the base {base:g}"

    return check
