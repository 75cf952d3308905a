"""What a configuration describes, and which family's configuration can say a description."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.families.configuration import differences
from transept.families.hugging_face import Differs, Look, OtherShape, architecture, label_words
from transept.families.registry import all_families, family_of_hf
from transept.heads.head import Head
from transept.hub.files import member, present, read_json
from transept.names import Names
from transept.parts.stack import Stack
from transept.spec import Unsaid, from_json
from transept.topology import Topology

CONFIG, SPEC = "config.json", "transept.json"
OWN_TYPE = "transept"

Made = TypeVar("Made")


@dataclass(frozen=True)
class Described:
    """The description of a directory, and the table of names that its weights are under (None: our own names).

    `note` is a sentence where the weights say otherwise than config.json, and are right; `assumed` one where that
    names none of the `choices` that it has.
    """

    spec: Topology
    names: Names | None
    note: str = ""
    assumed: str = ""
    choices: tuple[str, ...] = ()


def described(root: Path, config: dict[str, Any], look: Look) -> Described:
    """What a directory describes; `look` gives tensors of its weights, for a family that must see them to tell.

    Raises InvalidConfig or InvalidData with the file, the key and the nearest name.
    """
    kind = config.get("model_type")
    family = family_of_hf(kind) if isinstance(kind, str) else None
    if family is None and kind != OWN_TYPE:
        known = [theirs for module in readable() for theirs in module.HF_MODELS] + [OWN_TYPE]
        reason = "no model_type says what the model is" if kind is None else f"models of type {kind!r:.60} are not read"
        raise InvalidConfig(reason, where=root / CONFIG, remedy=f"Transept reads {', '.join(known)}.")
    spec = _own_spec(root, getattr(family, "UNSAID", {}))
    if family is None:
        if spec is None:
            raise InvalidData(f"{SPEC} is missing, which describes the model", where=root, remedy=present(root))
        return Described(spec, None)
    assumed, choices = "", tuple(family.HF_MODELS[str(kind)])
    shape = at(root / CONFIG, architecture, config, family.HF_MODELS)
    if not config.get("architectures"):
        assumed = f"{CONFIG} names no architectures, so this is taken for a {shape}, the usual one of a {kind}"
    said: Topology = at(root / CONFIG, family.from_hf, config)
    if spec is not None:
        again = at(root / SPEC, lambda: family.from_hf(family.to_hf(spec)))
        for path, one, other in differences(again, said):
            raise InvalidConfig(
                f"{path} is {one} in {SPEC} and {other} in {CONFIG}: they describe different models",
                where=root,
                remedy=f"Delete {SPEC} to go by {CONFIG}, which Hugging Face reads.",
            )
        return Described(spec, family.names(spec), assumed, assumed, choices)
    found, note = family.filed(said, look) if hasattr(family, "filed") else (said, "")
    return Described(found, family.names(found), "; ".join(filter(None, (assumed, note))), assumed, choices)


def _own_spec(root: Path, unsaid: Unsaid) -> Topology | None:
    if not (root / SPEC).is_symlink() and not (root / SPEC).exists():
        return None
    path = member(root, SPEC)
    read_json(path)  # its size, its encoding, its numbers
    spec = at(path, from_json, path.read_text(encoding="utf-8"), unsaid)
    if not isinstance(spec, Topology):
        raise InvalidConfig(f"it describes a {type(spec).__name__}, not a whole model", where=path)
    return spec


def at(file: Path, make: Callable[..., Made], *given: Any) -> Made:
    """What a reader of configurations makes, its complaints with the file that they are about."""
    try:
        return make(*given)
    except InvalidConfig as error:
        raise InvalidConfig(**error.fields(where=file)) from None


def readable() -> Iterator[ModuleType]:
    """The families that Hugging Face has too."""
    return (module for module in all_families().values() if hasattr(module, "HF_MODELS"))


def saying(spec: Topology, kind: str | None = None) -> ModuleType | None:
    """The family whose Hugging Face configuration can say a model, or None; that of the model_type `kind` first."""
    first = family_of_hf(kind) if kind else None
    order = [first] if first else []
    order += [module for module in readable() if module is not first]
    return next((module for module in order if _refusal(module, spec) is None), None)


def headed(spec: Topology, end: str, count: int, kind: str | None = None) -> Head | None:
    """The head for `count` classes that the family which says a model has in Hugging Face's class whose name ends so.

    `end` is "ForSequenceClassification", say, and `kind` the model_type that it had. None where no family of theirs
    says the model, or where it has no such class.
    """
    family = saying(spec, kind)
    if family is None:
        return None
    config = family.to_hf(spec)
    for name in family.HF_MODELS[config["model_type"]]:
        if name.endswith(end):
            head: Head = family.from_hf(config | label_words(count) | {"architectures": [name]}).head
            return head
    return None


def unsayable(spec: Topology, where: Path) -> UsageError:
    """Why no configuration of Hugging Face's can say a model: the nearest family's reason, and its remedy."""
    trunks = [getattr(spec, name) for name in ("stack", "encoder", "decoder") if hasattr(spec, name)]
    if others := [type(trunk).__name__ for trunk in trunks if not isinstance(trunk, Stack)]:
        return UsageError(
            f"its configurations cannot say this model: Hugging Face has nothing like {others[0]}", where=where
        )
    reasons = [error for module in readable() if (error := _refusal(module, spec)) is not None]
    near = min(reasons, key=_distance)
    return UsageError(**near.fields(where=where))


def _distance(error: InvalidConfig) -> tuple[bool, bool, int, int]:
    """Another shape is furthest; then what has no remedy; then what has more other fields: another reason is one."""
    count = error.count if isinstance(error, Differs) else 1
    return isinstance(error, OtherShape), error.remedy is None, count, len(error.what)


def _refusal(family: ModuleType, spec: Topology) -> InvalidConfig | None:
    try:
        family.to_hf(spec)
    except InvalidConfig as error:
        return error
    return None
