"""What an encoder hands to a decoder."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Memory:
    """states (B, T, D), valid (B, T) or None where all are real. A decoder may read it with a multiple of B rows."""

    states: Tensor
    valid: Tensor | None = None

    def rows(self, rows: Tensor) -> "Memory":
        """The memory whose row i is row rows[i] of this one."""
        valid = None if self.valid is None else self.valid.index_select(0, rows)
        return Memory(self.states.index_select(0, rows), valid)
