"""Cut heads out of the weights: a smaller description and a smaller model, equal to the larger without these heads.

What is taken away are the rows of W^Q, W^K and W^V and the columns of W^O that belong to a head (Michel, Levy & Neubig
2019, section 4; Voita et al. 2019). The result is an ordinary model: saved, loaded, trained on and exported as any
other, under Hugging Face's own name where a family's configuration can say it.

Shapes: H heads, G key/value heads, E head width, D width.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from transept.errors import UsageError
from transept.inspect.importance import Scores, Unit
from transept.inspect.record import attentions
from transept.models import Model, Seq2Seq
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.block import Block, BlockLayer
from transept.parts.relative import DistancesLayer
from transept.parts.scored import Buckets
from transept.parts.scores import Location
from transept.parts.stack import Stack, StackLayer
from transept.spec import replace
from transept.topology import Built, Topology, outline

TRUNKS = ("stack", "encoder", "decoder")


def prunable(model: Built) -> dict[str, AttentionLayer]:
    """The attentions that heads can be cut out of, by their names: those of blocks in a row with all projections."""
    return {
        name: layer
        for name, layer in attentions(model).items()
        if isinstance(getattr(model, name.partition(".")[0], None), StackLayer)
        and layer.spec.project == "qkvo"
        and layer.spec.pattern.apart() == 1  # nobody's pattern tells its heads apart
        and layer.shorten is None
        and layer.recall is None  # a gate for each head
        and not any(isinstance(module, DistancesLayer) for module in layer.modules())  # as are vectors of distances
    }


def units(model: Built, scores: Scores) -> list[Unit]:
    """The heads that can only go together, with the sum of their scores.

    Heads that share keys and values go with their group. In a stack whose positions are scored for each head, T5's, the
    same heads of all attentions to itself go at once. Where one set of keys serves all, each head goes alone.
    """
    found, tied = list[Unit](), dict[str, list[str]]()
    for name, layer in prunable(model).items():
        trunk = name.partition(".")[0]
        if layer.spec.source == "self" and hasattr(getattr(model, trunk).spec.position, "heads"):
            tied.setdefault(trunk, []).append(name)
            continue
        for heads in groups(layer):
            found.append(Unit({name: heads}, float(scores[name][list(heads)].sum())))
    for names in tied.values():
        for heads in groups(attention_of(model, names[0])):
            total = sum(float(scores[name][list(heads)].sum()) for name in names)
            found.append(Unit(dict.fromkeys(names, heads), total))
    return found


def groups(layer: AttentionLayer) -> list[tuple[int, ...]]:
    """The heads that go together in an attention."""
    size = 1 if layer.kv_heads == 1 else layer.spec.heads // layer.kv_heads
    return [tuple(range(at, at + size)) for at in range(0, layer.spec.heads, size)]


def attention_of(model: Built, name: str) -> AttentionLayer:
    layer = model.get_submodule(name)
    assert isinstance(layer, AttentionLayer)
    return layer


def prune(model: Built, heads: Mapping[str, Sequence[int]]) -> Built:
    """A new model without these heads, by the names of their attentions; its weights are copies, in evaluation mode.

    Its outputs are those of the model with these heads cut. Raises UsageError with the name where an attention cannot
    lose them: an unknown head, all heads, a part of a group that shares keys, positions scored for each head.
    """
    cut = {name: sorted(set(own)) for name, own in heads.items() if own}
    keep = {name: _kept(model, name, own) for name, own in cut.items()}
    spec, sliced = model.spec, dict(model.state_dict())
    for trunk in {name.partition(".")[0] for name in keep}:
        layer = getattr(model, trunk)
        assert isinstance(layer, StackLayer)
        kept = {
            name.removeprefix(f"{trunk}.blocks."): own for name, own in keep.items() if name.startswith(f"{trunk}.")
        }
        own = _scored(layer, kept, trunk) if hasattr(layer.spec.position, "heads") else None
        if own is not None:
            sliced[f"{trunk}.position.weight"] = sliced[f"{trunk}.position.weight"][:, own]
        spec = cast(Topology, replace(cast(Any, spec), **{trunk: _stack(layer, kept, trunk, own)}))
    for name, own in keep.items():
        sliced |= _slices(attention_of(model, name), name, own, sliced)
    assert isinstance(spec, Model | Seq2Seq)
    made = outline(spec)
    made.load_state_dict({name: tensor.detach().clone() for name, tensor in sliced.items()}, assign=True)
    return made.eval()


def _kept(model: Built, name: str, cut: Sequence[int]) -> list[int]:
    """The heads of an attention that stay."""
    there = prunable(model)
    if name not in there:
        why = "has no attention of that name" if name not in attentions(model) else "cannot lose heads of it"
        raise UsageError(f"{name}: the model {why}", remedy=f"Heads can be cut out of: {', '.join(there) or 'none'}.")
    layer = there[name]
    if wrong := [head for head in cut if not 0 <= head < layer.spec.heads]:
        raise UsageError(f"{name} has heads 0 to {layer.spec.heads - 1}, and head {wrong[0]} was to be cut out")
    if len(cut) == layer.spec.heads:
        raise UsageError(f"{name} would lose all of its {len(cut)} heads: one must stay")
    for group in groups(layer):
        if 0 < len(set(group) & set(cut)) < len(group):
            raise UsageError(
                f"heads {group[0]} to {group[-1]} of {name} share their keys, and go together or not at all"
            )
    return [head for head in range(layer.spec.heads) if head not in cut]


def _stack(layer: StackLayer, kept: Mapping[str, Sequence[int]], trunk: str, scored: Sequence[int] | None) -> Stack:
    """The description of a stack whose attentions have fewer heads: as many kinds of block as there are now."""
    spec, blocks = layer.spec, list[Block]()
    for at in range(len(layer.blocks)):
        block = block_of(layer, at)
        parts = [
            _attention(part, block.get_submodule(role), kept.get(f"{at}.{role}"))
            for role, part in zip(block.roles, block.spec.parts, strict=True)
        ]
        blocks.append(replace(block.spec, parts=tuple(parts)))
    sizes = range(1, len(blocks) + 1)
    period = next(p for p in sizes if all(block == blocks[at % p] for at, block in enumerate(blocks)))
    position = spec.position if scored is None else replace(cast(Any, spec.position), heads=len(scored))
    made = replace(spec, block=blocks[0] if period == 1 else tuple(blocks[:period]), position=position)
    if made.order() != layer.order:
        raise UsageError(
            f"the blocks of {trunk} share {len(blocks)} sets of weights over {spec.depth} applications: they lose the"
            " same heads or none"
        )
    return made


def block_of(layer: StackLayer, at: int) -> BlockLayer:
    """The block with set `at` of weights."""
    return layer.block(layer.order.index(at))


def _attention(part: Any, layer: Any, kept: Sequence[int] | None) -> Any:
    if kept is None:
        return part
    assert isinstance(part, Attention)
    assert isinstance(layer, AttentionLayer)
    shared = part.heads // layer.kv_heads
    keys = None if part.kv_heads is None else 1 if layer.kv_heads == 1 else len(kept) // shared
    return replace(part, heads=len(kept), kv_heads=keys, head_width=layer.head_width)


def _scored(layer: StackLayer, kept: Mapping[str, Sequence[int]], trunk: str) -> list[int] | None:
    """The heads whose scores by position stay, or None where no attention to itself loses one."""
    own = [
        f"{at}.{role}"
        for at in range(len(layer.blocks))
        for role, part in zip(block_of(layer, at).roles, block_of(layer, at).spec.parts, strict=True)
        if isinstance(part, Attention) and part.source == "self"
    ]
    left = {tuple(kept[name]) if name in kept else None for name in own}
    if left == {None}:
        return None
    if not isinstance(layer.spec.position, Buckets):
        raise UsageError(
            f"{trunk}: {type(layer.spec.position).__name__} gives each head a slope by its number, so none can go"
        )
    if len(left) > 1:
        raise UsageError(
            f"{trunk} has one table of scores by position for all its blocks: they lose the same heads or none",
            remedy="Name the same heads for " + ", ".join(f"{trunk}.blocks.{name}" for name in own) + ".",
        )
    return list(left.pop() or ())


def _slices(layer: AttentionLayer, name: str, kept: list[int], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an attention without the heads that go."""
    heads, shared = layer.spec.heads, layer.spec.heads // layer.kv_heads
    keys = [0] if layer.kv_heads == 1 else sorted({head // shared for head in kept})

    def rows(tensor: Tensor, count: int, some: Sequence[int]) -> Tensor:
        parted: Tensor = tensor.unflatten(0, (count, -1))
        return parted[torch.tensor(some, device=tensor.device)].flatten(0, 1)

    made: dict[str, Tensor] = {}
    for letter, count, some in (("q", heads, kept), ("k", layer.kv_heads, keys), ("v", layer.kv_heads, keys)):
        for part in ("weight", "bias"):
            if (full := f"{name}.{letter}.{part}") in state:
                made[full] = rows(state[full], count, some)
    made[f"{name}.o.weight"] = rows(state[f"{name}.o.weight"].T, heads, kept).T.contiguous()
    for full in (key for key in state if key.startswith(f"{name}.core.")):
        scored = full.endswith((".v.weight", ".u.weight")) or isinstance(layer.spec.core, Location)
        if scored:  # a vector, or a table of places, for each head
            made[full] = rows(state[full], heads, kept)
    return made
