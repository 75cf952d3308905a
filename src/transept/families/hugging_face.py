"""What the families share of Hugging Face's side: words of configurations, and the check that one says a model.

A family that Hugging Face has too declares

    HF_MODELS   their model_type: the architectures of it that are read, the usual one first
    from_hf     their configuration -> the description, every key accounted for (see `configuration.Keys`)
    to_hf       the description -> their configuration, or InvalidConfig that names what they cannot say
    names       the description -> the table of weight names, both ways

and may have

    filed       the description, `Look` -> that which the weights bear out, and a sentence where it is another one
    whole       the description -> whether theirs computes it on rows of all its positions alone
    UNSAID      what a description that an older version wrote leaves out, where that is not now's default
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace as respell
from itertools import combinations
from typing import Any, TypeVar, cast

from torch import Tensor

from transept.errors import InvalidConfig
from transept.families.attentions import WORDS
from transept.families.configuration import differences
from transept.heads.classes import Averaged, Classes, Pooled, Spans, States, Tags
from transept.heads.contrast import Contrast
from transept.heads.head import Head
from transept.heads.letters import Letters
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, Seq2Seq
from transept.names import Entry, Rule
from transept.parts.attention import Attention
from transept.parts.core import Fused
from transept.parts.feedforward import Activation
from transept.parts.layer import Sublayer
from transept.parts.stack import Stack
from transept.spec import Part, edit, replace
from transept.topology import Topology

ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "gelu_quick",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

Kind = TypeVar("Kind", bound=Sublayer)
Spec = TypeVar("Spec", bound=Topology)
Look = Callable[[Sequence[str]], Mapping[str, Tensor]]  # those of some tensors of theirs that there are, by their names


def activation_word(activation: Activation) -> str:
    """Hugging Face's word for an activation."""
    return next(word for word, ours in ACTIVATIONS.items() if ours == activation)


def architecture(config: Mapping[str, Any], models: Mapping[str, Sequence[str]]) -> str:
    """Which of the architectures of a family a configuration is of; the usual one where it names none."""
    kind = config.get("model_type")
    known = models[kind] if isinstance(kind, str) and kind in models else next(iter(models.values()))
    named = config.get("architectures") or [known[0]]
    if not isinstance(named, list):
        raise InvalidConfig(f"architectures must be a list of names, not {named!r:.40}")
    for name in named:
        if name in known:
            return str(name)
    raise InvalidConfig(f"the architecture is {', '.join(map(str, named))}; Transept reads {', '.join(known)}")


# The words of `declare` for a head: families do not all call it alike, and no family has two words of one row.
HEADINGS: dict[type[Head], tuple[str, ...]] = {
    Vocabulary: ("vocabulary", "masked", "text"),
    States: ("states", "encoder"),
    Pooled: ("pooled",),
    Classes: ("classes",),
    Averaged: ("averaged",),
    Tags: ("tags",),
    Spans: ("spans",),
    Letters: ("letters",),
    Contrast: ("contrast",),
}


def architecture_of(spec: Model | Seq2Seq, name: str, heads: Mapping[str, str]) -> str:
    """Which of the architectures, each with the word for its head, a model is. Raises InvalidConfig where none is."""
    head, second = spec.head, spec.second if isinstance(spec, Model) else None
    words = HEADINGS.get(type(head), ())
    if isinstance(head, Vocabulary) and second is not None:
        words = ("pretraining",)
    found = [theirs for theirs, word in heads.items() if word in words]
    if not found:
        kinds = " and ".join(type(one).__name__ for one in (head, second) if one)
        raise InvalidConfig(f"{name} has no model with {kinds} as its head")
    return found[0]


def label_words(count: int) -> dict[str, Any]:
    """What a configuration says of `count` classes without names."""
    return {
        "id2label": {str(i): f"LABEL_{i}" for i in range(count)},
        "label2id": {f"LABEL_{i}": i for i in range(count)},
    }


def over_tokens(spec: Topology, name: str) -> tuple[Model, Tokens]:
    """A description that is at least one stack over tokens, and those. Raises InvalidConfig where it is not."""
    if not isinstance(spec, Model) or not isinstance(spec.embed, Tokens):
        embed = f" over {type(spec.embed).__name__}" if isinstance(spec, Model) else ""
        raise OtherShape(f"{name} is one stack over tokens, this model is a {type(spec).__name__}{embed}")
    return spec, spec.embed


