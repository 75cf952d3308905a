"""What every head is: it reads the states of a stack."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from transept.parts.entered import Entered
from transept.spec import Part

if TYPE_CHECKING:
    from collections.abc import Callable


class Head(Part):
    """The description of a head, with what it needs of the input."""

    @property
    def needs_table(self) -> bool:
        """Whether it scores with the input's embeddings."""
        return False

    @property
    def needs_raw(self) -> int | None:
        """The channels of the features that it compares with, before they were projected; None: it does not."""
        return None

    @property
    def needs_levels(self) -> tuple[int, ...]:
        """The channels of the levels that it looks at; none: it does not."""
        return ()

    def build(self, width: int) -> "HeadLayer":
        raise NotImplementedError(type(self).__name__)


class HeadLayer(nn.Module):
    if TYPE_CHECKING:
        __call__: "Callable[..., Tensor]"

    def forward(self, states: Tensor, entered: Entered) -> Tensor:
        """states (B, S, D) -> scores for each position, or for the whole row."""
        raise NotImplementedError(type(self).__name__)
