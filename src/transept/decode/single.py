"""Greedy search and sampling: hypotheses that never look at each other.

Shapes: B sentences, W draws of each (1 where greedy), V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transept.decode.batch import Move
from transept.decode.config import Search
from transept.decode.hypothesis import Finish, Hypothesis, Stop, divisor
from transept.decode.score import best


class Single:
    """The best token each time, or a drawn one. `numbers` names the sentences: each draws from its own stream.

    `stop` is asked after each token that does not end its hypothesis.
    """

    def __init__(
        self,
        settings: Search,
        ends: tuple[int, ...],
        limits: NDArray[np.int64],
        numbers: Sequence[int],
        stop: Stop | None = None,
    ) -> None:
        self.settings, self.ends, self.limits, self.stop = settings, ends, limits, stop
        self.filler = ends[0] if ends else 0  # a token that every model can read
        self.drawn = settings.method == "sample" and settings.temperature > 0
        self.width = settings.n_best if self.drawn else 1
        shape, steps = (len(limits), self.width), int(limits.max())
        self.step = 0
        self.running = np.zeros(shape, np.float32)
        self.length = np.zeros(shape, np.int64)
        self.ended = np.zeros(shape, bool)  # by the end token
        self.stopped = np.zeros(shape, bool)  # by the caller
        self.failed = np.zeros(len(limits), bool)
        self.tokens = np.zeros((*shape, steps), np.int64)
        self.logprobs = np.zeros((*shape, steps), np.float32)
        self.uniform = np.zeros((0, *shape))
        if self.drawn:
            streams = [[_stream(settings.seed, number, w, steps) for w in range(self.width)] for number in numbers]
            self.uniform = np.array(streams).transpose(2, 0, 1)  # (steps, B, W)

    def choose(self, logprobs: Tensor, sentences: NDArray[np.int64]) -> Move:
        first = logprobs.size(1) < self.width or self.step == 0
        token, logprob = self._draw(logprobs, sentences) if self.drawn else self._best(logprobs, sentences)
        bad = np.isnan(logprob)
        self.failed[sentences] |= bad.any(1)
        live = ~self._done(sentences) & (self.step < self.limits[sentences])[:, None] & ~bad
        self.tokens[sentences, :, self.step] = np.where(live, token, 0)
        self.logprobs[sentences, :, self.step] = np.where(live, logprob, 0)
        self.running[sentences] += np.where(live, logprob, 0)
        self.length[sentences] += live
        self.ended[sentences] |= live & np.isin(token, self.ends)
        if self.stop is not None:
            for row, w in np.argwhere(live & ~self.ended[sentences]):
                sentence = sentences[row]
                self.stopped[sentence, w] = self.stop(self.tokens[sentence, w, : self.step + 1].tolist())
        self.step += 1
        over = self._done(sentences).all(1) | (self.step >= self.limits[sentences]) | self.failed[sentences]
        parents = np.zeros_like(token) if first else np.broadcast_to(np.arange(self.width), token.shape)
        return Move(np.where(live, token, self.filler), parents, over)

    def _done(self, sentences: NDArray[np.int64]) -> NDArray[np.bool_]:
        done: NDArray[np.bool_] = self.ended[sentences] | self.stopped[sentences]
        return done

    def _best(self, logprobs: Tensor, sentences: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        # The same call as a beam of one makes, so that the two choose alike where scores are nearly tied.
        found = best(logprobs, torch.from_numpy(self.running[sentences]).to(logprobs.device), 2)
        return found.token[:, :1], np.where(np.isnan(found.total[:, :1]), np.nan, found.logprob[:, :1])

    def _draw(self, logprobs: Tensor, sentences: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        logprobs = logprobs.expand(-1, self.width, -1)
        uniform = torch.from_numpy(self.uniform[self.step, sentences]).to(logprobs.device)
        s = self.settings
        token = draw(logprobs, uniform, s.temperature, s.top_k, s.top_p)
        own = logprobs.gather(2, token[..., None])[..., 0]
        packed = torch.stack([token.double(), own.double()]).cpu().numpy()
        return packed[0].astype(np.int64), packed[1].astype(np.float32)

    def hypotheses(self, sentence: int) -> list[Hypothesis]:
        found = []
        for w in range(self.width):
            length = int(self.length[sentence, w])
            finish: Finish = "end" if self.ended[sentence, w] else "stop" if self.stopped[sentence, w] else "length"
            score = float(self.running[sentence, w] / divisor(length, self.settings))
            tokens, logprobs = self.tokens[sentence, w, :length], self.logprobs[sentence, w, :length]
            found.append(Hypothesis(tokens.tolist(), score, logprobs.tolist(), finish))
        return sorted(found, key=lambda hypothesis: -hypothesis.score)


def draw(logprobs: Tensor, uniform: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """One token for each uniform number, by inverting the distribution function. (..., V), (...) -> (...) int64

    Temperature first, then the k likeliest, then the fewest of them that hold the probability p (Holtzman et al. 2020).
    A row whose log-probabilities are NaN gives an arbitrary token.
    """
    scores = logprobs / temperature
    index = None
    if top_k is not None or top_p is not None:
        scores, index = scores.topk(min(top_k or scores.size(-1), scores.size(-1)))
    mass = scores.softmax(-1).double()
    if top_p is not None:
        mass = mass.masked_fill(mass.cumsum(-1) - mass >= top_p, 0.0)
    reach = mass.cumsum(-1)
    # A token of no probability spans nothing, so a number below the whole never falls on one.
    whole = reach[..., -1]
    aim = torch.minimum(uniform * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    place = torch.searchsorted(reach, aim[..., None], right=True).clamp(max=reach.size(-1) - 1)
    return place[..., 0] if index is None else index.gather(-1, place)[..., 0]


def _stream(seed: int, sentence: int, draw: int, steps: int) -> NDArray[np.float64]:
    return np.random.default_rng([seed, sentence, draw]).random(steps)