def first(stack: Stack, kind: type[Kind]) -> Kind:
    """The first sublayer of a kind in a stack. Raises InvalidConfig where there is none."""
    found = [part for block in stack.cycle() for part in block.parts if isinstance(part, kind)]
    if not found:
        raise InvalidConfig(f"a block has no {kind.__name__}")
    return found[0]


def plain(spec: Spec) -> Spec:
    """The same model in the fewest words: what is spelt out and changes nothing is left to its default."""

    def shorter(part: Part) -> Part:
        if isinstance(part, Attention):
            core = Fused() if part.core.exact else part.core  # all of these compute the same
            own = None if part.head_width and part.head_width * part.heads == width else part.head_width
            kv_heads = None if part.kv_heads == part.heads else part.kv_heads
            return replace(part, core=core, kv_heads=kv_heads, head_width=own)
        if isinstance(part, Stack) and part.weights in (None, part.depth):
            cycle = part.cycle()[: part.depth]
            kinds = next(n for n in range(1, len(cycle) + 1) if cycle[:n] * (len(cycle) // n) == cycle)
            return replace(part, block=cycle[0] if kinds == 1 else cycle[:kinds], weights=None)
        return part

    width: int = cast(Any, spec).width
    return edit(spec, shorter)


class OtherShape(InvalidConfig):
    """A configuration is of models of another shape, so that nothing of a description can be compared."""


class Differs(InvalidConfig):
    """A configuration does not say a description. `count` is how many fields of it are others."""

    def __init__(self, what: str, *, count: int, **fields: Any) -> None:
        super().__init__(what, **fields)
        self.count = count


def demand_said(spec: Topology, said: Topology, name: str, words: Mapping[str, str] | None = None) -> None:
    """Refuse a description that a configuration does not say: `said` is what reading it back gives.

    How weights begin is no part of it. `words` has, for a field of the description, the word of `declare` that would
    change it. Raises Differs that names each field, its value and theirs.
    """
    if type(spec) is not type(said):
        raise OtherShape(f"{name} is a {type(said).__name__}, this model is a {type(spec).__name__}")
    ours = replace(cast(Any, plain(spec)), initial=cast(Any, said).initial)
    lost = list(differences(ours, plain(said)))
    if lost:
        shown = [f"{path} is {mine}, {name}'s is {theirs}" for path, mine, theirs in lost[:4]]
        more = f" and {len(lost) - 4} more" if len(lost) > 4 else ""
        found = sorted({words[field] for path, _, _ in lost if words and (field := path.rsplit(".")[-1]) in words})
        told = {path.rsplit(".")[-1] for path, _, _ in lost} - set(words or {})
        beside = " or ".join(f"model.{word}" for word in WORDS if word in told)
        remedies = [f"Train it with {', '.join(found)}."] if found else []
        remedies += [f"Train it without {beside}."] if beside else []
        raise Differs(
            f"{name} cannot say this model: {'; '.join(shown)}{more}",
            count=len(lost),
            remedy=" ".join(remedies) or None,
        )


def respelled(entries: Iterable[Entry], *spellings: tuple[str, str]) -> list[Entry]:
    """The entries with the older spellings of their names: each (new, old) replaced alone, and all of them together.

    Checkpoints of years ago say `LayerNorm.gamma`; one of a bare model has no `bert.` before its names.
    """

    def older(name: str) -> Iterable[str]:
        known = [pair for pair in spellings if pair[0] in name]
        for count in range(1, len(known) + 1):
            for chosen in combinations(known, count):
                changed = name
                for new, old in chosen:
                    changed = changed.replace(new, old, 1)
                yield changed

    def with_older(entry: Entry) -> Entry:
        if isinstance(entry, Rule):
            names = [n for known in (entry.theirs, entry.filed) for n in zip(*map(older, known), strict=True)]
            return respell(entry, older=tuple(dict.fromkeys((*entry.older, *names))))
        return respell(entry, older=tuple(dict.fromkeys((*entry.older, *older(entry.theirs)))))

    return [with_older(entry) for entry in entries]
