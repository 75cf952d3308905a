"""What every model is: a description that builds it, what is built, what a pass gives, and its outline without data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from transept.parts.entered import Entered
from transept.parts.looks import Looks
from transept.parts.memory import Memory
from transept.spec import Part

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Output:
    """What one pass computed.

    logits: what the head gave, (B, T, V) for a vocabulary, (B, C) for classes of a row, (B, D) for a pooled vector;
    hidden (B, T, D), the states that the head read; memory, what an encoder handed over; second, what the second head
    gave; entered, what the input handed on, with which positions are real; looks, what the attentions of the stack that
    the head reads did, where the pass was given `Looks` to fill.
    """

    logits: Tensor
    hidden: Tensor
    memory: Memory | None = None
    second: Tensor | None = None
    entered: Entered | None = None
    looks: Looks | None = None


class Topology(Part):
    """A whole model. `build` makes it with its declared initialisation, drawn from torch's generator."""

    def build(self) -> nn.Module:
        raise NotImplementedError(type(self).__name__)

    def limit(self) -> int | None:
        """How many tokens fit on a side, or None where there is no end."""
        raise NotImplementedError(type(self).__name__)

    @property
    def reads_tree(self) -> bool:
        """Whether a pass needs to be told where what it reads stands in the trees of its sentences."""
        return False


class Built(nn.Module):
    """What every built topology is: a description beside its weights."""

    if TYPE_CHECKING:
        __call__: "Callable[..., Output]"

    spec: Topology

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


def outline(spec: Topology) -> Built:
    """The built model without data, on the meta device: names, types and shapes, however large it is."""
    with torch.device("meta"), _Undrawn():
        model = spec.build()
    assert isinstance(model, Built)
    return model


class _Undrawn(TorchFunctionMode):
    """Nothing is drawn: there is nowhere to draw it, and torch would load its whole compiler for it (1.4 seconds)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "random_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
