"""A model laid flat: every part with its weights, shapes, parameters and operations, for `transept show`.

Shapes: D width, H heads, E head width, V vocabulary. Operations are the multiplications and additions of matrix
products and convolutions (two for each weight and token); norms, activations and look-ups are left out, being far below
one percent.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transept

if TYPE_CHECKING:
    from torch import nn

    from transept.parts.pattern import Pattern
    from transept.parts.stack import StackLayer
    from transept.spec import Part
    from transept.topology import Built


@dataclass(frozen=True)
class Row:
    """One line of the flattened model. `parameters` and `flops` are of this line alone, over all its `times`."""

    name: str
    depth: int
    part: str
    shape: str = ""
    times: int = 1
    parameters: int = 0
    flops: int = 0
    source: str = ""


def flatten(layer: Built, length: int) -> list[Row]:
    """The rows of a built model, outermost first; `flops` are per token at `length` tokens a side.

    Applications of equal blocks are one line with `times`; weights that they share count once.
    """
    from transept.models import Model, Seq2Seq

    spec = layer.spec
    assert isinstance(spec, (Model, Seq2Seq)), f"{type(spec).__name__} has no width that is known here"
    return list(_Walk(spec.width, length).module("", layer, 0, 1, 1))


def patterns(layer: nn.Module) -> dict[str, Pattern]:
    """Each pattern of the model by the first place that uses it, as "decoder self"."""
    from transept.parts.attention import AttentionLayer

    found: dict[str, Pattern] = {}
    for name, module in layer.named_modules():
        if isinstance(module, AttentionLayer):
            place = f"{name.split('.')[0]} {module.spec.source}".removeprefix("stack ")
            if module.spec.pattern not in [p for k, p in found.items() if k.startswith(place)]:
                found[place if place not in found else f"{place}, {name}"] = module.spec.pattern
    return found


def brief(part: Part) -> str:
    """A part in one line: its kind and what differs from the default; parts inside it by their kind alone."""
    from transept.parts.attention import Attention
    from transept.parts.core import Core
    from transept.parts.pattern import Pattern
    from transept.spec import Part

    told = []
    for field in fields(part):  # type: ignore[arg-type]
        value = getattr(part, field.name)
        if isinstance(value, Pattern):
            told.append(f"{field.name}={value}")
        elif value == field.default or (isinstance(value, tuple) and any(isinstance(item, Part) for item in value)):
            continue
        elif isinstance(value, Core) and isinstance(part, Attention):
            chosen = value.chosen(part)
            told.append(f"core={brief(value)}" + ("" if chosen == value else f" that chose {brief(chosen)}"))
        elif isinstance(value, Part):
            told.append(f"{field.name}={brief(value)}")
        else:
            told.append(f"{field.name}={value:.4g}" if isinstance(value, float) else f"{field.name}={value}")
    return f"{type(part).__name__}({', '.join(told)})"


def origin(thing: Any) -> str:
    """The file of the package that a part is written in, as "parts/attention.py"."""
    path, home = Path(inspect.getfile(type(thing))), Path(transept.__file__).parent
    return str(path.relative_to(home)) if path.is_relative_to(home) else type(thing).__module__


@dataclass(frozen=True)
class _Walk:
    """Through a built model of `width`, counting operations at `length` tokens."""

    width: int
    length: int

    def module(self, name: str, module: nn.Module, depth: int, sets: int, times: int) -> Iterator[Row]:
        """The rows of one module: `sets` copies of its weights exist, and a token passes `times` of them."""
        from transept.parts.stack import StackLayer
        from transept.spec import Part

        spec, inner = getattr(module, "spec", None), depth
        weights = list(module.parameters(recurse=False))
        count = sets * sum(weight.numel() for weight in weights)
        if isinstance(spec, Part):
            flops = times * self.flops(module)
            yield Row(name or type(spec).__name__, depth, _head(spec), "", times, count, flops, origin(spec))
            inner += 1
        elif weights:
            shape = "×".join(str(n) for n in weights[0].shape)
            flops = times * self.flops(module)
            yield Row(name, depth, type(module).__name__, shape, times, count, flops, "torch.nn")
        if isinstance(module, StackLayer):
            yield from self.blocks(name, module, inner, sets, times)
        for child, layer in module.named_children():
            if not (isinstance(module, StackLayer) and child == "blocks") and not _is_empty(layer):
                yield from self.module(f"{name}.{child}" if name else child, layer, inner, sets, times)

    def blocks(self, name: str, stack: StackLayer, depth: int, sets: int, times: int) -> Iterator[Row]:
        """Equal blocks as one: `encoder.blocks.0-5`."""
        groups: dict[Part, list[int]] = {}
        for index, block in enumerate(stack.blocks):
            groups.setdefault(block.spec, []).append(index)  # type: ignore[arg-type]
        for members in groups.values():
            applied = sum(stack.order.count(index) for index in members)
            label = f"{name}.blocks.{_span(members)}"
            yield from self.module(label, stack.blocks[members[0]], depth, sets * len(members), times * applied)

    def flops(self, module: nn.Module) -> int:
        """Operations per token: a matrix's, an attention's scores and mix, a tied head's product, a convolution's.

        A frame of sound is a token, of which the convolutions before the last run several times.
        """
        from torch import nn

        from transept.heads.adaptive import AdaptiveLayer
        from transept.heads.vocabulary import VocabularyLayer
        from transept.parts.attention import AttentionLayer
        from transept.parts.convnet import Convolution
        from transept.parts.convolution import ConvolutionsLayer, ConvolvedLayer
        from transept.parts.mapped import Normalised
        from transept.parts.mixture import MixtureLayer
        from transept.parts.recall import RecallLayer
        from transept.parts.relative import DistancesLayer

        if isinstance(module, nn.Linear | Normalised):
            return 2 * module.in_features * module.out_features
        if isinstance(module, AttentionLayer):
            return 2 * self.length * module.spec.heads * sum(module.widths.values())
        if isinstance(module, MixtureLayer):  # of all experts, those that a token goes through
            return 4 * module.spec.chosen * module.spec.hidden * self.width
        if isinstance(module, RecallLayer):
            return 2 * min(self.length, module.spec.size) * len(module.gate) * module.width
        if isinstance(module, DistancesLayer):  # the matrix of distances is multiplied once a pass, and counted below
            return 2 * self.length * module.heads * module.width
        if isinstance(module, AdaptiveLayer):
            sizes = (end - at for at, end in module.spans)
            return sum(2 * n * module.clusters.width(self.width, i) for i, n in enumerate(sizes))
        if isinstance(module, VocabularyLayer) and module.spec.tied:
            return 2 * module.spec.size * self.width
        if isinstance(module, nn.Conv2d):  # of a network that looks at a coarser grid in the end, many times a token
            return 2 * module.weight.numel() * (module.area if isinstance(module, Convolution) else 1)
        if isinstance(module, ConvolvedLayer):
            return 2 * module.direction.numel()
        if isinstance(module, ConvolutionsLayer):
            convs, strides = [conv for conv in module.convs if isinstance(conv, nn.Conv1d)], module.spec.strides
            return sum(2 * conv.weight.numel() * math.prod(strides[i + 1 :]) for i, conv in enumerate(convs))
        return 0


def _span(numbers: list[int]) -> str:
    """0-5 where they follow one another, 0,2-8 where they do in equal steps, else 0,2,5."""
    if len(numbers) > 1:
        first, second, last = numbers[0], numbers[1], numbers[-1]
        if numbers == list(range(first, last + 1)):
            return f"{first}-{last}"
        if len(numbers) > 3 and numbers == list(range(first, last + 1, second - first)):
            return f"{first},{second}-{last}"
    return ",".join(map(str, numbers))


def _head(spec: Part) -> str:
    """A topology, a stack or a block holds its parts below it: of these only the plain fields are told."""
    from transept.parts.block import Block
    from transept.parts.stack import Stack
    from transept.topology import Topology

    if isinstance(spec, Topology):
        return f"{type(spec).__name__}(width={getattr(spec, 'width', '?')})"
    if isinstance(spec, Stack):
        more = {"weights": spec.weights, "carries": spec.carries}
        return f"Stack(depth={spec.depth}" + "".join(f", {k}={v}" for k, v in more.items() if v) + ")"
    if isinstance(spec, Block):
        return f"Block(place={spec.place}, norm={brief(spec.norm)}, dropout={spec.dropout:g})"
    return brief(spec)


def _is_empty(module: nn.Module) -> bool:
    """No weight and no description anywhere inside: an identity, a tap, a core without weights."""
    return not any(True for _ in module.parameters()) and not hasattr(module, "spec")
