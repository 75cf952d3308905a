"""The one word of every family of attentions for how it tells order: `positions: "sinusoid + relative(16)"`.

A text names one order or several, joined by `+`; each goes to its own place, into what enters, onto the scores of a
stack, or into each attention of a stream to itself. A family's own word leaves its order as its other words say it.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, TypeVar, cast

from transept.errors import InvalidConfig, nearest
from transept.inputs.annotations import Annotations
from transept.inputs.entry import Entry
from transept.inputs.patches import Patches
from transept.inputs.tokens import Tokens
from transept.inputs.waveform import Waveform
from transept.models import Model, Seq2Seq
from transept.parts.attention import Attention
from transept.parts.grid import Grid, GridBias, GridRotary
from transept.parts.position import Added, Learned, Position, Sinusoid, Structural
from transept.parts.relative import Distances, Keyed, RelativeKeys, Several
from transept.parts.rotary import Interpolated, Rebased, Rotary, Rotating, Yarn
from transept.parts.scored import Alibi, Buckets, Scored
from transept.parts.stack import Stack
from transept.spec import Part, edit

Whole = TypeVar("Whole", Model, Seq2Seq, Model | Seq2Seq)
GRAMMAR = "An order is a word such as sinusoid or relative(16); several are joined by +."


@dataclass(frozen=True)
class Term:
    """A word of the text with its numbers."""

    word: str
    numbers: tuple[tuple[str, int | float], ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.word}({', '.join(f'{name}={value}' for name, value in self.numbers)})"
            if self.numbers
            else self.word
        )


@dataclass(frozen=True)
class There:
    """What an order may depend on where it is put: who enters, how many positions the family has, one stack's heads."""

    entry: Entry
    length: int | None
    heads: int
    causal: bool

    def squares(self, word: str) -> tuple[int, int, int]:
        found = self.entry.squares()
        if found is None:
            raise InvalidConfig(
                f"positions: {word} tells rows and columns of a picture, and {type(self.entry).__name__} has none",
                remedy=f"For tokens of pictures say how many there are: {word}(height, width, start).",
            )
        return found


def _learned(there: There, length: int | None = None) -> Position:
    squares = there.entry.squares()
    known = there.length if squares is None else squares[0] * squares[1] + squares[2]
    if (length := length or known) is None:
        raise InvalidConfig(
            "positions: learned has a vector for each position, and how many is not said", remedy="Say learned(512)."
        )
    return Learned(length)


def _buckets(there: There, count: int = 32, far: int = 128) -> Position:
    return Buckets(there.heads, count, far, sees="past" if there.causal else "both")


def _grid(word: str, make: Callable[[There, tuple[int, int, int]], Position]) -> Callable[..., Position]:
    def made(there: There, height: int | None = None, width: int | None = None, start: int = 0) -> Position:
        if (height is None) != (width is None):
            raise InvalidConfig(f"positions: {word} needs the height and the width of the grid, or neither")
        told = (height, width, start) if height is not None and width is not None else there.squares(word)
        return make(there, told)

    return made


