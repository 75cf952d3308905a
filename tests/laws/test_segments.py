"""A text read in segments equals the text read whole, where states are carried; they are given no gradient."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import families, lively, on, padded, reads_text, some_ids, variants
from transept.errors import InvalidConfig, UsageError
from transept.models import Model, ModelLayer
from transept.parts import carried as carried_module
from transept.parts.cache import Slot
from transept.parts.carried import Carried
from transept.parts.stack import Stack
from transept.spec import edit
from transept.topology import Topology

LENGTH, SEGMENT = 12, 3
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def subjects() -> dict[str, Model]:
    """Each variant of a model of one stack, carrying all that it reads, where it can be described so."""
    made = {}
    for name, spec in variants().items():
        if not isinstance(spec, Model) or not reads_text(spec):
            continue
        if not isinstance(spec.stack, Stack):
            if spec.stack.hands_on and spec.embed.limit() is None:  # its state runs on
                made[name] = spec
            continue
        try:
            made[name] = edit(spec, on(Stack, carries=LENGTH))
        except InvalidConfig:  # it looks ahead, or its positions end
            continue
    return made


SUBJECTS = subjects()


def in_segments(model: ModelLayer, ids: Tensor, carried: Carried, valid: Tensor | None = None) -> Tensor:
    pieces = [slice(at, at + SEGMENT) for at in range(0, ids.size(1), SEGMENT)]
    parts = [None if valid is None else valid[:, piece] for piece in pieces]
    out = [model.decode(ids[:, piece], cache=carried, valid=part) for piece, part in zip(pieces, parts, strict=True)]
    return torch.cat(out, 1)


def built(spec: Topology) -> ModelLayer:
    model = lively(spec)
    assert isinstance(model, ModelLayer)
    return model


def check_whole(model: ModelLayer) -> None:
    with torch.no_grad():
        ids = some_ids(3, LENGTH)
        assert_close(in_segments(model, ids, model.carry(3)), model(ids).logits, **TOLERANCE)


def check_alone(model: ModelLayer) -> None:
    """Rows of different lengths, padded at their end."""
    with torch.no_grad():
        rows = [some_ids(length) for length in (LENGTH, 5, 9)]
        ids, valid = padded(rows, "right")
        together = in_segments(model, ids, model.carry(3), valid)
        for i, row in enumerate(rows):
            assert_close(together[i][valid[i]], model(row[None]).logits[0], **TOLERANCE)


def check_new_texts(model: ModelLayer) -> None:
    """Rows that begin anew see nothing of what was read before, and rows may change places."""
    with torch.no_grad():
        before, ids = some_ids(3, 2 * SEGMENT), some_ids(3, LENGTH)
        carried = model.carry(3)
        in_segments(model, before, carried)
        carried.forget(torch.tensor([True, False, True]))
        carried.reorder(torch.tensor([2, 0, 1]))
        got = in_segments(model, ids[:, : 2 * SEGMENT], carried)
        assert_close(got[:2], model(ids[:2, : 2 * SEGMENT]).logits, **TOLERANCE)
        whole = model(torch.cat([before[1:2], ids[2:, : 2 * SEGMENT]], 1)).logits
        assert_close(got[2:], whole[:, 2 * SEGMENT :], **TOLERANCE)


def check_no_gradient(model: ModelLayer) -> None:
    """The second segment feels the first in its values, and gives what was carried no gradient."""
    kept: list[Tensor] = []

    def grow(module: object, args: object, entered: Any) -> Any:
        from dataclasses import replace

        kept.append(entered.x.detach().requires_grad_())
        return replace(entered, x=kept[-1])

    ids = some_ids(2, 2 * SEGMENT)
    with model.embed.register_forward_hook(grow):
        logits = in_segments(model, ids, model.carry(2))
    second = logits[:, SEGMENT:].square().sum()
    first, own = torch.autograd.grad(second, kept)
    assert first.abs().sum() == 0, "a gradient goes into the segment before"
    assert own.abs().sum() > 0
    other = in_segments(model, torch.cat([some_ids(2, SEGMENT), ids[:, SEGMENT:]], 1), model.carry(2))
    assert not torch.allclose(other[:, SEGMENT:], logits[:, SEGMENT:], rtol=1e-3, atol=1e-3)


CHECKS = (check_whole, check_alone, check_new_texts, check_no_gradient)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_segments_equal_the_whole(name: str, check: Any) -> None:
    check(built(SUBJECTS[name]))


def test_the_subjects_are_many() -> None:
    named = {name.split(",")[0] for name in SUBJECTS}
    assert {"transformer_xl", "memorizing", "gpt2", "llama", "lstm", "gru", "elman", "ntm"} <= named
    assert any("Distances" in name for name in SUBJECTS)


@pytest.mark.parametrize("name", [name for name, spec in families().items() if isinstance(spec, Model)])
def test_a_family_carries_or_says_why_not(name: str) -> None:
    model = built(families()[name])
    if name in ("transformer_xl", "memorizing", "ntm"):
        assert len(model.carry(2).used()) > 0
    else:
        with pytest.raises(UsageError, match="carries no states"):
            model.carry(2)


def test_a_text_that_begins_anew_teaches_the_first_state() -> None:
    """A first state that is learned feels the row that begins there, as a text of its own, and not the other."""
    model = built(SUBJECTS[next(name for name in SUBJECTS if name.startswith("ntm"))])
    first, ids = model.stack.recalled, some_ids(2, 2 * SEGMENT)
    carried = model.carry(2)
    model.decode(ids[:, :SEGMENT], cache=carried)
    carried.forget(torch.tensor([True, False]))
    found = model.decode(ids[:, SEGMENT:], cache=carried).square().sum()
    alone = model.decode(ids[:1, SEGMENT:], cache=model.carry(1)).square().sum()
    (got,), (wanted,) = (torch.autograd.grad(loss, [first], allow_unused=True) for loss in (found, alone))
    assert wanted.abs().sum() > 0
    assert got is not None, "what was forgotten is let go, and the first state with it"
    assert_close(got, wanted, rtol=1e-4, atol=1e-6)


RUNNING = next(name for name in SUBJECTS if name.startswith("lstm"))  # whose state runs on


def mutants() -> Iterator[tuple[str, str, Any, str, Any]]:
    carry = Slot.carry

    def attached(self: Slot, name: str, new: Tensor, axis: int) -> Tensor:
        whole = torch.cat([self.tensors[name], new], axis)
        kept = self.tensors[name].size(axis)
        self.tensors[name] = whole.narrow(axis, whole.size(axis) - kept, kept)
        return whole

    def oldest(self: Slot, name: str, new: Tensor, axis: int) -> Tensor:
        whole = carry(self, name, new, axis)
        self.tensors[name] = whole.narrow(axis, 0, self.tensors[name].size(axis)).detach()
        return whole

    def from_zero(valid: Tensor, seen: Tensor | int = 0) -> Tensor:
        return (valid.long().cumsum(1) - 1).clamp(min=0)

    def kept(self: Carried, rows: Tensor) -> None:
        self.seen = self.seen.masked_fill(rows, 0)

    def nothing(self: Carried) -> None:
        pass

    yield "what is carried keeps its gradient", "transformer_xl", Slot, "carry", attached
    yield "the oldest is kept", "transformer_xl", Slot, "carry", oldest
    yield "positions begin anew in each segment", "transformer_xl", carried_module, "count_positions", from_zero
    yield "a new text sees the one before", "transformer_xl", Carried, "forget", kept
    yield "a new text goes on from the state before", RUNNING, Carried, "forget", kept
    yield "a state keeps its gradient", RUNNING, Carried, "_let_go", nothing


@pytest.mark.parametrize(
    ("what", "subject", "owner", "attribute", "wrong"), list(mutants()), ids=lambda x: x if isinstance(x, str) else ""
)
def test_mutants_are_caught(what: str, subject: str, owner: Any, attribute: str, wrong: Any) -> None:
    model, caught = built(SUBJECTS[subject]), 0
    with patch.object(owner, attribute, wrong):
        for check in CHECKS:
            try:
                check(model)
            except (AssertionError, RuntimeError):
                caught += 1
    assert caught, what
