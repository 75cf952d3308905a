"""A named place in a model where an ordinary hook may read or replace a value."""

from typing import TypeVar

from torch import nn

Value = TypeVar("Value")


class Tap(nn.Module):
    """Hands its value on. What a forward hook returns, unless None, takes the value's place in the pass."""

    def forward(self, value: Value) -> Value:
        return value