# Each makes a position from where it is put and from its numbers; the text may leave out those with a default.
WORDS: dict[str, Callable[..., Position]] = {
    "sinusoid": lambda there, base=10_000.0: Sinusoid(base=base),
    "learned": _learned,
    "structural": lambda there, base=10_000.0: Structural(base=base),
    "relative": lambda there, reach=16: RelativeKeys(reach, values="relative"),
    "relative_keys": lambda there, reach=16: RelativeKeys(reach),
    "relative_both": lambda there, reach=16: RelativeKeys(reach, "both"),
    "tree": lambda there, reach=16: RelativeKeys(reach, values="relative", along="tree"),
    "distances": lambda there, far=None: Distances(sees="past" if there.causal else "both", far=far),
    "alibi": lambda there: Alibi(there.heads),
    "buckets": _buckets,
    "rotary": lambda there, base=10_000.0: Rotary(base),
    "rotary_linear": lambda there, factor=4.0, base=10_000.0: Rotary(base, scaling=Interpolated(factor)),
    "rotary_ntk": lambda there, factor=4.0, base=10_000.0: Rotary(base, scaling=Rebased(factor)),
    "rotary_yarn": lambda there, factor=4.0, length=2048, base=10_000.0: Rotary(base, scaling=Yarn(factor, length)),
    "grid": _grid("grid", lambda there, told: Grid(*told)),
    "grid_sinusoid": _grid("grid_sinusoid", lambda there, told: Grid(*told, form="sinusoid")),
    "grid_bias": _grid("grid_bias", lambda there, told: GridBias(there.heads, *told)),
    "grid_rotary": _grid("grid_rotary", lambda there, told: GridRotary(*told)),
}
NONE = "none"
PLACES = (Tokens, Patches, Waveform, Annotations, Attention, Stack)  # the parts that have a position


def read(text: str, own: str, where: str | None = None) -> list[Term]:
    """The terms of a text; `own` is the family's own word, `where` the place that the text was written at.

    Raises InvalidConfig with the word and the nearest one.
    """
    try:
        return _read(text, own)
    except InvalidConfig as error:
        raise InvalidConfig(**error.fields(where=where)) from None


def _read(text: str, own: str) -> list[Term]:
    known = [NONE, *dict.fromkeys([own, *WORDS])]
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidConfig(f"positions: {text!r:.100} cannot be read", remedy=GRAMMAR) from None
    parts: list[ast.expr] = []
    while isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add):
        parts.insert(0, tree.right)
        tree = tree.left
    terms = [_term(part, text, known) for part in [tree, *parts]]
    if len(terms) > 1 and any(term.word == NONE for term in terms):
        raise InvalidConfig(f"positions: {text!r:.100} says none beside another order", remedy="Leave one of them out.")
    return [term for term in terms if term.word != NONE]


def _term(tree: ast.expr, text: str, known: list[str]) -> Term:
    call = tree if isinstance(tree, ast.Call) else None
    name = tree if call is None else call.func
    if not isinstance(name, ast.Name):
        raise InvalidConfig(f"positions: {text!r:.100} cannot be read at {ast.unparse(tree)!r:.60}", remedy=GRAMMAR)
    word = name.id
    if word not in known:
        raise InvalidConfig(
            f"positions: there is no {word!r}.{nearest(word, known)}", remedy=f"There are: {', '.join(known)}."
        )
    if call is None:
        return Term(word)
    takes = [name for name in signature(WORDS[word]).parameters if name != "there"] if word in WORDS else []
    if len(call.args) + len(call.keywords) > len(takes) or any(one.arg not in takes for one in call.keywords):
        form = f"{word}({', '.join(takes)})" if takes else word
        raise InvalidConfig(f"positions: {ast.unparse(tree)} has other numbers than {form}")
    numbers = dict(zip(takes, call.args, strict=False))
    for one in call.keywords:
        if one.arg is None or one.arg in numbers:
            raise InvalidConfig(f"positions: {ast.unparse(tree)} gives {one.arg} twice")
        numbers[one.arg] = one.value
    return Term(word, tuple((name, _number(value)) for name, value in numbers.items()))


def _number(tree: ast.expr) -> int | float:
    if isinstance(tree, ast.Constant) and type(tree.value) in (int, float):
        return cast(int | float, tree.value)
    raise InvalidConfig(f"positions: {ast.unparse(tree)!r:.60} is no number", remedy=GRAMMAR)


def ordered(spec: Whole, positions: str, own: str, length: int | None = None) -> Whole:
    """The description with the order that a text names, where the family's is `own` and has `length` positions.

    Raises InvalidConfig where a word is unknown, or names an order that this family cannot have, with the reason.
    """
    terms = read(positions, own)
    if terms == [Term(own)]:
        return spec
    kept = Term(own) in terms
    bare = spec if kept else without(spec)
    return with_orders(bare, [term for term in terms if term != Term(own)], length)


