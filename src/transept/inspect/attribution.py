"""How much each token of what is read counts for an output: by gradients, and by leaving it out.

Every method gives a number for each token of both sides, positive where the token speaks for the output: input x
gradient (Denil et al. 2014), integrated gradients (Sundararajan et al. 2017), and what is measured when the token is
hidden (Li et al. 2016), which is slower and no estimate. Attention is none of them (Jain & Wallace 2019).

Shapes: S tokens of the source, T of the target, D width.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from transept.errors import UsageError
from transept.inspect.cut import Hidden, Side, hide_token, reading
from transept.inspect.example import Choice, Example, Measure, Row, scored
from transept.inspect.words import Word
from transept.models import ModelLayer, Seq2SeqLayer
from transept.parts.entered import Entered
from transept.parts.view import View

STEPS = 50
BENT = 8  # steps gather at the baseline as s^8: a norm before the first sublayer turns all at once there
ROOM = 32  # rows in a pass


@dataclass(frozen=True)
class Attribution:
    """A number for each token: `tokens` (S,) and (T,) by side. `value` is what was explained, `baseline` what it is
    without the tokens, and `error` how far the sum of all is from value - baseline; both are None where a method has
    none. `together` has what several tokens were measured to be worth, by side, where parts do not add up.
    """

    tokens: Mapping[str, Tensor]
    value: float
    baseline: float | None = None
    error: float | None = None
    together: Mapping[str, Mapping[tuple[int, ...], float]] | None = None

    def words(self, side: str, words: Sequence[Word]) -> Tensor:
        """The same for words: the sum over the pieces of each, or what was measured of all its pieces together.

        Raises UsageError for a word of several tokens that was not measured where its parts do not add up.
        """
        return torch.stack([self._of(side, tuple(word.tokens)) for word in words])

    def _of(self, side: str, tokens: tuple[int, ...]) -> Tensor:
        own = self.tokens[side]
        if self.together is None or len(tokens) == 1:
            return own[list(tokens)].sum()
        if tokens not in (measured := self.together.get(side, {})):
            raise UsageError(
                f"what the tokens {list(tokens)} are worth one by one does not add up to what they are worth together",
                remedy="Measure the words: leave_one_out(example, choice, words={side: words}).",
            )
        return own.new_tensor(measured[tokens])


def agreement(one: Attribution, other: Attribution) -> float:
    """How far two methods order the tokens alike: Spearman's correlation of their numbers, in [-1, 1]."""
    first, second = (torch.cat([each.tokens[side] for side in one.tokens]).double() for each in (one, other))
    ranks = torch.stack([_ranks(first), _ranks(second)])
    return float(torch.corrcoef(ranks)[0, 1]) if ranks.std(1).min() > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 0, the mean for those that are alike."""
    below = (values[:, None] > values).sum(1).double()
    return below + ((values[:, None] == values).sum(1).double() - 1) / 2


# ------------------------------------------------------------------ gradients


@contextmanager
def entering(example: Example, given: Mapping[str, Tensor] | None = None) -> Iterator[dict[str, Tensor]]:
    """What enters the stacks during passes, by side, (rows, S, D): kept, or `given` in its place."""
    model, seen = example.model, dict[str, Tensor]()
    own = isinstance(model, Seq2SeqLayer) and model.source is not None
    sides: dict[nn.Module, list[str]] = {}
    for side in example.sides:
        entry = model.source if own and side == "source" else model.embed
        assert isinstance(entry, nn.Module)
        sides.setdefault(entry, []).append(side)
    calls = dict.fromkeys(sides, 0)

    def keep(module: nn.Module, inputs: object, entered: Entered) -> Entered:
        side = sides[module][calls[module] % len(sides[module])]
        calls[module] += 1
        seen[side] = entered.x
        return entered if given is None or side not in given else replace(entered, x=given[side])

    with ExitStack() as undo:
        for entry in sides:
            undo.callback(entry.register_forward_hook(keep).remove)
        yield seen


def repeated(example: Example, rows: int) -> Tensor:
    """The scores of an example that stands in a batch so many times, (rows, T, V) or (rows, C)."""

    def spread(inputs: Tensor) -> Tensor:
        return inputs.to(example.model.device).expand(rows, *inputs.shape[1:])

    if example.target is not None:
        return example.model(spread(example.source.inputs), spread(example.target.inputs)).logits
    assert isinstance(example.model, ModelLayer)
    return example.model(spread(example.source.inputs), **{k: spread(v) for k, v in example.more.items()}).logits


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, whose parameters need no gradients."""
    training, needs = model.training, [(p, p.requires_grad) for p in model.parameters()]
    model.train(False)
    try:
        for parameter, _ in needs:
            parameter.requires_grad_(False)
        with torch.enable_grad():
            yield
    finally:
        model.train(training)
        for parameter, need in needs:
            parameter.requires_grad_(need)


