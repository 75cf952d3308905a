"""Multi-head attention with its relatives that share keys and values between heads.

Shapes: B batch, S queries, T keys, D width, H heads, G key/value heads, E head width.
"""

from dataclasses import replace
from functools import partial
from typing import Literal

from torch import Tensor, nn

from transept.errors import InvalidConfig

# A description may name any pattern, any core and any position: they are known because they are loaded here.
from transept.parts import flexible, grid, lowrank, pattern_text, planner  # noqa: F401
from transept.parts.cache import Slot
from transept.parts.core import Allowed, Core, Fused
from transept.parts.layer import Layer, Sublayer
from transept.parts.looks import Look
from transept.parts.memory import Memory
from transept.parts.pattern import Full, Pattern
from transept.parts.place import Place
from transept.parts.recall import Recall
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
    and keys. `project` names those of q, k, v and o that have weights: Luong's "dot" score has none, his "general" the
    queries' alone, RNNsearch's "qk". `place` looks only around where in the memory a query is. `shorten` makes one key
    of several tokens before they are attended to. `recall` mixes in what suits a query best of segments long past.
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
    project: str = "qkvo"
    place: Place | None = None
    recall: Recall | None = None

    @property
    def role(self) -> str:
        return "attention" if self.source == "self" else "cross"

    def validate(self) -> None:
        self.hold(1, "heads", "kv_heads", "head_width")
        self.hold(0, "dropout", below=1)
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise InvalidConfig(f"kv_heads={self.kv_heads} does not divide heads={self.heads}")
        if not self.core.handles(self.pattern):
            raise InvalidConfig(
                f"{type(self.core).__name__} cannot honour the pattern {self.pattern}{self.core.why}",
                remedy="The core Auto takes the cheapest that can."
                if self.core.exact
                else "Fused, Reference and Auto can.",
            )
        if (apart := self.pattern.apart()) not in (1, self.heads):
            raise InvalidConfig(
                f"the pattern {self.pattern} tells {apart} heads apart, and there are {self.heads}",
                remedy="Say as many as there are, or none: all heads then see alike.",
            )
        if (reason := self.core.objects(self)) is not None:
            raise InvalidConfig(f"{type(self.core).__name__} {reason}")
        if self.recall is not None:
            self._demand_recall()
        if self.shorten is not None and (self.source == "memory" or self.pattern.band()[1] > 0):
            raise InvalidConfig(
                f"a shortened key is seen when its span is past, and the pattern {self.pattern} of an attention to "
                f"{'a memory' if self.source == 'memory' else 'itself'} has no such order",
                remedy="Shorten attentions of a stream to itself whose pattern looks back alone, such as causal.",
            )
        if self.project != "".join(letter for letter in "qkvo" if letter in self.project):
            raise InvalidConfig(f"Attention.project names some of q, k, v and o, in this order, not {self.project!r}")
        if self.head_width is not None and not {"q", "k"} <= set(self.project):
            raise InvalidConfig(
                f"head_width={self.head_width} is that of queries and keys with weights, and project={self.project!r}"
            )
        if not self.project and self.source == "self":
            raise InvalidConfig("an attention of a stream to itself that projects nothing has nothing to learn")
        if self.place is not None and self.source == "self":
            raise InvalidConfig("Attention.place is where in a memory a query is: a stream to itself has window(n)")
        if self.position is not None and self.position.reads_tree and self.shorten is not None:
            raise InvalidConfig("a shortened key is of several words, and has no place in a tree")
        if self.position is not None and self.source == "memory":
            raise InvalidConfig(f"{type(self.position).__name__} tells distances inside one sequence, not to a memory")

    def _demand_recall(self) -> None:
        """Refuse what a memory of earlier segments does not go with. Raises InvalidConfig."""
        if self.source == "memory" or self.pattern.band()[1] > 0:
            raise InvalidConfig(
                f"Attention.recall finds what came before, and the pattern {self.pattern} of an attention to "
                f"{'a memory' if self.source == 'memory' else 'itself'} has no such order",
                remedy="Recall in attentions of a stream to itself whose pattern looks back alone, such as causal.",
            )
        reasons = {
            "shorten": "the spans of shortened keys are no tokens that could be found",
            "scale": "its heads learn what their products are multiplied by",
        }
        for field, reason in reasons.items():
            if getattr(self, field) is not None:
                raise InvalidConfig(f"Attention.recall goes without {field}={getattr(self, field)}: {reason}")
        if isinstance(self.position, Rotating):
            raise InvalidConfig(
                f"{type(self.position).__name__} would turn what is remembered, whose distance nothing shall tell",
                remedy="Beside Attention.recall use a position that is scored, as positions=buckets does.",
            )

    def value_width(self, width: int, memory: int | None = None) -> int:
        """The features of a head's values, where the stream and the memory have so many."""
        if "v" in self.project:
            return self.head_width or width // self.heads
        return share_of(memory or width if self.source == "memory" else width, self.kv_heads or self.heads, "values")

    def leaves(self, width: int, memory: int | None = None) -> int:
        """The width of what it gives: that of the stream, unless nothing projects the mix back to it."""
        return width if "o" in self.project else self.heads * self.value_width(width, memory)

    def build(self, width: int, memory: int | None = None) -> "AttentionLayer":
        if self.head_width is None and width % self.heads:
            raise InvalidConfig(f"heads={self.heads} does not divide width={width}")
        layer = AttentionLayer(self, width, memory or width)
        own = layer.head_width
        if isinstance(self.position, Rotating) and not self.position.fits(own):
            raise InvalidConfig(f"{self.position} cannot turn heads of {own} features: they turn in pairs")
        return layer


