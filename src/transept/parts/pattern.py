"""Who may attend to whom: a relation between positions, without weights and without tensors of its own.

`allows(q, k)` takes the positions of queries and of keys, in shapes that broadcast, and answers for each pair. Patterns
combine with `&`, `|` and `~`, and have a text form, `"causal & window(256) | first(4)"` (`pattern_text`). Cores
recognise them by their types, so a pattern is a description of what is allowed and never of how it is computed.

What a pattern can tell beside that spares work, and none has to: how far a query looks (`band`), whether few keys are
enough for nearly all queries (`is_sparse`), and of a range of queries and one of keys whether any pair is allowed
(`touches`) and whether all are (`fills`). A core that knows these computes no score that nobody may see.

Heads see alike, unless a pattern tells them apart: it then says what each head sees (`of_head`), and of itself what any
of them does.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any, cast

import torch
from torch import Tensor

from transept.spec import Part


@dataclass(frozen=True)
class Places:
    """Where tokens stand: `at`, their positions, and the `document` of each where a row holds several."""

    at: Tensor
    document: Tensor | None = None


@dataclass(frozen=True)
class Spans:
    """Ranges of positions, `low` to `high`, both of them inside, in shapes that broadcast."""

    low: Tensor
    high: Tensor

    def before(self, other: "Spans") -> "Spans":
        """How far these queries can be after those keys: the range of q - k."""
        return Spans(self.low - other.high, self.high - other.low)

    def among(self, low: int, high: int) -> Tensor:
        """Whether any of each range lies in `low` ... `high`."""
        return (self.low <= high) & (self.high >= low)

    def within(self, low: int, high: int) -> Tensor:
        """Whether all of each range lies there."""
        return (self.low >= low) & (self.high <= high)


class Pattern(Part):
    """A relation on positions. Two kinds are the same pattern when they are equal."""

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        """Whether the query at position q may see the key at position k. Broadcasts; returns bool."""
        raise NotImplementedError(type(self).__name__)

    def relates(self, q: Places, k: Places) -> Tensor:
        """The same of tokens, of which more than the position is known."""
        return self.allows(q.at, k.at)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        """False only where no query of a range may see any key of another."""
        return (q.low == q.low) & (k.low == k.low)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        """True only where every query of a range may see every key of another."""
        return (q.low != q.low) & (k.low != k.low)

    def band(self) -> tuple[float, float]:
        """How many positions back, and how many ahead, a query looks at the most; infinity where no bound is known."""
        return math.inf, math.inf

    def is_sparse(self) -> bool:
        """Whether all queries but a fixed number see no more than a fixed number of keys, however long a row is."""
        return max(self.band()) < math.inf

    def apart(self) -> int:
        """How many heads it tells apart; 1 where all see alike."""
        return 1

    def of_head(self, head: int) -> "Pattern":
        """The pattern of one head."""
        return self

    def parts(self) -> Iterator["Pattern"]:
        """It, and where it combines others, all of these."""
        yield self

    def __and__(self, other: "Pattern") -> "Pattern":
        return Both(self, other)

    def __or__(self, other: "Pattern") -> "Pattern":
        return Either(self, other)

    def __invert__(self) -> "Pattern":
        return Not(self)

    @classmethod
    def word(cls) -> str:
        """Its name in the text form: RandomBlocks is random_blocks."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def __str__(self) -> str:
        named = fields(cast(Any, self))
        values = [getattr(self, field.name) for field in named]
        while values and named[len(values) - 1].default is not MISSING and named[len(values) - 1].default == values[-1]:
            values.pop()
        return self.word() + (f"({', '.join(map(str, values))})" if values else "")


class Full(Pattern):
    """Every query sees every key."""

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q == q) & (k == k)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return (q.low == q.low) & (k.low == k.low)


class Causal(Pattern):
    """A query sees its own position and what came before (Vaswani et al. 2017, section 3.2.3)."""

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return k <= q

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return k.low <= q.high

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return k.high <= q.low

    def band(self) -> tuple[float, float]:
        return math.inf, 0


class Band(Pattern):
    """A query sees itself, `back` positions before it and `ahead` after it.

    `band(w - 1)` is the local band of Sparse Transformers that GPT-3 has in every other layer (Child et al. 2019,
    Brown et al. 2020, section 2.1): w keys, the query's own among them.
    """

    back: int
    ahead: int = 0

    def validate(self) -> None:
        self.hold(0, "back", "ahead")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q - k <= self.back) & (k - q <= self.ahead)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return q.before(k).among(-self.ahead, self.back)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return q.before(k).within(-self.ahead, self.back)

    def band(self) -> tuple[float, float]:
        return self.back, self.ahead