def without(spec: Whole) -> Whole:
    """A description that tells no order."""

    def change(part: Part) -> Part:
        if isinstance(part, Patches) and part.resize is not None:
            raise InvalidConfig(f"resize: {part.resize} stretches a learned table of positions, and here is none")
        return replace(part, position=None) if isinstance(part, PLACES) else part

    return edit(spec, change)


def with_orders(spec: Whole, terms: list[Term], length: int | None) -> Whole:
    """A description with more orders than it has, each in its place."""
    if isinstance(spec, Model):
        entry, stack = told(spec.embed, spec.stack, terms, length)
        return replace(spec, embed=entry, stack=stack)
    source, encoder = told(spec.source or spec.embed, spec.encoder, terms, length)
    # No tree is known of a text that is not written yet: there its sequence alone is told.
    sequence = [Term("sinusoid", t.numbers) if t.word == "structural" else t for t in terms if t.word != "tree"]
    embed, decoder = told(spec.embed, spec.decoder, sequence, length)
    own: dict[str, Any] = {"embed": embed, "encoder": encoder, "decoder": decoder}
    if spec.source is not None or source != embed:
        own |= {"source": source, "share": spec.share if spec.source is not None else "table"}
    return replace(spec, **own)


def told(entry: Entry, trunk: Any, terms: list[Term], length: int | None) -> tuple[Any, Any]:
    """What enters and a stack, with the orders that terms name."""
    if not isinstance(trunk, Stack):
        raise InvalidConfig(f"positions are those of attentions in blocks, and this is a {trunk.noun}")
    own = [attention for attention in trunk.attentions() if attention.source == "self"]
    there = There(entry, length, own[0].heads if own else 0, trunk.causal)
    made = {str(term): WORDS[term.word](there, **dict(term.numbers)) for term in terms}
    if len(made) < len(terms):
        raise InvalidConfig(f"positions: {' + '.join(map(str, terms))} says an order twice")
    for word, position in one_of(made, Added).items():
        if getattr(entry, "position", None) is not None:
            raise InvalidConfig(f"positions: {word} is added to what enters, and another order is already")
        entry = cast(Any, replace(cast(Any, entry), position=position))
    for word, position in one_of(made, Scored).items():
        if trunk.position is not None:
            raise InvalidConfig(f"positions: {word} is scored on pairs, and another order is already")
        trunk = replace(trunk, position=cast(Scored, position))
    inside = one_of(made, Rotating) or {word: p for word, p in made.items() if isinstance(p, Keyed)}
    if len(inside) < sum(isinstance(p, Rotating | Keyed) for p in made.values()):
        raise InvalidConfig(f"positions: {' and '.join(made)} cannot both be an attention's own order")
    if not inside:
        return entry, trunk
    keyed = tuple(p for p in inside.values() if isinstance(p, Keyed))
    single = Several(keyed) if len(keyed) > 1 else next(iter(inside.values()))

    def change(part: Part) -> Part:
        if not isinstance(part, Attention) or part.source != "self":
            return part
        if part.position is not None:
            raise InvalidConfig(
                f"positions: {' + '.join(inside)} is an attention's own order, which has another already"
            )
        return replace(part, position=cast(Any, single))

    return entry, edit(trunk, change)


def one_of(made: Mapping[str, Position], kind: type[Position]) -> dict[str, Position]:
    """The positions of a kind, of which there may be one."""
    found = {word: position for word, position in made.items() if isinstance(position, kind)}
    if len(found) > 1:
        place = {Added: "added to what enters", Scored: "scored on pairs", Rotating: "turning queries and keys"}[kind]
        raise InvalidConfig(f"positions: one order alone can be {place}, not {' and '.join(found)}")
    return found
