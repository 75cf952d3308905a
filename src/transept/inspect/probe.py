"""Probes: what can be read off the states of a layer by a classifier, and how much of that is the classifier's own
doing.

A probe that is strong enough learns any labels. So it is asked the same of a control task, in which every kind of word
has a label drawn at random, as often as the real ones occur: what it knows more of the real task than of that one, its
selectivity, is what the states tell (Hewitt & Liang 2019). The model is not trained, only read.

Shapes: N words, D width, C labels.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from transept.errors import UsageError
from transept.inspect.example import Example
from transept.inspect.streams import stream
from transept.inspect.words import pooled
from transept.parts.stack import StackLayer

STEPS = 60  # of L-BFGS, which comes to rest before
DECAY = 1e-3  # on the squares of the weights


@dataclass(frozen=True)
class Probed:
    """What a probe got right, in shares of the words held out: of the task, and of the control task.

    `most` is what the commonest label alone would get, `count` how many words were asked.
    """

    accuracy: float
    control: float
    most: float
    count: int

    @property
    def selectivity(self) -> float:
        return self.accuracy - self.control


@torch.no_grad()
def layers_of(example: Example) -> list[Tensor]:
    """The states of the words of what is read, (W, D) for every depth: what entered the first block, and what left
    each.

    Of two stacks they are the encoder's. Of a trunk that is not blocks in a row, what leaves it alone.
    """
    name = "stack" if example.target is None else "encoder"
    words = [word for word in example.source.words if not word.special]
    if isinstance(getattr(example.model, name), StackLayer):
        states = stream(example, name).states()
    else:
        output = example.output()
        states = [output.hidden[0] if output.memory is None else output.memory.states[0]]
    return [pooled(one, words).float().cpu() for one in states]


def control_labels(words: Sequence[str], labels: Sequence[str], seed: int = 0) -> list[str]:
    """A label for every word, the same wherever the same word stands, drawn by how often the labels occur."""
    counts = Counter(labels)
    names, shares = list(counts), torch.tensor(list(counts.values()), dtype=torch.float64)
    kinds = sorted(set(words))
    drawn = torch.multinomial(shares, len(kinds), True, generator=torch.Generator().manual_seed(seed)).tolist()
    of = {kind: names[at] for kind, at in zip(kinds, drawn, strict=True)}
    return [of[word] for word in words]


def probe(
    states: Tensor,
    labels: Sequence[str],
    words: Sequence[str],
    held_out: Sequence[bool],
    *,
    hidden: int | None = None,
    seed: int = 0,
) -> Probed:
    """Train a classifier on states (N, D) and score it on the words that are held out; and so on the control task.

    Linear, or with one hidden layer of `hidden` units. Repeats exactly with the same `seed`. Words of one sentence
    belong on one side. Raises UsageError where a side is empty.
    """
    out = torch.tensor(list(held_out), dtype=torch.bool)
    if not (len(states) == len(labels) == len(words) == len(out)):
        raise UsageError(f"{len(states)} states, {len(labels)} labels, {len(words)} words and {len(out)} sides")
    if not out.any() or out.all():
        raise UsageError("a probe is trained on some words and scored on others: one side is empty")
    mean, deviation = states[~out].mean(0), states[~out].std(0).clamp(min=1e-6)
    x = (states - mean) / deviation
    real = fitted(x, labels, out, hidden, seed)
    control = fitted(x, control_labels(words, labels, seed), out, hidden, seed)
    trained = Counter(label for label, aside in zip(labels, out.tolist(), strict=True) if not aside)
    commonest = trained.most_common(1)[0][0]
    asked = [label for label, aside in zip(labels, out.tolist(), strict=True) if aside]
    return Probed(real, control, sum(label == commonest for label in asked) / len(asked), len(asked))


def fitted(x: Tensor, labels: Sequence[str], out: Tensor, hidden: int | None, seed: int) -> float:
    """The accuracy of a classifier on the rows that are `out`, trained on the others by L-BFGS."""
    names = {label: at for at, label in enumerate(sorted(set(labels)))}
    y = torch.tensor([names[label] for label in labels])
    sizes = [x.size(1), len(names)] if hidden is None else [x.size(1), hidden, len(names)]
    draws = torch.Generator().manual_seed(seed)
    weights = [
        (torch.randn(b, a, generator=draws) / a**0.5 * (hidden is not None)).requires_grad_()
        for a, b in pairwise(sizes)
    ]
    biases = [torch.zeros(b, requires_grad=True) for b in sizes[1:]]

    def scores(rows: Tensor) -> Tensor:
        for at, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            rows = F.linear(rows.relu() if at else rows, weight, bias)
        return rows

    optimizer = torch.optim.LBFGS([*weights, *biases], max_iter=STEPS, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimizer.zero_grad()
        decay = torch.stack([weight.square().sum() for weight in weights]).sum()
        loss = F.cross_entropy(scores(x[~out]), y[~out]) + DECAY * decay
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(step)
    with torch.no_grad():
        return float((scores(x[out]).argmax(-1) == y[out]).float().mean())
