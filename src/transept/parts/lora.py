"""Low-rank adaptation of a model that is there: W x + (alpha / rank) B A x, of which A and B alone are trained (Hu et
al. 2021, section 4.1).

It is a transformation of a built model. A matrix keeps its name and its bits, and beside it stand `lora_a` and
`lora_b`; A is drawn and B is nothing, so that the model computes at first what it did.

Shapes: I what enters, O what leaves, R the rank.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig, UsageError
from transept.parts.dropout import dropout as dropped
from transept.parts.named import named

QUERIES_AND_VALUES = "*.attention|cross.q|v"  # what the paper adapts

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class Adapted(nn.Linear):
    """x (W + scale B A)' + b. `lora_a` (R, I), `lora_b` (O, R); `dropout` is on what A reads.

    `weight` is the whole matrix, for whoever reads it rather than calls the layer; what is stored as "weight", and is
    never written to, is W.
    """

    def __init__(self, layer: nn.Linear, rank: int, alpha: float, dropout: float) -> None:
        nn.Module.__init__(self)  # the matrix is there
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.rank, self.alpha, self.dropout = rank, alpha, dropout
        kept = layer._parameters["weight"]
        self._parameters["weight"] = kept
        self.register_parameter("bias", layer.bias)
        # As the authors' code draws it, uniformly within sqrt(1 / I).
        self.lora_a = nn.Parameter(layer.weight.new_empty(rank, self.in_features))
        self.lora_b = nn.Parameter(layer.weight.new_zeros(self.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def base(self) -> Tensor:
        """W, (O, I)."""
        kept = self._parameters["weight"]
        assert kept is not None
        return kept

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # a view of the whole, in the place of a parameter
        """W + scale B A, (O, I)."""
        return self.base + self.scale * (self.lora_b @ self.lora_a)

    def merged(self) -> Tensor:
        """W + scale B A, summed in float64 and rounded once."""
        change = self.scale * (self.lora_b.detach().double() @ self.lora_a.detach().double())
        return (self.base.detach().double() + change).to(self.base.dtype)

    def forward(self, x: Tensor) -> Tensor:
        seen = dropped(x, self.dropout if self.training else 0.0)
        return F.linear(x, self.base, self.bias) + self.scale * F.linear(F.linear(seen, self.lora_a), self.lora_b)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rank={self.rank}, alpha={self.alpha:g}"


def lora(
    model: AnyModule,
    rank: int = 8,
    alpha: float = 16.0,
    targets: str | Sequence[str] = QUERIES_AND_VALUES,
    *,
    dropout: float = 0.0,
    also: Sequence[str] = (),
) -> AnyModule:
    """A model whose matrices of the names `targets` have adapters, which alone are trained.

    `also` names what is trained beside them, a new head say. Names are those of `transept.parts.named`. The model that
    was given is left as it is; what is frozen is the same memory in both. Raises InvalidConfig where a name means no
    matrix, and UsageError where the model has adapters already.
    """
    if rank < 1 or alpha <= 0 or not 0 <= dropout < 1:
        raise InvalidConfig(f"adapters of rank {rank}, alpha {alpha:g} and dropout {dropout:g} cannot be")
    names = [name for name, layer in model.named_modules() if _adaptable(layer)]
    if not names:
        raise InvalidConfig("this model has no matrix that an adapter could stand beside", key="targets")
    chosen = named(names, [targets] if isinstance(targets, str) else targets, "targets")
    made = beside(model, dict.fromkeys(chosen, (rank, alpha)), dropout)
    learning = named([name for name, _ in made.named_parameters()], also, "also")
    for name in learning:
        made.get_parameter(name).requires_grad_(True)
    return made


def beside(model: AnyModule, ranks: Mapping[str, tuple[int, float]], dropout: float = 0.0) -> AnyModule:
    """A model with an adapter beside each matrix of `ranks`, of its rank and alpha. Nothing else of it is trained."""
    if any(adapters(model)):
        raise UsageError("this model has adapters already", remedy="Merge them first, by merge_lora(model).")
    memo = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    made = copy.deepcopy(model, dict(memo))
    new = dict[nn.Module, nn.Module]()
    for name, (rank, alpha) in ranks.items():
        layer = made.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        if (other := _shared(made, layer)) is not None:
            raise InvalidConfig(f"{name} shares its weights with {other}, and adapters would part them", key="targets")
        if rank > min(layer.weight.shape):
            size = " x ".join(map(str, layer.weight.shape))
            raise InvalidConfig(f"{rank} is no low rank of {name}, which is {size}", key="rank")
        new[layer] = Adapted(layer, rank, alpha, dropout)
    _replace(made, new)
    return made


def merge_lora(model: AnyModule) -> AnyModule:
    """The model with its adapters added to its matrices: a plain one, and no slower. The given one is left as it is."""
    return _plain(model, lambda layer: layer.merged())


def drop_lora(model: AnyModule) -> AnyModule:
    """The model without its adapters: bit for bit what was adapted, but for what was trained beside them."""
    return _plain(model, lambda layer: layer.base.detach())


def adapters(model: nn.Module) -> Iterator[tuple[str, Adapted]]:
    """The adapted matrices of a model by their names."""
    return ((name, layer) for name, layer in model.named_modules() if isinstance(layer, Adapted))


def _plain(model: AnyModule, weight: Callable[[Adapted], Tensor]) -> AnyModule:
    made = copy.deepcopy(model)
    with torch.no_grad():
        for _, layer in adapters(made):
            # Built on no device: what is drawn for a new matrix would be drawn in vain.
            plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
            plain.weight, plain.bias = nn.Parameter(weight(layer).clone()), layer.bias
            _replace(made, {layer: plain})
    return made.requires_grad_(True)


def _adaptable(layer: nn.Module) -> bool:
    """Whether it is x W' + b and nothing else, with an adapter or without."""
    return isinstance(layer, nn.Linear) and type(layer).forward in (nn.Linear.forward, Adapted.forward)


def _shared(model: nn.Module, layer: nn.Linear) -> str | None:
    """What else has the matrix of a layer: a table of embeddings, say."""
    own = layer.weight
    others = (n for n, m in model.named_modules() if m is not layer and any(p is own for p in m._parameters.values()))
    return next(others, None)


def _replace(model: nn.Module, new: Mapping[nn.Module, nn.Module]) -> None:
    """Put new modules into the places of old ones, wherever these stand: some are lent from layer to layer."""
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if child is not None and child in new:
                module._modules[name] = new[child].train(child.training)
