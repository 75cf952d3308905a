"""Adapters by themselves, as Hugging Face's PEFT keeps them: a few small matrices, and the model that they belong to.

    adapter_config.json        what is adapted, by which rank
    adapter_model.safetensors  A and B of each matrix, and what else was trained, under the model's names there

Names are those that the model's family has at Hugging Face; a model that no family of theirs can say keeps its own. A
matrix that is several of ours there, GPT-2's of queries, keys and values, has an adapter whose rank is the sum of
theirs: A is theirs one below the other, and B has each in its own rows and columns.
"""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from transept.durable import new_folder
from transept.errors import InvalidData, UsageError, nearest
from transept.hub import tensors
from transept.hub.described import saying
from transept.hub.files import member, read_json, write_json
from transept.names import Names, Rule
from transept.parts.lora import Adapted, adapters, beside
from transept.templates import compiled, fill
from transept.topology import Built

ADAPTERS = "adapters"  # beside a model that they were merged into
AnyBuilt = TypeVar("AnyBuilt", bound=Built)

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
BEFORE = "base_model.model."  # what PEFT wraps a model in

# What of their settings says nothing of the function, or is read below; all others must say nothing.
READ = {
    *("peft_type", "r", "lora_alpha", "alpha_pattern", "rank_pattern", "use_rslora", "bias", "init_lora_weights"),
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
    *("target_modules", "exclude_modules", "fan_in_fan_out", "modules_to_save", "layers_to_transform"),
    *("layers_pattern", "megatron_core", "loftq_config", "eva_config", "corda_config", "lora_ga_config"),
    *("lora_dropout", "qalora_group_size", "runtime_config", "ensure_weight_tying"),
}
HARMLESS = (True, False, None, "gaussian", "eva", "orthogonal")  # beginnings that leave the model's own weights alone


@dataclass(frozen=True)
class Beside:
    """The matrix of theirs that some of ours make, one below the other: its layer's name, ours, and its turning."""

    theirs: str
    ours: tuple[str, ...]
    turned: bool


