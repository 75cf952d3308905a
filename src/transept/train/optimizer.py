"""Adam over one flat tensor, with the gradient's norm, clipping, and updates skipped where a number is not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from transept.errors import InvalidData
from transept.train.config import Optimizer
from transept.train.flat import Flat


@dataclass(frozen=True)
class Step:
    """What became of an update: the mean gradient's norm before clipping, and whether the weights moved."""

    norm: float
    taken: bool


class FlatAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) or AdamW on the flat parameters.

    The gradient arrives summed over supervised tokens; `step` divides by their number. A gradient that is not finite
    leaves weights, moments and the count of steps as they are. `shares` are what the rate is multiplied by for some
    parameters, by their names; else by 1.
    """

    def __init__(
        self, flat: Flat, settings: Optimizer, clip: float = 0.0, shares: Mapping[str, float] | None = None
    ) -> None:
        self.flat, self.clip = flat, clip
        self.first, self.second = torch.zeros_like(flat.master), torch.zeros_like(flat.master)
        self._steps = torch.zeros((), device=flat.master.device)
        kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
        spans = list(_spans(flat, shares or {}))
        self._shares = [share for _, share in spans]
        groups = [
            {
                "params": [flat.master[span]],
                "weight_decay": settings.weight_decay if span.start < flat.decayed else 0.0,
            }
            for span, _ in spans
        ]
        self._adam = kind(groups, betas=settings.betas, eps=settings.eps, fused=True)
        for group, (span, _) in zip(self._adam.param_groups, spans, strict=True):
            group["params"][0].grad = flat.gradient[span]
            # One count of steps for each range: the fused kernel raises the one that it is given.
            state = {"step": self._steps.clone(), "exp_avg": self.first[span], "exp_avg_sq": self.second[span]}
            self._adam.state[group["params"][0]] = state

    @torch.no_grad()
    def step(self, rate: float, tokens: int) -> Step:
        """Move the weights along the mean over `tokens` of the collected gradient."""
        gradient = self.flat.gradient
        norm = float(torch.linalg.vector_norm(gradient)) / max(tokens, 1)
        if tokens == 0 or not norm < float("inf"):  # NaN compares false
            return Step(norm, taken=False)
        shrink = min(1.0, self.clip / norm) if self.clip and norm else 1.0
        gradient.mul_(shrink / tokens)
        for group, share in zip(self._adam.param_groups, self._shares, strict=True):
            group["lr"] = rate * share
        self._adam.step()
        self.flat.publish()
        return Step(norm, taken=True)

    def tensors(self) -> dict[str, Tensor]:
        """The moments and the count of steps, to be saved."""
        return {"first": self.first, "second": self.second, "steps": self._counts()[0]}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over saved moments of the same layout."""
        if tensors.keys() != {"first", "second", "steps"} or tensors["first"].shape != self.first.shape:
            raise InvalidData("the optimizer's state does not fit the model", remedy="It belongs to another model.")
        self.first.copy_(tensors["first"])
        self.second.copy_(tensors["second"])
        for count in self._counts():
            count.copy_(tensors["steps"])

    def _counts(self) -> list[Tensor]:
        return [self._adam.state[group["params"][0]]["step"] for group in self._adam.param_groups]


def _spans(flat: Flat, shares: Mapping[str, float]) -> Iterator[tuple[slice, float]]:
    """The flat tensor in as few pieces as have one rate and one decay each, with what their rate is multiplied by."""
    begin = 0
    for place, after in pairwise([*flat.places, None]):
        assert place is not None
        share = shares.get(place.name, 1.0)
        end = len(flat.master) if after is None else after.start
        if after is None or shares.get(after.name, 1.0) != share or end == flat.decayed:
            yield slice(begin, end), share
            begin = end


class LossScale:
    """A factor that keeps float16 gradients above underflow (Micikevicius et al. 2018, section 3.2).

    It doubles after `patience` good updates in a row and halves where one overflowed.
    """

    def __init__(self, scale: float = 2.0**14, patience: int = 1000) -> None:
        self.scale, self.good, self.patience = scale, 0, patience

    def seen(self, finite: bool) -> None:
        """Learn from an update whether the factor was too high."""
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.scale = max(self.scale / 2, 1.0)
        elif self.good % self.patience == 0:
            self.scale *= 2
