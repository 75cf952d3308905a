"""What an input part hands on."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Entered:
    """What the stack and the head see of the input.

    x (B, S, D); valid (B, S) or None where all are real; table (V, D), what a tied head scores with; raw (B, S, C), the
    features before they were projected, where a head compares with them; levels, each (B, N, C), the features of places
    at several depths of a network, where a head looks at them.
    """

    x: Tensor
    valid: Tensor | None = None
    table: Tensor | None = None
    raw: Tensor | None = None
    levels: tuple[Tensor, ...] | None = None