def share_of(width: int, heads: int, name: str) -> int:
    """The features of each head, where nothing projects them."""
    if width % heads:
        raise InvalidConfig(f"{heads} heads cannot share {name} of {width} features that nothing projects")
    return width // heads


class AttentionLayer(Layer):
    """`asked` hands on (q, k, v, allowed) and `mix` the heads' results (B, H, S, E), for hooks to read or replace."""

    def __init__(self, spec: Attention, width: int, memory: int) -> None:
        super().__init__()
        self.spec = spec
        self.kv_heads = spec.heads if spec.kv_heads is None else spec.kv_heads
        self.given = given = memory if spec.source == "memory" else width
        self.head_width = spec.head_width or width // spec.heads
        value_width = spec.value_width(width, memory)
        if "k" not in spec.project:  # the keys are as wide as what they come from, and so the queries
            self.head_width = share_of(given, self.kv_heads, "keys")
        elif "q" not in spec.project:
            self.head_width = share_of(width, spec.heads, "queries")
        if "q" not in spec.project and self.head_width * spec.heads != width:
            raise InvalidConfig(
                f"queries of {width} features cannot be scored with keys of {given}: neither is projected",
                remedy="Let Attention.project name q or k.",
            )
        self.scale = self.head_width**-0.5 if spec.scale is None else spec.scale
        self.recall = spec.recall.build(spec.heads, self.head_width) if spec.recall else None
        if spec.recall is not None:
            self.scale, self.far = 1.0, spec.recall.pattern(spec.pattern)
        self.leaves = spec.leaves(width, memory)
        inward, outward = spec.bias in (True, "qkv"), spec.bias in (True, "out")
        self.q = self.matrix("q", width, spec.heads * self.head_width, inward)
        self.k = self.matrix("k", given, self.kv_heads * self.head_width, inward)
        self.v = self.matrix("v", given, self.kv_heads * value_width, inward)
        self.o = self.matrix("o", spec.heads * value_width, width, outward)
        self.rotation = spec.position if isinstance(spec.position, Rotating) else None
        keyed = spec.position if isinstance(spec.position, Keyed) else None
        self.position = keyed.told(self.head_width, value_width, spec.heads, width) if keyed else None
        self.place = spec.place.build(width) if spec.place else None
        self.shorten = spec.shorten.build(self.kv_heads, self.head_width, value_width) if spec.shorten else None
        self.core = spec.core.chosen(spec).build(spec.heads, self.head_width)
        self.asked, self.mix = Tap(), Tap()
        self.widths = {"k": self.head_width, "v": value_width}

    def matrix(self, name: str, inward: int, outward: int, bias: bool) -> nn.Module:
        """The projection of one of q, k, v and o, or nothing where it has no weights."""
        return nn.Linear(inward, outward, bias) if name in self.spec.project else nn.Identity()

    def projections(self, names: str) -> list[nn.Linear]:
        """Those of q, k, v and o that are named and have weights."""
        return [m for name in names if isinstance(m := self.get_submodule(name), nn.Linear)]

    def split(self, y: Tensor, width: int) -> Tensor:
        heads: Tensor = y.unflatten(-1, (-1, width))
        return heads.transpose(1, 2)  # (B, S, H*E) -> (B, H, S, E)

    def new_slot(self, batch: int, size: int, memory: Memory | None) -> Slot:
        if self.spec.source == "memory":
            assert memory is not None, "an attention to the memory was given none"
            return Slot(dict(zip("kv", self.keyed(memory.states), strict=True)), "memory")
        shape = (batch, self.kv_heads, size)
        like = next(self.parameters())
        return Slot({name: like.new_zeros(*shape, width) for name, width in self.widths.items()}, "keys")

    def new_carried(self, batch: int, length: int) -> Slot | None:
        """The states of `length` tokens, and the keys and values of all that is remembered."""
        like = next(self.parameters())
        tensors = {"x": like.new_zeros(batch, length, self.given)} if length else {}
        if self.spec.recall is not None:
            shape = (batch, self.kv_heads, self.spec.recall.size)
            tensors |= {name: like.new_zeros(*shape, width) for name, width in self.widths.items()}
        return Slot(tensors, "carried") if tensors else None

    def keyed(self, x: Tensor, values: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The keys and values (B, G, T, E) of what is attended to, (B, T, ...); the values may be of something else."""
        values = x if values is None else values
        return self.split(self.k(x), self.widths["k"]), self.split(self.v(values), self.widths["v"])

    def forward(self, x: Tensor, view: View, slot: Slot | None = None) -> Tensor:
        q = self.split(self.q(x), self.head_width)
        share = None if self.place is None else self.place.share(x)
        if self.spec.source == "memory":
            made = self.new_slot(0, 0, view.memory) if slot is None else slot
            k, v = made.tensors["k"], made.tensors["v"]
        else:
            q, k, v = self.own(x, q, view, slot)
        rows = q.size(0)
        if rows > k.size(0):  # several target rows read one row of the memory: (B*W, H, S, E) -> (B, H, W*S, E)
            q = q.unflatten(0, (k.size(0), -1)).transpose(1, 2).flatten(2, 3)
            share = None if share is None else share.unflatten(0, (k.size(0), -1)).flatten(1)
        allowed = view.allowed(self.spec.pattern, self.spec.source, k.size(2) if view.carried else None)
        if (told := allowed.q.size(1)) < q.size(2):  # the positions of one target row, the same for all
            allowed = replace(allowed, q=allowed.q.repeat(1, q.size(2) // told))
        known = k.size(2)
        if self.shorten is not None:
            k, v, allowed = self.shorten(k, v, allowed)
            allowed.looks = view.looks
            if self.rotation is not None:  # by where they stand now
                k = self.rotation.turn(k, self.rotation.angles(allowed.k, self.head_width))
        if self.position is not None:
            valued = partial(self.position.mixed, allowed=allowed) if self.position.adds else None
            allowed = allowed.plus(self.position.scores(q, k, allowed, known) * self.scale, valued)
        if self.place is not None:
            allowed = self.place(share, allowed)
        q, k, v, allowed = self.asked((q, k, v, allowed))
        drop = self.spec.dropout if self.training else 0.0
        looks, before = allowed.looks, len(allowed.looks.made) if allowed.looks else 0
        attend = self.core if self.place is None else partial(self.place.attend, self.core)
        mix: Tensor = attend(q, k, v, allowed, self.scale, drop)
        if self.recall is not None:
            mix = self.remember(q, k, v, mix, view, slot, allowed)
        mix = self.mix(mix)
        if looks is not None and len(looks.made) == before:  # a core that does not hand its weights on
            looks.add(Look(self.core.weights(q, k, allowed, self.scale)))
        if rows > k.size(0):
            mix = mix.unflatten(2, (rows // k.size(0), -1)).transpose(1, 2).flatten(0, 1)
        out: Tensor = self.o(mix.transpose(1, 2).flatten(2))
        return out

    def own(self, x: Tensor, q: Tensor, view: View, slot: Slot | None) -> tuple[Tensor, Tensor, Tensor]:
        """The queries, and the keys and values of the stream itself: of this pass, and of what the slot holds."""
        carried = slot is not None and "x" in slot.tensors
        # What was carried is projected anew, by the weights as they are now, which learn from it.
        given = slot.carry("x", x, 1) if slot is not None and carried else x
        k, v = self.keyed(given)
        if self.recall is not None:
            q, k = self.recall.ready(q, k)
        if self.rotation is not None:  # keys are kept as they were turned: their positions never change
            q = self.rotation.turn(q, view.angles(self.rotation, self.head_width))
            if not self.shorten:
                angles = view.angles(self.rotation, self.head_width, given.size(1) if carried else None)
                k = self.rotation.turn(k, angles)
        if slot is not None and view.at is not None:
            slot.tensors["k"].index_copy_(2, view.at, k)
            slot.tensors["v"].index_copy_(2, view.at, v)
            if view.keys is not None:
                k, v = slot.tensors["k"], slot.tensors["v"]
        return q, k, v

    def remember(
        self, q: Tensor, k: Tensor, v: Tensor, mix: Tensor, view: View, slot: Slot | None, near: Allowed
    ) -> Tensor:
        """What is near, mixed with what is found in the segments before; what is cut of the one is of the other too."""
        assert self.recall is not None
        if view.carried:
            assert slot is not None
            new = slice(k.size(2) - q.size(2), None)
            k, v = slot.carry("k", k[:, :, new], 2), slot.carry("v", v[:, :, new], 2)
        allowed = view.allowed(self.far, "self", k.size(2) if view.carried else None)
        allowed = replace(allowed, cuts=near.cuts, own=False) if near.cuts else allowed
        mixed: Tensor = self.recall(q, k, v, allowed, mix)
        return mixed
