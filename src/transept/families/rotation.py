"""Rotations in Hugging Face's configurations, both ways, and the frequencies that old files hold."""

from typing import Any

import torch
from torch import Tensor

from transept.errors import InvalidConfig
from transept.families.configuration import Keys
from transept.names import Check
from transept.parts.rotary import Banded, Interpolated, Rotary, Scaling, Yarn

KINDS = {word: word for word in ("default", "linear", "llama3", "yarn")}
BY_LENGTH = ("dynamic", "longrope")  # no cached step can equal a whole pass where angles go by the length of the text


def rotation(keys: Keys, longest: int) -> dict[str, Any]:
    """The words of a rotation: from `rope_parameters`, or from the `rope_theta` and `rope_scaling` of older files."""
    place = "rope_parameters" if keys.absent("rope_scaling") else "rope_scaling"
    said = {} if keys.absent(place) else keys.table(place)
    inner = Keys(said, place)
    if (named := said.get("rope_type", said.get("type"))) in BY_LENGTH:
        raise InvalidConfig(
            f"rope_type is {named!r}, whose angles change with the length of the text: what was cached then has turned"
            " otherwise than in a whole pass",
            remedy="Texts that are no longer than the model was trained on are read by rope_type 'default'; longer ones"
            " by positions: rotary_ntk(factor), whose factor is the same for all.",
        )
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
    elif kind == "yarn":
        scaling = _yarn(inner, longest)
    inner.done()
    return {"base": base, "scaling": scaling}


def _yarn(inner: Keys, longest: int) -> Yarn:
    """YaRN's words. Two of them, of DeepSeek's, say how far its two kinds of scores are multiplied."""
    factor, length = inner.positive("factor", 0.0), inner.whole("original_max_position_embeddings", longest)
    ends = 32.0 if inner.absent("beta_fast") else inner.positive("beta_fast", 32.0)
    starts = 1.0 if inner.absent("beta_slow") else inner.positive("beta_slow", 1.0)
    attention = None if inner.absent("attention_factor") else inner.positive("attention_factor", 1.0)
    one, all_ = (0.0 if inner.absent(key) else inner.number(key, 0.0) for key in ("mscale", "mscale_all_dim"))
    if attention is None and one and all_:
        plain = Yarn(factor, length)
        attention = (one * (plain.gain() - 1) + 1) / (all_ * (plain.gain() - 1) + 1)
    return Yarn(factor, length, ends, starts, attention, inner.truth("truncate", True))


def rope(rotary: Rotary) -> dict[str, Any]:
    """What `rope_parameters` says of a rotation."""
    words: dict[str, Any] = {"rope_type": "default", "rope_theta": rotary.base}
    match rotary.scaling:
        case Interpolated() as scaling:
            words |= {"rope_type": "linear", "factor": scaling.factor}
        case Banded() as scaling:
            words |= {"rope_type": "llama3", "factor": scaling.factor, "low_freq_factor": scaling.low}
            words |= {"high_freq_factor": scaling.high, "original_max_position_embeddings": scaling.length}
        case Yarn() as scaling:
            words |= {"rope_type": "yarn", "factor": scaling.factor, "beta_fast": scaling.fast}
            words |= {"beta_slow": scaling.slow, "original_max_position_embeddings": scaling.length}
            words |= {} if scaling.attention is None else {"attention_factor": scaling.attention}
            words |= {} if scaling.whole else {"truncate": False}
    return words


def longest(rotary: Rotary) -> int:
    """How many tokens a configuration gives a model, where a rotation knows no end."""
    scaling = rotary.scaling
    return int(scaling.factor * scaling.length) if isinstance(scaling, Banded | Yarn) else 2048


def turning(base: float) -> Check:
    """What tells why frequencies are not those of a base; it gives None where they are."""

    def check(found: Tensor) -> str | None:
        made = base ** -(torch.arange(found.numel()) / found.numel())
        near = torch.allclose(found.flatten().float(), made, rtol=1e-2, atol=0.0)
        return None if near else f"they are not those of the base {base:g}"

    return check
