"""Embeddings: one vector for a text, by the mean of its states, its first one or its last."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from transept.data.tokenizer import Tokenizer
from transept.errors import UsageError, nearest
from transept.heads.classes import pooled
from transept.hub.pooling import KINDS, THEIRS, Embedding, Kind, declared, prepared
from transept.use.reading import Pass, demand_tokenizer, encodings, through

if TYPE_CHECKING:
    from transept.use.opened import Opened


def chosen(loaded: "Opened", pool: str | None, normalise: bool | None, prompt: str | None = None) -> Embedding:
    """How a call embeds: what it says, and for the rest what the model directory says."""
    pool = pool if pool is None else THEIRS.get(str(pool), str(pool))  # `cls`, say
    if pool is not None and pool not in KINDS:
        raise UsageError(
            f"there is no pooling {pool!r}.{nearest(pool, KINDS)}", remedy=f"There are: {', '.join(KINDS)}."
        )
    if pool is not None and normalise is not None:
        asked = Embedding(cast(Kind, pool), normalise, None, "as asked")
        return prepared(asked, loaded.sentences, loaded.path, prompt)
    own = loaded.embedding if prompt is None else declared(loaded.sentences, loaded.path, prompt)
    if pool is not None:
        own = replace(own, pool=cast(Kind, pool), source="as asked")
    return own if normalise is None else replace(own, normalise=normalise, source="as asked")


def embed(
    loaded: "Opened", texts: Sequence[str], how: Embedding, cut: Callable[[str], None] | None, first: int
) -> NDArray[np.float32]:
    """A vector for each text, (N, D). See `Loaded.embed`."""
    loaded.demand("embed")
    words = demand_tokenizer(loaded)
    words = words.lowered() if how.lower else words
    rows = encodings(loaded, [how.prompt + text for text in texts], first, longest=how.longest, cut=cut, words=words)
    before = _length(words, how.prompt) if how.prompt and how.beside else 0

    def vectors(one: Pass) -> list[Tensor]:
        entered = one.within([before] * len(one.rows), [len(rows[i].ids) for i in one.rows]) if before else one.entered
        made = pooled(one.states, entered.valid, KINDS[how.pool]).float()
        return list(F.normalize(made, dim=-1) if how.normalise else made)

    found = through(loaded.model, rows, vectors)
    return torch.stack(found).numpy() if found else np.zeros((0, loaded.width), np.float32)


def _length(words: Tokenizer, prompt: str) -> int:
    """How many tokens a prompt takes, what stands before it counted and what ends a text not."""
    ids = words.encode(prompt)
    return len(ids) - (ids[-1] in words.around)
