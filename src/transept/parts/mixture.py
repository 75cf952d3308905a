"""A mixture of feed-forward networks: each token goes through a few of many, which it chooses.

Shapes: B batch, S tokens, N = B S, D width, X experts, C those that a token goes through, F features inside.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import InvalidConfig
from transept.parts.cache import Slot
from transept.parts.feedforward import ACTIVATIONS, Activation
from transept.parts.layer import Layer, Sublayer
from transept.parts.view import View


class Mixture(Sublayer):
    """sum over the `chosen` best of gate_i(x) activation(x W1_i + b1_i) W2_i + b2_i (Shazeer et al. 2017, section 2).

    The gates are a softmax over the chosen ones' scores x Wg. In training each score is moved by N(0, 1)
    softplus(x Wn), so that others are tried too (equation 4); there is no loss for the balance of experts. Each has
    `hidden` features inside, and costs a token no more for how many there are.
    """

    experts: int
    hidden: int
    chosen: int = 2
    activation: Activation = "relu"

    def validate(self) -> None:
        self.hold(1, "experts", "hidden", "chosen")
        if self.chosen > self.experts:
            raise InvalidConfig(f"a token cannot go through chosen={self.chosen} of experts={self.experts}")

    @property
    def role(self) -> str:
        return "feedforward"

    def build(self, width: int, memory: int | None = None) -> "MixtureLayer":
        return MixtureLayer(self, width)


class MixtureLayer(Layer):
    """`up` (X, F, D) and `down` (X, D, F), with their biases (X, F) and (X, D)."""

    def __init__(self, spec: Mixture, width: int) -> None:
        super().__init__()
        self.spec, self.activation = spec, ACTIVATIONS[spec.activation]
        self.gate, self.noise = (nn.Linear(width, spec.experts, bias=False) for _ in range(2))
        self.up = nn.Parameter(torch.empty(spec.experts, spec.hidden, width))
        self.up_bias = nn.Parameter(torch.empty(spec.experts, spec.hidden))
        self.down = nn.Parameter(torch.empty(spec.experts, width, spec.hidden))
        self.down_bias = nn.Parameter(torch.empty(spec.experts, width))

    def begin(self) -> None:
        """N(0, 1 / inputs) for every expert; at first all are chosen alike, by the noise alone (appendix A)."""
        for matrix in (self.up, self.down):
            nn.init.normal_(matrix, std=matrix.size(-1) ** -0.5)
        for zero in (self.up_bias, self.down_bias, self.gate.weight, self.noise.weight):
            nn.init.zeros_(zero)

    def route(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, D) -> the experts of each token and their gates, both (N, C)."""
        scores = self.gate(x)
        if self.training:
            scores = scores + torch.randn_like(scores) * F.softplus(self.noise(x))
        best = scores.topk(self.spec.chosen)
        return best.indices, best.values.softmax(-1)

    def expert(self, number: int, x: Tensor) -> Tensor:
        """One expert on its tokens, (n, D) -> (n, D)."""
        hidden = self.activation(F.linear(x, self.up[number], self.up_bias[number]))
        return F.linear(hidden, self.down[number], self.down_bias[number])

    def forward(self, x: Tensor, view: View | None = None, slot: Slot | None = None) -> Tensor:
        flat = x.flatten(0, 1)
        experts, gates = self.route(flat)
        # A compiled graph cannot ask which experts were chosen, and few tokens need less than their bookkeeping.
        few = torch.compiler.is_compiling() or experts.numel() <= self.spec.experts
        return (self.each(flat, experts, gates) if few else self.sorted(flat, experts, gates)).view(x.shape)

    def each(self, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        """Every token with its own copy of its experts' matrices."""
        hidden = torch.einsum("ncfd,nd->ncf", self.up[experts], x) + self.up_bias[experts]
        made = torch.einsum("ncdf,ncf->ncd", self.down[experts], self.activation(hidden)) + self.down_bias[experts]
        return (made * gates[..., None]).sum(1)

    def sorted(self, x: Tensor, experts: Tensor, gates: Tensor) -> Tensor:
        """Every expert with all of its tokens at once."""
        order = experts.flatten().argsort(stable=True)
        counts = experts.flatten().bincount(minlength=self.spec.experts).tolist()
        tokens = order.div(self.spec.chosen, rounding_mode="floor")
        pieces = x[tokens].split(counts)
        made = torch.cat([self.expert(i, piece) for i, piece in enumerate(pieces) if len(piece)])
        return torch.zeros_like(x).index_add(0, tokens, (made * gates.flatten()[order, None]).to(x.dtype))
