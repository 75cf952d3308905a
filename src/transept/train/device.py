"""Where to train, and in which precision: each choice is named, none is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from transept.device import find_device
from transept.errors import InvalidConfig, UsageError


@dataclass(frozen=True)
class Precision:
    """A number format and why it was taken."""

    dtype: torch.dtype
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"

    @property
    def name(self) -> str:
        """As torch spells it: bfloat16."""
        return str(self.dtype).removeprefix("torch.")

    def beside(self) -> str:
        """What a score of the model that is made must be told with: that is in float32, and training's own was not."""
        return "" if self.dtype == torch.float32 else f", in float32; while it trained it was measured in {self.name}"


def choose_device(wanted: str, process: int = 0) -> torch.device:
    """The device that `train.device` means for one of this machine's processes; InvalidConfig where it is absent."""
    try:
        return find_device(wanted, process)
    except UsageError as error:
        raise InvalidConfig(**error.fields(key="train.device")) from None


def choose_precision(wanted: Literal["auto", "float32", "bfloat16", "float16"], device: torch.device) -> Precision:
    """The number format for a device; InvalidConfig where the device cannot train in it."""
    if wanted == "float16" and device.type != "cuda":
        raise InvalidConfig(
            f"precision float16 trains on a GPU only, this is {device}", remedy="Use train.precision=float32."
        )
    if wanted != "auto":
        return Precision(getattr(torch, wanted), "as asked")
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return Precision(torch.bfloat16, f"the choice for {torch.cuda.get_device_name(device)}")
    if device.type == "cpu" and multiplies_bfloat16():
        return Precision(torch.bfloat16, "the choice for a processor that multiplies it")
    return Precision(torch.float32, f"the choice for {device.type}")


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products in bfloat16: without them it is slower than float32.

    Torch knows, and tells by functions that it may rename: then the answer is no, and training takes float32.
    """
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)


def memory_used(device: torch.device) -> int:
    """The most bytes this process has held: of the GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
