"""Adapters merged into the model that they are of, under the head that was trained beside them where that has another.

Hugging Face's class, by which a head is known, is what PEFT writes down (`auto_mapping`), or follows from its task.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transept.hub.adapters import CONFIG, beside_adapters, read_adapters, spellings_of
from transept.hub.card import noted
from transept.hub.described import at, headed
from transept.hub.directory import Stored, check_free, locate, read
from transept.hub.export import save_stored
from transept.hub.files import member, read_json
from transept.hub.kinds import classes, read_labels
from transept.models import Model
from transept.parts.lora import adapters, merge_lora
from transept.topology import Built, outline

TASKS = {
    "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification",
    "QUESTION_ANS": "ForQuestionAnswering",
}
OF_A_HEAD = ("architectures", "id2label", "label2id", "num_labels", "problem_type")  # what config.json says of one


@dataclass(frozen=True)
class Merged:
    """How many matrices had adapters, and the head that came with them in place of the model's; "" where none did."""

    matrices: int
    head: str = ""

    def __str__(self) -> str:
        new = f", and their head, {self.head}, stands in place of its own" if self.head else ""
        return f"adapters of {self.matrices} matrices are merged into it{new}"


def merge(source: str | Path, out: str | Path, directory: str | Path, *, overwrite: bool = False) -> Merged:
    """Read a model directory, merge adapters of another into it, and write a third, whose card says so.

    Where the adapters say of which class they are, and bring a head that the model has no place for, the head is
    carried over with them. Raises as `read_adapters` where anything else has no place.
    """
    target = Path(out).expanduser()
    check_free(target, overwrite)
    root = locate(source)
    stored = read(root)
    under = with_their_head(stored, Path(directory).expanduser())
    made = read_adapters(directory, under.model)
    head = "" if under is stored else type(under.model.spec.head).__name__  # type: ignore[attr-defined]
    merged = Merged(len(list(adapters(made))), head)
    told = f"by merging adapters into {merged.matrices} matrices{f', under their head, {head}' if head else ''}."
    told += " Figures below, if any, are of the model before that."
    save_stored(target, replace(under, model=merge_lora(made).eval()), noted(root, target, told), overwrite=overwrite)
    return merged


def with_their_head(stored: Stored, directory: Path) -> Stored:
    """A model under the head that adapters bring along; as it is where they bring none, or do not say which.

    A head that fits into the place of the model's own may be of other classes: their names come with it.
    """
    config = read_json(member(directory, CONFIG))
    kind, names = _class_of(config)
    brought = beside_adapters(directory)
    spec = stored.model.spec
    if not kind or not isinstance(spec, Model):
        return stored
    if _holds(stored.model, brought):
        heads = {s for name, known in spellings_of(stored.model).items() if name.startswith("head.") for s in known}
        if names.get("id2label") is None or not heads & brought.keys():
            return stored
        labels = at(directory / CONFIG, read_labels, names, classes(spec))
        return stored if labels == stored.labels else replace(stored, labels=labels)
    for count in sorted({len(tensor) for tensor in brought.values() if tensor.dim()}):
        head = headed(spec, kind, count, stored.beside.get("model_type"))
        if head is None or head == spec.head:
            continue
        other = replace(spec, head=head, second=None)
        blank = outline(other)
        if _holds(blank, brought) and (state := _carried(stored.model, blank, brought)) is not None:
            model = other.build().to(next(iter(state.values())).dtype).eval()
            model.load_state_dict(state)
            rest = {key: value for key, value in stored.beside.items() if key not in OF_A_HEAD}
            labels = at(directory / CONFIG, read_labels, names, classes(other))
            return Stored(model, stored.tokenizer, None, labels, stored.processor, beside=rest)
    return stored


def _class_of(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Of which class of theirs adapters are, its name or how it ends, "" where it is not said; what it is said in."""
    mapped = config.get("auto_mapping")
    mapped = mapped if isinstance(mapped, Mapping) else {}
    kind = mapped.get("base_model_class") or TASKS.get(str(config.get("task_type")), "")
    return str(kind), mapped


def _holds(model: Built, brought: Mapping[str, Tensor]) -> bool:
    """Whether a model has a place of the same shape for each tensor, by any name that a file may have it under."""
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    places = {spelt: shapes[name] for name, known in spellings_of(model).items() for spelt in known}
    return all(places.get(name) == tensor.shape for name, tensor in brought.items())


def _carried(was: Built, model: Built, brought: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The weights of a model for another that differs in its head; None where one is neither there nor brought."""
    old = was.state_dict()
    dtype = next(iter(old.values())).dtype
    known = {spelt: name for name, spelt_so in spellings_of(was).items() for spelt in spelt_so}
    state: dict[str, Tensor] = {}
    for name, spelt_so in spellings_of(model).items():
        shape = model.state_dict()[name].shape
        own = [name] if not name.startswith(("head.", "second.")) else [known[s] for s in spelt_so if s in known]
        if found := [old[one] for one in own if one in old and old[one].shape == shape]:
            state[name] = found[0]
        elif any(spelt in brought for spelt in spelt_so):
            state[name] = torch.zeros(shape, dtype=dtype)  # whatever stands here is replaced by what is brought
        else:
            return None
    return state
