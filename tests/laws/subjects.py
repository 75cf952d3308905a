"""The subjects of the laws: every family, pattern, position and core that the package declares, found by themselves.

A new one is held to the laws without a line of new test code. Sizes are toys; every parameter is perturbed, since
biases of zero and gains of one hide mistakes.
"""

from dataclasses import MISSING, fields
from typing import Any

import torch
from torch import Tensor

from transept.families.registry import all_families
from transept.models import Built, Model, Seq2Seq, Topology
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.core import Core
from transept.parts.norm import Norm
from transept.parts.pattern import Both, Causal, Either, Not, Pattern
from transept.parts.position import Position
from transept.parts.scored import Scored
from transept.parts.stack import Stack
from transept.spec import Part, replace

VOCAB, END = 23, 2
TOY_FIELDS = {"heads": 4, "length": 64}


def toys(kind: type[Part]) -> dict[str, Any]:
    """One toy of each concrete description below a kind; fields without a default get small numbers."""
    made = {}
    for name, part in Part.kinds.items():
        if issubclass(part, kind) and part is not kind:
            needed = [f.name for f in fields(part) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
            made[name] = part(**{field: TOY_FIELDS.get(field, 3) for field in needed})
    return made


def patterns() -> dict[str, Pattern]:
    """Each simple pattern, and combinations of them."""
    simple = [k for k in Part.kinds.values() if issubclass(k, Pattern) and k not in (Pattern, Both, Either, Not)]
    made = [kind(*[TOY_FIELDS.get(f.name, 3) for f in fields(kind)]) for kind in simple]  # type: ignore[arg-type]
    mixed = [Causal() & pattern for pattern in made] + [~pattern for pattern in made] + [made[0] & ~made[-1] | made[1]]
    return {str(pattern): pattern for pattern in [*made, *mixed]}


def cores() -> dict[str, Core]:
    return toys(Core)


def families() -> dict[str, Topology]:
    """A toy of each family."""
    return {name: module.declare(**module.TOY) for name, module in all_families().items()}


def edit(spec: Topology, change: Any) -> Topology:
    """The spec with `change` applied to every part of it, from the leaves up."""

    def walk(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(walk(item) for item in value)
        if not isinstance(value, Part):
            return value
        return change(replace(value, **{f.name: walk(getattr(value, f.name)) for f in fields(value)}))  # type: ignore[arg-type]

    changed = walk(spec)
    assert isinstance(changed, Topology)
    return changed


def on(kind: type[Part], when: Any = lambda part: True, **values: Any) -> Any:
    """A change for `edit`: parts of a kind get new values."""
    return lambda part: replace(part, **values) if isinstance(part, kind) and when(part) else part


def is_causal(part: Any) -> bool:
    return isinstance(part, Attention) and part.source == "self" and part.pattern == Causal()


def decodes(spec: Topology) -> bool:
    """Whether a model writes text from left to right: it has a causal self-attention."""
    found = []
    edit(spec, lambda part: found.append(is_causal(part)) or part)
    return any(found)


def variants() -> dict[str, Topology]:
    """Each family as it is, and with each position, pattern, core, norm and sharing in place of its own."""
    made: dict[str, Topology] = {}
    for name, spec in families().items():
        made[name] = spec
        for core, part in cores().items():
            made[f"{name}, core {core}"] = edit(spec, on(Attention, core=part))
        for position, part in (toys(Position) | {"none": None}).items():
            made[f"{name}, position {position}"] = edit(spec, _with_position(part))
        for position, part in toys(Scored).items():
            made[f"{name}, scored {position}"] = edit(spec, on(Stack, position=part))
        made[f"{name}, rms norm before"] = edit(edit(spec, on(Norm, form="rms")), on(Block, place="before"))
        for groups in (1, 2):
            made[f"{name}, {groups} key/value heads"] = edit(spec, on(Attention, kv_heads=groups))
        made[f"{name}, one set of weights"] = edit(spec, on(Stack, weights=1))
        for text, pattern in patterns().items():
            if decodes(spec):
                made[f"{name}, {text}"] = edit(
                    spec, on(Attention, is_causal, pattern=Causal() & (pattern | Causal() & pattern))
                )
    return made


def _with_position(position: Position | None) -> Any:
    from transept.inputs.tokens import Tokens

    return on(Tokens, position=position)


def lively(spec: Topology, seed: int = 0, scale: float = 0.2) -> Built:
    """The built model in eval mode, every parameter random: N(0, scale^2), vectors around one."""
    torch.manual_seed(seed)
    model = spec.build()
    assert isinstance(model, Built)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * scale + (1.0 if parameter.dim() == 1 else 0.0))
    return model.eval()


def padded(rows: list[Tensor], side: str, filler: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of different lengths as one tensor (B, S) and its validity."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), filler, dtype=torch.long)
    valid = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        at = slice(0, len(row)) if side == "right" else slice(width - len(row), None)
        ids[i, at], valid[i, at] = row, True
    return ids, valid


def some_ids(*shape: int) -> Tensor:
    return torch.randint(3, VOCAB, shape)


def logits_of(
    model: Built, source: Tensor, target: Tensor, source_valid: Tensor | None = None, valid: Tensor | None = None
) -> Tensor:
    """The logits for a target, whatever the topology: the source counts where there is one."""
    if isinstance(model.spec, Seq2Seq):
        return model(source, target, source_valid, valid).logits
    assert isinstance(model.spec, Model)
    return model(target, valid).logits
