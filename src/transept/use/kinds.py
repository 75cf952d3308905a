"""What a model is, in words, and which verbs it has."""

from pathlib import Path

from transept.errors import UsageError
from transept.heads.attended import Attended
from transept.heads.bits import Bits
from transept.heads.classes import Averaged, Classes, Pooled, Spans, States, Tags
from transept.heads.letters import Letters
from transept.heads.vocabulary import Vocabulary
from transept.hub.kinds import classes, reads
from transept.inputs.seen import Seen
from transept.inputs.sentences import Sentences
from transept.inputs.tokens import Tokens
from transept.inputs.waveform import Waveform
from transept.models import Model, Seq2Seq
from transept.topology import Topology

# What each verb needs, as a person would say it.
NEEDS = {
    "translate": "a translation needs an encoder and a decoder",
    "summarize": "a summary needs an encoder and a decoder",
    "generate": "a text is continued by a decoder that scores the tokens of a vocabulary",
    "fill": "a mask is filled by an encoder that scores the tokens of a vocabulary",
    "classify": "a text is classified by a head that scores classes",
    "tag": "words are tagged by a head that scores classes at every position",
    "answer": "an answer is found by a head that scores where it begins and ends, or written by a T5",
    "embed": "a text is embedded by a model that reads tokens",
    "see": "a picture is classified by a model that reads pictures and scores classes",
    "hear": "a sound is classified by a model that reads samples and scores classes",
    "caption": "a picture is described by a model that reads pictures and writes the tokens of a vocabulary",
    "transcribe": "speech is written down by a model that reads samples and scores letters",
}


def verbs(spec: Topology, kind: str = "") -> tuple[str, ...]:
    """The verbs that a model has. `kind` is the `model_type` of its config.json."""
    if isinstance(spec, Seq2Seq):
        if spec.source_tokens is None:
            return ("caption",) if isinstance(spec.head, Vocabulary) and reads(spec) == "pictures" else ()
        if isinstance(spec.head, Vocabulary):
            return ("translate", "summarize", "generate", *(["answer"] if kind == "t5" else []), "embed")
        own = {Classes: "classify", Spans: "answer"}.get(type(spec.head))
        return (*([own] if own else []), "embed")
    if not isinstance(spec, Model):
        return ()
    head, embed = spec.head, spec.embed
    if isinstance(embed, Seen):
        return ("see",) if isinstance(head, Classes | Attended | Averaged) else ()
    if isinstance(embed, Waveform):
        return ("transcribe",) if isinstance(head, Letters) else ("hear",) if isinstance(head, Classes) else ()
    if isinstance(embed, Sentences):
        return ("classify",) if isinstance(head, Classes) else ()
    if not isinstance(embed, Tokens):
        return ()
    own = {Classes: "classify", Tags: "tag", Spans: "answer"}.get(type(head))
    if isinstance(head, Vocabulary):
        own = "generate" if spec.stack.causal else "fill"
    return (*([own] if own else []), "embed")


def described(spec: Topology) -> str:
    """What a model is, as a person would say it."""
    if isinstance(spec, Seq2Seq):
        seen = "" if spec.source_tokens else f" that reads {reads(spec)}"
        return f"an encoder{seen} and a decoder with a head that {_gives(spec)}"
    if not isinstance(spec, Model):
        return f"a {type(spec).__name__}"
    return f"{'a decoder' if spec.stack.causal else 'an encoder'} that reads {reads(spec)}; its head {_gives(spec)}"


def _gives(spec: Model | Seq2Seq) -> str:
    head = spec.head
    match head:
        case Vocabulary():
            return f"scores {head.size:,} tokens"
        case Classes() | Attended() | Averaged():
            return f"scores {classes(spec)} classes of a whole row"
        case Tags():
            return f"scores {head.count} classes at every position"
        case Bits():
            return f"tells {head.count} bits at every position"
        case Letters():
            return f"scores {head.count} letters at every frame"
        case Spans():
            return "scores where an answer begins and ends"
        case Pooled():
            return "gives one vector of a row"
        case States():
            return "gives the states as they are"
    return f"is {type(head).__name__}"


def demand_text(spec: Topology, verb: str, path: Path) -> None:
    """Refuse a model that reads no text to a command that reads some: UsageError."""
    does = {"sound": "this model listens", "pictures": "this model sees"}
    if (kind := reads(spec)) not in ("text", "documents"):
        raise UsageError(
            f"{does.get(kind, f'this model reads {kind}')}, and {verb} needs one that reads text",
            where=path,
            remedy=f"It is {described(spec)}.",
        )


def demand(spec: Topology, verb: str, found: tuple[str, ...], path: Path) -> None:
    """Refuse a verb that a model does not have. The UsageError says what the model is, and what it can do."""
    if verb in found:
        return
    can = f"It can {', '.join(found)}: `transept {found[0]} {path}`." if found else "Use it as a module: `.model`."
    raise UsageError(
        f"this model cannot {verb}: it is {described(spec)}, and {NEEDS[verb]}",
        where=path,
        remedy=can,
    )
