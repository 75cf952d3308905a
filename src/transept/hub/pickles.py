"""Weights that were pickled: read only where that is allowed by name, and then nothing but tensors.

torch's restricted reader makes tensors and plain containers alone. What it leaves open is held here: archives that
swell when they are unpacked, and tensors that claim more than their file holds.
"""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from transept.errors import InvalidData
from transept.hub.tensors import TYPES, Declared, demand_finite


def header(path: Path) -> dict[str, Declared]:
    """The tensors of a pickle. Raises InvalidData with the file, the tensor and the reason."""
    return {name: Declared(tensor.dtype, tuple(tensor.shape)) for name, tensor in _tensors(path).items()}


def read(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    """The named tensors of a pickle, each with memory of its own. Infinite values and NaN are refused by name."""
    tensors = _tensors(path)
    found = {name: tensors[name].detach().clone(memory_format=torch.contiguous_format) for name in names}
    for name, tensor in found.items():
        demand_finite(name, tensor, path)
    return found


def _tensors(path: Path) -> dict[str, Tensor]:
    is_zip = zipfile.is_zipfile(path)
    if is_zip:
        _demand_stored(path)
    try:
        data = torch.load(path, map_location="cpu", weights_only=True, mmap=True if is_zip else None)
    except Exception as error:  # of many kinds: what was refused, and what is no pickle
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidData(
            f"the pickle holds more than tensors, or is none: {reason:.200}",
            where=path,
            remedy="It is not opened any further: a pickle can run any program.",
        ) from None
    if not isinstance(data, dict) or not data:
        raise InvalidData(f"the pickle holds a {type(data).__name__}, not tensors by name", where=path)
    for name, tensor in data.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            kind = type(tensor).__name__
            raise InvalidData(f"{name!s:.60} is a {kind} in the pickle, not a tensor under a name", where=path)
        _demand_plain(name, tensor, path)
    return data


def _demand_stored(path: Path) -> None:
    """Refuse an archive that is larger inside than it is itself: torch never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InvalidData(f"the archive cannot be read: {error}", where=path) from None
    packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise InvalidData("the archive is compressed, or claims more bytes than the file has", where=path)


def _demand_plain(name: str, tensor: Tensor, path: Path) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise InvalidData(f"{name} is no plain tensor: {tensor.layout}, on {tensor.device}", where=path)
    if tensor.dtype not in TYPES.values():
        raise InvalidData(f"{name} is of {str(tensor.dtype).removeprefix('torch.')}, which is not read", where=path)
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise InvalidData(
            f"{name} has the shape {tuple(tensor.shape)}, for which the file has too few bytes", where=path
        )
