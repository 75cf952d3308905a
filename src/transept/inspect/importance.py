"""How much each head matters: by the gradient of the loss, and by what is measured without it.

I_h = E_x |A_h(x) . dL/dA_h(x)| = E_x |dL/dxi_h|, where xi_h = 1 multiplies the mix of head h (Michel, Levy & Neubig
2019, equation 2): one pass forward and back for a text, all heads at once. What is measured takes a pass for each head,
and is the truth that the gradient estimates.

Shapes: B rows, H heads, S queries, E head width.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transept.errors import UsageError
from transept.heads.vocabulary import Vocabulary
from transept.inspect.cut import HeadAt, cut
from transept.inspect.example import Example
from transept.inspect.record import attentions
from transept.models import Model

Batch = TypeVar("Batch")
Scores = dict[str, Tensor]  # (H,) of each attention, by its name


@contextmanager
def gated(model: nn.Module) -> Iterator[Mapping[str, Tensor]]:
    """Multiply every head by a one that has a gradient: xi (B, H, 1, 1) of each attention, made by the pass."""
    gates: dict[str, Tensor] = {}
    with ExitStack() as undo:
        for name, layer in attentions(model).items():

            def multiply(module: nn.Module, given: object, mix: Tensor, name: str = name) -> Tensor:
                if name not in gates:
                    gates[name] = mix.new_ones(mix.size(0), mix.size(1), 1, 1, requires_grad=True)
                return mix * gates[name]

            undo.callback(layer.mix.register_forward_hook(multiply).remove)
        yield gates


def importance(
    model: nn.Module, batches: Iterable[Batch], loss: Callable[[Batch], Tensor], *, normalise: bool = True
) -> Scores:
    """I_h of every head: the mean over all rows of |dL/dxi_h|.

    `loss(batch)` runs the model and gives the sum over the batch's rows, each row's loss its own. `normalise` divides
    each attention's by its l2 norm, as the paper prunes by. Raises UsageError without rows, or without heads.
    """
    totals: Scores = {}
    rows: int = 0
    for batch in batches:
        with torch.enable_grad(), gated(model) as gates:
            value = loss(batch)
            names = list(gates)
            found = torch.autograd.grad(value, [gates[name] for name in names], materialize_grads=True)
        for name, gradient in zip(names, found, strict=True):
            totals[name] = totals.get(name, 0) + gradient[:, :, 0, 0].abs().sum(0).detach().cpu()
        rows += max((gate.size(0) for gate in gates.values()), default=0)
    if not totals:
        raise UsageError("nothing was given that importance could be measured on")
    scores = {name: total / rows for name, total in totals.items()}
    return {name: one / one.norm().clamp(min=1e-12) for name, one in scores.items()} if normalise else scores


@torch.no_grad()
def usefulness(model: nn.Module, ask: Callable[[], Tensor]) -> Scores:
    """What `ask` gives without each head, minus what it gives with all: a loss that rises needed the head.

    One pass for each head. `ask` runs the model and gives one number.
    """
    whole, found = ask(), Scores()
    for name, layer in attentions(model).items():
        changes = []
        for head in range(layer.spec.heads):
            with cut(model, HeadAt(name, head)):
                changes.append(float(ask() - whole))
        found[name] = torch.tensor(changes)
    return found


def loss_of(example: Example) -> Tensor:
    """The loss of one example, summed over what it predicts, in nats.

    Where it says what is `right`, of that, of a number its squared error; else where it writes text, that of the text;
    elsewhere that of the model's own likeliest answer. Raises UsageError for a number of which nobody says what is
    right: its own answer has no loss.
    """
    logits = example.logits()
    if logits.numel() == 1:
        if example.right is None:
            raise UsageError("this model gives a number, whose loss needs the right one")
        return (logits.flatten()[0] - example.right.to(logits.device)) ** 2
    if example.right is not None:
        return F.cross_entropy(logits, example.right.to(logits.device), reduction="sum")
    if (said := text_of(example)) is not None:
        return F.cross_entropy(logits[:-1], said[1:].to(logits.device), reduction="sum")
    return F.cross_entropy(logits, logits.detach().argmax(-1), reduction="sum")


def text_of(example: Example) -> Tensor | None:
    """The tokens of the text that a model writes, (T,), of which nothing predicts the first; None: it writes none."""
    row = example.source if example.target is None else example.target
    spec = example.model.spec
    writes = example.target is not None or (isinstance(spec, Model) and spec.stack.causal)
    return row.inputs[0] if writes and isinstance(getattr(spec, "head", None), Vocabulary) else None


@dataclass(frozen=True)
class Unit:
    """Heads that can only go together, and what they matter together: heads by the name of their attention."""

    heads: Mapping[str, tuple[int, ...]]
    score: float

    @property
    def count(self) -> int:
        return sum(len(heads) for heads in self.heads.values())


def least(units: Iterable[Unit], heads: Mapping[str, int], count: int, *, even: bool = False) -> dict[str, list[int]]:
    """The heads that matter least, `count` of them or the nearest number below, each attention keeping one at least.

    `heads` is how many each attention has. `even` takes as many from each attention (of as many heads), so that
    configurations with one number of heads can say the result. Raises UsageError where so many cannot go.
    """
    chosen: dict[str, list[int]] = {name: [] for name in heads}
    most = sum(heads.values()) - len(heads)
    if not 0 <= count <= most:
        raise UsageError(f"{count} of {sum(heads.values())} heads cannot go: each attention keeps one, so {most} can")
    if even and len(set(heads.values())) > 1:
        raise UsageError("the attentions have different numbers of heads: as many from each is not even")
    share = count // max(1, len(heads))
    for unit in sorted(units, key=lambda unit: unit.score / unit.count):
        full = any(len(chosen[name]) + len(own) >= heads[name] for name, own in unit.heads.items())
        over = even and any(len(chosen[name]) + len(own) > share for name, own in unit.heads.items())
        if full or over or sum(map(len, chosen.values())) + unit.count > count:
            continue
        for name, own in unit.heads.items():
            chosen[name] += own
    return {name: sorted(own) for name, own in chosen.items() if own}
