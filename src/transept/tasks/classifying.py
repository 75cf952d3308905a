"""What a model that classifies is worth on given examples, and the loss that it learns by.

Shapes: B examples, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from transept.heads.classes import AveragedLayer
from transept.models import ModelLayer
from transept.parts.loss import Loss, Smoothing
from transept.tasks.examples import ClassBatch, ClassBatches, Examples
from transept.tasks.grades import accuracy, correlations, f1, mcc
from transept.tasks.measure import Measured, judging


def one_stack(model: nn.Module) -> ModelLayer:
    assert isinstance(model, ModelLayer), f"one stack, not {type(model).__name__}"
    return model


def scores_of(model: ModelLayer, batch: ClassBatch, *, learning: bool = True) -> list[Tensor]:
    """Scores (B, C) in float32 of each head that classifies; without `learning` no gradient goes below the head."""
    with nullcontext() if learning else torch.no_grad():
        states, entered = model.hidden(batch.inputs, batch.valid, None, None, None, None, **batch.more)
    head = model.head
    found = head.each(states, entered) if isinstance(head, AveragedLayer) else [head(states, entered)]
    return [scores.float() for scores in found]


def class_loss(scores: Tensor, targets: Tensor, smoothing: Smoothing, weights: Tensor | None = None) -> Loss:
    """-sum_c w_c q_c log p_c, summed over examples. q are the targets, classes (B,) or shares (B, C), smoothed; w
    weighs classes, None all alike. `nll` is without smoothing and weights."""
    logs, classes = scores.log_softmax(-1), scores.size(-1)
    shares = targets if targets.is_floating_point() else F.one_hot(targets, classes).to(logs.dtype)
    true, every = smoothing.weights(classes)
    wanted = true * shares + every
    if weights is not None:
        wanted = wanted * weights
    nll = -(shares * logs).sum()
    return Loss(-(wanted * logs).sum(), nll.detach(), len(scores))


def number_loss(scores: Tensor, targets: Tensor) -> Loss:
    """Squared error, summed."""
    total = (scores[:, 0] - targets).square().sum()
    return Loss(total, total.detach(), len(scores))


def task_loss(
    model: ModelLayer,
    batch: ClassBatch,
    count: int,
    smoothing: Smoothing,
    weights: Tensor | None = None,
    *,
    learning: bool = True,
) -> Loss:
    """The mean of the losses of all heads that classify: a distillation token learns the classes too, where nobody
    teaches it another answer."""
    made = [
        class_loss(scores, batch.targets, smoothing, weights) if count else number_loss(scores, batch.targets)
        for scores in scores_of(model, batch, learning=learning)
    ]
    total = torch.stack([one.total for one in made]).mean()
    return Loss(total, torch.stack([one.nll for one in made]).mean(), len(batch.rows))


def measure_classes(
    model: ModelLayer, data: Examples, names: Sequence[str], budget: int, resamples: int = 0
) -> tuple[Measured, NDArray[np.float64]]:
    """Everything about a model on these examples, and what it answers to each: classes (N,), or numbers.

    The loss is cross-entropy in nats an example, or the mean squared error. Nothing is changed of the examples.
    """
    found = np.empty(len(data))
    total = 0.0
    with judging(model):
        for batch in each(ClassBatches(data, data.plan(budget, 0, 0, False))):
            given = batch.to(model.device)
            scores = torch.stack(scores_of(model, given)).mean(0)
            loss = class_loss(scores, given.targets, Smoothing()) if data.count else number_loss(scores, given.targets)
            total += float(loss.nll)
            found[batch.rows] = (scores.argmax(-1) if data.count else scores[:, 0]).cpu().numpy()
    mean, right = total / len(data), data.own
    if not data.count:
        outputs = [f"{number:.6g}" for number in found.tolist()]
        graded = correlations(found, right.astype(np.float64), resamples)
        more = {"rmse": float(np.sqrt(mean))}
        return Measured(mean, len(data), outputs, graded, more, "example", "squared error"), found
    chosen, wanted = found.astype(np.int64), right.astype(np.int64)
    graded = {
        "accuracy": accuracy(chosen, wanted),
        "f1": f1(chosen, wanted, data.count, resamples),
        "mcc": mcc(chosen, wanted, data.count, resamples),
    }
    return Measured(mean, len(data), [names[i] for i in chosen.tolist()], graded, each="example"), found


def each(batches: ClassBatches) -> Iterator[ClassBatch]:
    """The batches of an epoch, in order."""
    return (batches[i] for i in range(len(batches)))
