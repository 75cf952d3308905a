"""Multi-step attention: each convolution of a decoder looks at the source again, knowing what the ones below it saw.

Shapes: B rows, T target length, S source length, D width of both sides' embeddings, C features of a layer.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.cache import Slot, Slots
from transept.parts.mapped import mapped
from transept.parts.memory import Memory
from transept.parts.neighbours import neighbours
from transept.parts.trunk import Trunk, TrunkLayer
from transept.parts.view import View
from transept.parts.windows import HALF, Windows

DOT = Attention(1, source="memory", bias=False, scale=1.0, project="")


class Multistep(Trunk):
    """h = glu(convolution(h)); d = W h + b + g; c = attend(d, keys z, values z + e); h = h + W' c + b'.

    Gehring et al. 2017, section 3.3: g is the target's embedding, z what left the encoder and e what entered it. The
    mix is multiplied by m sqrt(1/m) for a source of m tokens, and the gradient that z brings the encoder is divided by
    twice the layers (3.4). `sums` "plain" are these as printed; "halved" multiplies each of the three by sqrt(0.5), as
    the authors' own code does. `share` "maps" is one W and one W' for all layers.
    """

    windows: Windows
    attend: Attention = DOT
    share: Literal["nothing", "maps"] = "nothing"
    sums: Literal["halved", "plain"] = "halved"

    def validate(self) -> None:
        if self.attend.source != "memory":
            raise InvalidConfig("Multistep.attend looks at the memory: its source must be 'memory'")
        if self.share == "maps" and len({kernels.hidden for kernels in self.windows.kernels}) > 1:
            raise InvalidConfig("layers of different widths cannot share the matrices around their attention")

    @property
    def noun(self) -> str:
        return "convolutional network"

    @property
    def causal(self) -> bool:
        return self.windows.causal

    @property
    def reads_entered(self) -> bool:
        return True

    def attentions(self) -> tuple[Attention, ...]:
        return (self.attend,)

    @property
    def reads_memory(self) -> bool:
        return True

    def leaves(self, width: int, memory: int | None = None) -> int:
        return self.windows.leaves(width)

    def build(self, width: int, memory: int | None = None) -> "MultistepLayer":
        if memory not in (None, width):
            raise InvalidConfig(
                f"a memory of {memory} features cannot be added to embeddings of {width}",
                remedy=f"Let the encoder leave {width}: Windows.leave={width}.",
            )
        return MultistepLayer(self, width)


class MultistepLayer(TrunkLayer):
    """`query` and `back` are the paper's W_d and the map from the embeddings' width to the layer's."""

    def __init__(self, spec: Multistep, width: int) -> None:
        super().__init__()
        self.spec, self.windows = spec, spec.windows.build(width)
        weights, hidden = spec.windows.weights, [kernels.hidden for kernels in spec.windows.each()]
        self.depth = len(hidden)
        self.attend = nn.ModuleList(spec.attend.build(width, width) for _ in hidden)
        leaves = self.looks(0).leaves
        own = hidden[:1] if spec.share == "maps" else hidden
        self.query = nn.ModuleList(mapped(size, width, weights) for size in own)
        self.back = nn.ModuleList(mapped(leaves, size, weights) for size in own)

    def looks(self, at: int) -> AttentionLayer:
        attend = self.attend[at]
        assert isinstance(attend, AttentionLayer)
        return attend

    def seen(self, memory: Memory | None) -> list[Slot | None]:
        """The keys and values of each layer; those of the first alone where nothing projects them."""
        assert memory is not None, "a decoder that attends to a memory was given none"
        assert memory.entered is not None, "a memory that holds what entered the encoder"
        z = divided(memory.states, 1 / (2 * self.depth)) if self.training else memory.states
        both = z + memory.entered
        values = both * HALF if self.spec.sums == "halved" else both
        own = set("kv") & set(self.spec.attend.project)
        made: list[Slot | None] = []
        for i in range(self.depth):
            kept = dict(zip("kv", self.looks(i).keyed(z, values), strict=True)) if own or i == 0 else None
            made.append(None if kept is None else Slot(kept, "memory"))
        return made

    def new_slots(self, batch: int, size: int, memory: Memory | None = None) -> Slots:
        kept = self.windows.new_slots(batch, size)
        return [[*own, seen] for own, seen in zip(kept, self.seen(memory), strict=True)]

    def forward(self, x: Tensor, view: View, slots: Slots | None = None) -> Tensor:
        """(B, T, D) -> (B, T, leaves)"""
        near = neighbours(view, slots is not None)
        seen = self.seen(view.memory) if slots is None else [slot[1] for slot in slots]
        g, root = near.enter(x), root_of(view.memory, len(x))
        half = HALF if self.spec.sums == "halved" else 1.0

        def look(i: int, y: Tensor) -> Tensor:
            at = i % len(self.query)
            d = near.leave((self.query[at](y) + g) * half)  # the columns' own order is what maps are read in
            c = near.enter(self.looks(i)(d, view, seen[i] or seen[0])) * root
            joined: Tensor = (y + self.back[at](c)) * half
            return joined

        return near.leave(self.windows.run(g, near, slots, look))


def root_of(memory: Memory | None, rows: int) -> Tensor | float:
    """m sqrt(1/m) for a source of m tokens: what a mean of m vectors loses of their size; (rows, 1, 1), or a number."""
    assert memory is not None
    if memory.valid is None:
        return float(memory.states.size(1) ** 0.5)
    root = memory.valid.sum(1).to(memory.states.dtype).sqrt()
    return root.repeat_interleave(rows // len(root), 0)[:, None, None]


def divided(x: Tensor, share: float) -> Tensor:
    """x, of whose gradient a share goes back."""
    same: Tensor = _Divided.apply(x, share)  # type: ignore[no-untyped-call]
    return same


class _Divided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        ctx.share = share
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.share, None
