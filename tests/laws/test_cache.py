"""Law 3: decoding with a cache equals the full pass at every step, however the target is cut into passes."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.entering import some_rows, together
from laws.subjects import decodes, families, lively, padded, reads_text, some_ids, variants
from transept.errors import UsageError
from transept.models import Seq2Seq
from transept.parts import cache as cache_module
from transept.parts.cache import Cache
from transept.parts.memory import Memory
from transept.parts.stack import StackLayer
from transept.topology import Built

DECODERS = {name: spec for name, spec in variants().items() if decodes(spec)}
SIDES = ("none", "left", "right")
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def in_pieces(model: Built, ids: Tensor, valid: Tensor | None, pieces: list[int], cache: Cache) -> Tensor:
    out, at = [], 0
    for count in pieces:
        part = None if valid is None or bool(valid[:, at : at + count].all()) else valid[:, at : at + count]
        out.append(model.decode(ids[:, at : at + count], cache=cache, valid=part))
        at += count
    return torch.cat(out, 1)


def memory_of(model: Built, side: str) -> Memory | None:
    if not isinstance(model.spec, Seq2Seq):
        return None
    side = "left" if side == "left" else "right"
    if not reads_text(model.spec):
        return model.encode(*together(some_rows(model.spec.source, (7, 4, 6)), side))
    return model.encode(*padded([some_ids(n) for n in (7, 4, 6)], side))


def prompts(side: str) -> Tensor | None:
    """Validity (3, 12): a prompt of six columns that is padded on a side, then tokens that all rows have."""
    if side == "none":
        return None
    lengths, columns = torch.tensor([6, 3, 5])[:, None], torch.arange(6)
    prompt = columns < lengths if side == "right" else columns >= 6 - lengths
    return torch.cat([prompt, torch.ones(3, 6, dtype=torch.bool)], 1)


def forgets(cache: Cache) -> bool:
    """Whether what was read cannot be read back: a state that each step replaces."""
    return any(slot.kind == "state" for slot in cache.used())


@torch.no_grad()
def check_passes(model: Built) -> None:
    for side in SIDES:
        ids, valid, memory = some_ids(3, 12), prompts(side), memory_of(model, side)
        full = model.decode(ids, memory, valid=valid)
        real = torch.ones_like(ids, dtype=torch.bool) if valid is None else valid
        for pieces in ([6, 1, 1, 1, 1, 1, 1], [2, 1, 3, 4, 2], [12]):
            got = in_pieces(model, ids, valid, pieces, model.cache(3, 15, memory))
            assert_close(got[real], full[real], **TOLERANCE)


@torch.no_grad()
def check_moves(model: Built) -> None:
    """Rows that are reordered and multiplied, columns that are forgotten, room that grows."""
    ids, memory, tail = some_ids(3, 12), memory_of(model, "right"), some_ids(4, 3)
    rows = torch.tensor([2, 0, 0, 1])
    cache = model.cache(3, 12, memory)
    model.decode(ids[:, :5], cache=cache)
    cache.reorder(rows)
    moved = None if memory is None else memory.rows(rows)
    got = in_pieces(model, tail, None, [1, 2], cache)
    assert_close(got, model.decode(torch.cat([ids[rows, :5], tail], 1), moved)[:, 5:], **TOLERANCE)
    if forgets(cache):
        with pytest.raises(UsageError, match="no past to return to"):
            cache.crop(4)
        cache.resize(20)
        return
    cache.crop(4)
    cache.resize(20)
    got = in_pieces(model, tail, None, [1, 2], cache)
    assert_close(got, model.decode(torch.cat([ids[rows, :4], tail], 1), moved)[:, 4:], **TOLERANCE)


@torch.no_grad()
def check_holes(model: Built) -> None:
    """Each row forgets down to its own length, as speculation does."""
    ids, tail, kept, memory = some_ids(3, 8), some_ids(3, 4), torch.tensor([8, 5, 6]), memory_of(model, "none")
    cache = model.cache(3, 16, memory)
    model.decode(ids, cache=cache)
    if forgets(cache):
        with pytest.raises(UsageError, match="no past to return to"):
            cache.crop(kept)
        return
    cache.crop(kept)
    got = in_pieces(model, tail, None, [1, 3], cache)
    for i, count in enumerate(kept.tolist()):
        alone = None if memory is None else memory.rows(torch.tensor([i]))
        whole = model.decode(torch.cat([ids[i, :count], tail[i]])[None], alone)
        assert_close(got[i], whole[0, count:], **TOLERANCE)


@torch.no_grad()
def check_shared_memory(model: Built) -> None:
    """Several rows of the target read one row of the memory; whole sentences leave with their rows."""
    memory = memory_of(model, "right")
    if memory is None:
        return
    ids = some_ids(6, 7)
    repeated = memory.rows(torch.tensor([0, 0, 1, 1, 2, 2]))
    full = model.decode(ids, repeated)
    assert_close(model.decode(ids, memory), full, **TOLERANCE)  # without a cache as well
    cache = model.cache(6, 9, memory)
    assert_close(in_pieces(model, ids[:, :4], None, [3, 1], cache), full[:, :4], **TOLERANCE)
    cache.keep(torch.tensor([0, 2]), 2)
    assert_close(in_pieces(model, ids[[0, 1, 4, 5], 4:], None, [1, 2], cache), full[[0, 1, 4, 5], 4:], **TOLERANCE)


CHECKS = (check_passes, check_moves, check_holes, check_shared_memory)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", DECODERS)
def test_cached_equals_full(name: str, check: object) -> None:
    check(lively(DECODERS[name]))  # type: ignore[operator]


def test_a_cache_leaves_the_memory_alone() -> None:
    for spec in families().values():
        model = lively(spec)
        memory = memory_of(model, "right")
        if memory is not None:
            before = memory.states.clone()
            model.cache(3, 12, memory).reorder(torch.tensor([2, 1, 0]))
            assert torch.equal(memory.states, before)


def decode_one(model: Built, token: Tensor, cache: Cache) -> Tensor:
    return model.decode(token, cache=cache)


def test_the_step_is_one_graph() -> None:
    """Ten steps, a reordering between them: one graph, no break."""
    import torch._dynamo as dynamo

    for spec in families().values():
        if not decodes(spec):
            continue
        model, ids = lively(spec), some_ids(3, 14)
        memory = memory_of(model, "right")
        dynamo.reset()
        dynamo.utils.counters.clear()
        step = torch.compile(decode_one, backend="eager", fullgraph=True, dynamic=False)
        with torch.no_grad():
            cache = model.cache(3, 16, memory)
            out = [model.decode(ids[:, :4], cache=cache)]
            for t in range(4, 14):
                out.append(step(model, ids[:, t : t + 1], cache))
                if t == 8:
                    cache.reorder(torch.tensor([0, 1, 2]), memory=False)
            assert_close(torch.cat(out, 1), model.decode(ids, memory), **TOLERANCE)
        assert dynamo.utils.counters["stats"]["unique_graphs"] == 1
        assert not dynamo.utils.counters["graph_break"]


def mutants() -> Iterator[tuple[str, object, str, object]]:
    reorder, crop, open_ = Cache.reorder, Cache.crop, Cache.open

    def columns(valid: Tensor, seen: Tensor | int = 0) -> Tensor:
        return (seen + torch.arange(valid.size(1))).expand(valid.shape)

    def stuck(self: Cache, rows: Tensor, memory: bool = True) -> None:
        reorder(self, torch.arange(len(rows)) % len(self.valid), memory)

    def visible(self: Cache, length: int | Tensor) -> None:
        valid = self.valid.clone()
        crop(self, length)
        self.valid.copy_(valid)

    def late(self: Cache, count: int, valid: Tensor | None = None, bias: object = None) -> object:
        view = open_(self, count, valid, bias)  # type: ignore[arg-type]
        if view.at is not None:
            view.at = (view.at + 1) % self.size
        return view

    def one_slot(self: StackLayer, batch: int, size: int, memory: Memory | None = None) -> object:
        made = {i: [layer.new_slot(batch, size, memory) for layer in self.block(i).layers()] for i in set(self.order)}
        return [made[0] for _ in self.order]

    yield "positions that count padding", cache_module, "count_positions", columns
    yield "a beam that does not move its rows", Cache, "reorder", stuck
    yield "a crop that leaves keys visible", Cache, "crop", visible
    yield "keys written one column late", Cache, "open", late
    yield "applications that share one slot", StackLayer, "new_slots", one_slot


@pytest.mark.parametrize(
    ("what", "owner", "attribute", "wrong"), list(mutants()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_mutants_are_caught(what: str, owner: object, attribute: str, wrong: object) -> None:
    model = lively(families()["transformer"])
    caught = 0
    with patch.object(owner, attribute, wrong):
        for check in CHECKS:
            try:
                check(model)
            except (AssertionError, RuntimeError):
                caught += 1
    assert caught, what
