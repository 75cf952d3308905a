"""Keep what attention and the heads of a memory looked at during a pass: no value of the model changes.

    with record(model, "decoder.*") as kept:
        model(source, target)
    kept["decoder.blocks.0.cross"]        # (B, H, T, S); each row sums to 1, or less where a place weighs it

Shapes: B batch, H heads, S queries, T keys.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from transept.errors import UsageError, nearest
from transept.parts.attention import AttentionLayer
from transept.parts.core import Allowed
from transept.parts.tap import Looking


class Record(Mapping[str, Tensor]):
    """The weights of each attention by its name in the model, (B, H, S, T).

    A decoder that steps along time asks once a step: its rows stand one under the other, in the order of the steps. So
    do those of several passes; where a later one had more keys, the rows before have zeros there.
    """

    def __init__(self) -> None:
        self._pieces: dict[str, list[Tensor]] = {}

    def add(self, name: str, weights: Tensor) -> None:
        self._pieces.setdefault(name, []).append(weights)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._pieces:
            raise KeyError(f"nothing was recorded of {name!r}.{nearest(name, self._pieces)}")
        pieces = self._pieces[name]
        if len({piece.shape[:2] for piece in pieces}) > 1:
            raise UsageError(
                f"the rows of the batch changed while {name} was recorded: sentences left it, or a beam grew",
                remedy="Record one pass over what was written: model(source, target).",
            )
        keys = max(piece.size(3) for piece in pieces)
        return torch.cat([nn.functional.pad(piece, (0, keys - piece.size(3))) for piece in pieces], 2)

    def __iter__(self) -> Iterator[str]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)


def attentions(model: nn.Module) -> dict[str, AttentionLayer]:
    """Every attention of a model by its name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AttentionLayer)}


def heads(model: nn.Module) -> dict[str, Looking]:
    """Where the heads of each memory look, by its name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Looking)}


@contextmanager
def record(model: nn.Module, names: str = "*") -> Iterator[Record]:
    """Record the weights of the attentions whose names match, as a shell matches: "decoder.*.cross".

    They are computed anew from what the kernel was asked, by the definition, in float32 at the least, and without
    gradients. Dropout on weights is not in them. Of heads that read or write a memory, "stack.reading", the weights
    are over its rows, a row for each step. Raises UsageError where nothing matches.
    """
    there: dict[str, AttentionLayer | Looking] = {**attentions(model), **heads(model)}
    chosen = {name: layer for name, layer in there.items() if fnmatchcase(name, names)}
    if not chosen:
        raise UsageError(
            f"no attention is called {names!r}.{nearest(names, there)}",
            remedy=f"There are: {', '.join(there)}." if there else "This model has none.",
        )
    kept = Record()

    def keep(name: str, layer: AttentionLayer | Looking) -> RemovableHandle:
        if isinstance(layer, Looking):
            return layer.register_forward_hook(lambda _, given, looked: kept.add(name, looked.detach()[:, :, None]))

        def look(module: nn.Module, given: object, asked: tuple[Tensor, Tensor, Tensor, Allowed]) -> None:
            q, k, _, allowed = asked
            with torch.no_grad():
                # On a copy: what is made here without gradients must not be taken for the pass's own.
                kept.add(name, layer.core.weights(q, k, replace(allowed), layer.scale))

        return layer.asked.register_forward_hook(look)

    hooks = [keep(name, layer) for name, layer in chosen.items()]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()
