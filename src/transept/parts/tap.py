"""A named place in a model where an ordinary hook may read or replace a value."""

from typing import TypeVar

from torch import nn

Value = TypeVar("Value")


class Tap(nn.Module):
    """Hands its value on. What a forward hook returns, unless None, takes the value's place in the pass."""

    def forward(self, value: Value) -> Value:
        return value


class Looking(Tap):
    """A tap of where heads look at one step along time, (B, H, T): weights over T rows of what they look at."""
