"""How a model that is there is adapted: what stays as it is, adapters of low rank, and rates that differ by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from torch import nn

from transept.errors import InvalidConfig
from transept.parts.lora import adapters, lora, merge_lora
from transept.parts.named import named, spoken
from transept.tasks.task import AnyBatch, Task
from transept.train.config import Optimizer, TrainConfig

HEADS, TRUNKS = ("head", "second"), ("stack", "encoder", "decoder")

Keep = Callable[[nn.Module, Path], None]  # what else is written beside a model, given as it was trained
Made = TypeVar("Made")


def build(task: Task[AnyBatch], config: TrainConfig) -> nn.Module:
    """A task's fresh model as it is trained."""
    return adapted(task.build(), config, getattr(task, "fresh", frozenset()))


def adapted(model: nn.Module, config: TrainConfig, fresh: frozenset[str] = frozenset()) -> nn.Module:
    """A model with its adapters, and with what is frozen taking no gradient; what is `fresh` learns beside adapters.

    Raises InvalidConfig, with the key, where a name means nothing and where nothing is left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    if config.lora is not None:
        chosen = config.lora
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        model = _told(
            "train.lora",
            lambda: lora(model, chosen.rank, chosen.alpha, chosen.targets, dropout=chosen.dropout, also=chosen.also),
        )
        for name in fresh - frozen:
            model.get_parameter(name).requires_grad_(True)
    for name in _told("train", lambda: named(names, config.freeze, "freeze")):
        model.get_parameter(name).requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise InvalidConfig("nothing of the model is left to train", key="train.freeze", remedy="Freeze less of it.")
    return model


def handed_on(model: nn.Module) -> nn.Module:
    """The model that is made of a trained one: with its adapters merged where it has such."""
    return merge_lora(model).eval() if any(adapters(model)) else model


def trained(model: nn.Module) -> str:
    """What of a model is trained, in words; "" where that is all of it."""
    numbers = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    total = sum(p.numel() for p in model.parameters())
    if (own := sum(numbers.values())) == total:
        return ""
    told = f"{own:,} of {total:,} parameters ({own / total:.2%})"
    layers = [layer for _, layer in adapters(model)]
    if layers:
        beside = [name for name in numbers if name.rpartition(".")[2] not in ("lora_a", "lora_b")]
        told += f": adapters of rank {layers[0].rank} beside {len(layers):,} matrices"
        told += f", and {spoken(beside)}" if beside else ""
    return told


def shares(model: nn.Module, settings: Optimizer) -> dict[str, float]:
    """What the rate is multiplied by for each parameter of a model, by its name.

    With L layers in a stack, layer l of 1 to L has layer_decay^(L + 1 - l), what embeds has layer_decay^(L + 1), and
    the head and the norm below it have the whole, as have all stacks each for itself. A model that is not made of
    stacks and a head is refused.
    """
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if settings.layer_decay == 1 and settings.head_rate == 1:
        return {}
    depths = {trunk: dict(_lists(model, trunk)) for trunk in TRUNKS if hasattr(model, trunk)}
    if not depths or not hasattr(model, "head"):
        raise InvalidConfig("this model is not made of layers below a head", key="train.optimizer.layer_decay")
    most = max(max(lists.values(), default=1) for lists in depths.values())
    made = {}
    for name in names:
        first, *rest = name.split(".")
        if first in HEADS:
            made[name] = settings.head_rate
            continue
        below = most + 1  # what embeds
        if first in depths:
            deep = max(depths[first].values(), default=1)
            if rest[0] in depths[first]:
                below = deep - int(rest[1])
            elif rest[0] == "norm":
                below = 0
            else:  # a table that all blocks share stands below them; a trunk without layers is one
                below = deep + 1 if depths[first] else 1
        made[name] = settings.layer_decay**below
    return made


def _lists(model: nn.Module, trunk: str) -> Iterator[tuple[str, int]]:
    """The layers of a trunk: the names of the lists that hold them, and how many each has."""
    for name, child in model.get_submodule(trunk).named_children():
        if isinstance(child, nn.ModuleList) and len(child):
            yield name, len(child)


def _told(key: str, make: Callable[[], Made]) -> Made:
    """What `make` makes; what it refuses is said of a key of the recipe."""
    try:
        return make()
    except InvalidConfig as error:
        raise InvalidConfig(**error.fields(key=f"{key}.{error.key}" if error.key else key)) from None
