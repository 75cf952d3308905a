"""What an input part hands on."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Entered:
    """x (B, S, D); valid (B, S) or None where all are real; table (V, D), what a tied head scores with."""

    x: Tensor
    valid: Tensor | None = None
    table: Tensor | None = None
