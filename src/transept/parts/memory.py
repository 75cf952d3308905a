"""What an encoder hands to a decoder."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Memory:
    """states (B, T, D), valid (B, T) or None where all are real. A decoder may read it with a multiple of B rows.

    `final` are the last states of a recurrent encoder by name, each (B, layers * directions, H). `entered` (B, T, D) is
    what entered the encoder, for a decoder that reads that too.
    """

    states: Tensor
    valid: Tensor | None = None
    final: Mapping[str, Tensor] | None = None
    entered: Tensor | None = None

    def rows(self, rows: Tensor) -> "Memory":
        """The memory whose row i is row rows[i] of this one."""
        valid = None if self.valid is None else self.valid.index_select(0, rows)
        final = None if self.final is None else {name: t.index_select(0, rows) for name, t in self.final.items()}
        entered = None if self.entered is None else self.entered.index_select(0, rows)
        return Memory(self.states.index_select(0, rows), valid, final, entered)
