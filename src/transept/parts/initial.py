"""How a model's weights begin, declared beside its shape. Norms begin as the identity and biases at zero."""

from typing import Literal, Protocol, runtime_checkable

import torch
from torch import nn

from transept.parts.attention import AttentionLayer
from transept.parts.cell import CellLayer
from transept.parts.feedforward import FeedForwardLayer
from transept.parts.mapped import Mapped, Normalised
from transept.parts.position import OrderLayer
from transept.parts.scores import AdditiveLayer
from transept.parts.stack import StackLayer
from transept.spec import Part


@runtime_checkable
class Begins(Protocol):
    """A layer some of whose parameters begin in one published way, whatever the scheme of the model."""

    def begin(self) -> None:
        """Fill them, after the scheme has filled what every model has."""


class Initial(Part):
    """A scheme. `apply` fills every parameter of a built model, in the order of its modules."""

    @torch.no_grad()
    def apply(self, model: nn.Module, width: int) -> None:
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
                self.matrix(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Normalised):
                self.matrix(module.direction)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                self.table(module.weight, width)
            elif isinstance(module, OrderLayer):
                for table in module.parameters(recurse=False):
                    self.order(table, width)
            elif isinstance(module, nn.LayerNorm | nn.RMSNorm | nn.GroupNorm):
                module.reset_parameters()
                self.norm(module.weight)
        for module in model.modules():
            if isinstance(module, AttentionLayer):
                self.attention(module)
            elif isinstance(module, StackLayer):
                self.stack(module)
            elif isinstance(module, CellLayer):
                self.cell(module)
            elif isinstance(module, Mapped | Normalised):
                self.mapped(module)
                if isinstance(module, Normalised):
                    module.settle()
            elif isinstance(module, Begins):
                module.begin()

    def matrix(self, weight: torch.Tensor) -> None:
        raise NotImplementedError(type(self).__name__)

    def table(self, weight: torch.Tensor, width: int) -> None:
        raise NotImplementedError(type(self).__name__)

    def order(self, weight: torch.Tensor, width: int) -> None:
        """A table of positions: as any other by default."""
        self.table(weight, width)

    def norm(self, gain: torch.Tensor) -> None:
        """Whatever the scheme does differently with gains of one; nothing by default."""

    def attention(self, layer: AttentionLayer) -> None:
        """Whatever the scheme does differently in attention; nothing by default."""

    def stack(self, layer: StackLayer) -> None:
        """Whatever the scheme does differently for the depth of a stack; nothing by default."""

    def cell(self, layer: CellLayer) -> None:
        """A recurrent cell: U(-1/sqrt(H), 1/sqrt(H)) for its matrices and biases, as torch's begin."""
        for weight in layer.weights():
            nn.init.uniform_(weight, -(layer.hidden**-0.5), layer.hidden**-0.5)

    def mapped(self, layer: Mapped | Normalised) -> None:
        """Whatever the scheme does with the variance that a matrix is to keep; nothing by default."""


class Xavier(Initial):
    """Uniform with variance 2 / (in + out) (Glorot & Bengio 2010).

    Tables are N(0, 1/D), so that sqrt(D) times one is of unit variance.

    `gain` multiplies the queries', keys' and values' matrices: 1/sqrt(2) is what they get where the three begin as one
    fused matrix, as in fairseq.
    """

    gain: float = 1.0

    def matrix(self, weight: torch.Tensor) -> None:
        nn.init.xavier_uniform_(weight)

    def table(self, weight: torch.Tensor, width: int) -> None:
        nn.init.normal_(weight, std=width**-0.5)

    def attention(self, layer: AttentionLayer) -> None:
        for projection in layer.projections("qkv"):
            projection.weight.mul_(self.gain)


