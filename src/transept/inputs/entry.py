"""What every input part is: whatever enters becomes (B, S, D)."""

from typing import TYPE_CHECKING

from torch import nn

from transept.parts.entered import Entered
from transept.spec import Part

if TYPE_CHECKING:
    from collections.abc import Callable


class Entry(Part):
    """The description of an input."""

    def limit(self) -> int | None:
        """How many positions it has, or None where there is no end."""
        return None

    @property
    def reads_tree(self) -> bool:
        """Whether it needs to be told where tokens stand in the trees of their sentences."""
        return False

    def squares(self) -> tuple[int, int, int] | None:
        """The rows and columns of its grid and the tokens before it, where it takes pictures; else None."""
        return None

    @property
    def raw(self) -> int | None:
        """The channels of the features that it hands on beside the states; None where it hands on none."""
        return None

    @property
    def levels(self) -> tuple[int, ...]:
        """The channels of the places that it hands on beside the states, level by level."""
        return ()

    def build(self, width: int) -> "EntryLayer":
        raise NotImplementedError(type(self).__name__)


class EntryLayer(nn.Module):
    """A built input: `forward(inputs, valid=None, positions=None, **more)`, `more` being its own.

    inputs (B, S, ...); positions (B or 1, S), counted over what is real where they are not given. It says itself what
    is real of what it hands on, which may be shorter than what entered.
    """

    if TYPE_CHECKING:
        __call__: "Callable[..., Entered]"
        forward: "Callable[..., Entered]"
