"""What the modules of a model give during a pass: kept, or replaced by what another pass gave.

    with watch(model, "encoder.blocks.*") as states:
        model(source, target)
    with patch(model, {"encoder.blocks.1": states["encoder.blocks.1"][0]}):
        model(other, target)

Activation patching: what one pass gave, put into another, shows which part carries a difference (Vig et al. 2020; Meng
et al. 2022, "causal tracing"). Everything of a model with a name can be watched that gives a tensor: a block gives the
stream (B, S, D) after it, a sublayer what it adds to the stream, the tap `mix` of an attention its heads' results
(B, H, S, E).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from transept.errors import UsageError, nearest


@contextmanager
def watch(model: nn.Module, *names: str, gradients: bool = False) -> Iterator[Mapping[str, list[Tensor]]]:
    """Keep what the modules give whose names match, as a shell matches: by name, a tensor for each time it was called.

    `gradients` keeps the tensors of the pass themselves, else they are cut off from it. Raises UsageError where nothing
    matches.
    """
    there = {name: module for name, module in model.named_modules() if name}
    kept: dict[str, list[Tensor]] = {}
    with ExitStack() as undo:
        for pattern in names:
            chosen = [name for name in there if fnmatchcase(name, pattern)]
            if not chosen:
                raise UsageError(f"no module is called {pattern!r}.{nearest(pattern, there)}")
            for name in chosen:

                def keep(module: nn.Module, given: object, made: object, name: str = name) -> None:
                    if isinstance(made, Tensor):
                        kept.setdefault(name, []).append(made if gradients else made.detach())

                undo.callback(there[name].register_forward_hook(keep).remove)
        yield kept


@dataclass(frozen=True)
class Instead:
    """What a module gives in place of its own, for some positions or features of it alone.

    `value` has the shape of what it gives, or broadcasts to it. `dim` and `at` say where: dim 1 and at (2,) the third
    token of a stream (B, S, D), or the third head of a mix (B, H, S, E). `call` is which call of the pass is meant, for
    a module that is called several times (shared weights, a loop along time); None is every one.
    """

    value: Tensor
    dim: int | None = None
    at: tuple[int, ...] = ()
    call: int | None = None


@contextmanager
def patch(model: nn.Module, values: Mapping[str, Tensor | Instead | Sequence[Tensor]]) -> Iterator[None]:
    """Put values in place of what modules give, by their names, until the block ends, however it ends.

    A list has a value for each call in its order, as `watch` keeps them. Raises UsageError for a name that is not
    there, a value of another shape, or more calls than values.
    """
    there = {name: module for name, module in model.named_modules() if name}
    with ExitStack() as undo:
        for name, value in values.items():
            if name not in there:
                raise UsageError(f"no module is called {name!r}.{nearest(name, there)}")
            whole = list(value) if isinstance(value, Sequence) else value
            undo.callback(there[name].register_forward_hook(_Replacing(name, whole)).remove)
        yield


class _Replacing:
    def __init__(self, name: str, value: Tensor | Instead | list[Tensor]) -> None:
        self.name, self.value, self.calls = name, value, 0

    def __call__(self, module: nn.Module, given: object, made: object) -> Tensor:
        if not isinstance(made, Tensor):
            raise UsageError(f"{self.name} gives a {type(made).__name__}, no tensor: it cannot be replaced")
        call, self.calls = self.calls, self.calls + 1
        if isinstance(self.value, list):
            if call >= len(self.value):
                raise UsageError(f"{self.name} was called more often than the {len(self.value)} values for it")
            return self._fit(self.value[call], made)
        if isinstance(self.value, Tensor):
            return self._fit(self.value, made)
        one = self.value
        if one.call not in (None, call):
            return made
        value = self._fit(one.value, made)
        if one.dim is None:
            return value
        at = torch.tensor(one.at, device=made.device)
        return made.index_copy(one.dim, at, value.index_select(one.dim, at))

    def _fit(self, value: Tensor, made: Tensor) -> Tensor:
        try:
            return value.to(made).expand_as(made)
        except RuntimeError:
            raise UsageError(
                f"{self.name} gives {tuple(made.shape)}, and the value for it is {tuple(value.shape)}"
            ) from None