def _slopes(
    example: Example, choice: Choice, measure: Measure, at: Mapping[str, Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """The value of each row (rows,) where these vectors enter, (rows, S, D), and its gradient to them."""
    leaves = {side: x.detach().requires_grad_() for side, x in at.items()}
    rows = next(iter(leaves.values())).size(0)
    with entering(example, leaves):
        logits = repeated(example, rows).float()
    values = torch.stack([scored(row, choice, measure) for row in logits])
    return values.detach(), torch.autograd.grad(values.sum(), list(leaves.values()))


def input_x_gradient(example: Example, choice: Choice, measure: Measure = "logit") -> Attribution:
    """x_j . df/dx_j, the vectors x being what enters the stacks: one pass forward and back."""
    with still(example.model):
        whole = _entered(example)
        values, slopes = _slopes(example, choice, measure, whole)
    found = {side: (x * slope).sum(-1)[0].cpu() for (side, x), slope in zip(whole.items(), slopes, strict=True)}
    return Attribution(found, float(values[0]))


def integrated_gradients(
    example: Example,
    choice: Choice,
    measure: Measure = "logit",
    *,
    steps: int = STEPS,
    baseline: Mapping[str, Tensor] | None = None,
    sides: Sequence[Side] | None = None,
) -> Attribution:
    """(x - b) . integral of df/dx from the baseline b to x, by `steps` midpoints (Sundararajan et al. 2017, equation
    3).

    The sum over all tokens is f(x) - f(b), up to `error`, which more steps make smaller. Zero is a hard baseline for
    a stack of root-mean-square norms (T5, Llama), which turn all at once beside it: take `neutral` there. `baseline`
    (S, D) by side is zeros where it is not given; `sides` says which sides change, the others entering as they are.
    """
    if steps < 1:
        raise UsageError(f"integrated gradients take steps, 1 or more, not {steps}")
    with still(example.model):
        whole = {side: x for side, x in _entered(example).items() if sides is None or side in sides}
        if not whole:
            raise UsageError(f"this example has the sides {', '.join(example.sides)}, and none was to change")
        base = {side: (baseline or {}).get(side, torch.zeros_like(x[0])).to(x)[None] for side, x in whole.items()}
        totals = {side: torch.zeros_like(x) for side, x in whole.items()}
        middle = (torch.arange(steps) + 0.5) / steps
        for s in middle.split(ROOM):
            way, step = (
                part[:, None, None].to(next(iter(whole.values()))) for part in (s**BENT, BENT * s ** (BENT - 1))
            )
            _, slopes = _slopes(
                example, choice, measure, {one: base[one] + way * (x - base[one]) for one, x in whole.items()}
            )
            for side, slope in zip(whole, slopes, strict=True):
                totals[side] += (step * slope).sum(0, keepdim=True) / steps
        ends, _ = _slopes(example, choice, measure, {s: torch.cat([x, base[s]]) for s, x in whole.items()})
    found = {side: ((x - base[side]) * totals[side]).sum(-1)[0].cpu() for side, x in whole.items()}
    value, nothing = float(ends[0]), float(ends[1])
    total = float(sum(float(one.sum()) for one in found.values()))
    return Attribution(found, value, nothing, abs(total - (value - nothing)))


def neutral(example: Example, token: int) -> dict[str, Tensor]:
    """A baseline: what enters where every token is this one, a mask or a pad, in its place. (S, D) by side"""

    def filled(row: Row) -> Row:
        return replace(row, inputs=torch.full_like(row.inputs, token))

    target = None if example.target is None else filled(example.target)
    other = replace(example, source=filled(example.source), target=target)
    return {side: x[0] for side, x in _entered(other).items()}


def _entered(example: Example) -> dict[str, Tensor]:
    """What enters each stack, (1, S, D) by side."""
    with torch.no_grad(), entering(example) as seen:
        repeated(example, 1)
    return {side: seen[side] for side in example.sides}


# ------------------------------------------------------------------ leaving out


@torch.no_grad()
def leave_one_out(
    example: Example,
    choice: Choice,
    measure: Measure = "probability",
    sides: Sequence[Side] | None = None,
    words: Mapping[str, Sequence[Word]] | None = None,
    paced: Callable[[int, int], object] | None = None,
) -> Attribution:
    """f(x) - f(x without the token), measured for every token: zeros enter in its place, and no attention sees it.

    As `TokenAt` cuts it, many at a time. `sides` are those whose tokens are left out; None is all. Of `words`, by side,
    all tokens are left out together as well: what two say together is counted for neither alone. `paced` hears how
    much was left out after each pass, and how much there is. Raises UsageError where an attention looks at no single
    tokens.
    """
    model, found, together = example.model, dict[str, Tensor](), dict[str, dict[tuple[int, ...], float]]()
    training = model.training
    model.train(False)
    try:
        value = float(scored(repeated(example, 1)[0].float(), choice, measure))
        chosen = {side: row for side, row in example.sides.items() if sides is None or side in sides}
        counts = {side: _count(example, side, row) for side, row in chosen.items()}
        longer = {
            side: [tuple(word.tokens) for word in (words or {}).get(side, ()) if len(word.tokens) > 1]
            for side in chosen
        }
        made, of = 0, sum(counts.values()) + sum(map(len, longer.values()))
        for side, count in counts.items():
            several = longer[side]
            wide = max(map(len, several), default=1)
            groups = torch.tensor(  # the first stands for those that a shorter one has not
                [[at] * wide for at in range(count)] + [[*one, *one[:1] * (wide - len(one))] for one in several]
            )
            without = list[Tensor]()
            for part in groups.split(ROOM):
                without.append(_without(example, choice, measure, side, part, count))
                made += len(part)
                if paced is not None:
                    paced(made, of)
            lost = value - torch.cat(without)
            found[side], together[side] = lost[:count], dict(zip(several, lost[count:].tolist(), strict=True))
    finally:
        model.train(training)
    return Attribution(found, value, together=together)


def _count(example: Example, side: str, row: Row) -> int:
    return len(row.tokens) if row.tokens else _entered(example)[side].size(1)


def _without(example: Example, choice: Choice, measure: Measure, side: str, tokens: Tensor, count: int) -> Tensor:
    """The value without each of some groups of tokens, (N, K) -> (N,)."""
    hidden = (torch.arange(count) == tokens[..., None]).any(1).to(example.model.device)
    named: Side | None = None if example.target is None else "target" if side == "target" else "source"
    trunk, readers = reading(example.model, named)

    def blank(module: nn.Module, given: tuple[Tensor, View, object]) -> tuple[object, ...]:
        x, *rest = given
        return (x.masked_fill(hidden[..., None], 0.0), *rest)

    with ExitStack() as undo:
        undo.callback(trunk.register_forward_pre_hook(blank).remove)
        for name, layer in readers.items():
            hide_token(layer, name, Hidden(key=tokens.to(hidden.device)), undo)
        logits = repeated(example, len(tokens)).float()
    return torch.stack([scored(row, choice, measure) for row in logits]).cpu()
