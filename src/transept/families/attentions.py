"""The words that every family has beside its own: who may see whom, how it is computed, key/value heads, memories.

Each changes the attentions of a description that was declared, and nothing else. A family that has such a word itself
is told by its own. What a family cannot be told is refused with the reason.
"""

from collections.abc import Mapping
from typing import Any

from transept.errors import InvalidConfig
from transept.models import Model, Seq2Seq
from transept.parts.attention import Attention
from transept.parts.core import Core, Fused
from transept.parts.pattern import Causal, Pattern
from transept.parts.pattern_text import parse_pattern
from transept.parts.planner import Auto
from transept.parts.recall import Recall
from transept.parts.scored import Repeated
from transept.parts.sparse import BlockSparse, Sliding
from transept.parts.stack import Stack
from transept.parts.trunk import Trunk
from transept.spec import Part, edit, replace
from transept.topology import Topology

# What each takes, as an annotation. A pattern and a part may be written as a text, `causal & window(256)` and `Flex`.
WORDS: dict[str, Any] = {"pattern": Pattern, "core": Core, "kv_heads": int, "recall": Recall, "carries": int}


def attending(spec: Topology, words: Mapping[str, Any]) -> Topology:
    """The description with what `words` say of its attentions in blocks.

    `pattern` is who may see whom where a stream attends to itself: a stack that looks back goes on doing so, and of
    what a pattern has ahead it sees nothing. The planner then chooses how that is computed, unless `core` says it.
    `kv_heads` is of all attentions, those to a memory too. `recall` finds keys of long ago wherever attention looks
    back alone, and `carries` is how many states of the segment before are read. Raises InvalidConfig with the reason.
    """
    for word, value in words.items():
        if value is None:
            raise InvalidConfig("nothing is said", remedy=f"Leave {word} out, and the family's own stands.")
        _demand_blocks(spec)
    own = {word: value for word, value in words.items() if word in ("pattern", "core")}
    made = edit(spec, lambda part: _stack(part, own) if own and isinstance(part, Stack) else part)
    if words.keys() & {"recall", "carries"}:
        _demand_causal(made)
    if "recall" in words:
        made = edit(made, lambda part: _recalling(part, words["recall"]) if isinstance(part, Stack) else part)
    if "kv_heads" in words:
        made = edit(made, lambda part: _shared(part, words["kv_heads"]) if isinstance(part, Stack) else part)
    if "carries" in words:
        made = edit(made, lambda part: _carrying(part, words["carries"]))
    return made


def _shared(stack: Stack, heads: int) -> Stack:
    return edit(stack, lambda part: replace(part, kv_heads=heads) if isinstance(part, Attention) else part)


def _recalling(stack: Stack, recall: Recall) -> Stack:
    def change(part: Part) -> Part:
        if not isinstance(part, Attention) or part.source != "self" or part.pattern.band()[1] > 0:
            return part
        return replace(part, recall=recall)

    return edit(stack, change)


def _carrying(part: Part, states: int) -> Part:
    return replace(part, carries=states) if isinstance(part, Stack) and part.causal else part


def _stack(stack: Stack, words: Mapping[str, Any]) -> Stack:
    """A stack whose attentions to itself are told otherwise."""
    pattern: Pattern | None = words.get("pattern")
    if pattern is not None and isinstance(stack.position, Repeated):
        raise InvalidConfig(
            f"{stack.position} counts keys of the family's own pattern several times, whatever another pattern sees",
            remedy="Say model.blocks=full beside it: nothing is then counted twice.",
        )
    if pattern is not None and stack.causal and pattern.band()[1] > 0:
        pattern = Causal() & pattern

    def change(part: Part) -> Part:
        if not isinstance(part, Attention) or part.source != "self":
            return part
        new: dict[str, Any] = {}
        if pattern is not None:
            planned = isinstance(part.core, Fused | Sliding | BlockSparse)
            new = {"pattern": pattern, "core": Auto() if planned else part.core}
        if "core" in words:
            new["core"] = words["core"]
        return replace(part, **new)

    return edit(stack, change)


def _trunks(spec: Topology) -> tuple[Trunk, ...]:
    return (
        (spec.encoder, spec.decoder) if isinstance(spec, Seq2Seq) else (spec.stack,) if isinstance(spec, Model) else ()
    )


def _demand_blocks(spec: Topology) -> None:
    """Refuse words that nothing in a description could follow. Raises InvalidConfig."""
    trunks = _trunks(spec)
    if not any(isinstance(trunk, Stack) and trunk.attentions() for trunk in trunks):
        nouns = " and a ".join(dict.fromkeys(trunk.noun for trunk in trunks))
        raise InvalidConfig(f"attentions in blocks are told so, and this is a {nouns}")


def _demand_causal(spec: Topology) -> None:
    """Refuse what comes from before a text where all of a description looks ahead. Raises InvalidConfig."""
    if not any(isinstance(trunk, Stack) and trunk.causal for trunk in _trunks(spec)):
        raise InvalidConfig(
            "what came before a text is of use to a model that looks back alone, and this one looks ahead"
        )


def meant(word: str, value: Any) -> Any:
    """A word's value as written: a pattern's text read, and a part by its name alone, `Flex` for `{kind: Flex}`."""
    if word == "pattern" and isinstance(value, str):
        return parse_pattern(value)
    if word in ("core", "recall") and isinstance(value, str):
        return {"kind": value}
    return value
