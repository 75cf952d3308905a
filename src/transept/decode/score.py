"""From logits to the best continuations, exactly and in few passes over the vocabulary.

Shapes: B sentences, W hypotheses of each, V vocabulary, K candidates of a sentence.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROOM = 16  # numbers: more is not alignment but other positions' scores
CHUNK = 128  # columns whose maximum is taken first; narrower chunks fall out of the vectorised reduction


def log_probabilities(logits: Tensor, suppress: Tensor) -> Tensor:
    """Normalised over the whole vocabulary, then -inf for what is in `suppress` (N,). (R, V) -> (R, V or more)

    One logit that is NaN or +inf, or a row of -inf alone, makes every log-probability of that row NaN. The logits are
    overwritten: a second tensor of this size costs more in fresh pages of memory than the arithmetic does. Where a head
    left room behind each row, that room becomes columns of -inf, since rows with gaps take twice the time.
    """
    logits = _with_room(logits.float())
    torch.log_softmax(logits, -1, out=logits)
    return logits.index_fill_(-1, suppress, float("-inf"))


def _with_room(logits: Tensor) -> Tensor:
    """(R, V) -> (R, V + room), the same memory, where each row is followed by less than `ROOM` unused numbers."""
    stride, size = logits.stride(0), logits.size(1)
    numbers = logits.untyped_storage().nbytes() // logits.element_size() - logits.storage_offset()
    if logits.stride(1) != 1 or not 0 < stride - size < ROOM or logits.size(0) * stride > numbers:
        return logits
    whole = logits.as_strided((logits.size(0), stride), (stride, 1))
    whole[:, size:] = float("-inf")
    return whole


@dataclass(frozen=True)
class Candidates:
    """The best continuations of each sentence, best first, each array (B, K), on the host.

    `total` is -inf where a sentence has fewer than K, and NaN first where its scores are no numbers.
    """

    total: NDArray[np.float32]  # log-probability of the whole hypothesis
    parent: NDArray[np.int64]  # which of the sentence's W it continues
    token: NDArray[np.int64]
    logprob: NDArray[np.float32]  # of the token alone


def best(logprobs: Tensor, running: Tensor, count: int) -> Candidates:
    """The `count` highest of running + logprobs. (B, W, V) and (B, W) -> (B, count)

    The maximum of every chunk of columns is taken first: the best K values lie in the K chunks with the best maxima, so
    only those are looked through, and the columns left over. Adding in float32 before comparing orders near ties as a
    full search would.
    """
    sentences, width, size = logprobs.shape
    chunks = size // CHUNK
    whole = chunks * CHUNK
    body, rest = logprobs[..., :whole].unflatten(-1, (chunks, CHUNK)), logprobs[..., whole:]
    peaks = (body.amax(-1) + running[..., None]).flatten(1)  # (B, W * chunks)
    opened = peaks.topk(min(count, peaks.size(1)), sorted=False).indices  # (B, K or fewer)
    row, chunk = opened // max(chunks, 1), opened % max(chunks, 1)
    near, columns = torch.arange(sentences, device=row.device)[:, None], torch.arange(size, device=row.device)
    inside = body[near, row, chunk] + running.gather(1, row)[..., None]  # (B, K, CHUNK)
    totals = torch.cat([inside.flatten(1), (rest + running[..., None]).flatten(1)], 1)
    total, place = totals.topk(min(count, totals.size(1)))
    at_inside = (row * size + chunk * CHUNK)[..., None] + columns[:CHUNK]
    at_rest = torch.arange(width, device=row.device)[:, None] * size + columns[whole:]
    at = torch.cat([at_inside.flatten(1), at_rest.flatten().expand(sentences, -1)], 1).gather(1, place)
    own = logprobs.flatten(1).gather(1, at)
    # One copy to the host for the four: float64 holds the indices exactly.
    packed = torch.stack([total.double(), (at // size).double(), (at % size).double(), own.double()]).cpu().numpy()
    if packed.shape[2] < count:
        packed = np.pad(packed, ((0, 0), (0, 0), (0, count - packed.shape[2])))
        packed[0, :, total.size(1) :] = -np.inf
    floats, indices = packed[[0, 3]].astype(np.float32), packed[1:3].astype(np.int64)
    return Candidates(floats[0], indices[0], indices[1], floats[1])
