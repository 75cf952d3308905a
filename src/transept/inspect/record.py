"""Keep what attention and the heads of a memory looked at during a pass: no value of the model changes.

    with record(model, "decoder.*") as kept:
        model(source, target)
    kept["decoder.blocks.0.cross"]                   # (B, H, T, S); each row sums to 1, or less where a place weighs it
    kept.rows("decoder.blocks.0.cross", 3, head=2)   # (B, 1, S): what the fourth query looks at there

What was asked of an attention is kept, its queries and keys, which are as long as the text; its weights, which are as
long as the square, are made when they are wanted and for the rows that are wanted.

Shapes: B batch, H heads, S queries, T keys.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from transept.errors import UsageError, nearest
from transept.parts.attention import AttentionLayer
from transept.parts.core import Allowed
from transept.parts.lowrank import LowRankLayer
from transept.parts.tap import Looking

Asking = tuple[Tensor, Tensor, Tensor, Allowed]  # what the tap `asked` hands on: queries, keys, values, who may see


@dataclass(frozen=True)
class Asked:
    """What one attention was asked in one pass, from which any of its rows can be made."""

    name: str
    layer: AttentionLayer
    q: Tensor
    k: Tensor
    allowed: Allowed
    versions: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, H, S, T)"""
        return self.q.size(0), self.q.size(1), self.q.size(2), self.k.size(2)

    @torch.no_grad()
    def rows(self, which: Sequence[int] | None) -> Tensor:
        if versions(self.layer, self.allowed) != self.versions:
            raise UsageError(
                f"the weights of {self.name} have changed since this pass, and its rows cannot be made any more",
                remedy="Ask for them before the model is trained further.",
            )
        few = None if which is None else torch.tensor(which, device=self.q.device)
        # On a copy: what is made here must not grow into what the next question holds.
        return self.layer.core.weights(self.q, self.k, replace(self.allowed), self.layer.scale, few)


@dataclass(frozen=True)
class Made:
    """Rows that were made at once, (B, H, S, T): the keys of a cache go on after its step."""

    weights: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        b, h, s, t = self.weights.shape
        return b, h, s, t

    def rows(self, which: Sequence[int] | None) -> Tensor:
        return self.weights if which is None else self.weights[:, :, list(which)]


class Record(Mapping[str, Tensor]):
    """The weights of each attention by its name in the model, (B, H, S, T).

    A decoder that steps along time asks once a step: its rows stand one under the other, in the order of the steps. So
    do those of several passes; where a later one had more keys, the rows before have zeros there.
    """

    def __init__(self) -> None:
        self._pieces: dict[str, list[Asked | Made]] = {}

    def add(self, name: str, piece: Asked | Made) -> None:
        self._pieces.setdefault(name, []).append(piece)

    def shape(self, name: str) -> tuple[int, int, int, int]:
        """(B, H, S, T) of an attention, without making its weights. Raises KeyError with the nearest name."""
        pieces = self._of(name)
        b, h, *_ = pieces[0].shape
        return b, h, sum(piece.shape[2] for piece in pieces), max(piece.shape[3] for piece in pieces)

    def begins(self, name: str) -> list[int]:
        """The first row of each time that an attention was asked: one in a whole pass, unless blocks share weights."""
        counts = [piece.shape[2] for piece in self._of(name)]
        return [sum(counts[:at]) for at in range(len(counts))]

    def rows(self, name: str, rows: int | Sequence[int], head: int | None = None) -> Tensor:
        """Some rows of an attention, in the order in which they are asked for: (B, H, N, T), or of a head (B, N, T).

        Costs what these rows cost: N * T products for each head. A negative number counts from the end.
        """
        pieces, (_, heads, count, keys) = self._of(name), self.shape(name)
        wanted = [rows] if isinstance(rows, int) else list(rows)
        if wrong := [row for row in wanted if not -count <= row < count]:
            raise UsageError(f"{name} has rows 0 to {count - 1} here, and row {wrong[0]} was asked for")
        if head is not None and not -heads <= head < heads:
            raise UsageError(f"{name} has heads 0 to {heads - 1}, and head {head} was asked for")
        found: dict[int, Tensor] = {}
        begins = 0
        for piece in pieces:
            own = sorted({row % count for row in wanted if begins <= row % count < begins + piece.shape[2]})
            if own:
                made = widened(piece.rows([row - begins for row in own]), keys)
                found |= {row: made[:, :, at] for at, row in enumerate(own)}
            begins += piece.shape[2]
        stacked = torch.stack([found[row % count] for row in wanted], 2)
        return stacked if head is None else stacked[:, head]

    def __getitem__(self, name: str) -> Tensor:
        pieces = self._of(name)
        keys = max(piece.shape[3] for piece in pieces)
        return torch.cat([widened(piece.rows(None), keys) for piece in pieces], 2)

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def _of(self, name: str) -> list[Asked | Made]:
        if name not in self._pieces:
            raise KeyError(f"nothing was recorded of {name!r}.{nearest(name, self._pieces)}")
        if len({piece.shape[:2] for piece in self._pieces[name]}) > 1:
            raise UsageError(
                f"the rows of the batch changed while {name} was recorded: sentences left it, or a beam grew",
                remedy="Record one pass over what was written: model(source, target).",
            )
        return self._pieces[name]


