"""What a description is for: whether it writes text, how many tokens it knows, which classes it names."""

from collections.abc import Mapping
from typing import Any

from transept.errors import InvalidConfig
from transept.heads.attended import Attended
from transept.heads.classes import Averaged, Classes, Spans, Tags
from transept.heads.letters import Letters
from transept.heads.vocabulary import Vocabulary
from transept.inputs.seen import Seen
from transept.inputs.sentences import Sentences
from transept.inputs.tokens import Tokens
from transept.inputs.vectors import Vectors
from transept.inputs.waveform import Waveform
from transept.models import Model, Seq2Seq
from transept.topology import Topology


def writes_text(spec: Topology) -> bool:
    """Whether a model chooses one token after another."""
    if isinstance(spec, Seq2Seq):
        return isinstance(spec.head, Vocabulary)
    return isinstance(spec, Model) and isinstance(spec.head, Vocabulary) and spec.stack.causal


def reads(spec: Topology) -> str:
    """What enters a model: "text", "pictures", "sound", "vectors", or the name of the part that takes it."""
    first = spec.source or spec.embed if isinstance(spec, Seq2Seq) else getattr(spec, "embed", None)
    if isinstance(first, Seen):
        return "pictures"
    known = {Tokens: "text", Sentences: "documents", Waveform: "sound", Vectors: "vectors"}
    return known.get(type(first), type(first).__name__)


def verb_of(spec: Topology) -> str | None:
    """The verb that shows best what a model does, or None."""
    kind, head = reads(spec), getattr(spec, "head", None)
    if kind == "pictures":
        if isinstance(spec, Seq2Seq):
            return "caption" if isinstance(head, Vocabulary) else None
        return "see" if isinstance(head, Classes | Attended | Averaged) else None
    if kind == "sound":
        return "transcribe" if isinstance(head, Letters) else "hear" if isinstance(head, Classes) else None
    if kind == "documents":
        return "classify" if isinstance(head, Classes) else None
    if kind != "text":
        return None
    if isinstance(head, Vocabulary):
        return "translate" if isinstance(spec, Seq2Seq) else "generate" if writes_text(spec) else "fill"
    words: dict[type, str] = {Classes: "classify", Tags: "tag", Spans: "answer"}
    return words.get(type(head), "embed")


def scored(spec: Topology) -> int:
    """How many tokens a model that writes text chooses from."""
    head = getattr(spec, "head", None)
    assert isinstance(head, Vocabulary), "a model that writes text"
    return head.size


def rows_of(spec: Topology) -> int | None:
    """How many tokens a model knows, read or written; None where it has no tokens."""
    inputs = [getattr(spec, name, None) for name in ("embed", "source")]
    inputs = [part.words if isinstance(part, Sentences) else part for part in inputs]
    counts = [part.vocab for part in inputs if isinstance(part, Tokens)]
    head = getattr(spec, "head", None)
    counts += [head.size] if isinstance(head, Vocabulary) else [head.count] if isinstance(head, Letters) else []
    return max(counts, default=None)


def classes(spec: Topology) -> int:
    """How many classes with names the head scores; 0 where it scores none."""
    head = getattr(spec, "head", None)
    if isinstance(head, Averaged):  # all of its heads score the same classes
        head = head.heads[0]
    return head.count if isinstance(head, (Classes, Tags, Attended)) else 0


def read_labels(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """The names of `count` classes in a configuration; LABEL_0 and so on where it names none.

    Raises InvalidConfig where they are not as many, or not numbered from 0.
    """
    named = config.get("id2label")
    if not count or named is None:
        return tuple(f"LABEL_{i}" for i in range(count))
    if not isinstance(named, Mapping) or {str(key) for key in named} != {str(i) for i in range(count)}:
        raise InvalidConfig(f"id2label must name {count} classes, from 0 on", remedy="So many does the head score.")
    by_number = {str(key): str(name) for key, name in named.items()}
    return tuple(by_number[str(i)] for i in range(count))
