"""Multi-head attention with its relatives that share keys and values between heads.

Shapes: B batch, S queries, T keys, D width, H heads, G key/value heads, E head width.
"""

from typing import Literal

from torch import Tensor, nn

from transept.errors import InvalidConfig
from transept.parts import lowrank, pattern_text, planner  # noqa: F401 a description may name any pattern and any core
from transept.parts.cache import Slot
from transept.parts.core import Core, Fused
from transept.parts.layer import Layer, Sublayer
from transept.parts.memory import Memory
from transept.parts.pattern import Full, Pattern
from transept.parts.relative import Keyed
from transept.parts.rotary import Rotating
from transept.parts.shorten import Shorten
from transept.parts.tap import Tap
from transept.parts.view import View


class Attention(Sublayer):
    """Queries from the stream, keys and values from the stream or from the memory.

    head_i = attend(x Wq_i, y Wk_g, y Wv_g), concatenated and projected (Vaswani et al. 2017, section 3.2.2). `kv_heads`
    below `heads` is grouped-query attention (Ainslie et al. 2023), 1 is multi-query (Shazeer 2019): query head i reads
    key/value head i // (heads / kv_heads). `scale` None is 1/sqrt(head width); `dropout` is on the attention weights,
    which the 2017 paper does not drop. `bias` True is on all four projections, "qkv" on all but the last, "out" on the
    last alone. `head_width` None is width / heads; T5's is its own. `position` turns or scores this attention's queries
    and keys. `shorten` makes one key of several tokens before they are attended to.
    """

    heads: int
    pattern: Pattern = Full()
    source: Literal["self", "memory"] = "self"
    core: Core = Fused()
    shorten: Shorten | None = None
    kv_heads: int | None = None
    bias: bool | Literal["qkv", "out"] = True
    scale: float | None = None
    dropout: float = 0.0
    head_width: int | None = None
    position: Rotating | Keyed | None = None

    @property
    def role(self) -> str:
        return "attention" if self.source == "self" else "cross"

    def validate(self) -> None:
        self.hold(1, "heads", "kv_heads", "head_width")
        self.hold(0, "dropout", below=1)
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise InvalidConfig(f"kv_heads={self.kv_heads} does not divide heads={self.heads}")
        if not self.core.handles(self.pattern):
            raise InvalidConfig(f"{type(self.core).__name__} cannot honour the pattern {self.pattern}")
        if (reason := self.core.objects(self)) is not None:
            raise InvalidConfig(f"{type(self.core).__name__} {reason}")
        if self.shorten is not None and (self.source == "memory" or self.pattern.band()[1] > 0):
            raise InvalidConfig(
                f"a shortened key is seen when its span is past, and the pattern {self.pattern} of an attention to "
                f"{'a memory' if self.source == 'memory' else 'itself'} has no such order",
                remedy="Shorten attentions of a stream to itself whose pattern looks back alone, such as causal.",
            )
        if self.position is not None and self.source == "memory":
            raise InvalidConfig(f"{type(self.position).__name__} tells distances inside one sequence, not to a memory")

    def build(self, width: int) -> "AttentionLayer":
        if self.head_width is None and width % self.heads:
            raise InvalidConfig(f"heads={self.heads} does not divide width={width}")
        own = self.head_width or width // self.heads
        if isinstance(self.position, Rotating) and not self.position.fits(own):
            raise InvalidConfig(f"{self.position} cannot turn heads of {own} features: they turn in pairs")
        return AttentionLayer(self, width)


class AttentionLayer(Layer):
    """`asked` hands on (q, k, v, allowed) and `mix` the heads' results (B, H, S, E), for hooks to read or replace."""

    def __init__(self, spec: Attention, width: int) -> None:
        super().__init__()
        self.spec, self.head_width = spec, spec.head_width or width // spec.heads
        self.kv_heads = spec.heads if spec.kv_heads is None else spec.kv_heads
        self.scale = self.head_width**-0.5 if spec.scale is None else spec.scale
        inward, outward = spec.bias in (True, "qkv"), spec.bias in (True, "out")
        self.q = nn.Linear(width, spec.heads * self.head_width, inward)
        self.k = nn.Linear(width, self.kv_heads * self.head_width, inward)
        self.v = nn.Linear(width, self.kv_heads * self.head_width, inward)
        self.o = nn.Linear(spec.heads * self.head_width, width, outward)
        self.rotation = spec.position if isinstance(spec.position, Rotating) else None
        self.position = spec.position.build(self.head_width) if isinstance(spec.position, Keyed) else None
        self.shorten = spec.shorten.build(self.kv_heads, self.head_width) if spec.shorten else None
        self.core = spec.core.chosen(spec).build()
        self.asked, self.mix = Tap(), Tap()

    def split(self, y: Tensor) -> Tensor:
        heads: Tensor = y.unflatten(-1, (-1, self.head_width))
        return heads.transpose(1, 2)  # (B, S, H*E) -> (B, H, S, E)

    def new_slot(self, batch: int, size: int, memory: Memory | None) -> Slot:
        if self.spec.source == "memory":
            assert memory is not None, "an attention to the memory was given none"
            return Slot({"k": self.split(self.k(memory.states)), "v": self.split(self.v(memory.states))}, "memory")
        shape = (batch, self.kv_heads, size, self.head_width)
        return Slot({"k": self.k.weight.new_zeros(shape), "v": self.v.weight.new_zeros(shape)}, "keys")

    def forward(self, x: Tensor, view: View, slot: Slot | None = None) -> Tensor:
        q = self.split(self.q(x))
        if self.spec.source == "memory":
            made = self.new_slot(0, 0, view.memory) if slot is None else slot
            k, v = made.tensors["k"], made.tensors["v"]
        else:
            k, v = self.split(self.k(x)), self.split(self.v(x))
            if self.rotation is not None:  # keys are kept as they were turned: their positions never change
                angles = view.angles(self.rotation, self.head_width)
                q, k = self.rotation.turn(q, angles), k if self.shorten else self.rotation.turn(k, angles)
            if slot is not None and view.at is not None:
                slot.tensors["k"].index_copy_(2, view.at, k)
                slot.tensors["v"].index_copy_(2, view.at, v)
                if view.keys is not None:
                    k, v = slot.tensors["k"], slot.tensors["v"]
        rows = q.size(0)
        if rows > k.size(0):  # several target rows read one row of the memory: (B*W, H, S, E) -> (B, H, W*S, E)
            q = q.unflatten(0, (k.size(0), -1)).transpose(1, 2).flatten(2, 3)
        allowed = view.allowed(self.spec.pattern, self.spec.source)
        if self.shorten is not None:
            k, v, allowed = self.shorten(k, v, allowed)
            if self.rotation is not None:  # by where they stand now
                k = self.rotation.turn(k, self.rotation.angles(allowed.k, self.head_width))
        if self.position is not None:
            allowed = allowed.plus(self.position(q, k, allowed.q, allowed.k) * self.scale)
        q, k, v, allowed = self.asked((q, k, v, allowed))
        drop = self.spec.dropout if self.training else 0.0
        mix: Tensor = self.mix(self.core(q, k, v, allowed, self.scale, drop))
        if rows > k.size(0):
            mix = mix.unflatten(2, (rows // k.size(0), -1)).transpose(1, 2).flatten(0, 1)
        out: Tensor = self.o(mix.transpose(1, 2).flatten(2))
        return out
