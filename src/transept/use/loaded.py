"""`transept.load`: a model with what it needs to be used, and the verbs of the command line as methods."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import torch
from pydantic import ValidationError
from torch import nn

from transept.data.tokenizer import Tokenizer
from transept.decode.config import Search
from transept.device import find_device
from transept.errors import UsageError, nearest
from transept.hub.card import read_card
from transept.hub.directory import Stored, locate, read, save
from transept.hub.generation import Generation
from transept.models import Topology
from transept.use.translate import Translation, translate


class Loaded:
    """A model directory in memory: `model` is an ordinary module in evaluation mode, `spec` its description."""

    def __init__(self, path: Path, stored: Stored) -> None:
        self.path = path
        self.model: nn.Module = stored.model
        self.spec: Topology = stored.model.spec
        self.tokenizer: Tokenizer | None = stored.tokenizer
        self.generation: Generation = stored.generation

    @classmethod
    def from_pretrained(cls, directory: str | Path, **options: Any) -> "Loaded":
        """The familiar name of `load`."""
        return load(directory, **options)

    def save_pretrained(self, directory: str | Path, *, overwrite: bool = False) -> Path:
        """Write a model directory with these weights, this tokenizer, search and card."""
        return save(
            directory,
            self.model,
            tokenizer=self.tokenizer,
            generation=self.generation,
            card=read_card(self.path),
            overwrite=overwrite,
        )

    @overload
    def translate(self, text: str, *, prefix: str | None = None, first: int = 0, **search: Any) -> Translation: ...

    @overload
    def translate(
        self, text: Sequence[str], *, prefix: Sequence[str] | None = None, first: int = 0, **search: Any
    ) -> list[Translation]: ...

    def translate(
        self, text: str | Sequence[str], *, prefix: str | Sequence[str] | None = None, first: int = 0, **search: Any
    ) -> Translation | list[Translation]:
        """A text to its translation, a list of texts to a list. Blank texts stay blank.

        `prefix` is what each translation must begin with. `first` counts the texts before these, where many come in
        parts: a text draws by its number, so that sampling gives the same however they are parted. `search` changes
        settings of the model's own search for this call (`beam=5`, `method="greedy"`, `n_best=3`, ... :
        `transept.decode.config.Search`). A text longer than the model takes raises InvalidData with its number and
        length: nothing is cut.
        """
        if isinstance(text, str):
            assert prefix is None or isinstance(prefix, str), "one text, one prefix"
            return translate(self, [text], None if prefix is None else [prefix], self.settings(**search), first)[0]
        if isinstance(prefix, str) or (prefix is not None and len(prefix) != len(text)):
            raise UsageError(f"{len(text)} texts need as many prefixes")
        return translate(self, text, prefix, self.settings(**search), first)

    def settings(self, **changes: Any) -> Search:
        """The model's own search with changes. Raises UsageError with the setting and the nearest one."""
        known = Search.model_fields
        if unknown := [name for name in changes if name not in known]:
            raise UsageError(
                f"there is no search setting {unknown[0]!r}.{nearest(unknown[0], known)}",
                remedy=f"There are: {', '.join(known)}.",
            )
        try:
            return Search(**self.generation.search.model_dump() | changes)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise UsageError(f"{name}: {first['msg']}" if name else first["msg"]) from None


def load(directory: str | Path, *, device: str = "cpu", dtype: torch.dtype | None = None) -> Loaded:
    """The model of a model directory or of a run directory (its `model/`).

    `device` is "cpu", "cuda", "cuda:1", or "auto": a GPU where there is one; UsageError where it is absent.
    `dtype` None leaves the weights as they are stored. Raises InvalidData or InvalidConfig with the file, the tensor or
    key, and the way out.
    """
    root, place = locate(directory), find_device(device)
    stored = read(root)
    return Loaded(root, stored._replace(model=stored.model.to(device=place, dtype=dtype)))
