"""`transept doctor`: what this machine and this installation are, in lines to paste into a report."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

import transept
from transept.cli.common import JsonOption, emit, verb

NEEDED = ("torch", "numpy", "tokenizers", "safetensors", "pydantic", "sacrebleu")
OPTIONAL = {
    "transformers": "hf",
    "sentencepiece": "sentencepiece",
    "ctranslate2": "bench",
    "faiss-cpu": "faiss",
    "datasets": "datasets",
}  # and the extra that installs each


def add(app: typer.Typer) -> None:
    verb(app, "transept doctor", "transept doctor --json")(doctor)


def doctor(as_json: JsonOption = False) -> None:
    """Print versions, devices and disk, to paste."""
    found = {"transept": transept.__version__, "python": f"{platform.python_version()} at {sys.executable}"}
    found |= {"system": platform.platform(), "processor": _processor(), "memory": _memory()}
    found |= {package: version(package) for package in NEEDED}
    found |= {package: _optional(package, extra) for package, extra in OPTIONAL.items()}
    found |= _devices()
    found |= {"offline": _offline(), "disk": _disk(Path.cwd()), "data": os.environ.get("TRANSEPT_DATA", "not set")}
    if as_json:
        emit(found)
        return
    width = max(map(len, found))
    for name, words in found.items():
        print(f"{name:<{width}}  {words}")


def _optional(package: str, extra: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return f"not installed (pip install 'transept[{extra}]')"


def _devices() -> dict[str, str]:
    import torch

    from transept.train.device import choose_device, choose_precision

    found = {"threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores"}
    found["vector units"] = torch.backends.cpu.get_cpu_capability()
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = (
            f"{card.name}, {card.total_memory / 2**30:.0f} GiB, capability {card.major}.{card.minor}"
        )
    if torch.backends.mps.is_available():
        found["mps"] = "available, but without the float64 that sums need: not used"
    device = choose_device("auto")
    found["device"] = f"{device} is what auto takes"
    found["precision"] = f"{choose_precision('auto', device)} is what auto takes"
    found["formats"] = ", ".join(f"{name} {_works(name, device)}" for name in ("float32", "bfloat16", "float16"))
    return found


def _works(name: str, device: object) -> str:
    """Whether products of this number format can be made on the device, tried on a small one."""
    import torch

    try:
        square = torch.ones(8, 8, dtype=getattr(torch, name), device=device)  # type: ignore[call-overload]
        return "ok" if bool(((square @ square) == 8).all()) else "wrong"
    except RuntimeError as error:
        return f"no ({error})"


def _processor() -> str:
    cores = os.cpu_count()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.processor() or platform.machine()}, {cores} cores"
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {cores} cores"


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return "not known"
    return f"{total / 2**30:.1f} GiB"


def _offline() -> str:
    names = [name for name in ("TRANSEPT_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(name, "0") not in ("", "0")]
    return f"yes, {' and '.join(names)} set" if names else "no; only `transept import` of a hub name uses the network"


def _disk(here: Path) -> str:
    usage = shutil.disk_usage(here)
    return f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f} at {here}"
