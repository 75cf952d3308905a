"""Cut something out of a model for as long as a `with` lasts: a head, a link, a sublayer, a unit, a token.

    with cut(model, HeadAt("decoder.blocks.0.cross", 2), Link("encoder.blocks.1.attention", query=4, key=0)):
        model(source, target)

The model is as before afterwards, also where an exception ends the block; cuts may stand inside one another. Nothing
hangs on a model that is not cut: what does the cutting are hooks on its taps, there only within the block.

Positions are counted as the model counts them, over real tokens from 0, so that padding changes none; a step with a
cache and a loop along time find theirs too. Shapes: B batch, H heads, S queries, T keys, E head width.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from transept.errors import UsageError, nearest
from transept.inspect.record import Asking, attentions, demand_tokens, matching
from transept.models import Seq2SeqLayer
from transept.parts.attention import AttentionLayer
from transept.parts.block import BlockLayer
from transept.parts.feedforward import FeedForwardLayer
from transept.parts.lowrank import LowRankLayer
from transept.parts.trunk import TrunkLayer
from transept.parts.view import View

Side = Literal["source", "target"]
Kind = TypeVar("Kind", bound=nn.Module)


@dataclass(frozen=True)
class HeadAt:
    """A head: its mix is zero. `attention` may match several, "decoder.*.cross"."""

    attention: str
    head: int


@dataclass(frozen=True)
class Link:
    """What a query sees of a key: nothing any more, and its other keys share what it gave this one.

    `head` None is every head; `query` or `key` None is every one. A key that is made of several tokens stands at the
    position after them.
    """

    attention: str
    query: int | None
    key: int | None
    head: int | None = None


@dataclass(frozen=True)
class Whole:
    """A sublayer, or any module that gives a tensor: it gives zeros. A block hands on what it was given."""

    name: str


@dataclass(frozen=True)
class Unit:
    """A hidden feature of a feed-forward network: it is zero at every token."""

    feedforward: str
    unit: int


@dataclass(frozen=True)
class TokenAt:
    """A token: zeros enter in its place, and no attention sees it.

    `side` says which of two stacks reads it; None is the source, or all that a model of one stack reads.
    """

    position: int
    side: Side | None = None


Cut = HeadAt | Link | Whole | Unit | TokenAt


@contextmanager
def cut(model: nn.Module, *cuts: Cut) -> Iterator[None]:
    """Run the model without something. Without cuts nothing is touched.

    Raises UsageError for what is not there, by its name, and at the end for a link or a token of which no pass within
    the block had one: that something was measured without it would be wrong.
    """
    with ExitStack() as undo:
        missed = [_without(model, one, undo) for one in cuts]
        yield
        for one, hits in zip(cuts, missed, strict=True):
            if hits.passes and not hits.found:
                raise UsageError(f"{one} cut nothing: no pass had it", remedy="Positions count from 0.")


@dataclass
class Hits:
    """How many passes came by, and whether one of them had what was to be cut."""

    passes: int = 0
    found: bool = False

    def count(self, here: Tensor) -> None:
        self.passes += 1
        self.found = self.found or bool(here.any())


def _without(model: nn.Module, one: Cut, undo: ExitStack) -> Hits:
    """Hang one cut on the model; what unhooks it goes to `undo`."""
    hits = Hits()
    match one:
        case HeadAt(name, head):
            for found, layer in matching(model, name).items():
                demand(head, layer.spec.heads, f"heads of {found}")
                undo.callback(layer.mix.register_forward_hook(_zero_head(head)).remove)
        case Link(name, query, key, head):
            for found, layer in matching(model, name).items():
                if head is not None:
                    demand(head, layer.spec.heads, f"heads of {found}")
                hide(layer, found, Hidden(query, key, head, layer.spec.heads, hits), undo)
        case Unit(name, unit):
            network = submodule(model, name, FeedForwardLayer)
            demand(unit, network.spec.hidden, f"units of {name}")
            undo.callback(network.down.register_forward_pre_hook(_zero_unit(unit)).remove)
        case Whole(name):
            undo.callback(submodule(model, name, nn.Module).register_forward_hook(_nothing).remove)
        case TokenAt(position, side):
            trunk, readers = reading(model, side)
            undo.callback(trunk.register_forward_pre_hook(_zero_token(position, hits)).remove)
            for found, layer in readers.items():
                hide_token(layer, found, Hidden(key=position), undo)
    return hits


def demand(number: int, count: int, what: str) -> None:
    """Refuse a number beyond what there is. Raises UsageError."""
    if not 0 <= number < count:
        raise UsageError(f"{what} are 0 to {count - 1}, and {number} was to be cut")


def submodule(model: nn.Module, name: str, kind: type[Kind]) -> Kind:
    """The module of a name. Raises UsageError with the nearest name of its kind."""
    there = {known: module for known, module in model.named_modules() if known and isinstance(module, kind)}
    if name not in there:
        what = "module" if kind is nn.Module else "feed-forward network"
        shown = [known for known in there if known.count(".") <= 3]
        raise UsageError(
            f"no {what} is called {name!r}.{nearest(name, there)}", remedy=f"There are: {', '.join(shown[:24])}."
        )
    return there[name]


def reading(model: nn.Module, side: Side | None) -> tuple[TrunkLayer, dict[str, AttentionLayer]]:
    """The trunk that a side enters, and the attentions that look at its tokens."""
    if isinstance(model, Seq2SeqLayer):
        trunk, source = (model.encoder, "memory") if side != "target" else (model.decoder, "none")
        own = "encoder." if side != "target" else "decoder."
    else:
        if side == "target":
            raise UsageError("this model has one stack, and so one side", remedy="Leave side out.")
        found = getattr(model, "stack", None)
        assert isinstance(found, TrunkLayer), "a model of one stack"
        trunk, source, own = found, "none", "stack."
    readers = {
        name: layer
        for name, layer in attentions(model).items()
        if layer.spec.source == source or (name.startswith(own) and layer.spec.source == "self")
    }
    return trunk, readers


# ------------------------------------------------------------------ what the hooks do


def _zero_head(head: int) -> Callable[[nn.Module, object, Tensor], Tensor]:
    def zero(module: nn.Module, given: object, mix: Tensor) -> Tensor:
        return mix.index_fill(1, torch.tensor([head], device=mix.device), 0.0)

    return zero


def _zero_unit(unit: int) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
    def zero(module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        return (given[0].index_fill(-1, torch.tensor([unit], device=given[0].device), 0.0),)

    return zero


def _nothing(module: nn.Module, given: tuple[object, ...], made: object) -> Tensor:
    if isinstance(module, BlockLayer):
        assert isinstance(given[0], Tensor)
        return given[0]
    if not isinstance(made, Tensor):
        raise UsageError(f"{type(module).__name__} gives no tensor that could be zeros")
    return torch.zeros_like(made)


Entering = tuple[Tensor, View, object]


def _zero_token(position: int, hits: Hits) -> Callable[[nn.Module, Entering], tuple[object, ...]]:
    def zero(module: nn.Module, given: Entering) -> tuple[object, ...]:
        x, view, *rest = given
        here = view.positions == position
        if view.valid is not None:
            here = here & view.valid
        hits.count(here)
        return (x.masked_fill(here[..., None], 0.0), view, *rest)

    return zero


@dataclass(frozen=True)
class Hidden:
    """Which pairs of an attention are hidden, by positions; None is every one.

    `key` may be a position for each row of the batch, (B,), or several, (B, K), of which some may be alike.
    """

    query: int | None = None
    key: int | Tensor | None = None
    head: int | None = None
    heads: int = 1
    hits: Hits = field(default_factory=Hits, compare=False)

    def sees(self, q: Tensor, k: Tensor) -> Tensor:
        """See `transept.parts.core.Cut`."""
        q, k = q[:, None, :, None], k[:, None, None, :]
        here = torch.ones_like(q, dtype=torch.bool) if self.query is None else q == self.query
        if isinstance(self.key, Tensor):  # a row of the batch may stand there once for each of its queries
            rows = max(q.size(0), k.size(0), len(self.key)) // len(self.key)
            several = self.key.view(len(self.key), -1).repeat_interleave(rows, 0)
            here = here & (k[..., None] == several[:, None, None, None]).any(-1)
        elif self.key is not None:
            here = here & (k == self.key)
        self.hits.count(here)
        if self.head is not None:
            here = here & (torch.arange(self.heads, device=q.device) == self.head)[:, None, None]
        return ~here


def hide(layer: AttentionLayer, name: str, hidden: Hidden, undo: ExitStack) -> None:
    """Hide pairs from an attention, whatever core computes it. Raises UsageError for one that hides no single pair."""
    if isinstance(layer.core, LowRankLayer):
        raise UsageError(
            f"{name} mixes all keys before any query looks, by the core LowRank: no link can be cut in it",
            remedy="Cut a head, or the attention as a whole.",
        )

    def look(module: nn.Module, given: object, asked: Asking) -> Asking:
        q, k, v, allowed = asked
        return q, k, v, allowed.without(hidden)

    undo.callback(layer.asked.register_forward_hook(look).remove)


def hide_token(layer: AttentionLayer, name: str, hidden: Hidden, undo: ExitStack) -> None:
    """Hide a token from an attention. Raises UsageError for one that looks at no single tokens."""
    demand_tokens(
        name,
        layer,
        "no single token can be hidden from it",
        "Take gradients (input_x_gradient, integrated_gradients), or cut a head, or the attention as a whole.",
    )
    hide(layer, name, hidden, undo)


# ------------------------------------------------------------------ the effect


@dataclass(frozen=True)
class Effect:
    """What a cut changed: a number that was asked for (or several, of one shape) with the model whole, and without."""

    before: Tensor
    after: Tensor

    @property
    def change(self) -> Tensor:
        """after - before: below 0 where what was cut was needed."""
        return self.after - self.before


@torch.no_grad()
def effect(model: nn.Module, ask: Callable[[], Tensor], *cuts: Cut) -> Effect:
    """Measure what cuts change. `ask` runs the model and gives what is asked of it: a probability, a loss.

    effect(model, lambda: example.probability(choice), HeadAt("decoder.blocks.1.cross", 0)).change
    """
    before = ask()
    with cut(model, *cuts):
        return Effect(before, ask())