class Window(Pattern):
    """A query sees the keys at most `reach` positions away, on either side."""

    reach: int

    def validate(self) -> None:
        self.hold(0, "reach")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q - k).abs() <= self.reach

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return q.before(k).among(-self.reach, self.reach)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return q.before(k).within(-self.reach, self.reach)

    def band(self) -> tuple[float, float]:
        return self.reach, self.reach


class First(Pattern):
    """Every query sees the first `count` positions."""

    count: int

    def validate(self) -> None:
        self.hold(0, "count")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (k < self.count) & (q == q)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return (k.low < self.count) & (q.low == q.low)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return (k.high < self.count) & (q.low == q.low)

    def is_sparse(self) -> bool:
        return True


class Prefix(Pattern):
    """The first `length` positions see one another. `causal | prefix(n)` is the prefix language model."""

    length: int

    def validate(self) -> None:
        self.hold(0, "length")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q < self.length) & (k < self.length)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return (q.low < self.length) & (k.low < self.length)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return (q.high < self.length) & (k.high < self.length)

    def is_sparse(self) -> bool:
        return True


class Documents(Pattern):
    """A query sees the keys of its own document, where a row holds several; else the row is one document.

    Which token is of which document is a fact of the batch and comes with it (`View.documents`).
    """

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q == q) & (k == k)

    def relates(self, q: Places, k: Places) -> Tensor:
        if q.document is None or k.document is None:
            return self.allows(q.at, k.at)
        return q.document == k.document


class Combined(Pattern):
    """A pattern made of others: on positions, what it says of tokens of which nothing more is known."""

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        heads = [self.of_head(head).relates(Places(q), Places(k)) for head in range(self.apart())]
        return heads[0] if len(heads) == 1 else torch.stack(heads).any(0)

    def of(self) -> dict[str, Pattern]:
        """The patterns that it is made of, by the names of its fields."""
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    def apart(self) -> int:
        return max(pattern.apart() for pattern in self.of().values())

    def of_head(self, head: int) -> Pattern:
        return self if self.apart() == 1 else type(self)(*(pattern.of_head(head) for pattern in self.of().values()))

    def parts(self) -> Iterator[Pattern]:
        yield self
        for pattern in self.of().values():
            yield from pattern.parts()


class Both(Combined):
    """What two patterns both allow."""

    left: Pattern
    right: Pattern

    def relates(self, q: Places, k: Places) -> Tensor:
        return self.left.relates(q, k) & self.right.relates(q, k)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return self.left.touches(q, k) & self.right.touches(q, k)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return self.left.fills(q, k) & self.right.fills(q, k)

    def band(self) -> tuple[float, float]:
        (back, ahead), (other_back, other_ahead) = self.left.band(), self.right.band()
        return min(back, other_back), min(ahead, other_ahead)

    def is_sparse(self) -> bool:
        return self.left.is_sparse() or self.right.is_sparse() or max(self.band()) < math.inf

    def __str__(self) -> str:
        return f"{_within(self.left, Either)} & {_within(self.right, Either, Both)}"


class Either(Combined):
    """What at least one of two patterns allows."""

    left: Pattern
    right: Pattern

    def relates(self, q: Places, k: Places) -> Tensor:
        return self.left.relates(q, k) | self.right.relates(q, k)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return self.left.touches(q, k) | self.right.touches(q, k)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return self.left.fills(q, k) | self.right.fills(q, k)

    def band(self) -> tuple[float, float]:
        (back, ahead), (other_back, other_ahead) = self.left.band(), self.right.band()
        return max(back, other_back), max(ahead, other_ahead)

    def is_sparse(self) -> bool:
        return self.left.is_sparse() and self.right.is_sparse()

    def __str__(self) -> str:
        return f"{self.left} | {_within(self.right, Either)}"


class Not(Combined):
    """What a pattern does not allow."""

    pattern: Pattern

    def relates(self, q: Places, k: Places) -> Tensor:
        return ~self.pattern.relates(q, k)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return ~self.pattern.fills(q, k)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return ~self.pattern.touches(q, k)

    def __str__(self) -> str:
        return f"~{_within(self.pattern, Either, Both)}"


def _within(pattern: Pattern, *looser: type[Pattern]) -> str:
    return f"({pattern})" if isinstance(pattern, looser) else str(pattern)
