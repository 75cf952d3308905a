"""Laws 4, 7 and 10 for what is no text: pictures, which have no length, and sound, which has one."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws.entering import describers, some_rows, together, toys, wordless
from laws.subjects import lively, padded, some_ids
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.decode.search import describe
from transept.inputs import waveform
from transept.inputs.waveform import Waveform
from transept.parts import convolution, core, view
from transept.parts.core import Allowed
from transept.parts.loss import IGNORED, Loss, Smoothing, linear_cross_entropy
from transept.topology import Built

WORDLESS, DESCRIBERS = wordless(), describers()
SOUND = [name for name, spec in WORDLESS.items() if isinstance(spec.embed, Waveform)]  # type: ignore[attr-defined]
TOYS = toys()
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
LENGTHS = (61, 40, 52)


@torch.no_grad()
def check_alone(model: Built) -> None:
    rows = some_rows(model.spec.embed, LENGTHS)
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


def blind(self: view.View, pattern: Any, source: str, last: int | None = None) -> Allowed:
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
    inputs, _ = together(some_rows(model.spec.embed, (50,) * 8, seed=1), "right")
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


# ------------------------------------------------------------------ text of what is no text


@torch.no_grad()
def check_described_alone(model: Built) -> None:
    sources, targets = some_rows(model.spec.source, LENGTHS), [some_ids(n) for n in (5, 8, 3)]
    for side in ("left", "right"):
        (inputs, real), (target, valid) = together(sources, side), padded(targets, side)
        made = model(inputs, target, real, valid).logits
        for i in range(3):
            assert_close(made[i][valid[i]], model(sources[i][None], targets[i][None]).logits[0], **TOLERANCE)
        changed = model(inputs, padded(targets, side, filler=7)[0], real, valid).logits
        assert torch.equal(changed[valid], made[valid])


@pytest.mark.parametrize("name", DESCRIBERS)
def test_described_alone_equals_in_a_batch(name: str) -> None:
    check_described_alone(lively(DESCRIBERS[name]))


@pytest.mark.parametrize("name", DESCRIBERS)
def test_a_description_does_not_hang_on_the_batch_or_the_search(name: str) -> None:
    """A beam of one equals greedy, and a batch changes no answer."""
    model = lively(DESCRIBERS[name], scale=0.5)
    rows, special = some_rows(model.spec.source, LENGTHS), Special(bos=1, eos=2)
    short = {"max_ratio": 0.0, "max_extra": 6}
    greedy, one, wide = (
        describe(model, rows, 9, Search(method=method, **more, **short), special)
        for method, more in (("greedy", {}), ("beam", {"beam": 1}), ("beam", {"beam": 3, "n_best": 3}))
    )
    assert [found[0].tokens for found in greedy] == [found[0].tokens for found in one]
    for row, together_ in zip(rows, wide, strict=True):
        (alone,) = describe(model, [row], 9, Search(method="beam", beam=3, n_best=3, **short), special)
        assert [found.tokens for found in alone] == [found.tokens for found in together_]


@pytest.mark.parametrize("name", [name for name in DESCRIBERS if ", " not in name])
def test_a_describer_overfits_eight_examples(name: str) -> None:
    torch.manual_seed(0)
    model = DESCRIBERS[name].build()
    inputs, _ = together(some_rows(DESCRIBERS[name].source, (50,) * 8, seed=1), "right")
    labels = some_ids(8, 7)
    target = torch.cat([labels.new_ones(8, 1), labels[:, :-1]], 1)  # the input alone tells the first word
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(400):
        made = model.head.loss(*model.train().hidden(inputs, target), labels, Smoothing())
        optimizer.zero_grad()
        (made.total / made.count).backward()
        optimizer.step()
        if float(made.nll) / made.count < 0.05:
            break
    made = model.head.loss(*model.eval().hidden(inputs, target), labels, Smoothing())
    assert float(made.nll) / made.count < 0.05