def save_adapters(
    directory: str | Path,
    model: Built,
    *,
    base: str | Path | None = None,
    labels: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write a model's adapters and what else of it is trained, in PEFT's format, with the `labels` of its classes.

    `base` is the model that they are of. Raises UsageError where there are none, and where files stand in the
    directory, unless `overwrite`.
    """
    root, layers = Path(directory).expanduser(), dict(adapters(model))
    if not layers:
        raise UsageError("this model has no adapters", remedy="Give it some by lora(model).")
    if root.exists() and any(root.iterdir()) and not (overwrite and (root / CONFIG).exists()):
        raise UsageError(
            "the directory holds files already",
            where=root,
            remedy="Take another, or {option}.",
            option="overwrite=True",
        )
    state: dict[str, Tensor] = {}
    ranks: dict[str, tuple[int, float]] = {}
    turned = False
    for one in matrices(model, layers):
        name = one.theirs
        state[f"{BEFORE}{name}.lora_A.weight"], state[f"{BEFORE}{name}.lora_B.weight"] = _stacked(model, one, layers)
        rank = state[f"{BEFORE}{name}.lora_A.weight"].size(0)
        scale = next(layers[own].scale for own in one.ours if own in layers)
        ranks[name], turned = (rank, scale * rank), turned or one.turned
    table, own = _table(model), {name for name, p in model.named_parameters() if p.requires_grad}
    wholes = {_theirs(table, name).rpartition(".")[0] for name in own if not _of_an_adapter(name)}
    for name, tensor in model.state_dict().items():
        if not _of_an_adapter(name) and (other := _theirs(table, name)).rpartition(".")[0] in wholes:
            state[BEFORE + other] = tensor
    rank, alpha = max(ranks.values(), key=list(ranks.values()).count)
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "auto_mapping": _class(model, labels),
        "base_model_name_or_path": None if base is None else str(base),
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": next(iter(layers.values())).dropout,
        "target_modules": sorted(ranks),
        "modules_to_save": sorted(wholes) or None,
        "rank_pattern": {name: own for name, (own, _) in ranks.items() if own != rank},
        "alpha_pattern": {name: own for name, (_, own) in ranks.items() if own != alpha},
        "fan_in_fan_out": turned,
        "bias": "none",
        "inference_mode": True,
    }
    with new_folder(root) as folder:
        write_json(folder / CONFIG, config)
        tensors.write(folder / WEIGHTS, state)
    return root


def read_adapters(directory: str | Path, model: AnyBuilt) -> AnyBuilt:
    """A model with the adapters of a directory, PEFT's or ours, and with what else was trained of it.

    The model that was given is left as it is. Raises InvalidData with the file, the tensor or the key, and the nearest
    name: what would be another function is refused, and nothing is left out.
    """
    root = Path(directory).expanduser()
    config = read_json(member(root, CONFIG))
    _demand_honoured(config, root / CONFIG)
    path = member(root, WEIGHTS)
    declared = tensors.header(path)
    given = {_short(name): tensor for name, tensor in tensors.read(path, declared).items()}
    where = {spelt: one for one in matrices(model) for spelt in spellings(model, one)}
    new: dict[str, tuple[Tensor, Tensor, float]] = {}
    for key in [key for key in given if key.endswith(".lora_A.weight")]:
        name = key.removesuffix(".lora_A.weight")
        one, a, b = where.get(name), given.pop(key), given.pop(f"{name}.lora_B.weight", None)
        if one is None or b is None:
            unknown = f"the model has no such matrix.{nearest(name, sorted(where))}"
            raise InvalidData(f"{name}: {unknown if one is None else 'its B is missing'}", where=path)
        heights = [_linear(model, own).out_features for own in one.ours]
        wide = _linear(model, one.ours[0]).in_features
        if a.size(1) != wide or b.shape != (sum(heights), a.size(0)):
            raise InvalidData(
                f"{name}: A {list(a.shape)} and B {list(b.shape)} do not suit {sum(heights)} x {wide}",
                where=path,
            )
        alpha = _pattern(config.get("alpha_pattern"), name, config.get("lora_alpha", 8))
        scale = alpha / (a.size(0) ** 0.5 if config.get("use_rslora") else a.size(0))
        for own, rows in zip(one.ours, b.split(heights), strict=True):
            used = rows.any(0).nonzero().flatten().tolist() if len(one.ours) > 1 else list(range(len(a)))
            if used:  # of several matrices in one, each has its own rows, and what of A these read
                new[own] = (a[used], rows[:, used], scale)
    made = beside(model, {own: (len(a), scale * len(a)) for own, (a, _, scale) in new.items()})
    _demand_places(made, given, path)
    _fill(made, new, given, path)
    return made


def matrices(model: Built, only: Container[str] | None = None) -> Iterator[Beside]:
    """The matrices of theirs that adapters may stand beside; `only` those that are made of some of these layers."""
    linear = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    table = _table(model)
    met: set[str] = set()
    for name in linear:
        if name in met:
            continue
        rule, index = _rule(table, f"{name}.weight")
        ours = (name,) if rule is None else tuple(fill(one, index).removesuffix(".weight") for one in rule.ours)
        met.update(ours)
        if only is not None and not any(own in only for own in ours):
            continue
        theirs, turned = name, False
        if rule is not None:
            theirs, turned = fill(rule.theirs[0], index).removesuffix(".weight"), _turned(model, rule, ours)
        yield Beside(theirs, ours, turned)


def spellings(model: Built, one: Beside) -> Iterator[str]:
    """The names under which a file may have a matrix: that of today, earlier ones, and our own."""
    rule, index = _rule(_table(model), f"{one.ours[0]}.weight")
    for spelling in () if rule is None else rule.spellings():
        yield fill(spelling[0], index).removesuffix(".weight")
    if len(one.ours) == 1:
        yield one.ours[0]


def _stacked(model: Built, one: Beside, layers: Mapping[str, Adapted]) -> tuple[Tensor, Tensor]:
    """A and B of a matrix of theirs: of one of ours as they are, of several side by side, each in its own rows."""
    if len(one.ours) == 1:
        layer = layers[one.ours[0]]
        return layer.lora_a, layer.lora_b
    scales = {layers[own].scale for own in one.ours if own in layers}
    if len(scales) > 1:
        raise UsageError(f"{one.theirs} is one matrix at Hugging Face, and its adapters have different scales here")
    heights = [_linear(model, own).out_features for own in one.ours]
    a = torch.cat([layers[own].lora_a for own in one.ours if own in layers])
    b, row, column = a.new_zeros(sum(heights), len(a)), 0, 0
    for own, height in zip(one.ours, heights, strict=True):
        if own in layers:
            piece = layers[own].lora_b.detach()
            b[row : row + height, column : column + piece.size(1)] = piece
            column += piece.size(1)
        row += height
    return a, b


def spellings_of(model: Built) -> dict[str, list[str]]:
    """The names that a file may have each tensor under that is no adapter's, by ours."""
    table = _table(model)
    return {name: _spelt(table, name) for name in model.state_dict() if not _of_an_adapter(name)}


def beside_adapters(directory: Path) -> dict[str, Tensor]:
    """What was trained beside adapters, by the names of the model."""
    path = member(directory, WEIGHTS)
    rest = {name: one for name, one in tensors.header(path).items() if not re.search(r"\.lora_[AB]\.", name)}
    return {_short(name): tensor for name, tensor in tensors.read(path, rest).items()}


def _places(model: Built) -> dict[str, str]:
    """Our name of each tensor that is no adapter's, by the names that a file may have it under."""
    return {spelt: name for name, known in spellings_of(model).items() for spelt in known}


def _demand_places(model: Built, rest: Mapping[str, Tensor], path: Path) -> None:
    """Refuse what was trained beside adapters and has no place in a model, such as a head that began anew."""
    own = _places(model)
    if not (lacking := sorted(name for name in rest if name not in own)):
        return
    if len(lacking) == 1 and (near := nearest(lacking[0], sorted(own))):
        raise InvalidData(f"{lacking[0]}: the model has nothing of the name.{near}", where=path)
    raise InvalidData(
        f"these adapters bring a part of their own, which this model has no place for: {', '.join(lacking[:4])}"
        f"{', ...' if len(lacking) > 4 else ''}",
        where=path,
        remedy=_whole(path),
    )


def _whole(path: Path) -> str:
    """Where the model is that adapters were merged into, which has what was trained beside them."""
    root = path.resolve().parent
    if root.name == ADAPTERS and (root.parent / "config.json").is_file():
        return f"{path.parent.parent} is the model with both merged already."
    return "Merge them where they were made, by PEFT's merge_and_unload, and read the model that this saves."


def _fill(
    model: Built, new: Mapping[str, tuple[Tensor, Tensor, float]], rest: Mapping[str, Tensor], path: Path
) -> None:
    """Put the numbers of a file into a model with adapters; `rest` is what was trained beside these."""
    table, own = _table(model), _places(model)
    with torch.no_grad():
        for name, (a, b, _) in new.items():
            layer = model.get_submodule(name)
            assert isinstance(layer, Adapted)
            layer.lora_a.copy_(a)
            layer.lora_b.copy_(b)
        for name, tensor in rest.items():
            parameter = model.get_parameter(own[name])
            rule, _ = _rule(table, own[name])
            tensor = tensor if rule is None else rule.read([tensor])[0]
            if tensor.shape != parameter.shape:
                reason = f"{name} has shape {list(tensor.shape)}, the model's is {list(parameter.shape)}"
                raise InvalidData(reason, where=path, remedy=_whole(path))
            parameter.data = tensor.to(parameter.dtype)  # what was frozen is the memory of the model that was given
            parameter.requires_grad_(True)


def _demand_honoured(config: Mapping[str, Any], where: Path) -> None:
    """Refuse settings that mean another function than the one that is computed here."""
    if (kind := config.get("peft_type")) != "LORA":
        raise InvalidData(f"peft_type is {kind!r}; only LORA is read", where=where)
    if config.get("bias", "none") != "none":
        raise InvalidData(f"bias is {config['bias']!r}: biases that were trained are not read", where=where)
    if (begun := config.get("init_lora_weights", True)) not in HARMLESS:
        raise InvalidData(f"init_lora_weights is {begun!r}, which changes the model's own weights", where=where)
    for key, value in config.items():
        if key not in READ and value not in (None, False, 0, "", [], {}):
            raise InvalidData(f"{key} is {value!r}, which is not known here", where=where)


def _pattern(patterns: Mapping[str, float] | None, name: str, usual: float) -> float:
    """What a module has by PEFT's patterns, each a regular expression for the end of a name."""
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", name):
            return value
    return usual


def _linear(model: Built, name: str) -> nn.Linear:
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear), name
    return layer


