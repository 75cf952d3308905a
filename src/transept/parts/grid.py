"""Order in two directions, for the squares of a picture that stand in raster order after `start` other tokens.

`Grid` is added to what enters, `GridBias` scored on pairs, `GridRotary` turns queries and keys. They read the same
positions as any other, counted from 0, so that a model of text and picture tokens has them too.

Shapes: positions (B or 1, S), int64; vectors (B or 1, S, D); scores (B or 1, H, S, T).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.position import Added, OrderLayer, Sinusoid, demand_within
from transept.parts.rotary import Rotating
from transept.parts.scored import Scored


def places(positions: Tensor, width: int, start: int) -> tuple[Tensor, Tensor, Tensor]:
    """The row and the column of each position in rows of `width`, 0 for those before the grid, and which these are."""
    inside = (positions - start).clamp(min=0)
    return inside // width, inside % width, positions < start


class Grid(Added):
    """A vector for the row plus one for the column of a square.

    "learned" has a table of each, and a vector for each token before the grid (the image tokens of Ramesh et al. 2021;
    "2-D" in Dosovitskiy et al. 2021, appendix D.4). "sinusoid" has no weights: half of the features are the column's
    sinusoids, the other half the row's, both in halves, and tokens before the grid get zeros (He et al. 2022, MAE).
    """

    height: int
    width: int
    start: int = 0
    form: Literal["learned", "sinusoid"] = "learned"

    def validate(self) -> None:
        self.hold(1, "height", "width")
        self.hold(0, "start")

    def limit(self) -> int | None:
        return self.start + self.height * self.width

    def grid(self) -> tuple[int, int, int] | None:
        return self.height, self.width, self.start

    def build(self, width: int) -> "GridLayer | GridSinusoidLayer":
        if self.form == "learned":
            return GridLayer(self, width)
        if width % 4:
            raise InvalidConfig(f"the sinusoids of a grid come in fours, and width={width} is no multiple of 4")
        return GridSinusoidLayer(self, width)


class GridLayer(OrderLayer):
    """`row` (height, D), `column` (width, D), and `before` (start, D) where tokens stand before the grid."""

    def __init__(self, spec: Grid, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.row = nn.Parameter(torch.empty(spec.height, width))
        self.column = nn.Parameter(torch.empty(spec.width, width))
        self.before = nn.Parameter(torch.empty(spec.start, width)) if spec.start else None

    def forward(self, positions: Tensor) -> Tensor:
        spec = self.spec
        demand_within(positions, spec.start + spec.height * spec.width)
        row, column, outside = places(positions, spec.width, spec.start)
        squares = nn.functional.embedding(row, self.row) + nn.functional.embedding(column, self.column)
        if self.before is None:
            return squares
        others = nn.functional.embedding(positions.clamp(max=spec.start - 1), self.before)
        return torch.where(outside[..., None], others, squares)


class GridSinusoidLayer(nn.Module):
    def __init__(self, spec: Grid, width: int) -> None:
        super().__init__()
        self.spec = spec
        self.sinusoid = Sinusoid("halves").build(width // 2)

    def forward(self, positions: Tensor) -> Tensor:
        spec = self.spec
        demand_within(positions, spec.start + spec.height * spec.width)
        row, column, outside = places(positions, spec.width, spec.start)
        both = torch.cat([self.sinusoid(column), self.sinusoid(row)], -1)
        return both.masked_fill(outside[..., None], 0.0)


class GridBias(Scored):
    """A learned score for each head and each offset in rows and columns (Liu et al. 2021, Swin; Bao et al. 2022, BEiT).

    There is one more of a token before the grid for a square, of a square for such a token, and between such tokens.
    """

    heads: int
    height: int
    width: int
    start: int = 0

    def validate(self) -> None:
        self.hold(1, "heads", "height", "width")
        self.hold(0, "start")

    def limit(self) -> int | None:
        return self.start + self.height * self.width

    def grid(self) -> tuple[int, int, int] | None:
        return self.height, self.width, self.start

    def serves(self, heads: int) -> bool:
        return heads == self.heads

    def build(self, width: int) -> "GridBiasLayer":
        return GridBiasLayer(self)


class GridBiasLayer(OrderLayer):
    """`weight` ((2 height - 1) (2 width - 1) + 3, H): offsets query less key from the most negative, those of columns
    inside those of rows; then a front token's for a square, a square's for one, and a front token's for another.
    """

    def __init__(self, spec: GridBias) -> None:
        super().__init__()
        self.spec = spec
        self.offsets = (2 * spec.height - 1) * (2 * spec.width - 1)
        self.weight = nn.Parameter(torch.empty(self.offsets + 3, spec.heads))

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """What is past the end scores as the last square: it is a block's padding, since the stack lets in no more."""
        spec, last = self.spec, self.spec.start + self.spec.height * self.spec.width - 1
        (up, left, q_out), (down, right, k_out) = (places(at.clamp(max=last), spec.width, spec.start) for at in (q, k))
        offset = (up - down + spec.height - 1) * (2 * spec.width - 1) + left - right + spec.width - 1
        outside = torch.where(q_out & k_out, self.offsets + 2, torch.where(q_out, self.offsets, self.offsets + 1))
        scores = nn.functional.embedding(torch.where(q_out | k_out, outside, offset), self.weight)
        return scores.permute(0, 3, 1, 2)  # (B or 1, S, T, H) -> (B or 1, H, S, T)


class GridRotary(Rotating):
    """Pairs of features turn by row and by column: pair i by base^(-2i/E) times the row for even i, the column for odd.

    The pairs of rows come first. Tokens before the grid do not turn. So Pixtral turns the squares of pictures.
    """

    height: int
    width: int
    start: int = 0
    base: float = 10_000.0

    def validate(self) -> None:
        self.hold(1, "height", "width", "base")
        self.hold(0, "start")

    def limit(self) -> int | None:
        return self.start + self.height * self.width

    def grid(self) -> tuple[int, int, int] | None:
        return self.height, self.width, self.start

    def fits(self, width: int) -> bool:
        return width % 4 == 0

    def angles(self, positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
        demand_within(positions, self.start + self.height * self.width)
        row, column, _ = (part[:, None, :, None] for part in places(positions, self.width, self.start))
        step = torch.arange(0, width, 2, device=positions.device, dtype=torch.float64) / width
        frequency = self.base**-step
        angle = torch.cat([row * frequency[::2], column * frequency[1::2]], -1)
        angle = torch.cat([angle, angle], -1)
        return angle.cos().float(), angle.sin().float()
