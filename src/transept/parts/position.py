"""How a model is told the order of its tokens. A `Position` is one of four kinds, by the place where it acts:

    Added     vectors that are added to what enters (here)
    Scored    added to the scores of every pair of positions, shared by a stack (`scored`)
    Rotating  turns queries and keys by their positions (`rotary`)
    Keyed     scores queries and keys against vectors of their distance, and may add others to values (`relative`)

Shapes: positions (B or 1, S), int64, counted from 0 over real tokens; the vectors (B or 1, S, D); a tree (B, S, 3).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig, InvalidData
from transept.parts import tree as trees
from transept.spec import Part


class Position(Part):
    """How order is told. What `build` makes, and where it is used, is the kind's."""

    def build(self, width: int) -> nn.Module:
        raise NotImplementedError(type(self).__name__)

    def limit(self) -> int | None:
        """How many positions there are, or None where there is no end."""
        return None

    @property
    def reads_tree(self) -> bool:
        """Whether it needs to be told where tokens stand in the trees of their sentences."""
        return False

    def grid(self) -> tuple[int, int, int] | None:
        """The rows and columns of squares that it is for and the tokens before them, or None where it is for a line."""
        return None


class OrderLayer(nn.Module):
    """A layer whose own parameters are tables of positions: a scheme of beginning fills them as such."""


class Added(Position):
    """An order that is added to the input: `build(width)` makes a layer from positions to vectors of that width.

    The layer of one that `reads_tree` takes positions and a tree.
    """


class Sinusoid(Added):
    """sin(p w_i) and cos(p w_i) with w_i = base^(-2i/D) (Vaswani et al. 2017, section 3.5).

    `order`: "interleaved" is the paper's sin, cos, sin, cos; "halves" is all sines and then all cosines, as Marian and
    BART have it. The frequencies are the same, so the two differ by a fixed permutation of the features.
    """

    order: Literal["interleaved", "halves"] = "interleaved"
    base: float = 10_000.0

    def validate(self) -> None:
        self.hold(1, "base")

    def build(self, width: int) -> "SinusoidLayer":
        if width % 2:
            raise InvalidConfig(f"Sinusoid needs an even width, not {width}: sines and cosines come in pairs")
        return SinusoidLayer(self, width)


class SinusoidLayer(nn.Module):
    def __init__(self, spec: Sinusoid, width: int) -> None:
        super().__init__()
        self.spec, self.width = spec, width

    def forward(self, positions: Tensor) -> Tensor:
        # In float64: at position 5,000 the float32 product is already 3e-4 off in the angle.
        step = torch.arange(0, self.width, 2, device=positions.device, dtype=torch.float64) / self.width
        angle = positions[..., None] * self.spec.base**-step
        pair = (angle.sin().float(), angle.cos().float())
        return torch.cat(pair, -1) if self.spec.order == "halves" else torch.stack(pair, -1).flatten(-2)


class Learned(Added):
    """A vector for each of `length` positions (Gehring et al. 2017; BERT, GPT-2, ViT). Longer input is refused.

    `offset` rows come before the first position's: RoBERTa and BART have two that no real token reads.
    """

    length: int
    offset: int = 0

    def validate(self) -> None:
        self.hold(1, "length")
        self.hold(0, "offset")

    def build(self, width: int) -> "LearnedLayer":
        return LearnedLayer(self, width)

    def limit(self) -> int | None:
        return self.length


class LearnedLayer(OrderLayer):
    def __init__(self, spec: Learned, width: int) -> None:
        super().__init__()
        self.length, self.offset = spec.length, spec.offset
        self.weight = nn.Parameter(torch.empty(spec.offset + spec.length, width))

    def forward(self, positions: Tensor) -> Tensor:
        demand_within(positions, self.length)
        return nn.functional.embedding(positions + self.offset if self.offset else positions, self.weight)


def demand_within(positions: Tensor, length: int) -> None:
    """InvalidData with both numbers where there are more tokens, or later ones, than a model has positions."""
    # Sizes are known without looking at the values, which would stop a compiled graph and wait for the device.
    found = positions.size(1)
    if found <= length and positions.device.type == "cpu" and positions.numel() and not torch.compiler.is_compiling():
        found = int(positions.max()) + 1  # a step after others brings one token, which may be beyond the end
    if found > length:
        raise InvalidData(
            f"{found} tokens, and the model has {length} positions",
            remedy="Shorten the input, or train with more positions.",
        )


class Structural(Added):
    """tanh(W [PE(p), PE(d)] + b): the places p in the text and d in its dependency tree, both as sinusoids.

    d is how many arcs lie between a word and the root of its sentence (Wang et al. 2019, section 3.2). The paper says a
    non-linear function; tanh of a linear one is the choice here. Every token of a word has the word's depth.
    """

    order: Literal["interleaved", "halves"] = "interleaved"
    base: float = 10_000.0

    @property
    def reads_tree(self) -> bool:
        return True

    def build(self, width: int) -> "StructuralLayer":
        return StructuralLayer(self, width)


class StructuralLayer(nn.Module):
    """`mix.weight` (D, 2 D): the text's sinusoids come first."""

    def __init__(self, spec: Structural, width: int) -> None:
        super().__init__()
        self.sinusoid = Sinusoid(spec.order, spec.base).build(width)
        self.mix = nn.Linear(2 * width, width)

    def forward(self, positions: Tensor, tree: Tensor) -> Tensor:
        line = self.sinusoid(positions).expand(tree.size(0), -1, -1)
        both = torch.cat([line, self.sinusoid(trees.depth(tree))], -1)
        fused: Tensor = self.mix(both.to(self.mix.weight.dtype)).tanh()
        return fused
