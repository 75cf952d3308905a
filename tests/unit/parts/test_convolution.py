"""Convolutions over time, in the precision of training."""

import pytest
import torch
from torch.nn import functional

from transept.parts.convolution import Convolutions, convolved

JUNK = 48 * 64 * 700  # values of about what one step of the backward pass asks for


@pytest.mark.parametrize(("rows", "samples"), [(41, 6690), (37, 5790)])
def test_gradients_are_finite_whatever_memory_held(rows, samples):
    torch.manual_seed(0)
    layer = Convolutions(channels=(32, 64), kernels=(20, 6), strides=(10, 3), norm="layer").build()
    layer.begin()
    layer.bfloat16()
    waves = torch.randn(rows, samples, dtype=torch.bfloat16)
    for _ in range(12):
        junk = [torch.full((JUNK,), float("nan"), dtype=torch.bfloat16) for _ in range(3)]
        del junk
        layer.zero_grad()
        layer(waves)[0].float().square().sum().backward()
        assert all(torch.isfinite(each.grad).all() for each in layer.parameters())


def test_float32_is_taken_only_where_the_weights_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their gradient alone is at fault: without it bfloat16 stays, which is faster."""
    taken: list[torch.dtype] = []
    conv1d = functional.conv1d

    def spy(x: torch.Tensor, *args: object) -> torch.Tensor:
        taken.append(x.dtype)
        return conv1d(x, *args)

    monkeypatch.setattr(functional, "conv1d", spy)
    conv = torch.nn.Conv1d(3, 4, 5, stride=2, dtype=torch.bfloat16)
    x = torch.randn(2, 3, 40, dtype=torch.bfloat16, requires_grad=True)
    learned = convolved(conv, x)
    with torch.no_grad():
        judged = convolved(conv, x)
    conv.weight.requires_grad_(False)
    frozen = convolved(conv, x)
    frozen.float().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert taken == [torch.float32, torch.bfloat16, torch.bfloat16]
    for out in (judged, frozen):
        torch.testing.assert_close(out, learned, rtol=1e-2, atol=1e-2)
