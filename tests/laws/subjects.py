"""The subjects of the laws: every family, pattern, position and core that the package declares, found by themselves.

A new one is held to the laws without a line of new test code. Sizes are toys; every parameter is perturbed, since
biases of zero and gains of one hide mistakes.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from transept.data.trees import places
from transept.errors import InvalidConfig
from transept.families.registry import all_families
from transept.heads.adaptive import Adaptive
from transept.heads.vocabulary import Vocabulary
from transept.inputs.clustered import Clustered
from transept.inputs.tokens import Tokens
from transept.inspect.prune import prunable
from transept.inspect.record import attentions
from transept.models import Model, Seq2Seq
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.clusters import Clusters
from transept.parts.core import Core
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Pattern, Window
from transept.parts.pattern_text import patterns_by_word
from transept.parts.place import Place
from transept.parts.position import Added
from transept.parts.recall import Recall
from transept.parts.relative import Keyed, RelativeKeys
from transept.parts.rotary import Rotating, Scaling
from transept.parts.scored import Scored
from transept.parts.scores import Scoring
from transept.parts.shorten import Shorten
from transept.parts.stack import Stack
from transept.parts.trunk import Trunk
from transept.parts.view import count_positions
from transept.spec import Part, edit, replace
from transept.topology import Built, Topology

VOCAB, END = 23, 2
TOY_FIELDS: dict[str, Any] = {"heads": 4, "length": 64, "height": 24}
TOY_FIELDS |= {"keyed": (RelativeKeys(3), RelativeKeys(2, "both", "relative"))}
TREE = torch.tensor(places([max(0, (word - 1) // 2) for word in range(64)]))  # that of a text is its beginning


def toys(kind: type[Part]) -> dict[str, Any]:
    """One toy of each concrete description below a kind; fields without a default get small numbers."""
    return {name: toy(part) for name, part in Part.kinds.items() if issubclass(part, kind) and is_concrete(part)}


def is_concrete(kind: type[Part]) -> bool:
    """Whether it is a description of something, and not of a kind of things."""
    return not any(other is not kind and issubclass(other, kind) for other in Part.kinds.values())


def toy(kind: type[Part]) -> Any:
    """One description of a kind; fields without a default get small numbers."""
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
    return kind(**{field: TOY_FIELDS.get(field, 3) for field in needed})


def forms(kind: type[Part]) -> dict[str, Any]:
    """The toys below a kind, and each again with every other choice that one of its fields has."""
    made = {}
    for name, part in toys(kind).items():
        made[name] = part
        for field, hint in get_type_hints(type(part)).items():
            if get_origin(hint) is Literal:
                others = [choice for choice in get_args(hint) if choice != getattr(part, field)]
                made |= {f"{name} {choice}": replace(part, **{field: choice}) for choice in others}
    return made


def patterns() -> dict[str, Pattern]:
    """Each simple pattern, and combinations of them."""
    made = simple_patterns()
    mixed = [Causal() & pattern for pattern in made] + [~pattern for pattern in made] + [made[0] & ~made[-1] | made[1]]
    return {str(pattern): pattern for pattern in [*made, *mixed]}


def simple_patterns() -> list[Pattern]:
    """One of each word of the text form."""
    return [toy(kind) for kind in patterns_by_word().values()]


def cores() -> dict[str, Core]:
    return toys(Core)


def learning_cores() -> dict[str, Core]:
    """Those that gradients go through on a processor."""
    return {name: core for name, core in cores().items() if core.learns("cpu")}


@cache
def families() -> dict[str, Topology]:
    """A toy of each family."""
    return {name: module.declare(**module.TOY) for name, module in all_families().items()}


def on(kind: type[Part], when: Any = lambda part: True, **values: Any) -> Any:
    """A change for `edit`: parts of a kind get new values."""
    return lambda part: replace(part, **values) if isinstance(part, kind) and when(part) else part


def is_causal(part: Any) -> bool:
    """Whether it is an attention of a stream to itself in which nobody sees ahead."""
    at = torch.arange(16)
    own = isinstance(part, Attention) and part.source == "self"
    return own and not bool(part.pattern.allows(at[:, None], at[None]).triu(1).any())


def reads_text(spec: Topology) -> bool:
    """Whether what enters are tokens, on both sides where there are two."""
    if isinstance(spec, Seq2Seq):
        return spec.source_tokens is not None
    return isinstance(spec, Model) and isinstance(spec.embed, Tokens)


def decodes(spec: Topology) -> bool:
    """Whether a model writes text from left to right: all of its decoder looks back, and its head tells tokens."""
    trunk = spec.decoder if isinstance(spec, Seq2Seq) else spec.stack if isinstance(spec, Model) else None
    writes = isinstance(spec, Seq2Seq) or reads_text(spec)
    return trunk is not None and writes and isinstance(spec.head, Vocabulary) and trunk.causal  # type: ignore[attr-defined]


def positions(spec: Topology) -> Iterator[tuple[str, Topology]]:
    """A model without any order, and with each order in its place, alone."""
    bare = edit(edit(spec, on(Tokens, position=None)), on(Stack, position=None))
    bare = edit(bare, on(Attention, position=None))
    yield "no position", bare
    rotary = forms(Rotating)["Rotary"]
    scaled = {f"Rotary {name}": replace(rotary, scaling=scaling) for name, scaling in toys(Scaling).items()}
    kinds = ((Tokens, forms(Added)), (Stack, forms(Scored)), (Attention, forms(Rotating) | scaled | forms(Keyed)))
    for place, made in kinds:
        for name, position in made.items():
            there = on(place, lambda part: getattr(part, "source", "self") == "self", position=position)
            with suppress(InvalidConfig):  # a model that cannot be told order in this way
                yield f"position {name}", edit(bare, there)


def other_forms() -> dict[str, Topology]:
    """A toy of each form of a family beside its first: the language models of families that translate."""
    made: dict[str, Topology] = {}
    for name, module in all_families().items():
        told = get_type_hints(module.declare).get("form")
        for form in get_args(told)[1:]:
            made[f"{name}, {form}"] = module.declare(**module.TOY | {"form": form})
    return made


@cache
def variants() -> dict[str, Topology]:
    """Each family as it is, and with each position, core, norm and sharing in place of its own.

    Each pattern stands in the first decoder of each topology: what a pattern allows does not ask who asks.
    """
    made: dict[str, Topology] = {}
    decoders: set[tuple[type, type]] = set()
    for name, spec in families().items():
        made[name] = spec
        kinds = (type(spec), type(trunk_of(spec)))
        first, own = kinds not in decoders and decodes(spec), set(made)
        for core, part in learning_cores().items():
            if not first and isinstance(part, Scoring):
                continue
            try:
                made[f"{name}, core {core}"] = edit(spec, lambda attention, part=part: _with_core(attention, part))
            except InvalidConfig:  # a stack whose position the core cannot score
                continue
        if reads_text(spec):
            made |= {f"{name}, {position}": changed for position, changed in positions(spec)}
        made[f"{name}, rms norm before"] = edit(edit(spec, on(Norm, form="rms")), on(Block, place="before"))
        for groups in (1, 2):
            shared = on(Attention, lambda part, groups=groups: part.heads % groups == 0, kv_heads=groups)
            made[f"{name}, {groups} key/value heads"] = edit(spec, shared)
        made[f"{name}, one set of weights"] = edit(spec, on(Stack, _one_kind, weights=1))
        if first:
            decoders.add(kinds)
            for pattern in simple_patterns():
                seen = Causal() & (pattern | ~pattern & Window(1))  # that a token sees anything at all
                made[f"{name}, {pattern}"] = edit(spec, on(Attention, is_causal, pattern=seen))
            for form, place in forms(Place).items():
                made[f"{name}, {form}"] = edit(spec, on(Attention, _reads, place=replace(place, reach=2)))
            bare = edit(spec, on(Attention, is_causal, position=None))
            recall = Recall(neighbours=2, segment=3, size=6)
            made[f"{name}, recalling"] = edit(bare, on(Attention, is_causal, recall=recall))
            if isinstance(spec, Model) and spec.stack.leaves(spec.width) == spec.width:
                clusters = Clusters((5, 12), 2)
                embed = Clustered(VOCAB, spec.embed.position, clusters=clusters)  # type: ignore[attr-defined]
                made[f"{name}, in clusters"] = replace(spec, embed=embed, head=Adaptive(VOCAB, clusters=clusters))
            made[f"{name}, shortened"] = edit(spec, on(Attention, is_causal, shorten=Shorten(2)))
            for core, part in learning_cores().items():
                if not part.handles(Full()) and part.handles(Causal() & Window(2)):
                    made[f"{name}, window by {core}"] = edit(spec, lambda attention, part=part: _near(attention, part))
        for changed in set(made) - own - {name}:
            if made[changed] == spec:  # a family without what was changed
                del made[changed]
    made |= other_forms()
    return made


def _reads(part: Any) -> bool:
    return bool(part.source == "memory")


def trunk_of(spec: Any) -> Trunk:
    """The trunk that writes, where there are two."""
    trunk: Trunk = spec.decoder if isinstance(spec, Seq2Seq) else spec.stack
    return trunk


def _with_core(part: Any, core: Core) -> Any:
    """An attention with another core, where that can compute it."""
    if not isinstance(part, Attention):
        return part
    try:
        return replace(part, core=core)
    except InvalidConfig:
        return part


def _near(part: Any, core: Core) -> Any:
    """An attention of a stream to itself, cut to a window that a core computes."""
    if not isinstance(part, Attention) or part.source != "self":
        return part
    return replace(part, pattern=part.pattern & Window(2), core=core)


def _one_kind(stack: Any) -> bool:
    return len(stack.cycle()) == 1


@cache
def attends(spec: Topology) -> tuple[bool, bool]:
    """Whether a model has attentions, and whether heads can be cut out of one: it is built once for all who ask."""
    model = spec.build()
    return bool(attentions(model)), bool(prunable(model))


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
    """The logits for a target, whatever the topology: the source counts where there is one, and so does its tree."""
    if isinstance(model.spec, Seq2Seq):
        return model(source, target, source_valid, valid, **tree_for(model.spec, source, source_valid)).logits
    assert isinstance(model.spec, Model)
    return model(target, valid, **tree_for(model.spec, target, valid)).logits


def tree_for(spec: Topology, ids: Tensor, valid: Tensor | None) -> dict[str, Tensor]:
    """A tree of what a model reads, where it reads one: the same of a text wherever it stands."""
    if not spec.reads_tree:
        return {}
    at = torch.arange(ids.size(1)).expand(ids.shape) if valid is None else count_positions(valid)
    return {"tree": TREE[at]}