def _short(name: str) -> str:
    """A name without what PEFT puts before it."""
    return name.removeprefix(BEFORE)


def _of_an_adapter(name: str) -> bool:
    return name.rpartition(".")[2] in ("lora_a", "lora_b")


def _class(model: Built, labels: Sequence[str]) -> dict[str, Any] | None:
    """Of which class of theirs a model is, as PEFT writes it down, and the names of its classes, which PEFT lets be."""
    family = saying(model.spec)
    if family is None:
        return None
    named = {"id2label": {str(number): name for number, name in enumerate(labels)}} if labels else {}
    return {"base_model_class": family.to_hf(model.spec)["architectures"][0], "parent_library": "transformers"} | named


def _table(model: Built) -> Names | None:
    """The names of a model at Hugging Face, where a family of theirs can say it."""
    family = saying(model.spec)
    return None if family is None else family.names(model.spec)


def _theirs(table: Names | None, name: str) -> str:
    return name if table is None else table.their_name(name)


def _spelt(table: Names | None, name: str) -> list[str]:
    """The names that a tensor of ours alone may have in a file."""
    rule, index = _rule(table, name)
    if rule is None:
        return [name]
    return [fill(one[0], index) for one in rule.spellings()] if len(rule.ours) == len(rule.theirs) == 1 else []


def _rule(table: Names | None, name: str) -> tuple[Rule | None, dict[str, str]]:
    """The rule that carries a tensor of ours, and at which index."""
    for rule in [] if table is None else table.rules:
        for template in rule.ours:
            if found := compiled(template).fullmatch(name):
                return rule, found.groupdict()
    return None, {}


def _turned(model: Built, rule: Rule, ours: Sequence[str]) -> bool:
    """Whether a matrix of theirs is ours turned over. Raises UsageError where it is made of them in another way."""
    marked = []
    for at, name in enumerate(ours):
        rows, columns = _linear(model, name).out_features, _linear(model, name).in_features
        marked.append(torch.arange(rows * columns).add(at).view(rows, columns))
    whole, made = torch.cat(marked), rule.write(marked)
    if len(made) == 1 and made[0].dim() == 2:
        if made[0].shape == whole.shape and torch.equal(made[0], whole):
            return False
        if torch.equal(made[0], whole.T):
            return True
    raise UsageError(f"{rule.theirs[0]} holds {', '.join(ours)} in a way that no adapter of theirs can stand beside")
