"""What the settings forbid or force, whatever the model says: applied in one place to the scores of every search.

Shapes: B sentences, W hypotheses of each, L tokens so far (the start's with them), V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.decode.config import Search
from transept.decode.hypothesis import Special

NOTHING = -1  # stands before starts that are shorter than others; no token is equal to it


def rules_of(
    settings: Search, special: Special, starts: Sequence[Sequence[int]], limits: NDArray[np.int64]
) -> "Rules | None":
    """The rules of a search, or None where it has none and keeps no account of its tokens.

    `limits` (B,) counts the tokens that an answer may have.
    """
    free = settings.repetition_penalty == 1 and settings.no_repeat_ngram == 0
    free = free and settings.min_length <= 1 and settings.min_whole == 0
    forced = special.first is not None or special.last is not None
    return Rules(settings, special, starts, limits) if forced or not free else None


class Rules:
    """The tokens of every hypothesis, and what may follow them.

    A forced token costs nothing, and a forbidden one keeps its share of the probability. The repetition penalty of
    Keskar et al. 2019 changes logits, and log-probabilities in a beam, as Hugging Face has it.
    """

    def __init__(
        self, settings: Search, special: Special, starts: Sequence[Sequence[int]], limits: NDArray[np.int64]
    ) -> None:
        self.settings, self.special, self.limits = settings, special, limits
        self.begun = np.array([len(start) for start in starts])
        size = max(map(len, starts))
        self.forced = np.array([special.first is not None and len(start) == 1 for start in starts])
        self.history = np.array([[[NOTHING] * (size - len(start)) + list(start)] for start in starts])  # (B, W, L)
        self.chosen = 0

    def follow(self, parents: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        """Hypothesis w of sentence b goes on from parents[b, w] with tokens[b, w]; W may change."""
        past = np.take_along_axis(self.history, parents[..., None], 1)
        self.history = np.concatenate([past, tokens[..., None]], 2)
        self.chosen += 1

    def keep(self, sentences: NDArray[np.int64]) -> None:
        """Go on with some of the sentences."""
        self.history, self.limits, self.begun = (kept[sentences] for kept in (self.history, self.limits, self.begun))

    def change(self, logits: Tensor) -> Tensor:
        """The logits (B*W, V) that probabilities are made of."""
        return logits if self.settings.method == "beam" else self._penalised(logits.float())

    def restrict(self, logprobs: Tensor) -> Tensor:
        """The log-probabilities (B*W, V) to choose by; they are overwritten."""
        settings, ends = self.settings, list(self.special.ends)
        if settings.method == "beam":
            logprobs = self._penalised(logprobs)
        if settings.no_repeat_ngram:
            ending = logprobs[:, ends].clone()
            at, token = (torch.from_numpy(found).to(logprobs.device) for found in self.repeats())
            logprobs[at, token] = float("-inf")
            stuck = logprobs.amax(-1) == float("-inf")  # where every token would repeat something, the end may come
            logprobs[:, ends] = torch.where(stuck[:, None], ending, logprobs[:, ends])
        short = (self.begun + self.chosen < settings.min_whole) | (self.chosen + 1 < settings.min_length)
        if ends and short.any():
            rows = torch.from_numpy(np.flatnonzero(short.repeat(self.history.shape[1]))).to(logprobs.device)
            logprobs[rows[:, None], torch.tensor(ends, device=logprobs.device)] = float("-inf")
        if self.chosen == 0 and self.special.first is not None:
            self._force(logprobs, self.forced, self.special.first)
        if self.special.last is not None and (full := self.limits <= self.chosen + 1).any():
            self._force(logprobs, full.repeat(self.history.shape[1]), self.special.last)
        return logprobs

    def _force(self, logprobs: Tensor, which: NDArray[np.bool_], token: int) -> None:
        """Leave some rows of B*W nothing but a token."""
        rows = torch.from_numpy(which).to(logprobs.device)
        free = torch.where(logprobs[:, token].isnan(), torch.nan, 0.0)  # what failed has failed
        logprobs[rows] = float("-inf")
        logprobs[rows, token] = free[rows]

    def repeats(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of B*W and the tokens that would end n tokens that stand there already."""
        size, rows = self.settings.no_repeat_ngram, self.history.reshape(-1, self.history.shape[2])
        if rows.shape[1] < size:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(rows, size, axis=1)
        last = rows[:, None, rows.shape[1] - size + 1 :]
        row, place = np.nonzero((windows[..., :-1] == last).all(-1) & (windows[..., -1] != NOTHING))
        return row, windows[row, place, -1]

    def _penalised(self, scores: Tensor) -> Tensor:
        if (penalty := self.settings.repetition_penalty) != 1:
            rows = self.history.reshape(-1, self.history.shape[2])
            seen = torch.from_numpy(np.where(rows == NOTHING, rows[:, -1:], rows)).to(scores.device)
            own = scores.gather(1, seen)
            scores.scatter_(1, seen, torch.where(own < 0, own * penalty, own / penalty))
        return scores