class Normal(Initial):
    """N(0, std^2) everywhere, as BERT, GPT and BART begin.

    `residual` "scaled" divides the matrices that write into the residual stream by the root of how many there are in a
    stack, which are 2 L in GPT-2: the stream's variance at the end then does not grow with the depth (Radford et al.
    2019, section 2.3).
    """

    std: float = 0.02
    residual: Literal["plain", "scaled"] = "plain"

    def matrix(self, weight: torch.Tensor) -> None:
        nn.init.normal_(weight, std=self.std)

    def table(self, weight: torch.Tensor, width: int) -> None:
        nn.init.normal_(weight, std=self.std)

    def stack(self, layer: StackLayer) -> None:
        if self.residual == "scaled":
            writers = sum(len(layer.block(i).roles) for i in range(len(layer.order)))
            for module in layer.modules():
                if isinstance(module, AttentionLayer | FeedForwardLayer):
                    last = module.projections("o") if isinstance(module, AttentionLayer) else [module.down]
                    for matrix in last:
                        matrix.weight.mul_(writers**-0.5)


class Uniform(Initial):
    """U(-bound, bound) for every matrix, table and bias of a cell: 0.08 is Sutskever's (2014), 0.1 Luong's (2015)."""

    bound: float = 0.08

    def matrix(self, weight: torch.Tensor) -> None:
        nn.init.uniform_(weight, -self.bound, self.bound)

    def table(self, weight: torch.Tensor, width: int) -> None:
        nn.init.uniform_(weight, -self.bound, self.bound)

    def cell(self, layer: CellLayer) -> None:
        for weight in layer.weights():
            nn.init.uniform_(weight, -self.bound, self.bound)


class Careful(Initial):
    """N(0, std^2), the states' matrices of cells orthogonal, additive scores nearly none (Bahdanau et al. 2015, B.1).

    Queries and keys of an attention are N(0, align^2) and the vector that scores them zero: at first all is looked at
    alike. Cho et al. 2014 begin in the same way.
    """

    std: float = 0.01
    align: float = 0.001

    def matrix(self, weight: torch.Tensor) -> None:
        nn.init.normal_(weight, std=self.std)

    def table(self, weight: torch.Tensor, width: int) -> None:
        nn.init.normal_(weight, std=self.std)

    def attention(self, layer: AttentionLayer) -> None:
        for projection in layer.projections("qk"):
            nn.init.normal_(projection.weight, std=self.align)
        if isinstance(layer.core, AdditiveLayer):
            nn.init.zeros_(layer.core.v.weight)

    def cell(self, layer: CellLayer) -> None:
        nn.init.normal_(layer.input.weight, std=self.std)
        for gate in layer.state.weight.split(layer.hidden):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(layer.input.bias)
        nn.init.zeros_(layer.state.bias)


class FanIn(Initial):
    """N(0, 1 / in) for a matrix with `in` inputs; tables of tokens are N(0, 1), of positions N(0, 1/D).

    Queries are divided by the root of the head width too, which T5 does not divide the scores by (Raffel et al. 2020).
    `factor` multiplies everything, the gains of norms as well.
    """

    factor: float = 1.0

    def matrix(self, weight: torch.Tensor) -> None:
        nn.init.normal_(weight, std=self.factor * weight[0].numel() ** -0.5)

    def table(self, weight: torch.Tensor, width: int) -> None:
        nn.init.normal_(weight, std=self.factor)

    def order(self, weight: torch.Tensor, width: int) -> None:
        nn.init.normal_(weight, std=self.factor * width**-0.5)

    def norm(self, gain: torch.Tensor) -> None:
        gain.mul_(self.factor)

    def attention(self, layer: AttentionLayer) -> None:
        for projection in layer.projections("q"):
            projection.weight.mul_(layer.head_width**-0.5)


class Preserving(Initial):
    """N(0, 1 / in) for a matrix with `in` inputs, so that each layer hands on the variance that it was given.

    Gehring et al. 2017, section 3.5: where dropout keeps a share of p of the inputs it is N(0, p / in), before a GLU
    N(0, 4 p / in). Tables are N(0, std^2).
    """

    std: float = 0.1

    def matrix(self, weight: torch.Tensor) -> None:
        nn.init.normal_(weight, std=weight[0].numel() ** -0.5)

    def table(self, weight: torch.Tensor, width: int) -> None:
        nn.init.normal_(weight, std=self.std)

    def mapped(self, layer: Mapped | Normalised) -> None:
        weight = layer.weight if isinstance(layer, Mapped) else layer.direction
        weight.mul_(layer.variance**0.5)
