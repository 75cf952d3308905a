"""The text form of patterns: `"causal & window(256) | first(4)"`, with the precedence that Python gives to & | ~.

`str(pattern)` writes it, `parse_pattern` reads it. Every pattern of the package has a word here, and one that is
declared elsewhere has one too, from its declaration on.
"""

import ast
import unicodedata
from dataclasses import MISSING, fields
from typing import Any, cast

# The package's own patterns are known because they are loaded here.
from transept.errors import InvalidConfig, nearest
from transept.parts import pattern_blocks, pattern_grid, pattern_strides
from transept.parts.pattern import Combined, Pattern
from transept.spec import Part

HOMES = (pattern_blocks, pattern_grid, pattern_strides)
GRAMMAR = "A pattern is made of words such as causal and window(256), joined by & | ~ and parentheses."


def patterns_by_word() -> dict[str, type[Pattern]]:
    """The words of the text form: every pattern that is not a combination of others."""
    kinds = (kind for kind in Part.kinds.values() if issubclass(kind, Pattern))
    return {kind.word(): kind for kind in kinds if kind is not Pattern and not issubclass(kind, Combined)}


def form_of(word: str) -> str:
    """How a pattern is written: `local(size, back=0, ahead=0)`."""
    named = fields(cast(Any, patterns_by_word()[word]))
    told = [field.name if field.default is MISSING else f"{field.name}={field.default}" for field in named]
    return f"{word}({', '.join(told)})" if told else word


def parse_pattern(text: str) -> Pattern:
    """The pattern that a text form names: `"causal & window(256) | first(4)"`.

    Numbers stand in order or are named, `local(256, back=1)`, and those with a default may be left out. Raises
    InvalidConfig with a mark under the place that cannot be read, and the nearest word where one is unknown.
    """
    return _Reader("".join(" " if letter.isspace() else letter for letter in text).strip()).read()


class _Reader:
    """One text, and the messages about it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self) -> Pattern:
        try:
            return self.pattern(ast.parse(self.text, mode="eval").body)
        except InvalidConfig:
            raise
        except SyntaxError as error:
            start = error.offset - 1 if error.offset else len(self.text)  # none where the text ends too early
            raise self.fault(f"it cannot be read from here on: {error.msg}", start, start + 1, GRAMMAR) from None
        except (RecursionError, MemoryError, ValueError) as error:
            raise self.fault(f"it cannot be read: {error!s:.100}", 0, 1) from None

    def fault(self, reason: str, start: int, end: int, remedy: str | None = None) -> InvalidConfig:
        """The error that marks letters `start` to `end`."""
        shown, cut = self.text, 0
        if len(shown) > 100:  # the part around the place
            cut = max(0, start - 40)
            shown, start, end = shown[cut : cut + 100], start - cut, min(end - cut, 100)
        mark = " " * _columns(shown[:start]) + "^" * max(1, _columns(shown[start:end]))
        return InvalidConfig(f"the pattern {self.text!r:.200}: {reason}\n    {shown}\n    {mark}", remedy=remedy)

    def fault_of(self, reason: str, tree: ast.expr | ast.keyword, remedy: str | None = None) -> InvalidConfig:
        raw = self.text.encode()  # Python counts bytes
        start, end = (len(raw[:at].decode(errors="ignore")) for at in (tree.col_offset, tree.end_col_offset or 0))
        return self.fault(reason, start, end, remedy)

    def pattern(self, tree: ast.expr) -> Pattern:
        match tree:
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                return self.pattern(left) & self.pattern(right)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.pattern(left) | self.pattern(right)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return ~self.pattern(operand)
            case ast.Name():
                return self.named(tree, tree, [], [])
            case ast.Call(func=ast.Name() as name, args=args, keywords=keywords):
                return self.named(tree, name, args, keywords)
        raise self.fault_of(f"{ast.unparse(tree)!r} is no pattern", tree, GRAMMAR)

    def named(self, whole: ast.expr, name: ast.Name, args: list[ast.expr], keywords: list[ast.keyword]) -> Pattern:
        known, word = patterns_by_word(), name.id
        if word not in known:
            forms = ", ".join(form_of(word) for word in sorted(known))
            raise self.fault_of(f"there is no {word!r}.{nearest(word, known)}", name, f"There are: {forms}.")
        wanted = {field.name: field for field in fields(cast(Any, known[word]))}
        given = dict(zip(wanted, map(self.number, args), strict=False))
        if len(args) > len(wanted):
            raise self.fault_of(
                f"{word!r} takes {len(wanted)} numbers; it is written {form_of(word)}", args[len(wanted)]
            )
        for keyword in keywords:
            if keyword.arg not in wanted or keyword.arg in given:
                fault = "is given twice" if keyword.arg in given else "is none of its numbers"
                raise self.fault_of(f"{keyword.arg!r} {fault}; {word!r} is written {form_of(word)}", keyword)
            given[keyword.arg] = self.number(keyword.value)
        if missing := [n for n, field in wanted.items() if n not in given and field.default is MISSING]:
            raise self.fault_of(f"{word!r} lacks {', '.join(missing)}; it is written {form_of(word)}", whole)
        try:
            return known[word](**given)
        except InvalidConfig as error:
            raise self.fault_of(error.what, whole) from None

    def number(self, tree: ast.expr) -> int:
        if isinstance(tree, ast.Constant) and type(tree.value) is int:
            return tree.value
        raise self.fault_of(f"a pattern takes whole numbers from 0 on, not {ast.unparse(tree)!r}", tree)


def _columns(text: str) -> int:
    """How wide a text stands in a terminal."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
