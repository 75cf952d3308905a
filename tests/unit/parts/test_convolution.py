"""Convolutions over time, in the precision of training."""

import pytest
import torch

from transept.parts.convolution import Convolutions

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
