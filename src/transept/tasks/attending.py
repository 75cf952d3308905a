"""What a loss asks of attention beside the words: that it spreads over all places, and that what it drew went well.

Shapes: B pictures, T words, N attentions, H heads, L places.
"""

from __future__ import annotations

import torch
from torch import Tensor

from transept.data.captions import CaptionBatch
from transept.heads.vocabulary import VocabularyLayer
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.parts.hard import Hard
from transept.parts.looks import Looks
from transept.parts.loss import Loss, Smoothing
from transept.tasks.settings.captioning import Attend

MEMORY = 0.9  # of the moving baseline: b = 0.9 b + 0.1 log p (Xu et al. 2015, section 4.1)


class Baseline:
    """The moving mean of log p(y | s, a), which REINFORCE measures what was drawn against."""

    def __init__(self) -> None:
        self.value = 0.0

    def move(self, logp: float, count: float) -> None:
        """Move by the log-probabilities of so many texts, summed."""
        if count:
            self.value = MEMORY * self.value + (1 - MEMORY) * logp / count


def draws(spec: Seq2Seq) -> bool:
    """Whether a decoder's attention is trained by what it drew."""
    cores = [attention.core for attention in spec.decoder.attentions()]
    return any(isinstance(core, Hard) and core.estimator == "reinforce" for core in cores)


def head_of(model: Seq2SeqLayer) -> VocabularyLayer:
    assert isinstance(model.head, VocabularyLayer), "what describes scores a vocabulary"
    return model.head


def plain_loss(model: Seq2SeqLayer, batch: CaptionBatch, looks: Looks | None = None) -> Loss:
    """-log p of the texts of pictures, and no more."""
    states, entered = model.hidden(batch.pictures, batch.target, looks=looks)
    return head_of(model).loss(states, entered, batch.labels, Smoothing())


def attentive_loss(
    model: Seq2SeqLayer, batch: CaptionBatch, attend: Attend, smoothing: Smoothing, baseline: float
) -> Loss:
    """-log p of the texts, the penalty on attention, and of hard attention what REINFORCE adds.

    The target's validity is not told: it is padded on the right, where no real word looks. `noted` are the
    log-probabilities of all texts, summed, and their number, where something was drawn.
    """
    looks, length = Looks(), batch.target.size(1)
    states, entered = model.hidden(batch.pictures, batch.target, looks=looks)
    made = head_of(model).loss(states, entered, batch.labels, smoothing)
    total, noted = made.total, None
    if (logp := looks.logp(length)) is not None and (entropy := looks.entropy(length)) is not None:
        with torch.no_grad():
            scores = head_of(model)(states, entered).float().log_softmax(-1)
            words = scores.gather(2, batch.labels.clamp(min=0)[..., None])[..., 0]
            reward = words.masked_fill(~batch.valid, 0.0).sum(1)  # (B,)
        drawn = real(logp, batch.valid).sum((1, 2, 3))
        total = total - attend.reward * ((reward - baseline) * drawn).sum()
        total = total - attend.entropy * real(entropy, batch.valid).sum()
        noted = torch.stack([reward.sum(), reward.new_tensor(len(reward))]).double()
    if attend.spread:
        total = total + attend.spread * unspread(looks.weights(length), batch.valid)
    return Loss(total, made.nll, made.count, noted)


def real(values: Tensor, valid: Tensor) -> Tensor:
    """Values (B, N, H, T) of real words; 0 at padding. valid (B, T)"""
    return values.masked_fill(~valid[:, None, None], 0.0)


def unspread(weights: Tensor, valid: Tensor) -> Tensor:
    """sum over places of (1 - sum over words of weight)^2, summed over pictures (Xu et al. 2015, equation 14).

    weights (B, N, H, T, L), valid (B, T); the mean over attentions and heads where there are several.
    """
    over_words = weights.masked_fill(~valid[:, None, None, :, None], 0.0).sum(3)
    return (1 - over_words).square().sum(-1).mean((1, 2)).sum()
