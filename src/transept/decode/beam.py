"""Beam search: the W best hypotheses of a sentence, extended together.

Shapes: B sentences, W hypotheses of each, V vocabulary; 2W candidates at every step, because at most W of them end.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.decode.batch import Move
from transept.decode.config import Search
from transept.decode.hypothesis import Hypothesis, divisor
from transept.decode.score import best


class Beam:
    """A finished hypothesis leaves the beam for `ended`, which keeps the W best by score.

    Of the 2W best candidates those that end are kept if they are among the W best, and the W best of the others live
    on; at its maximal length a sentence's W best candidates all end. Past steps are kept as they were found, and a
    hypothesis is read off backwards when it is asked for.
    """

    def __init__(self, settings: Search, ends: tuple[int, ...], limits: NDArray[np.int64]) -> None:
        self.settings, self.ends, self.limits, self.width = settings, ends, limits, settings.beam
        self.filler = ends[0] if ends else 0  # a token that every model can read
        shape, steps = (len(limits), settings.beam), int(limits.max())
        table = (steps, len(limits), 2 * settings.beam)
        self.step = 0
        self.running = np.zeros(shape, np.float32)
        self.over, self.failed = np.zeros(len(limits), bool), np.zeros(len(limits), bool)
        self.ended = np.full(shape, -np.inf, np.float32)  # scores, best first
        self.ended_at = np.zeros(shape, np.int64)  # step * 2W + candidate
        self.token = np.zeros(table, np.int64)
        self.parent = np.zeros(table, np.int64)
        self.logprob = np.zeros(table, np.float32)
        self.lives = np.zeros((steps, *shape), np.int64)  # the candidate that each live hypothesis was

    def choose(self, logprobs: Tensor, sentences: NDArray[np.int64]) -> Move:
        width, length = self.width, self.step + 1
        running = torch.from_numpy(self.running[sentences, : logprobs.size(1)]).to(logprobs.device)
        found = best(logprobs, running, 2 * width)
        self.token[self.step, sentences] = found.token
        self.parent[self.step, sentences] = found.parent
        self.logprob[self.step, sentences] = found.logprob

        over = self.over[sentences]
        failed = np.isnan(found.total[:, 0]) & ~over
        self.failed[sentences] |= failed
        full = length >= self.limits[sentences]
        real = found.total > -np.inf  # a vocabulary smaller than the beam has fewer candidates
        ends = np.isin(found.token, self.ends) | full[:, None]
        self._keep(sentences, (ends & real)[:, :width] & ~(over | failed)[:, None], found.total[:, :width], length)

        lives = np.argsort(ends | ~real, axis=1, kind="stable")[:, :width]
        alive = ~np.take_along_axis(ends | ~real, lives, 1)
        self.lives[self.step, sentences] = lives
        self.running[sentences] = np.where(alive, np.take_along_axis(found.total, lives, 1), -np.inf)
        self.over[sentences] |= failed | full | ~alive[:, 0] | self._decided(sentences, length)
        self.step += 1
        token, parent = (np.take_along_axis(table, lives, 1) for table in (found.token, found.parent))
        return Move(np.where(alive, token, self.filler), parent, self.over[sentences])

    def _keep(
        self, sentences: NDArray[np.int64], ending: NDArray[np.bool_], total: NDArray[np.float32], length: int
    ) -> None:
        """Let the W best of those that ended before and those that end now stay."""
        if not ending.any():
            return
        score = np.where(ending, total / divisor(length, self.settings), -np.inf).astype(np.float32)
        at = np.broadcast_to(self.step * 2 * self.width + np.arange(self.width), score.shape)
        scores = np.concatenate([self.ended[sentences], score], 1)
        places = np.concatenate([self.ended_at[sentences], at], 1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self.width]
        self.ended[sentences] = np.take_along_axis(scores, order, 1)
        self.ended_at[sentences] = np.take_along_axis(places, order, 1)

    def _decided(self, sentences: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
        """Whether W have ended and, unless the first W are enough, no live one can beat the worst of them."""
        worst: NDArray[np.float32] = self.ended[sentences, -1]
        full: NDArray[np.bool_] = worst > -np.inf
        if self.settings.stop == "first":
            return full
        # Log-probabilities only fall, so the divisor of the maximal length bounds all that may come.
        exact = self.settings.stop == "exact"
        lengths = self.limits[sentences].tolist() if exact else [length] * len(sentences)
        divisors = np.array([divisor(n, self.settings) for n in lengths], np.float32)
        full &= self.running[sentences, 0] / divisors <= worst
        return full

    def hypotheses(self, sentence: int) -> list[Hypothesis]:
        kept = [i for i in range(self.settings.n_best) if self.ended[sentence, i] > -np.inf]
        return [self._read(sentence, int(self.ended_at[sentence, i]), float(self.ended[sentence, i])) for i in kept]

    def _read(self, sentence: int, at: int, score: float) -> Hypothesis:
        step, candidate = divmod(at, 2 * self.width)
        tokens, logprobs = [], []
        while step >= 0:
            tokens.append(int(self.token[step, sentence, candidate]))
            logprobs.append(float(self.logprob[step, sentence, candidate]))
            parent = self.parent[step, sentence, candidate]
            step -= 1
            candidate = self.lives[step, sentence, parent] if step >= 0 else 0
        return Hypothesis(tokens[::-1], score, logprobs[::-1], "end" if tokens[0] in self.ends else "length")
