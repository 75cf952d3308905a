"""A scene: one pass of a model over one input, with what it read, what it wrote, and who looked at what.

Shapes: H heads, S rows (what looks), T columns (what is looked at).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.inspect.record import attentions, record
from transept.models import ModelLayer, Seq2SeqLayer
from transept.parts.attention import AttentionLayer
from transept.topology import Built

if TYPE_CHECKING:
    from transept.look.reading import Read

Role = Literal["encoder", "decoder", "cross"]
Floats = NDArray[np.float32]

BEST = 10  # tokens that could have been written, for each that was


@dataclass(frozen=True)
class Side:
    """What stands on one side of an attention: the tokens read, the tokens written, the patches of a picture.

    `texts` are shown; `words` number the word that each token is of, None where a token is no text (an end, a class
    token). `grid` is the rows and columns of a picture's patches, which follow `before` tokens that are none.
    """

    name: str
    texts: tuple[str, ...]
    words: tuple[int | None, ...]
    grid: tuple[int, int] | None = None

    def told(self) -> dict[str, Any]:
        """For the page."""
        return {"name": self.name, "texts": self.texts, "words": self.words, "grid": self.grid}


@dataclass(frozen=True)
class Seen:
    """The weights of one attention, (H, S, T), and where it is in the model."""

    name: str
    role: Role
    number: int
    rows: str
    columns: str
    weights: Floats = field(repr=False)

    def told(self) -> dict[str, Any]:
        """For the page: everything but the weights."""
        heads, rows, columns = self.weights.shape
        return {
            "name": self.name,
            "role": self.role,
            "number": self.number,
            "rows": self.rows,
            "columns": self.columns,
            "shape": [heads, rows, columns],
        }

    def is_like(self, other: Seen) -> bool:
        """Whether it is of the same kind, between the same sides."""
        return (self.role, self.rows, self.columns) == (other.role, other.rows, other.columns)

    def packed(self, exact: bool = False) -> bytes:
        """The weights as a byte each, round(255 sqrt(p)): small ones keep their detail, and none is off by 0.4 %.

        `exact` is two bytes each, the lower one first: round(65535 sqrt(p)), off by 0.002 % at most.
        """
        most, kind = (65535, "<u2") if exact else (255, "u1")
        bytes_: bytes = np.rint(most * np.sqrt(self.weights.clip(0, 1))).astype(kind).tobytes()
        return bytes_


@dataclass(frozen=True)
class Choice:
    """A token that could have been written, and its probability."""

    id: int
    text: str
    probability: float

    def told(self) -> list[Any]:
        """For the page."""
        return [self.id, self.text, round(self.probability, 6)]


@dataclass(frozen=True)
class Scene:
    """One pass, ready to be shown. `choices` has the likeliest tokens at each row of the side that was written.

    `answers` are classes with their probabilities; `picture` is what the model saw, as an address that holds it.
    """

    title: str
    sides: tuple[Side, ...]
    layers: tuple[Seen, ...]
    written: str = ""
    choices: tuple[tuple[Choice, ...], ...] = ()
    answers: tuple[tuple[str, float], ...] = ()
    picture: str | None = None

    def told(self) -> dict[str, Any]:
        """For the page: everything but the weights."""
        return {
            "title": self.title,
            "picture": self.picture,
            "sides": [side.told() for side in self.sides],
            "layers": [layer.told() for layer in self.layers],
            "written": self.written,
            "choices": [[choice.told() for choice in row] for row in self.choices],
            "answers": self.answers,
        }


def scene_of(model: Built, read: Read) -> Scene:
    """The pass of a model over what was read, its attention recomputed beside its own kernels."""
    training = model.training
    model.train(False)
    try:
        with torch.inference_mode(), record(model) as kept:
            logits = read.passed()
    finally:
        model.train(training)
    layers = []
    for name, layer in attentions(model).items():
        if name in kept:
            (role, number), weights = placed(name, layer, model), _floats(kept[name])
            rows, columns = read.beside(role)
            layers.append(Seen(name, role, number, rows, columns, weights))
    choices = () if logits is None else tuple(_choices(row, read) for row in logits)
    return Scene(read.title, read.sides, tuple(layers), read.written, choices, read.answers, read.picture)


def placed(name: str, layer: AttentionLayer, model: Built) -> tuple[Role, int]:
    """Which stack an attention is in, and how many of its role stand before it there: layer 1 is the first."""
    role = role_of(name, layer, model)
    alike = [other for other, found in attentions(model).items() if role_of(other, found, model) == role]
    return role, alike.index(name) + 1


def role_of(name: str, layer: AttentionLayer, model: Built) -> Role:
    """What an attention is in its model: of an encoder to itself, of a decoder to itself, or of one to the other."""
    if layer.spec.source == "memory":
        return "cross"
    if isinstance(model, Seq2SeqLayer):
        return "encoder" if name.startswith("encoder.") else "decoder"
    assert isinstance(model, ModelLayer)
    return "decoder" if model.spec.stack.causal else "encoder"


def _floats(weights: Tensor) -> Floats:
    found: Floats = weights[0].float().cpu().numpy()
    return found


def _choices(scores: Tensor, read: Read) -> tuple[Choice, ...]:
    best = scores.float().softmax(-1).topk(min(BEST, scores.size(-1)))
    return tuple(
        Choice(int(token), read.spoken(int(token)), float(share))
        for token, share in zip(best.indices, best.values, strict=True)
    )
