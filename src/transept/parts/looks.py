"""What the attentions of one pass did, gathered for whoever trains by it: a penalty on weights, a gradient of draws.

Shapes: B batch, H heads, S queries, T keys.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Look:
    """One attention, once. weights (B, H, S, T): what each query weighed each key by, before any key was drawn.

    Where a key was drawn, logp (B, H, S) is the log-probability of that draw, 0 where the expectation took its place,
    and entropy (B, H, S) that of what it was drawn from; else both are None.
    """

    weights: Tensor
    logp: Tensor | None = None
    entropy: Tensor | None = None


@dataclass
class Looks:
    """The looks of one pass, in order. It is given to a pass that shall fill it; a pass without one gathers nothing."""

    made: list[Look] = field(default_factory=list)
    _expected: Tensor | None = field(default=None, init=False, repr=False)

    def add(self, look: Look) -> None:
        self.made.append(look)

    def expected(self, rows: int, share: float, device: torch.device) -> Tensor:
        """Which rows take the expectation in place of a draw, (rows,) bool: decided once for the whole pass."""
        if self._expected is None:
            self._expected = torch.rand(rows, device=device) < share
        return self._expected

    def weights(self, length: int) -> Tensor:
        """The weights of each attention along the whole target, (B, N, H, length, T), N being how many there are.

        An attention that a loop asked step by step has a look for each step.
        """
        return self._along([look.weights for look in self.made], length)

    def logp(self, length: int) -> Tensor | None:
        """The log-probabilities of all draws, (B, N, H, length); None where nothing was drawn."""
        drawn = [look.logp[..., None] for look in self.made if look.logp is not None]
        return self._along(drawn, length)[..., 0] if drawn else None

    def entropy(self, length: int) -> Tensor | None:
        """The entropies of what was drawn from, (B, N, H, length); None where nothing was drawn."""
        drawn = [look.entropy[..., None] for look in self.made if look.entropy is not None]
        return self._along(drawn, length)[..., 0] if drawn else None

    @staticmethod
    def _along(pieces: list[Tensor], length: int) -> Tensor:
        whole = torch.cat(pieces, 2)  # (B, H, N * length, T)
        assert whole.size(2) % length == 0, f"looks of {whole.size(2)} queries are no whole passes of {length}"
        parted: Tensor = whole.unflatten(2, (-1, length))
        return parted.transpose(1, 2)
