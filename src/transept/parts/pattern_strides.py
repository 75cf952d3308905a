"""Patterns of steps: keys at equal distances, and summaries at the ends of stretches of equal length."""

from torch import Tensor

from transept.parts.pattern import Pattern, Spans


def holds_multiple(span: Spans, step: int) -> Tensor:
    """Whether there is a multiple of `step` in each range."""
    return span.high.div(step, rounding_mode="floor") * step >= span.low


class Dilated(Pattern):
    """A query sees itself and `count` keys on either side, `step` apart (Beltagy et al. 2020, section 3.1)."""

    count: int
    step: int

    def validate(self) -> None:
        self.hold(0, "count")
        self.hold(1, "step")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        away = q - k
        return (away.abs() <= self.count * self.step) & (away % self.step == 0)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        reach, away = self.count * self.step, q.before(k)
        return holds_multiple(Spans(away.low.clamp(min=-reach), away.high.clamp(max=reach)), self.step)

    def band(self) -> tuple[float, float]:
        return self.count * self.step, self.count * self.step


class Strided(Pattern):
    """A query sees the keys at distances that are multiples of `step`, its own among them.

    `causal & (band(l) | strided(l))` is the strided attention of Sparse Transformers (Child et al. 2019, section 4.3).
    """

    step: int

    def validate(self) -> None:
        self.hold(1, "step")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (q - k) % self.step == 0

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return holds_multiple(q.before(k), self.step)


class Summary(Pattern):
    """Every query sees the last `count` positions of each stretch of `size`.

    `causal & (local(l) | summary(l, c))` is the fixed attention of Sparse Transformers (Child et al. 2019, the same).
    """

    size: int
    count: int

    def validate(self) -> None:
        self.hold(1, "size")
        self.hold(0, "count", below=self.size + 1)

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return (k % self.size >= self.size - self.count) & (q == q)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        # A position is a summary if it or one of the `count` - 1 after it ends a stretch, where k + 1 is a multiple.
        ends = Spans(k.low + 1, k.high + self.count)
        return holds_multiple(ends, self.size) & (q.low == q.low) & bool(self.count)
