"""What an input part hands on."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Entered:
    """What the stack and the head see of the input.

    x (B, S, D); valid (B, S) or None where all are real; table (V, D), what a tied head scores with; raw (B, S, C), the
    features before they were projected, where a head compares with them; levels, each (B, N, C), the features of places
    at several depths of a network, where a head looks at them; clusters, the table (N, W) and the matrix (D, W) that
    widens it of each cluster of a vocabulary, where there is no one table.
    """

    x: Tensor
    valid: Tensor | None = None
    table: Tensor | None = None
    raw: Tensor | None = None
    levels: tuple[Tensor, ...] | None = None
    clusters: tuple[tuple[Tensor, Tensor], ...] | None = None
