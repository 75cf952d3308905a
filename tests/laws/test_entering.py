"""Laws 4, 7 and 10 for what is no text: pictures, which have no length, and sound, which has one."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.entering import some_rows, together, toys, wordless
from laws.subjects import lively
from transept.inputs import waveform
from transept.inputs.waveform import Waveform
from transept.models import Built
from transept.parts import convolution, core, view
from transept.parts.core import Allowed
from transept.parts.loss import IGNORED, Loss, Smoothing, linear_cross_entropy

WORDLESS = wordless()
SOUND = [name for name, spec in WORDLESS.items() if isinstance(spec.embed, Waveform)]  # type: ignore[attr-defined]
TOYS = toys()
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
LENGTHS = (61, 40, 52)


@torch.no_grad()
def check_alone(model: Built) -> None:
    rows = some_rows(model.spec, LENGTHS)
    for side in ("left", "right"):
        inputs, valid = together(rows, side)
        made = model(inputs, valid)
        assert made.entered is not None
        frames = made.entered.valid
        for i, row in enumerate(rows):
            mine, alone = made.logits[i], model(row[None]).logits[0]
            if frames is not None and made.logits.dim() > 2:
                mine = mine[frames[i]]
            assert_close(mine, alone, **TOLERANCE)
        changed = model(*together(rows, side, filler=5.0)).logits
        per_frame = frames is not None and made.logits.dim() > 2
        real = frames if per_frame else slice(None)
        assert torch.equal(changed[real], made.logits[real])  # what stands in the padding counts for nothing


def check_empty_rows(model: Built) -> None:
    """A row without a sample, and one too short for a frame: finite values and finite gradients everywhere."""
    waves = torch.randn(4, 61)
    valid = torch.arange(61) < torch.tensor([61, 30, 3, 0])[:, None]
    for short in ({}, {torch.float32: 128}):  # by the kernel, and by products
        with patch.object(core, "SHORT", short):
            model.zero_grad()
            logits = model(waves, valid).logits
            logits.square().sum().backward()
            assert torch.isfinite(logits).all()
            for name, parameter in model.named_parameters():
                assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("name", WORDLESS)
def test_alone_equals_in_a_batch(name: str) -> None:
    check_alone(lively(WORDLESS[name]))


@pytest.mark.parametrize("name", SOUND)
def test_empty_rows_are_finite(name: str) -> None:
    check_empty_rows(lively(WORDLESS[name]))


def everywhere(norm: Any, x: Tensor, lengths: Tensor) -> Tensor:
    normed: Tensor = norm(x)
    return normed


def blind(self: view.View, pattern: Any, source: str) -> Allowed:
    return Allowed(pattern, self.positions, self.positions)


@pytest.mark.parametrize(
    ("owner", "attribute", "wrong"),
    [
        (convolution, "norm_over_time", everywhere),
        (waveform, "_silenced", lambda x, frames: x),
        (waveform, "_to_the_left", lambda waves, valid: (waves, None if valid is None else valid.sum(1))),
        (view.View, "_make", blind),
    ],
    ids=["statistics of padding", "positions of padding", "frames counted from padding", "attention to padding"],
)
def test_mutants_are_caught(owner: Any, attribute: str, wrong: Callable[..., Any]) -> None:
    model = lively(TOYS["wav2vec2"])
    check_alone(model)
    with patch.object(owner, attribute, wrong), pytest.raises(AssertionError):
        check_alone(model)


def test_a_count_of_nothing_would_be_noticed() -> None:
    """Without care for rows that have no frame their mean is NaN."""
    model = lively(TOYS["wav2vec2"])
    with patch.object(Allowed, "blind", lambda self: None), pytest.raises(AssertionError):
        check_empty_rows(model)


# ------------------------------------------------------------------ learning


def examples(model: Built) -> tuple[Tensor, Tensor]:
    """Eight rows, and a random class wherever the model scores classes."""
    inputs, _ = together(some_rows(model.spec, (50,) * 8, seed=1), "right")
    with torch.no_grad():
        shape = model.eval()(inputs).logits.shape
    return inputs, torch.randint(shape[-1], shape[:-1], generator=torch.Generator().manual_seed(2))


def loss_of(model: Built, inputs: Tensor, labels: Tensor, smoothing: Smoothing) -> Loss:
    logits = model(inputs).logits
    return linear_cross_entropy(logits, torch.eye(logits.size(-1)), None, labels, smoothing)


def learn(model: Built, updates: int = 150) -> float:
    inputs, labels = examples(model)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(updates):
        made = loss_of(model.train(), inputs, labels, Smoothing())
        optimizer.zero_grad()
        (made.total / made.count).backward()
        optimizer.step()
    made = loss_of(model.eval(), inputs, labels, Smoothing())
    return float(made.nll) / made.count


@pytest.mark.parametrize("name", TOYS)
def test_a_family_overfits_eight_examples(name: str) -> None:
    torch.manual_seed(0)
    assert learn(TOYS[name].build()) < 0.05


def test_mutant_that_cannot_learn() -> None:
    """With an input that tells no row from another the loss stays up: the bound above is not met by anything."""
    torch.manual_seed(0)
    model = TOYS["vit"].build()
    for parameter in model.embed.project.parameters():
        parameter.requires_grad_(False).zero_()
    assert learn(model) > 0.5


@pytest.mark.parametrize("name", TOYS)
@pytest.mark.parametrize("form", ["uniform", "others"])
def test_a_batch_may_be_split(name: str, form: Any) -> None:
    torch.manual_seed(1)
    model = TOYS[name].build().eval()
    inputs, labels = examples(model)
    drop = torch.rand(labels.shape, generator=torch.Generator().manual_seed(3)) < 0.4
    labels = labels.masked_fill(drop, IGNORED)

    def gradients(pieces: list[slice], by_examples: bool = True) -> tuple[float, list[Tensor]]:
        model.zero_grad()
        count, total = int((labels != IGNORED).sum()), 0.0
        for piece in pieces:
            made = loss_of(model, inputs[piece], labels[piece], Smoothing(0.1, form))
            (made.total / (count if by_examples else max(made.count, 1) * len(pieces))).backward()
            total += float(made.total.detach())
        return total / count, [p.grad.clone() for p in model.parameters() if p.grad is not None]

    whole = gradients([slice(0, 8)])
    uneven = gradients([slice(0, 2), slice(2, 3), slice(3, 8)])
    assert_close(uneven[0], whole[0], rtol=1e-6, atol=1e-6)
    for a, b in zip(uneven[1], whole[1], strict=True):
        assert_close(a, b, rtol=1e-5, atol=1e-6)
    wrong = gradients([slice(0, 2), slice(2, 3), slice(3, 8)], by_examples=False)
    assert max(float((a - b).abs().max()) for a, b in zip(wrong[1], whole[1], strict=True)) > 1e-3
