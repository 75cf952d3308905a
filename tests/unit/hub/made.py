"""Small model directories for the tests of this folder."""

import json
import shutil
import struct
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from transept.data.config import Vocabulary
from transept.data.subwords import Subwords
from transept.families.transformer import declare
from transept.hub.directory import save
from transept.topology import Built

LINES = ["a small house stands here", "ein kleines Haus steht hier", "the cat sees the house", "die Katze sieht es"]


_MADE = TemporaryDirectory()


@cache
def tokenizer() -> Subwords:
    return Subwords.train(LINES, Vocabulary(kind="bytes", merges=20))


def model(seed: int = 0, **changes: Any) -> Built:
    """A tiny model with a vocabulary for `tokenizer`, every parameter random."""
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {"vocab": 300, "width": 16, "hidden": 24, "heads": 2, "depth": 2}
    built = declare(**sizes | changes).build()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    assert isinstance(built, Built)
    return built.eval()


def directory(root: Path, **changes: Any) -> Path:
    """A saved model, which Hugging Face's Marian can say unless `changes` say otherwise."""
    return Path(shutil.copytree(_saved(tuple(changes.items())), root / "model"))


@cache
def _saved(changes: tuple[tuple[str, Any], ...]) -> Path:
    return save(Path(_MADE.name) / repr(changes), model(**dict(changes)), tokenizer=tokenizer())


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes one."""
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))


def raw(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape: list[Any], first: int, last: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [first, last]}
