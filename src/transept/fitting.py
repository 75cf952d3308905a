"""Whether an input, a trunk and a head suit each other, and what a pass is given suits them."""

from torch import Tensor

from transept.errors import InvalidConfig, UsageError
from transept.heads.adaptive import Adaptive
from transept.heads.head import Head
from transept.heads.vocabulary import Vocabulary
from transept.inputs.clustered import Clustered
from transept.inputs.entry import Entry
from transept.inputs.pictures import spoken_grid
from transept.inputs.tokens import Tokens
from transept.parts.pattern import Documents
from transept.parts.stack import Stack
from transept.parts.tree import demand_tree as told
from transept.parts.trunk import Trunk


def fit(head: Head, embed: Entry, width: int, given: int) -> None:
    """Refuse a head that cannot read what such an input and a trunk, whose states have `given` features, hand on."""
    if head.needs_raw not in (None, embed.raw):
        has = "hands on none" if embed.raw is None else f"hands on {embed.raw}"
        raise InvalidConfig(f"{type(head).__name__} needs {head.needs_raw} features, and {type(embed).__name__} {has}")
    if head.needs_levels and head.needs_levels != embed.levels:
        has = f"hands on {embed.levels}" if embed.levels else "hands on none"
        raise InvalidConfig(f"{type(head).__name__} looks at levels {head.needs_levels}, {type(embed).__name__} {has}")
    if not head.needs_table:
        return
    if not isinstance(embed, Tokens):
        raise InvalidConfig(f"a tied head scores with embeddings of tokens, and {type(embed).__name__} has none")
    if width != given:
        raise InvalidConfig(f"a tied head cannot score states of {given} features with embeddings of {width}")
    wanted = head.clusters if isinstance(head, Adaptive) and head.clusters.divisor > 1 else None
    there = embed.clusters if isinstance(embed, Clustered) else None
    if wanted != there:
        raise InvalidConfig(f"a tied head of {wanted or 'one table'} cannot score with {there or 'one table'}")
    if isinstance(head, Vocabulary) and head.size != embed.vocab:
        raise InvalidConfig(f"a tied head of {head.size} classes cannot score with {embed.vocab} embeddings")


def demand_documents(embed: Entry, stack: Trunk) -> None:
    """Refuse rows of several documents where a token would see all of them, or where order cannot begin anew."""
    words = [part for attention in stack.attentions() for part in attention.pattern.parts()]
    if not any(isinstance(part, Documents) for part in words):
        raise UsageError(
            "rows of several documents were given, and no attention of this model keeps them apart",
            remedy="Give its patterns the word documents: `causal & documents`.",
        )
    if not isinstance(embed, Tokens):
        raise UsageError(f"rows of several documents are rows of tokens, and this model reads {type(embed).__name__}")


def demand_distances(embed: Entry, stack: Trunk) -> None:
    """Refuse states that are carried from segment to segment where order cannot go on. Raises InvalidConfig."""
    if not isinstance(stack, Stack) or stack.carries is None:
        return
    if not isinstance(embed, Tokens):
        raise InvalidConfig(f"segments are of tokens, and {type(embed).__name__} reads none")
    if embed.limit() is not None:
        raise InvalidConfig(
            f"{embed.position} ends at {embed.limit()}, and what is carried from segment to segment goes on counting",
            remedy="Tell order by distances, such as positions=alibi, buckets, rotary or distances.",
        )


def demand_order(entry: Entry, trunk: Trunk) -> None:
    """Refuse an order that is not one of what enters: trees of what is no text, and another grid than a picture's."""
    reads = "a tree is of the words of a sentence, and {} has none"
    if trunk.reads_tree and not isinstance(entry, Tokens):
        raise InvalidConfig(reads.format(type(entry).__name__))
    own = entry.squares()
    for position in trunk.orders():
        told = position.grid()
        if own is not None and told not in (None, own):
            raise InvalidConfig(f"{position} is for another grid than what enters: {spoken_grid(own)}")


def demand_whole(side: str, *parts: Entry | Trunk) -> None:
    """Refuse places in a tree where text is written: no tree is known of a sentence that is not there yet."""
    if any(part.reads_tree for part in parts):
        raise InvalidConfig(
            f"the positions of {side} are places in a tree, and a tree is of a whole sentence: what writes from left to"
            " right has none yet",
            remedy="Let an encoder alone read trees; a decoder beside it needs an `embed` of its own, or `source` one.",
        )


def demand_tree(reads: bool, tree: Tensor | None) -> None:
    """Refuse a tree that nobody reads, and a want of one."""
    if reads:
        told(tree)
    elif tree is not None:
        raise UsageError("a tree was given, and no position of this model reads one", remedy="Leave it out.")
