"""Who may attend to whom: a relation between positions, without weights and without tensors of its own.

`allows(q, k)` takes the positions of queries and of keys, in shapes that broadcast, and answers for each pair. Patterns
combine with `&`, `|` and `~`, and have a text form, `"causal & window(256) | first(4)"`, with Python's precedence.
Cores recognise them by their types, so a pattern is a description of what is allowed and never of how it is computed.
"""

import ast
from dataclasses import fields
from typing import Any, cast

from torch import Tensor

from transept.errors import InvalidConfig, nearest
from transept.spec import Part


class Pattern(Part):
    """A relation on positions. Two kinds are the same pattern when they are equal."""

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        """Whether the query at position q may see the key at position k. Broadcasts; returns bool."""
        raise NotImplementedError(type(self).__name__)

    def __and__(self, other: "Pattern") -> "Pattern":
        return Both(self, other)

    def __or__(self, other: "Pattern") -> "Pattern":
        return Either(self, other)

    def __invert__(self) -> "Pattern":
        return Not(self)

    def __str__(self) -> str:
        values = ", ".join(str(getattr(self, field.name)) for field in fields(cast(Any, self)))
        return type(self).__name__.lower() + (f"({values})" if values else "")


class Full(Pattern):
    """Every query sees every key."""

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q == q) & (k == k)


class Causal(Pattern):
    """A query sees its own position and what came before (Vaswani et al. 2017, section 3.2.3)."""

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return k <= q


class Window(Pattern):
    """A query sees the keys at most `reach` positions away, on either side."""

    reach: int

    def validate(self) -> None:
        self.hold(0, "reach")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q - k).abs() <= self.reach


class First(Pattern):
    """Every query sees the first `count` positions."""

    count: int

    def validate(self) -> None:
        self.hold(0, "count")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (k < self.count) & (q == q)


class Prefix(Pattern):
    """The first `length` positions see one another. `causal | prefix(n)` is the prefix language model."""

    length: int

    def validate(self) -> None:
        self.hold(0, "length")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q < self.length) & (k < self.length)


class Both(Pattern):
    """What two patterns both allow."""

    left: Pattern
    right: Pattern

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return self.left.allows(q, k) & self.right.allows(q, k)

    def __str__(self) -> str:
        return f"{_within(self.left, Either)} & {_within(self.right, Either, Both)}"


class Either(Pattern):
    """What at least one of two patterns allows."""

    left: Pattern
    right: Pattern

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return self.left.allows(q, k) | self.right.allows(q, k)

    def __str__(self) -> str:
        return f"{self.left} | {_within(self.right, Either)}"


class Not(Pattern):
    """What a pattern does not allow."""

    pattern: Pattern

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return ~self.pattern.allows(q, k)

    def __str__(self) -> str:
        return f"~{_within(self.pattern, Either, Both)}"


def _within(pattern: Pattern, *looser: type[Pattern]) -> str:
    return f"({pattern})" if isinstance(pattern, looser) else str(pattern)


def patterns_by_word() -> dict[str, type[Pattern]]:
    """The words of the text form: every pattern that is not a combination of others."""
    kinds = (kind for kind in Part.kinds.values() if issubclass(kind, Pattern))
    return {kind.__name__.lower(): kind for kind in kinds if kind not in (Pattern, Both, Either, Not)}


def form_of(word: str) -> str:
    """How a pattern is written: `window(reach)`."""
    names = ", ".join(field.name for field in fields(cast(Any, patterns_by_word()[word])))
    return f"{word}({names})" if names else word


def parse_pattern(text: str) -> Pattern:
    """The pattern that a text form names: `"causal & window(256) | first(4)"`.

    Raises InvalidConfig with the nearest word where one is unknown.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidConfig(f"the pattern {text!r} cannot be read: {reason}") from None
    return _pattern_of(tree, text)


def _pattern_of(tree: ast.expr, text: str) -> Pattern:
    match tree:
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            return _pattern_of(left, text) & _pattern_of(right, text)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _pattern_of(left, text) | _pattern_of(right, text)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return ~_pattern_of(operand, text)
        case ast.Name(id=word):
            return _named(word, [], text)
        case ast.Call(func=ast.Name(id=word), args=args, keywords=[]):
            return _named(word, [_number(arg, text) for arg in args], text)
    raise InvalidConfig(
        f"the pattern {text!r} has a part that is none: {ast.unparse(tree)!r}",
        remedy="A pattern is made of words such as causal and window(256), joined by & | ~ and parentheses.",
    )


def _number(tree: ast.expr, text: str) -> int:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return tree.value
    raise InvalidConfig(f"the pattern {text!r} takes whole numbers, not {ast.unparse(tree)!r}")


def _named(word: str, values: list[int], text: str) -> Pattern:
    known = patterns_by_word()
    if word not in known:
        forms = ", ".join(form_of(word) for word in sorted(known))
        raise InvalidConfig(
            f"the pattern {text!r} has an unknown word {word!r}.{nearest(word, known)}", remedy=f"There are: {forms}."
        )
    wanted = [field.name for field in fields(cast(Any, known[word]))]
    if len(values) != len(wanted):
        raise InvalidConfig(f"the pattern {text!r} gives {word!r} {len(values)} numbers; it is written {form_of(word)}")
    return known[word](*values)
