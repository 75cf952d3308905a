"""What the parity laws compare: for each family that Hugging Face has too, tiny random models of theirs.

`oracles/NAME.py` has, for the family NAME,

    SUBJECTS    variant -> a function that makes their model, every tensor moved by `perturb`, in evaluation mode
    MUTANTS     what is wrong -> (variant, change of the description for `transept.spec.edit`)
    PUBLISHED   size -> the parameters that the published model has

and may have `batch(ours, theirs, side, seed)` where token ids do not do; SIDES, the places of padding that theirs
allows; DOUBLE False with the reason, where theirs does not compute in float64; COMPUTED, what it stores and does not
learn.
"""

import importlib
import inspect
import logging
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers
from torch import Tensor

from transept.errors import InvalidData
from transept.families.registry import all_families
from transept.heads.classes import AveragedLayer
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.parts.attention import AttentionLayer
from transept.parts.block import BlockLayer
from transept.spec import Part
from transept.topology import Built

logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()

VOCAB, PAD, BOS, EOS = 43, 0, 1, 2
SIDES = ("none", "right")

Change = Callable[[Part], Part]


@torch.no_grad()
def perturb(model: Any, computed: tuple[str, ...] = ()) -> Any:
    """Move every stored tensor by N(0, 0.1), and make sure of it. A bias forgotten at zero cannot hide after it."""
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and not any(word in name for word in computed):
            before = tensor.clone()
            tensor.add_(torch.randn_like(tensor) * 0.1)
            assert not torch.isclose(tensor, before, rtol=0, atol=1e-7).all(), name
    return model


@cache
def oracles() -> dict[str, ModuleType]:
    """The modules of `oracles`, by the family that they are for."""
    found = pkgutil.iter_modules([str(Path(__file__).parent / "oracles")])
    return {one.name: importlib.import_module(f"parity.oracles.{one.name}") for one in found}


def oracle_of(name: str) -> ModuleType:
    """The module that a subject is from."""
    return oracles()[NAMED[name][0]]


def writes(name: str) -> bool:
    """Whether a subject writes text, by its name: nothing is built before a test asks for it."""
    family, variant = NAMED[name]
    named = any(word in variant for word in ("states", "class", "tags", "spans", "encoder"))
    return family in ("bart", "gpt", "gpt2", "gpt3", "llama", "t5", "transformer") and not named


@dataclass(frozen=True)
class Batch:
    """The same input for both, as arguments of `forward` by name.

    `real` (B, T) and `source` (B, S) tell which states of the stack (of the decoder, of the encoder) are to be
    compared, None where all are; `alone` has the arguments for theirs of each row by itself.
    """

    ours: dict[str, Any]
    theirs: dict[str, Any]
    real: Tensor | None = None
    source: Tensor | None = None
    alone: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """Their model, and ours made of it by the family's table."""

    name: str
    family: ModuleType
    oracle: ModuleType
    theirs: Any
    ours: Any

    def batch(self, side: str = "right", seed: int = 1) -> Batch:
        make = getattr(self.oracle, "batch", None)
        if make is None:
            make = pair_batch if isinstance(self.ours.spec, Seq2Seq) else text_batch
        made: Batch = make(self.ours, self.theirs, side, seed)
        return made


@cache
def pair(name: str) -> Pair:
    """The pair of a subject. Tests share it: whoever changes it works on a copy."""
    family, variant = NAMED[name]
    torch.manual_seed(0)
    module, oracle = all_families()[family], oracles()[family]
    theirs = oracle.SUBJECTS[variant]()
    return Pair(name, module, oracle, theirs, imported(module, theirs))


def config_of(theirs: Any) -> dict[str, Any]:
    """The configuration as a file would have it: with the architecture, which only saving writes."""
    config: dict[str, Any] = theirs.config.to_dict()
    return config | {"architectures": [type(theirs).__name__]}


