"""All parameters of a model in one float32 tensor, all gradients in another; the model's own are views of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidData

ALIGNMENT = 32  # elements: every view starts on a cache line, in bfloat16 too


@dataclass(frozen=True)
class Place:
    """Where one parameter lies in the flat tensors."""

    name: str
    shape: torch.Size
    start: int

    @property
    def stop(self) -> int:
        return self.start + self.shape.numel()

    def of(self, flat: Tensor) -> Tensor:
        return flat[self.start : self.stop].view(self.shape)


class Flat:
    """The trainable parameters of a model, each storage once however many names it has.

    `master` and `gradient` are (N,) float32; between the parameters lie a few zeros that nothing moves. Below float32
    the model works on a copy of the parameters in `dtype` with gradients in `dtype`; `collect` and `publish` carry
    them over. The first `decayed` elements are those that weight decay may pull on.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32, decay: Literal["matrices", "all"] = "all"):
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        assert named, "a model without parameters cannot be trained"
        named.sort(key=lambda pair: decay == "matrices" and pair[1].ndim < 2)  # stable: the others keep their order
        self.dtype, self.places, end, self.decayed = dtype, list[Place](), 0, 0
        for name, parameter in named:
            self.places.append(Place(name, parameter.shape, end))
            end += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
            if decay == "all" or parameter.ndim >= 2:
                self.decayed = end
        device = named[0][1].device
        self.master = torch.zeros(end, device=device)
        self.gradient = torch.zeros(end, device=device)
        for place, (_, parameter) in zip(self.places, named, strict=True):
            place.of(self.master).copy_(parameter.detach())
        # What is frozen comes out of training bit for bit, whatever the model works in.
        frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad and dtype != torch.float32}
        wide = {name: p.detach().clone() for name, p in frozen.items()}
        if dtype != torch.float32:
            model.to(dtype)  # the buffers as well: what they are added to must not be widened
        self._working = self.master if dtype == torch.float32 else self.master.to(dtype)
        self._arriving = self.gradient if dtype == torch.float32 else torch.zeros_like(self._working)
        for place, (_, parameter) in zip(self.places, named, strict=True):
            parameter.data = place.of(self._working)
            parameter.grad = place.of(self._arriving)
        self._fixed = _others(model, {name for name, _ in named}) | wide
        self._frozen = {name: p.data for name, p in frozen.items()}
        still = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
        self._still = still & self._fixed.keys()

    @property
    def count(self) -> int:
        """Trainable parameters, tied ones once."""
        return sum(place.shape.numel() for place in self.places)

    @property
    def layout(self) -> str:
        """A hash of which parameter lies where; two models with the same one may exchange flat tensors."""
        text = json.dumps([[p.name, list(p.shape), p.start] for p in self.places] + [len(self.master), self.decayed])
        return hashlib.sha256(text.encode()).hexdigest()

    def size_of_work(self) -> int:
        """Bytes held besides the master: the gradient, and below float32 the working copy with its own."""
        extra = 0 if self._working is self.master else 2 * self._working.nbytes
        return self.gradient.nbytes + extra

    def clear(self) -> None:
        """Forget the gradient."""
        self.gradient.zero_()
        if self._arriving is not self.gradient:
            self._arriving.zero_()

    def collect(self, factor: float = 1.0) -> None:
        """Add what the last backward passes left, times `factor`, to the float32 gradient."""
        if self._arriving is self.gradient:
            assert factor == 1.0, "in float32 the backward pass writes to the gradient itself"
            return
        self.gradient.add_(self._arriving, alpha=factor)
        self._arriving.zero_()

    def publish(self) -> None:
        """Hand the parameters to the model after they changed."""
        if self._working is not self.master:
            self._working.copy_(self.master)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that makes the model: float32 views of its parameters, then what is not trained."""
        return {place.name: place.of(self.master) for place in self.places} | self._fixed

    def changing(self) -> dict[str, Tensor]:
        """Those of `tensors` that an update may change: what is trained, and buffers."""
        return {name: tensor for name, tensor in self.tensors().items() if name not in self._still}

    def frozen(self) -> dict[str, Tensor]:
        """Those of `tensors` that no update changes."""
        return {name: self._fixed[name] for name in self._still}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over tensors of the same names and shapes; InvalidData names the first that does not fit."""
        mine = self.tensors()
        for name in mine.keys() ^ tensors.keys():
            side = "is missing" if name in mine else "is unknown to this model"
            raise InvalidData(f"tensor {name} {side}", remedy="The checkpoint belongs to another model.")
        for name, tensor in mine.items():
            if tensor.shape != tensors[name].shape:
                raise InvalidData(
                    f"tensor {name} has shape {list(tensors[name].shape)}, the model's is {list(tensor.shape)}",
                    remedy="The checkpoint belongs to another model.",
                )
            tensor.copy_(tensors[name])
        for name, working in self._frozen.items():
            working.copy_(self._fixed[name])
        self.publish()


def _others(model: nn.Module, trained: set[str]) -> dict[str, Tensor]:
    """Frozen parameters and saved buffers, each storage once."""
    kept: dict[str, Tensor] = {}
    seen = {p.data_ptr() for name, p in model.named_parameters() if name in trained}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            kept[name] = tensor
            seen.add(tensor.data_ptr())
    return kept
