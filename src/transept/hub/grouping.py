"""Fewer key/value heads for a trained model: heads that stand together become their mean (Ainslie et al. 2023).

Section 2.1: the matrices of a group's keys are averaged, and those of its values, and a twentieth of the training is
gone through again. Where the heads of a group were equal, the model computes what it did.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from transept.errors import UsageError
from transept.hub.card import noted
from transept.hub.directory import check_free, locate, read
from transept.hub.export import save_stored
from transept.models import ModelLayer, Seq2Seq, Seq2SeqLayer
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.memory import Memory
from transept.parts.stack import Stack
from transept.spec import Part, edit
from transept.spec import replace as respecify
from transept.topology import Built, Topology, outline


@dataclass(frozen=True)
class Grouped:
    """What became of a model's key/value heads: `before` and `after`, and the bytes that a cached token takes."""

    before: tuple[int, ...]
    after: int
    bytes_before: int
    bytes_after: int
    parameters_before: int
    parameters_after: int

    def __str__(self) -> str:
        heads = " or ".join(map(str, self.before))
        kept = f"a token in the cache takes {self.bytes_after:,} bytes where it took {self.bytes_before:,}"
        kept = kept if self.bytes_before else "no cache keeps its keys"
        count = f"{self.parameters_after:,} parameters of {self.parameters_before:,}"
        return f"{self.after} key/value heads where there were {heads}; {kept}; {count}"


def group_heads(model: Built, kv_heads: int, *, encoder: bool = False) -> Built:
    """A model with `kv_heads` key/value heads in every attention, each the mean of those that it takes the place of.

    Of two stacks the decoder's attentions are meant, those to the memory too; with `encoder` the encoder's as well,
    whose keys no cache keeps. As many heads as there are give the model again. Raises UsageError where heads do not
    divide into so many groups, where there are fewer, and where keys or values have no weights to average.
    """
    spec = grouped(model.spec, kv_heads, encoder)
    made, state = outline(spec), dict(model.state_dict())
    new = {name: layer for name, layer in made.named_modules() if isinstance(layer, AttentionLayer)}
    for name, layer in attentions(model):
        if layer.kv_heads != new[name].kv_heads:
            state |= {f"{name}.{part}": mean for part, mean in merged(layer, new[name].kv_heads).items()}
    made.load_state_dict({name: tensor.clone() for name, tensor in state.items()}, assign=True)
    return made.train(model.training)


def grouped(spec: Topology, kv_heads: int, encoder: bool = False) -> Topology:
    """The description with so many key/value heads."""
    met: list[Attention] = []

    def change(part: Part) -> Part:
        if not isinstance(part, Attention):
            return part
        met.append(part)
        demand(part, kv_heads)
        present = part.kv_heads or part.heads
        return part if present == kv_heads else respecify(part, kv_heads=kv_heads)

    made: Topology
    trunks = [getattr(spec, name) for name in ("stack", "encoder", "decoder") if hasattr(spec, name)]
    if others := [type(trunk).__name__ for trunk in trunks if not isinstance(trunk, Stack)]:
        raise UsageError(f"heads are merged in blocks, and {others[0]} is not blocks in a row")
    if isinstance(spec, Seq2Seq):
        kept = spec.encoder if not encoder else edit(spec.encoder, change)
        made = respecify(spec, encoder=kept, decoder=edit(spec.decoder, change))
    else:
        made = edit(spec, change)
    if not met:
        raise UsageError("this model has no attention whose heads could share keys and values")
    return made


def demand(attention: Attention, kv_heads: int) -> None:
    """Refuse an attention whose key/value heads cannot become so many."""
    present = attention.kv_heads or attention.heads
    kind = "an attention to the memory" if attention.source == "memory" else "an attention"
    divisors = ", ".join(str(n) for n in range(1, present + 1) if present % n == 0)
    if kv_heads > present:
        raise UsageError(
            f"{kind} has {present} key/value heads, and heads are merged, never split: {kv_heads} are more",
            remedy=f"There can be {divisors}.",
        )
    if kv_heads < 1 or present % kv_heads:
        raise UsageError(
            f"{present} key/value heads do not divide into {kv_heads} groups", remedy=f"There can be {divisors}."
        )
    if kv_heads != present and not {"k", "v"} <= set(attention.project):
        raise UsageError(f"{kind} projects {attention.project!r} alone: there are no heads of keys and values to merge")


def attentions(model: Built) -> Iterator[tuple[str, AttentionLayer]]:
    """The attentions of a model by their names."""
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, AttentionLayer))


def merged(layer: AttentionLayer, kv_heads: int) -> dict[str, Tensor]:
    """The tensors of an attention that change, by their names in it."""
    found: dict[str, Tensor] = {}
    for part in "kv":
        for name, tensor in layer.get_submodule(part).named_parameters():
            found[f"{part}.{name}"] = pooled(tensor, layer.kv_heads, kv_heads)
        if layer.shorten is not None:  # a convolution over the features of all heads: those that come in add up
            for name, tensor in layer.shorten.get_submodule(part).named_parameters():
                mean = pooled(tensor, layer.kv_heads, kv_heads)
                if mean.dim() > 1:
                    mean = pooled(mean.transpose(0, 1), layer.kv_heads, kv_heads, torch.sum).transpose(0, 1)
                found[f"shorten.{part}.{name}"] = mean
    return found


def pooled(tensor: Tensor, present: int, wanted: int, how: Callable[..., Tensor] = torch.mean) -> Tensor:
    """One head for each group of heads, along the first axis: (present * E, ...) -> (wanted * E, ...).

    In float64, so that the mean of equal heads is each of them to the last bit.
    """
    heads = tensor.detach().double().unflatten(0, (wanted, present // wanted, -1))
    return how(heads, dim=1).flatten(0, 1).to(tensor.dtype)


# ------------------------------------------------------------------ directories


def convert(
    source: str | Path, out: str | Path, kv_heads: int, *, encoder: bool = False, overwrite: bool = False
) -> Grouped:
    """Read a model directory, merge its heads, and write another, whose card says so. The first is left as it is."""
    target = Path(out).expanduser()
    check_free(target, overwrite)
    root = locate(source)
    stored = read(root)
    model = group_heads(stored.model, kv_heads, encoder=encoder)
    made = report(stored.model, model, kv_heads)
    told = f"by averaging key/value heads: {made}. Figures below, if any, are of the model before that: train it on."
    save_stored(target, replace(stored, model=model), noted(root, target, told), overwrite=overwrite)
    return made


def report(before: Built, after: Built, kv_heads: int) -> Grouped:
    """What became of the heads."""
    changed = {
        old.kv_heads
        for (_, old), (_, new) in zip(attentions(before), attentions(after), strict=True)
        if old.kv_heads != new.kv_heads or new.kv_heads == kv_heads
    }
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (before, after)]
    return Grouped(tuple(sorted(changed)), kv_heads, cached(before), cached(after), *counts)


def cached(model: Built) -> int:
    """The bytes of keys and values that a cache keeps of one token of the target, and of one of the memory."""
    spec: Any = model.spec
    if isinstance(spec, Seq2Seq):
        like = next(model.parameters())
        memory = Memory(like.new_zeros(1, 1, spec.encoder.leaves(spec.width)), None)
        slots = cast(Seq2SeqLayer, model).decoder.new_slots(1, 1, memory)
    else:
        slots = cast(ModelLayer, model).stack.new_slots(1, 1) if spec.stack.causal else []
    kept = [tensor for block in slots for slot in block if slot is not None for tensor in slot.tensors.values()]
    return sum(tensor.nbytes for tensor in kept)
