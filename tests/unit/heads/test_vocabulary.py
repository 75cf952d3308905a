"""The head's scores are one product, whether rows are aligned for speed or not."""

import pytest
import torch
from torch.testing import assert_close

from transept.heads.vocabulary import ALIGNED, Vocabulary
from transept.parts.entered import Entered


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("vocab", [1, ALIGNED - 1, ALIGNED, ALIGNED + 1, 100])
def test_scores_are_the_same_with_and_without_gradients(vocab, bias):
    torch.manual_seed(0)
    head = Vocabulary(vocab, tied=False, bias=bias).build(8)
    states, entered = torch.randn(3, 5, 8), Entered(torch.zeros(0))
    if head.bias is not None:
        torch.nn.init.normal_(head.bias)
    wanted = head(states, entered)
    wanted.sum().backward()
    with torch.no_grad():
        found = head(states, entered)
    assert found.shape == wanted.shape == (3, 5, vocab)
    assert found.stride(1) % ALIGNED == 0
    assert_close(found, wanted.detach(), rtol=0, atol=1e-6)
