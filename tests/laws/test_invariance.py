"""Law 4: alone equals in a padded batch, on either side; nothing comes from the future; empty rows are finite."""

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.subjects import (
    decodes,
    families,
    is_causal,
    lively,
    logits_of,
    on,
    padded,
    reads_text,
    some_ids,
    variants,
)
from transept.models import Seq2Seq
from transept.parts import core, view
from transept.parts.attention import Attention
from transept.parts.core import Allowed
from transept.parts.mixture import MixtureLayer
from transept.parts.pattern import Full
from transept.spec import edit
from transept.topology import Built

VARIANTS = {name: spec for name, spec in variants().items() if reads_text(spec)}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


@torch.no_grad()
def check_alone(model: Built) -> None:
    sources, targets = [some_ids(n) for n in (7, 4, 6)], [some_ids(n) for n in (5, 8, 3)]
    for side in ("left", "right"):
        source, source_valid = padded(sources, side)
        target, valid = padded(targets, side)
        together = logits_of(model, source, target, source_valid, valid)
        for i in range(3):
            alone = logits_of(model, sources[i][None], targets[i][None])
            assert_close(together[i][valid[i]], alone[0], **TOLERANCE)
        other, _ = padded(sources, side, filler=5)
        changed = logits_of(model, other, padded(targets, side, filler=7)[0], source_valid, valid)
        # What stands in the padding counts for nothing. But experts multiply as many rows as chose them, those of
        # padding too, and products of other sizes round otherwise.
        alike = {"rtol": 1e-5, "atol": 1e-6} if chooses(model) else {"rtol": 0, "atol": 0}
        assert_close(changed[valid], together[valid], **alike)


def chooses(model: Built) -> bool:
    return any(isinstance(module, MixtureLayer) for module in model.modules())


def check_empty_rows(model: Built) -> None:
    """A row without a real token: finite values and finite gradients everywhere."""
    for short in ({}, {torch.float32: 128}):  # by the kernel, and by products
        with patch.object(core, "SHORT", short):
            model.zero_grad()
            ids = some_ids(3, 9)
            valid = torch.arange(9) < torch.tensor([9, 4, 0])[:, None]
            logits = logits_of(model, ids, ids, valid, valid)
            logits.square().sum().backward()
            assert torch.isfinite(logits).all()
            for name, parameter in model.named_parameters():
                assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def influence(model: Built, ids: Tensor) -> Tensor:
    """How much each position's logits feel each target embedding, (query, key); by gradients."""
    kept: list[Tensor] = []

    def grow(module: object, args: object, entered: object) -> object:
        from dataclasses import replace

        kept.append(entered.x.detach().requires_grad_())  # type: ignore[attr-defined]
        return replace(entered, x=kept[-1])  # type: ignore[type-var]

    with model.embed.register_forward_hook(grow):  # type: ignore[union-attr]
        logits = logits_of(model, some_ids(1, 6), ids)
    rows = [
        torch.autograd.grad(logits[0, i].square().sum(), kept[-1], retain_graph=True)[0] for i in range(ids.size(1))
    ]
    return torch.stack([row[0].abs().sum(-1) for row in rows])


def check_no_leak(model: Built) -> None:
    felt = influence(model, some_ids(1, 10))
    assert felt.triu(1).max() == 0, "the future is felt"
    assert felt.diagonal().min() > 0, "a token does not feel itself"


@pytest.mark.parametrize("name", VARIANTS)
def test_alone_equals_in_a_batch(name: str) -> None:
    check_alone(lively(VARIANTS[name]))


@pytest.mark.parametrize("name", VARIANTS)
def test_empty_rows_are_finite(name: str) -> None:
    check_empty_rows(lively(VARIANTS[name]))


@pytest.mark.parametrize("name", [name for name, spec in VARIANTS.items() if decodes(spec)])
def test_nothing_comes_from_the_future(name: str) -> None:
    model = lively(VARIANTS[name])
    felt = influence(model, some_ids(1, 10))
    assert felt.triu(1).max() == 0


@pytest.mark.parametrize("name", [name for name, spec in families().items() if decodes(spec) and reads_text(spec)])
def test_a_family_feels_itself_and_the_past_alone(name: str) -> None:
    check_no_leak(lively(families()[name]))


def test_mutant_full_decoder() -> None:
    model = lively(edit(families()["transformer"], on(Attention, is_causal, pattern=Full())))
    with pytest.raises(AssertionError, match="future"):
        check_no_leak(model)


def test_mutant_padding_that_is_seen() -> None:
    model = lively(families()["transformer"])
    assert isinstance(model.spec, Seq2Seq)
    make = view.View._make

    def blind(self: view.View, pattern: object, source: str, last: int | None = None) -> Allowed:
        made = make(self, pattern, source, last)  # type: ignore[arg-type]
        return Allowed(made.pattern, made.q, made.k, None, made.own)

    with patch.object(view.View, "_make", blind), pytest.raises(AssertionError):
        check_alone(model)


def test_mutant_softmax_of_nothing() -> None:
    """Without care for empty rows the products give NaN: the check must see it."""
    model = lively(families()["transformer"])
    with patch.object(Allowed, "blind", lambda self: None), pytest.raises(AssertionError):
        check_empty_rows(model)


def test_mutant_finfo_min() -> None:
    """Filling with the smallest float instead of -inf lets an empty row see the mean of its padding."""
    fill = Tensor.masked_fill_

    def smallest(self: Tensor, mask: Tensor, value: float) -> Tensor:
        return fill(self, mask, torch.finfo(self.dtype).min if value == float("-inf") else value)

    q = k = v = torch.randn(1, 1, 3, 4)
    positions = torch.arange(3)[None]
    allowed = Allowed(Full(), positions, positions, torch.zeros(1, 3, dtype=torch.bool))
    layer = core.Fused().build(1, 4)
    assert torch.equal(layer(q, k, v, allowed, 0.5), torch.zeros_like(v))
    allowed = replace(allowed)  # without what the pass has made
    with patch.object(Tensor, "masked_fill_", smallest), patch.object(Allowed, "blind", lambda self: None):
        assert layer(q, k, v, allowed, 0.5).abs().max() > 0.01
