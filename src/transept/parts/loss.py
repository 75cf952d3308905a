"""Cross-entropy with label smoothing, from the states before the head and without the logits of a whole batch.

Shapes: N supervised tokens, D width, V vocabulary.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = -100  # the label of a place that is not supervised, torch's own
FILL = 64  # rows of zeros make a chunk a multiple of this: kernels are compiled, and kept, for each shape they meet
ALIGNED = 16  # numbers: products whose rows are no multiple of a cache line take up to 1.4 times as long
CHUNK = 8 << 20  # logits held at a time
PIECE = 16  # rows of them in float32 at a time at the least: with 10,000 classes, what a core's own cache holds
HELD = PIECE * 10_000  # logits at a time where there are fewer classes: of letters, hundreds of rows


@dataclass(frozen=True)
class Loss:
    """total: what is differentiated, summed over tokens; nll: -log p of the true tokens, summed, without gradient and
    without smoothing; count: supervised tokens. All are scalars; total / count is the loss that is reported.

    `noted` (n,) are sums of the task's own, without gradient, which it is told again over the whole of an update.
    """

    total: Tensor
    nll: Tensor
    count: int
    noted: Tensor | None = None


@dataclass(frozen=True)
class Smoothing:
    """Label smoothing by `amount` e (Szegedy et al. 2016), in its two published definitions.

    "uniform": (1 - e) on the true class plus e/V on every class, the true one included, as torch has it.
    "others": (1 - e) on the true class, e/(V - 1) on each other, as tensor2tensor and fairseq have it.
    """

    amount: float = 0.0
    form: Literal["uniform", "others"] = "uniform"

    def weights(self, vocab: int) -> tuple[float, float]:
        """(extra weight of the true class, weight of every class): the target distribution is their sum."""
        every = self.amount / (vocab if self.form == "uniform" else vocab - 1)
        true = 1 - self.amount - (0.0 if self.form == "uniform" else every)
        return true, every


def linear_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, smoothing: Smoothing
) -> Loss:
    """The loss of logits = states W' + b against labels, made in chunks that are never kept.

    states (..., D), weight (V, D), bias (V,) or None, labels (...) int64 with IGNORED where there is none. The gradient
    is formed in the same pass: softmax minus target is at hand there, and the logits need not be made again.
    """
    kept = labels != IGNORED
    if bool(kept.all()):  # running text: nothing to choose, and nothing to put back in the backward pass
        states, labels = states.flatten(0, -2), labels.flatten()
    else:
        states, labels = states[kept], labels[kept]
    true, every = smoothing.weights(weight.size(0))
    wanted = torch.is_grad_enabled()  # inside the function below it never is
    total, nll = _LinearCrossEntropy.apply(states, weight, bias, labels, true, every, wanted)  # type: ignore[no-untyped-call]
    return Loss(total, nll.detach(), labels.numel())


def _softmax_(logits: Tensor, labels: Tensor, piece: int) -> tuple[Tensor, Tensor, Tensor]:
    """Turn logits (N, V) into probabilities where they are.

    Told of each labelled row, in float32: log sum exp of its logits, the logit of its label, the label's probability.
    In float32 in between: half precision has one value for all probabilities above 0.998. `piece` rows at a time, so
    that a processor finds them in its cache again.
    """
    wide = torch.empty(piece, logits.size(1), device=logits.device)
    probs = torch.empty_like(wide)
    norms, hits, owns = list[Tensor](), list[Tensor](), list[Tensor]()
    for at in range(0, len(logits), piece):
        rows, own = logits[at : at + piece], labels[at : at + piece]
        z, p = wide[: len(rows)].copy_(rows), probs[: len(rows)]
        torch.softmax(z, 1, out=p)
        # log sum exp(z) = max z - log max p, since the largest probability belongs to the largest logit.
        norms.append((z.amax(1) - p.amax(1).log())[: len(own)])
        at_label = own[:, None]
        hits.append(z[: len(own)].gather(1, at_label).squeeze(1))
        owns.append(p[: len(own)].gather(1, at_label).squeeze(1))
        rows.copy_(p)
    return torch.cat(norms), torch.cat(hits), torch.cat(owns)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        true: float,
        every: float,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        needed = wanted and any(ctx.needs_input_grad[:3])
        total = torch.zeros((), dtype=torch.float64, device=states.device)
        nll = torch.zeros_like(total)
        d_states = torch.empty_like(states) if needed else None
        # A few classes that cannot be chosen make every row of logits begin at a cache line.
        classes, beyond = weight.size(0), -weight.size(0) % ALIGNED
        table = F.pad(weight, (0, 0, 0, beyond)) if beyond else weight
        shift = F.pad(bias, (0, beyond)) if beyond and bias is not None else bias
        d_table = torch.zeros_like(table, dtype=torch.float32) if needed else None
        d_shift = torch.zeros(len(table), device=weight.device) if needed and bias is not None else None
        # What every class weighs alike needs no look at the classes: it goes through the sum of their weights.
        sum_weight = weight.sum(0, dtype=torch.float32)
        sum_bias = 0.0 if bias is None else bias.sum(dtype=torch.float64)
        chunk = -(-max(1, CHUNK // weight.size(0)) // FILL) * FILL
        piece = max(PIECE, HELD // len(table))
        filled = F.pad(states, (0, 0, 0, short)) if (short := -len(labels) % FILL) else states
        for at in range(0, len(labels), chunk):
            x, y = filled[at : at + chunk], labels[at : at + chunk]
            real, rows = len(y), torch.arange(len(y), device=y.device)
            logits = F.linear(x, table, shift)
            logits[:, classes:] = float("-inf")
            log_norm, hit, own = _softmax_(logits, y, piece if logits.device.type == "cpu" else len(logits))
            ends, hits = log_norm.double().sum(), hit.double().sum()
            spread = (x.float() @ sum_weight).double().sum() + real * sum_bias
            total += ends - true * hits - every * spread
            nll += ends - hits
            if d_states is None or d_table is None:
                continue
            # Softmax minus target. The true class is taken out and put back in float32, since half precision would
            # round what is left of a probability near 1.
            low, excess = logits, (own - true)[:, None]
            low[rows, y] = 0.0
            low[real:] = 0.0
            beside = excess * weight[y] - every * sum_weight
            d_states[at : at + real] = (low @ table)[:real] + beside.to(x.dtype)
            d_table += low.T @ x
            d_table.index_add_(0, y, excess * x[:real])
            if d_shift is not None:
                d_shift += low.sum(0, dtype=torch.float32)
                d_shift.index_add_(0, y, excess[:, 0])
        d_weight = None if d_table is None else d_table[:classes]
        d_bias = None if d_shift is None else d_shift[:classes]
        if d_weight is not None and every:
            d_weight -= every * states.sum(0, dtype=torch.float32)
        if d_bias is not None:
            d_bias -= every * len(states)
        ctx.save_for_backward(d_states, d_weight, d_bias)
        ctx.dtype = weight.dtype
        ctx.mark_non_differentiable(nll)
        return total.float(), nll.float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_states, d_weight, d_bias = ctx.saved_tensors
        scale = grads[0]
        d_bias = None if d_bias is None else (d_bias * scale).to(ctx.dtype)
        return (d_states * scale).to(d_states.dtype), (d_weight * scale).to(ctx.dtype), d_bias, None, None, None, None
