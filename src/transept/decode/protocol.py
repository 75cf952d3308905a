"""What a search needs of a model: any topology of this package offers it, whatever its family."""

from typing import Protocol

import torch
from torch import Tensor, nn

from transept.parts.cache import Cache
from transept.parts.memory import Memory
from transept.topology import Topology


class Decoder(Protocol):
    """A model that continues sequences; B*W rows of a target may read a memory of B rows."""

    training: bool

    @property
    def spec(self) -> Topology: ...

    @property
    def device(self) -> torch.device: ...

    def train(self, mode: bool = True) -> nn.Module: ...

    def cache(self, batch: int, size: int, memory: Memory | None = None) -> Cache: ...

    def decode(
        self,
        target: Tensor,
        memory: Memory | None = None,
        cache: Cache | None = None,
        valid: Tensor | None = None,
        last: bool = False,
    ) -> Tensor: ...


class Translator(Decoder, Protocol):
    """A decoder that reads what its encoder made of a source."""

    def encode(self, source: Tensor, valid: Tensor | None = None) -> Memory: ...
