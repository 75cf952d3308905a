"""`transept.load`: a model with what it needs to be used, and the verbs of the command line as methods."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, overload

import torch
from pydantic import ValidationError
from torch import nn

from transept.data.tokenizer import Tokenizer
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis
from transept.decode.search import search as decode
from transept.device import find_device
from transept.errors import InvalidData, UsageError, nearest
from transept.hub.card import read_card
from transept.hub.directory import Stored, locate, read, save
from transept.hub.generation import Generation
from transept.models import Seq2SeqLayer, Topology

Finish = Literal["end", "length"]


class Translation(str):
    """A translation. It is its own text; beside it stands how the search came to it.

    `ids` and `tokens` are what was chosen, the end token with them where `finish` is "end"; "length" says that the
    maximal length stopped the search. `logprobs` has the log-probability of each, `score` their sum over the length
    penalty. `others` are the next best, as many as `n_best` asked for.
    """

    __slots__ = ("finish", "ids", "logprobs", "others", "score", "tokens")

    ids: list[int]
    tokens: list[str]
    logprobs: list[float]
    score: float
    finish: Finish
    others: list["Translation"]

    @classmethod
    def of(cls, text: str, tokens: list[str], found: Hypothesis, others: list["Translation"] | None = None) -> Self:
        """The translation that a hypothesis stands for."""
        made = cls(text)
        made.ids, made.tokens, made.logprobs = found.tokens, tokens, found.logprobs
        made.score, made.finish, made.others = found.score, found.finish, others or []
        return made

    @property
    def text(self) -> str:
        """The text alone."""
        return str.__str__(self)


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
            return self._translate([text], None if prefix is None else [prefix], self.settings(**search), first)[0]
        if isinstance(prefix, str) or (prefix is not None and len(prefix) != len(text)):
            raise UsageError(f"{len(text)} texts need as many prefixes")
        return self._translate(text, prefix, self.settings(**search), first)

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

    def _translate(
        self, texts: Sequence[str], prefixes: Sequence[str] | None, settings: Search, first: int
    ) -> list[Translation]:
        if not isinstance(self.model, Seq2SeqLayer):
            raise UsageError(
                f"this model cannot translate: it is a {type(self.spec).__name__} with one stack,"
                " and a translation needs an encoder and a decoder",
                where=self.path,
            )
        if self.tokenizer is None:
            raise InvalidData(
                "this model has no tokenizer.json, so it reads no text",
                where=self.path,
                remedy="Give token ids to transept.decode.search.search(model, ...), or put its tokenizer.json there.",
            )
        tokenizer = self.tokenizer
        asked = [i for i, text in enumerate(texts) if text.strip()]
        sources = tokenizer.encode_batch([texts[i] for i in asked])
        starts = [[] if prefixes is None else tokenizer.encode(prefixes[i])[:-1] for i in asked]
        for i, source in zip(asked, sources, strict=True):
            if len(source) > self.generation.longest:
                raise InvalidData(
                    f"text {first + i + 1} has {len(source)} tokens, and the model takes {self.generation.longest}"
                    f" (it begins {texts[i][:40]!r})",
                    remedy="Split it into sentences: nothing is cut in silence.",
                )
        numbers = [first + i for i in asked]
        found = decode(self.model, sources, settings, self.generation.special, starts, numbers)
        answers = [Translation.of("", [], Hypothesis([], 0.0, [], "end")) for _ in texts]
        for i, start, hypotheses in zip(asked, starts, found, strict=True):
            best, *others = [
                Translation.of(tokenizer.decode([*start, *each.tokens]), tokenizer.tokens(each.tokens), each)
                for each in hypotheses
            ]
            best.others = others
            answers[i] = best
        return answers


def load(directory: str | Path, *, device: str = "cpu", dtype: torch.dtype | None = None) -> Loaded:
    """The model of a model directory or of a run directory (its `model/`).

    `device` is "cpu", "cuda", "cuda:1", or "auto": a GPU where there is one; UsageError where it is absent.
    `dtype` None leaves the weights as they are stored. Raises InvalidData or InvalidConfig with the file, the tensor or
    key, and the way out.
    """
    root, place = locate(directory), find_device(device)
    stored = read(root)
    return Loaded(root, stored._replace(model=stored.model.to(device=place, dtype=dtype)))
