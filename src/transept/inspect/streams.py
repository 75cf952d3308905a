"""The stream of a stack taken apart: what every sublayer wrote into it, and what every norm does to it.

A stack adds: x = x + f(x), with a norm before f or after the sum. With the statistics of a pass held, a norm is
linear, so that the state that leaves is a sum of what each part wrote: the input, each head, each feed-forward
network, the biases.

Shapes: T tokens, D width, H heads, E head width.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeGuard

import torch
from torch import Tensor, nn

from transept.errors import UsageError
from transept.inspect.example import Example
from transept.inspect.record import Asking
from transept.parts.attention import AttentionLayer
from transept.parts.core import Allowed
from transept.parts.stack import StackLayer
from transept.parts.tap import Tap


@dataclass(frozen=True)
class Write:
    """One sublayer of one application of a block.

    name as in the model; `given` (T, D) is the stream before it, `read` what it read of that, normalised or not, `made`
    what it wrote; `norm` is the norm beside it, which read `normed`. Of an attention `mix` (H, T, E) are its heads'
    results, and `asked` what its core was asked.
    """

    name: str
    layer: nn.Module
    norm: nn.Module
    place: str
    given: Tensor
    read: Tensor
    made: Tensor
    normed: Tensor
    mix: Tensor | None = None
    asked: Asking | None = None


@dataclass(frozen=True)
class Stream:
    """A pass through a stack: what entered (T, D), what each sublayer wrote, and the last norm with what it read.

    `ends` are the numbers of the last write of each block."""

    name: str
    entered: Tensor
    writes: list[Write]
    ends: list[int]
    last: nn.Module
    left: Tensor

    def states(self) -> list[Tensor]:
        """The stream that enters, and the stream after each block, (T, D) each."""
        return [self.entered, *(after(self.writes[at]) for at in self.ends)]


def after(one: Write) -> Tensor:
    """The stream after a sublayer, (T, D)."""
    total = one.given + one.made
    made: Tensor = one.norm(total) if one.place == "after" else total
    return made


@torch.no_grad()
def stream(example: Example, trunk: str | None = None) -> Stream:
    """One pass of an example through one of its stacks: "encoder", "decoder" or "stack"; None is the last one.

    Raises UsageError where that trunk is not blocks in a row.
    """
    model = example.model
    name = trunk or ("stack" if example.target is None else "decoder")
    stack = getattr(model, name, None)
    if not isinstance(stack, StackLayer):
        raise UsageError(f"{name} is not blocks in a row, whose sum could be taken apart")
    names = {module: at for at, module in model.named_modules()}
    seen: list[tuple[nn.Module, object, object]] = []
    with ExitStack() as undo:

        def watch(module: nn.Module) -> None:
            def keep(called: nn.Module, given: tuple[object, ...], made: object) -> None:
                seen.append((called, given[0], made))

            undo.callback(module.register_forward_hook(keep).remove)

        for block in stack.blocks:
            for part in block.children():  # the sublayers and their norms
                watch(part)
                for tap in part.children():
                    if isinstance(tap, Tap):
                        watch(tap)
        undo.callback(
            stack.norm.register_forward_hook(lambda _, given, made: seen.append((stack, given[0], made))).remove
        )
        entered: list[Tensor] = []
        undo.callback(stack.register_forward_pre_hook(lambda _, given: entered.append(given[0])).remove)
        example.output()
    calls, writes, ends = iter(seen), list[Write](), list[int]()
    for i in range(len(stack.order)):
        block = stack.block(i)
        for role in block.roles:
            layer, norm = block.get_submodule(role), block.get_submodule(f"{role}_norm")
            found: dict[str, tuple[object, object]] = {}
            wanted = {layer: "layer", norm: "norm"}
            if isinstance(layer, AttentionLayer):
                wanted |= {layer.asked: "asked", layer.mix: "mix"}
            for _ in wanted:
                module, given, made = next(calls)
                found[wanted[module]] = (given, made)
            read, wrote = (_one(value) for value in found["layer"])
            normed = _one(found["norm"][0])
            before = normed if block.spec.place == "before" else read
            asked = found.get("asked", (None, None))[1]
            mix = found.get("mix", (None, None))[1]
            writes.append(
                Write(
                    names[layer],
                    layer,
                    norm,
                    block.spec.place,
                    before,
                    read,
                    wrote,
                    normed,
                    mix[0] if isinstance(mix, Tensor) else None,
                    asked if _is_asking(asked) else None,
                )
            )
        ends.append(len(writes) - 1)
    module, given, made = next(calls)
    assert module is stack
    return Stream(name, entered[0][0], writes, ends, stack.norm, _one(given))


def _is_asking(value: object) -> TypeGuard[Asking]:
    return isinstance(value, tuple) and len(value) == 4 and isinstance(value[3], Allowed)


def _one(value: object) -> Tensor:
    """The only row of a batch."""
    assert isinstance(value, Tensor)
    return value[0]


class Linear:
    """A norm as it acts on parts of what it read, its statistics held: y = gain (u - mean(u)) / deviation (+ bias)."""

    def __init__(self, norm: nn.Module, read: Tensor) -> None:
        self.norm = norm
        self.centred = isinstance(norm, nn.LayerNorm)
        if isinstance(norm, nn.Identity):
            self.scale: Tensor | None = None
            return
        assert isinstance(norm, nn.LayerNorm | nn.RMSNorm), "a norm of one token's features"
        moved = read - read.mean(-1, keepdim=True) if self.centred else read
        eps = norm.eps if norm.eps is not None else torch.finfo(read.dtype).eps
        self.scale = (moved.square().mean(-1, keepdim=True) + eps).rsqrt() * norm.weight

    def __call__(self, part: Tensor) -> Tensor:
        """What becomes of a part, (..., T, D); the norm's bias is no part's."""
        if self.scale is None:
            return part
        return (part - part.mean(-1, keepdim=True) if self.centred else part) * self.scale

    def at(self, parts: Tensor, tokens: Tensor) -> Tensor:
        """What becomes of several parts of each of some tokens, (N, S, D)."""
        if self.scale is None:
            return parts
        return (parts - parts.mean(-1, keepdim=True) if self.centred else parts) * self.scale[tokens, None]

    @property
    def bias(self) -> Tensor | None:
        """What the norm adds by itself, (D,)."""
        return getattr(self.norm, "bias", None)


def heads_of(one: Write) -> Tensor:
    """What each head of an attention wrote, (H, T, D), without the bias of its last matrix."""
    assert isinstance(one.layer, AttentionLayer)
    assert one.mix is not None
    if not isinstance(one.layer.o, nn.Linear):
        raise UsageError(f"{one.name} does not project its heads: what each of them writes stands side by side")
    parts = one.layer.o.weight.unflatten(1, (one.mix.size(0), -1))  # (D, H*E) -> (D, H, E)
    return torch.einsum("hte,dhe->htd", one.mix, parts)


def parts(found: Stream, heads: bool = True) -> Iterator[tuple[str, Tensor]]:
    """What the state that leaves a stack is the sum of, by name: (T, D) each, after every norm that came later.

    Names are those of the sublayers, `NAME:h` for a head, `NAME.bias`, `NAME_norm.bias`; "entered" is the input.
    """
    terms: dict[str, Tensor] = {"entered": found.entered}

    def add(name: str, term: Tensor) -> None:
        terms[name] = terms[name] + term if name in terms else term

    for one in found.writes:
        if isinstance(one.layer, AttentionLayer) and heads and isinstance(one.layer.o, nn.Linear):
            for head, term in enumerate(heads_of(one)):
                add(f"{one.name}:{head}", term)
            if one.layer.o.bias is not None:
                add(f"{one.name}.bias", one.layer.o.bias.expand_as(one.made))
        else:
            add(one.name, one.made)
        if one.place == "after":
            _through(terms, Linear(one.norm, one.normed), f"{one.name}_norm.bias")
    _through(terms, Linear(found.last, found.left), f"{found.name}.norm.bias")
    yield from terms.items()


def _through(terms: dict[str, Tensor], norm: Linear, name: str) -> None:
    """All terms through a norm, whose bias becomes one more."""
    for known in terms:
        terms[known] = norm(terms[known])
    if norm.bias is not None:
        bias = norm.bias.expand_as(next(iter(terms.values())))
        terms[name] = terms[name] + bias if name in terms else bias
