"""Tensors on disk: safetensors, whose header is checked before a byte of data is read, and never a pickle.

The format leaves open what its own page forbids (duplicate names, ten thousand dimensions, sizes that overflow), so
the header is read here first: `header` gives names, types and shapes, and `read` the data that was declared.
"""

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from transept.errors import InvalidData
from transept.hub.files import unique

LARGEST_HEADER = 100_000_000  # bytes, the format's own limit
DEEPEST = 8  # dimensions
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Declared:
    """What a header says of one tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    def empty(self) -> Tensor:
        """A tensor of this type and shape without data."""
        return torch.empty(self.shape, dtype=self.dtype, device="meta")


def header(path: Path) -> dict[str, Declared]:
    """The tensors that a file declares, in the file's order, once everything that it says adds up.

    Raises InvalidData with the file, the tensor and the reason.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise InvalidData(f"truncated: {size} bytes are too few for a safetensors file", where=path)
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, LARGEST_HEADER):
            reason = "truncated, or not a safetensors file" if length <= LARGEST_HEADER else "not a safetensors file"
            raise InvalidData(f"{reason}: its header would be {length} bytes, the file is {size}", where=path)
        text = file.read(length)
    if not text.startswith(b"{"):
        raise InvalidData("not a safetensors file: its header does not begin with '{'", where=path)
    try:
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InvalidData(f"the header cannot be read: {error}", where=path) from None
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidData("the header's metadata is not a table of texts", where=path)
    declared = {name: entry(path, name, value) for name, value in entries.items()}
    end = 0
    for name, (_, first, last) in sorted(declared.items(), key=lambda item: item[1][1:]):
        if first != end:
            raise InvalidData(f"{name}: its data overlaps another's or leaves a hole, at byte {end}", where=path)
        end = last
    if end != size - 8 - length:
        state = "truncated" if end > size - 8 - length else "too long"
        raise InvalidData(f"{state}: {end} bytes of data are declared, {size - 8 - length} are there", where=path)
    return {name: what for name, (what, _, _) in declared.items()}


def entry(path: Path, name: str, value: Any) -> tuple[Declared, int, int]:
    """One entry of a header: what it declares, and its first and last byte."""

    def refuse(reason: str) -> InvalidData:
        return InvalidData(f"{name}: {reason}", where=path)

    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise refuse("its entry in the header is not a type, a shape and two offsets")
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in TYPES:
        raise refuse(f"the type {kind!r} is not one of {', '.join(TYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**48 for n in shape) or len(shape) > DEEPEST:
        raise refuse(f"the shape {shape!r:.60} is not one to {DEEPEST} positive sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(n) is int and n >= 0 for n in offsets):
        raise refuse(f"the offsets {offsets!r:.60} are not two places in the file")
    first, last = offsets
    if (needed := math.prod(shape) * TYPES[kind].itemsize) != last - first:
        raise refuse(f"{last - first} bytes for the shape {shape} of {kind}, which takes {needed}")
    return Declared(TYPES[kind], tuple(shape)), first, last


def read(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """The named tensors of a file whose `header` was read, mapped: they are the file's memory, and change with it.

    Infinite values and NaN are refused by name.
    """
    found = {}
    try:
        with safe_open(path, framework="pt") as file:
            for name in names:
                tensor = file.get_tensor(name)
                demand_finite(name, tensor, path)
                found[name] = tensor
    except (SafetensorError, OSError, TypeError) as error:
        raise InvalidData(f"cannot be read: {error}", where=path) from None
    return found


def demand_finite(name: str, tensor: Tensor, where: Path) -> None:
    """Refuse infinite values and NaN, by the tensor's name."""
    # A sum takes a tenth of the time of a look at each value, and is not finite where one of them is not.
    if not math.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
        bad = int((~torch.isfinite(tensor)).sum())
        raise InvalidData(
            f"{name}: {bad} of {tensor.numel()} values are infinite or not a number",
            where=where,
            remedy="The training that wrote it diverged, or the file is damaged.",
        )


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One safetensors file, with the mode that any new file has here (the library makes it private)."""
    path.touch()
    mode = path.stat().st_mode
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})
    path.chmod(mode)