def imported(module: ModuleType, theirs: Any, spec: Any = None) -> Any:
    """Their weights in a model of ours; `spec` stands in for what their configuration says."""
    spec = spec or module.from_hf(config_of(theirs))
    model = spec.build()
    wanted = model.state_dict()
    state, _ = module.names(spec).to_ours(theirs.state_dict(), wanted)
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise InvalidData(f"{name} has another shape")
    model.load_state_dict(state)
    return model.eval()


# ------------------------------------------------------------------ inputs

LENGTHS = ((9, 7), (4, 3), (6, 7), (1, 1))


def some_text(vocab: int, pad: int, lengths: list[int], side: str, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random tokens (B, S) beyond the special ones, padded on a side, and which are real."""
    size = max(lengths)
    if side == "none":
        lengths = [size] * len(lengths)
    real = torch.arange(size) < torch.tensor(lengths)[:, None]
    real = real.flip(1) if side == "left" else real
    return torch.randint(EOS + 1, vocab, real.shape, generator=draws).masked_fill(~real, pad), real


def text_batch(ours: Built, theirs: Any, side: str, seed: int) -> Batch:
    """Rows of tokens for one stack, with segments where the model has them."""
    draws = torch.Generator().manual_seed(seed)
    embed: Any = ours.spec.embed
    assert isinstance(embed, Tokens)
    pad = getattr(theirs.config, "pad_token_id", None) or PAD
    ids, real = some_text(embed.vocab, pad, [length for length, _ in LENGTHS], side, draws)
    mine: dict[str, Any] = {"inputs": ids, "valid": real}
    others: dict[str, Any] = {"input_ids": ids, "attention_mask": real.long()}
    if embed.segments:
        segments = torch.randint(embed.segments, ids.shape, generator=draws).masked_fill(~real, 0)
        mine["segments"] = others["token_type_ids"] = segments
    alone = [{name: value[i : i + 1, real[i]] for name, value in others.items()} for i in range(len(ids))]
    return Batch(mine, others, real, None, alone)


def pair_batch(ours: Built, theirs: Any, side: str, seed: int) -> Batch:
    """Rows of source and target."""
    draws = torch.Generator().manual_seed(seed)
    spec: Any = ours.spec
    pad = getattr(theirs.config, "pad_token_id", None) or PAD
    source, real = some_text((spec.source or spec.embed).vocab, pad, [a for a, _ in LENGTHS], side, draws)
    target, valid = some_text(spec.embed.vocab, pad, [b for _, b in LENGTHS], side, draws)
    mine = {"source": source, "target": target, "source_valid": real, "target_valid": valid}
    others = {
        "input_ids": source,
        "attention_mask": real.long(),
        "decoder_input_ids": target,
        "decoder_attention_mask": valid.long(),
    }
    alone = [
        {"input_ids": source[i : i + 1, real[i]], "decoder_input_ids": target[i : i + 1, valid[i]]}
        for i in range(len(source))
    ]
    return Batch(mine, others, valid, real, alone)


def doubled(given: Batch) -> Batch:
    """The same in float64."""

    def wide(values: dict[str, Any]) -> dict[str, Any]:
        return {name: value.double() if torch.is_floating_point(value) else value for name, value in values.items()}

    return Batch(wide(given.ours), wide(given.theirs), given.real, given.source, [wide(one) for one in given.alone])


# ------------------------------------------------------------------ what comes out

Results = dict[str, Tensor]


def of_ours(model: Any, given: Batch) -> Results:
    """Everything that a pass computes, by name: logits, second, hidden, memory, each block's states, each map."""
    layers: list[Tensor] = []
    maps: list[Tensor] = []

    def keep_map(attention: AttentionLayer) -> Callable[..., None]:
        def keep(module: Any, args: Any, value: Any) -> None:
            q, k, _, allowed = value
            maps.append(attention.core.weights(q, k, allowed, attention.scale))

        return keep

    hooks = []
    for module in model.modules():
        if isinstance(module, BlockLayer):
            hooks.append(module.register_forward_hook(lambda module, args, out: layers.append(out)))
        elif isinstance(module, AttentionLayer):
            hooks.append(module.asked.register_forward_hook(keep_map(module)))
    try:
        out = model(**given.ours)
    finally:
        for hook in hooks:
            hook.remove()
    found = {"logits": out.logits, "hidden": out.hidden}
    if out.second is not None:
        found["second"] = out.second
    if isinstance(getattr(model, "head", None), AveragedLayer):  # the mean alone does not tell one from the other
        found["second"] = model.head.each(out.hidden, out.entered)[1]
    if out.memory is not None:
        found["memory"] = out.memory.states
        depth = len(model.encoder.order)
        found |= {f"encoder {i}": one for i, one in enumerate(layers[:depth])}
        found |= {f"encoder map {i}": one for i, one in enumerate(maps[:depth])}
        layers, maps = layers[depth:], maps[depth:]
        found |= {f"cross map {i}": one for i, one in enumerate(maps[1::2])}
        maps = maps[::2]
    found |= {f"block {i}": one for i, one in enumerate(layers)}
    return found | {f"map {i}": one for i, one in enumerate(maps)}


LOGITS = ("prediction_logits", "logits", "start_logits", "projected_states", "pooler_output", "last_hidden_state")


def of_theirs(model: Any, given: Batch) -> Results:
    """The same of theirs, as far as it hands it out; of the last block often only what the final norm made of it."""
    known = inspect.signature(model.forward).parameters
    asked = {name: True for name in ("output_hidden_states", "output_attentions") if name in known or "kwargs" in known}
    ends: list[Tensor] = []
    pools: list[Tensor | None] = []

    def keep(module: Any, args: Any, out: Any) -> None:
        ends.append(out.get("last_hidden_state"))  # T5's is its own base, and has logits
        pools.append(out.get("pooler_output"))

    hook = model.base_model.register_forward_hook(keep)
    try:
        out = model(**given.theirs, **asked, return_dict=True)
    finally:
        hook.remove()
    name = next(name for name in LOGITS if getattr(out, name, None) is not None)
    found = {"logits": out[name]}
    if name == "start_logits":
        found = {"logits": torch.stack([out.start_logits, out.end_logits], -1)}
    elif name == "projected_states":
        found = {"logits": torch.stack([out.projected_states, out.projected_quantized_states], 2)}
    if getattr(out, "seq_relationship_logits", None) is not None:
        found["second"] = out.seq_relationship_logits
    if getattr(out, "distillation_logits", None) is not None:
        found["second"] = out.distillation_logits
    if model.config.model_type == "big_bird" and pools[-1] is not None and name != "pooler_output":
        found.setdefault("second", pools[-1])  # of a pooler that its head does not read

    def states(prefix: str, values: Any, last: str) -> None:
        if values is not None:
            found.update({f"{prefix} {i}": one for i, one in enumerate(values[1:-1])})
            found[last] = values[-1]

    def maps(prefix: str, values: Any) -> None:
        found.update({f"{prefix} {i}": one for i, one in enumerate(values or ()) if one is not None})

    if (decoder := getattr(out, "decoder_hidden_states", None)) is not None:
        states("block", decoder, "hidden")
        states("encoder", out.encoder_hidden_states, "memory")
        maps("encoder map", out.encoder_attentions)
        maps("map", out.decoder_attentions)
        maps("cross map", out.cross_attentions)
    else:
        states("block", getattr(out, "hidden_states", None), "hidden")
        maps("map", getattr(out, "attentions", None))
        if not torch.equal(found.get("hidden", ends[-1]), ends[-1]):  # the last block's states as they were
            found |= {f"block {len(out.hidden_states) - 2}": found["hidden"], "hidden": ends[-1]}
    return found


def on_real(name: str, value: Tensor, given: Batch) -> Tensor:
    """What is to be compared of a result: the rows of real positions."""
    real = given.source if name.startswith(("encoder", "memory")) else given.real
    if real is None:
        return value
    if "map" in name:
        return value.transpose(1, 2)[real]  # (B, H, S, T) -> (real queries, H, T)
    return value[real] if value.shape[:2] == real.shape else value


# Last, because the oracles import what stands above.
NAMED = {f"{name}: {variant}": (name, variant) for name, oracle in oracles().items() for variant in oracle.SUBJECTS}
