"""Patterns of a picture whose tokens stand in raster order after `start` others (Ramesh et al. 2021, appendix B.1).

All hold between tokens of the picture alone. DALL-E joins them with its 256 tokens of text, in rows of 32:
`causal & (first(256) | rows(32, 256))`, `causal & (first(256) | columns(32, 256))`, and for the last layer
`causal & (first(256) | convolutional(32, 11, 256))`.
"""

from torch import Tensor

from transept.errors import InvalidConfig
from transept.parts.pattern import Pattern, Spans
from transept.parts.pattern_strides import holds_multiple


class Rows(Pattern):
    """A token of the picture sees those at most a row of `width` away in raster order.

    With `causal` these are the `width` tokens before it; a row of the grid by itself is `local(width)`.
    """

    width: int
    start: int = 0

    def validate(self) -> None:
        self.hold(1, "width")
        self.hold(0, "start")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return ((q - k).abs() <= self.width) & (q >= self.start) & (k >= self.start)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return q.before(k).among(-self.width, self.width) & (q.high >= self.start) & (k.high >= self.start)

    def fills(self, q: Spans, k: Spans) -> Tensor:
        return q.before(k).within(-self.width, self.width) & (q.low >= self.start) & (k.low >= self.start)

    def band(self) -> tuple[float, float]:
        return self.width, self.width


class Columns(Pattern):
    """A token of the picture sees those of its own column, in rows of `width`."""

    width: int
    start: int = 0

    def validate(self) -> None:
        self.hold(1, "width")
        self.hold(0, "start")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        return ((q - k) % self.width == 0) & (q >= self.start) & (k >= self.start)

    def touches(self, q: Spans, k: Spans) -> Tensor:
        return holds_multiple(q.before(k), self.width) & (q.high >= self.start) & (k.high >= self.start)


class Convolutional(Pattern):
    """A token of the picture sees those in a square of `kernel` by `kernel` around it, in rows of `width`."""

    width: int
    kernel: int
    start: int = 0

    def validate(self) -> None:
        self.hold(1, "width", "kernel")
        self.hold(0, "start")
        if self.kernel % 2 == 0:
            raise InvalidConfig(f"Convolutional.kernel must be odd, to have a middle, not {self.kernel}")

    def allows(self, q: Tensor, k: Tensor) -> Tensor:
        (up, left), (down, right) = (self._places(t) for t in (q, k))
        half = self.kernel // 2
        near = ((up - down).abs() <= half) & ((left - right).abs() <= half)
        return near & (q >= self.start) & (k >= self.start)

    def _places(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column."""
        from_start = at - self.start
        return from_start.div(self.width, rounding_mode="floor"), from_start % self.width

    def touches(self, q: Spans, k: Spans) -> Tensor:
        reach = int(self.band()[0])
        return q.before(k).among(-reach, reach) & (q.high >= self.start) & (k.high >= self.start)

    def band(self) -> tuple[float, float]:
        half = self.kernel // 2
        reach = half * self.width + min(half, self.width - 1)
        return reach, reach
