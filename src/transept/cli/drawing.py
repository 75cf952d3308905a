"""Patterns as pictures: of squares or half squares for a terminal, and as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from transept.parts.pattern import Pattern

SQUARES = 40  # tokens a side up to which each has a square of its own; beyond, two rows share a line
WIDEST = 200  # tokens a side that a terminal is asked to show
DOCUMENTS = 3  # of equal length, that a pattern with `documents` is drawn for


def allowed(pattern: Pattern, length: int) -> Tensor:
    """Who sees whom among `length` tokens, (length, length); of `DOCUMENTS` documents where the pattern asks."""
    import torch

    from transept.parts.pattern import Places

    at = torch.arange(length)
    of = at * DOCUMENTS // length
    return pattern.relates(Places(at[:, None], of[:, None]), Places(at, of)).expand(length, length)


def assumed(pattern: Pattern) -> str:
    """What a drawing takes for granted, in words, or nothing."""
    from transept.parts.pattern import Documents

    asks = any(isinstance(part, Documents) for part in pattern.parts())
    return f"a row of {DOCUMENTS} documents" if asks else ""


def draw(pattern: Pattern, length: int) -> list[str]:
    """A pattern as text: one mark for each query and key, filled where the query may look.

    One line for each query up to `SQUARES` tokens, beyond that one for two: the upper and the lower half of a mark.
    """
    seen = allowed(pattern, length).tolist()
    if length <= SQUARES:
        return [" ".join("■" if one else "·" for one in line) for line in seen]
    seen += [[False] * length] * (length % 2)
    marks = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): "·"}
    return ["".join(map(marks.__getitem__, zip(*two, strict=True))) for two in zip(seen[::2], seen[1::2], strict=True)]


def picture(drawn: Mapping[str, Pattern], length: int) -> bytes:
    """Patterns beside one another as PNG, at least one pixel a token: queries from top to bottom, keys to the right."""
    from matplotlib.figure import Figure  # a second to load, and only some callers draw

    side = max(3.0, length / 100)
    figure = Figure(figsize=(side * len(drawn) + 0.6, side + 0.8), dpi=150, layout="constrained")
    for axes, (title, pattern) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True):
        axes.imshow(allowed(pattern, length).numpy(), cmap="Blues", vmin=0, vmax=1.3, interpolation="nearest")
        more = assumed(pattern)
        axes.set_title(title + (f"\n{more}" if more else ""), fontsize=8, wrap=True)
        axes.set_xlabel("key", fontsize=8)
        axes.set_ylabel("query", fontsize=8)
        axes.tick_params(labelsize=7)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