def widened(weights: Tensor, keys: int) -> Tensor:
    """Rows with zeros for keys that came later."""
    return nn.functional.pad(weights, (0, keys - weights.size(3)))


def attentions(model: nn.Module) -> dict[str, AttentionLayer]:
    """Every attention of a model by its name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AttentionLayer)}


def heads(model: nn.Module) -> dict[str, Looking]:
    """Where the heads of each memory look, by its name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Looking)}


Named = TypeVar("Named", bound=nn.Module)


def matching(model: nn.Module, names: str) -> dict[str, AttentionLayer]:
    """The attentions whose names match, as a shell matches: "decoder.*.cross". UsageError where none does."""
    return chosen_of(attentions(model), names)


def chosen_of(there: Mapping[str, Named], names: str) -> dict[str, Named]:
    """Those whose names match. UsageError where none does."""
    chosen = {name: layer for name, layer in there.items() if fnmatchcase(name, names)}
    if not chosen:
        raise UsageError(
            f"no attention is called {names!r}.{nearest(names, there)}",
            remedy=f"There are: {', '.join(there)}." if there else "This model has none.",
        )
    return chosen


def versions(layer: AttentionLayer, allowed: Allowed) -> tuple[int, ...]:
    """How often each of the parameters that the weights hang on was written to."""
    own = [*layer.core.parameters(), *(allowed.bias.parameters() if allowed.bias is not None else ())]
    return tuple(-1 if parameter.is_inference() else parameter._version for parameter in own)


@torch.no_grad()
def kept_of(name: str, layer: AttentionLayer, asked: Asking) -> Asked | Made:
    """What is kept of one question: itself, or at once the rows that answer it."""
    q, k, _, allowed = asked
    if layer.training or (not allowed.own and layer.spec.source == "self"):  # draws, and keys that a cache goes on with
        return Made(layer.core.weights(q, k, replace(allowed), layer.scale))
    return Asked(name, layer, q.detach(), k.detach(), allowed.alone(), versions(layer, allowed))


def mixture(layer: AttentionLayer) -> str | None:
    """What an attention looks at, where that is no single token; None where it is."""
    if isinstance(layer.core, LowRankLayer):
        return "mixes all keys before any query looks, by the core LowRank"
    return "looks at keys that are made of several tokens" if layer.shorten is not None else None


def demand_tokens(name: str, layer: AttentionLayer, what: str, remedy: str) -> None:
    """Refuse an attention that looks at no single tokens: `what` cannot be had of it. Raises UsageError."""
    if (reason := mixture(layer)) is not None:
        raise UsageError(f"{name} {reason}: {what}", remedy=remedy)


def demand_shares(name: str, layer: AttentionLayer) -> None:
    """Refuse an attention that gives more than shares of the row's own tokens. Raises UsageError with what it is."""
    reason = mixture(layer) or ("mixes in what it finds in segments before" if layer.recall is not None else None)
    if reason is not None:
        raise UsageError(
            f"{name} {reason}: it cannot be taken apart into what single tokens bring",
            remedy="Leave it out by cut(), take gradients, or read its weights as they are by record().",
        )


@contextmanager
def record(model: nn.Module, names: str = "*") -> Iterator[Record]:
    """Record the weights of the attentions whose names match, as a shell matches: "decoder.*.cross".

    They are computed anew from what the kernel was asked, by the definition, in float32 at the least, and without
    gradients. Dropout on weights is not in them. Of heads that read or write a memory, "stack.reading", the weights
    are over its rows, a row for each step. Raises UsageError where nothing matches.
    """
    there: dict[str, nn.Module] = {**attentions(model), **heads(model)}
    kept = Record()

    def keep(name: str, layer: nn.Module) -> RemovableHandle:
        if isinstance(layer, Looking):
            return layer.register_forward_hook(
                lambda _, given, looked: kept.add(name, Made(looked.detach()[:, :, None]))
            )
        assert isinstance(layer, AttentionLayer)

        def look(module: nn.Module, given: object, asked: Asking) -> None:
            kept.add(name, kept_of(name, layer, asked))

        return layer.asked.register_forward_hook(look)

    hooks = [keep(name, layer) for name, layer in chosen_of(there, names).items()]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
