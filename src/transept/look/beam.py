"""The beam of a text that a model writes: all that was weighed, ready to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from transept.decode.batch import NARROW, pad
from transept.decode.tree import Tree, grow
from transept.errors import UsageError
from transept.inputs.seen import Seen
from transept.look.reading import MOST, Read
from transept.models import ModelLayer, Seq2SeqLayer
from transept.parts.memory import Memory
from transept.use.opened import changed
from transept.use.reading import demand_tokenizer, prompt_ids
from transept.use.see import prepared

if TYPE_CHECKING:
    from transept.decode.config import Search
    from transept.use.opened import Opened

LARGEST = 20_000  # branches of a tree that is shown


def beam(loaded: Opened, given: str, target: Sequence[int] = (), most: int | None = None) -> Tree:
    """The beam search for a text or the file of a picture: what `translate`, `caption` or `generate` weigh.

    It is the model's own search, as a beam where that draws or is greedy. `target` are tokens that the answer begins
    with, `most` how many it has at most. Its hypotheses are those of `n_best`. Raises UsageError where the model writes
    no text, or the tree would be too large.
    """
    model, special = loaded.model, loaded.demand_search().special
    if not isinstance(model, Seq2SeqLayer):
        assert isinstance(model, ModelLayer)
        ids = [*prompt_ids(loaded, given), *target]
        return grow(model, lambda: None, ids, ids, _as_beam(loaded, ids, most or MOST), special)
    start = special.start(target)
    if isinstance(model.spec.source, Seen):
        memory = _encoded(model, prepared(loaded, Path(given), 0)[None])
        places = range(memory.states.size(1))
        return grow(model, lambda: memory, places, start, _as_beam(loaded, places, most), special, tokens=False)
    source = demand_tokenizer(loaded).encode(given)
    padded = pad([source], model.device, NARROW)
    return grow(model, lambda: model.encode(*padded), source, start, _as_beam(loaded, source, most), special)


@torch.inference_mode()
def _encoded(model: Seq2SeqLayer, values: torch.Tensor) -> Memory:
    return model.encode(values.to(model.device))


def _as_beam(loaded: Opened, source: Sequence[int], most: int | None) -> Search:
    """The model's own search as a beam, of so many tokens at most."""
    own = loaded.demand_search().search
    if own.method != "beam":
        own = changed(own, {"method": "beam"})
    if most:
        own = changed(own, {"max_ratio": 0.0, "max_extra": most})
    longest = int(own.max_ratio * len(source)) + own.max_extra
    if (count := longest * 2 * own.beam) > LARGEST:
        raise UsageError(
            f"a beam of {own.beam} over {longest:,} tokens may have {count:,} branches; at most {LARGEST:,} are shown",
            remedy="Let the model write less: --most.",
        )
    return own


def shown(loaded: Opened, read: Read, tree: Tree) -> dict[str, Any]:
    """A tree for the page: [token, text, parent, log-probability, sum, state] of each branch; what was found."""
    tokenizer = demand_tokenizer(loaded)
    return {
        "stops": loaded.demand_search().special.ends,
        "steps": [
            [[b.token, read.spoken(b.token), b.parent, b.logprob, b.total, b.state] for b in step]
            for step in tree.steps
        ],
        "found": [
            [*end, one.score, one.finish, tokenizer.decode([*read.begun, *one.tokens])]
            for end, one in zip(tree.ends, tree.hypotheses, strict=bool(tree.ends))
        ],
    }
