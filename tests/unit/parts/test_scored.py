"""T5's buckets: the published values, one by one, and how distances become scores."""

import pytest
import torch

from transept.errors import InvalidConfig
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.scored import Buckets
from transept.parts.stack import Stack

# Key minus query -> bucket, of 32 up to a distance of 128, as the released code has them.
BOTH = {
    0: 0,
    -1: 1,
    1: 17,
    7: 23,
    8: 24,
    -8: 8,
    15: 25,
    16: 26,
    -16: 10,
    31: 27,
    64: 30,
    100: 31,
    128: 31,
    -127: 15,
    -200: 15,
}
PAST = {0: 0, 1: 0, 7: 0, 200: 0, -1: 1, -8: 8, -15: 15, -16: 16, -127: 31, -128: 31, -200: 31}


@pytest.mark.parametrize(("sees", "published"), [("both", BOTH), ("past", PAST)])
def test_the_published_buckets(sees: str, published: dict[int, int]) -> None:
    layer = Buckets(4, 32, 128, sees).build(8)  # type: ignore[arg-type]
    assert layer.bucket(torch.tensor(list(published))).tolist() == list(published.values())


@pytest.mark.parametrize(("count", "far"), [(32, 128), (8, 20), (64, 1000), (10, 40)])
@pytest.mark.parametrize("sees", ["both", "past"])
def test_buckets_grow_with_the_distance_and_all_are_used(count: int, far: int, sees: str) -> None:
    layer = Buckets(4, count, far, sees).build(8)  # type: ignore[arg-type]
    side = count // 2 if sees == "both" else count
    behind = layer.bucket(-torch.arange(2 * far))
    assert bool((behind.diff() >= 0).all())
    assert set(behind.tolist()) == set(range(side))
    assert bool((behind[far:] == side - 1).all())
    ahead = layer.bucket(torch.arange(1, 2 * far))
    assert torch.equal(ahead, behind[1:] + side if sees == "both" else torch.zeros_like(ahead))


def test_a_score_is_the_row_of_its_bucket() -> None:
    layer = Buckets(3).build(8)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(96.0).view(32, 3))
    q, k = torch.tensor([[5, 9]]), torch.tensor([[5, 6, 1]])
    scores = layer(q[:, :, None], k[:, None, :])
    assert scores.shape == (1, 3, 2, 3)
    assert scores[0, :, 0].T.tolist() == layer.weight[[0, 17, 4]].tolist()
    assert scores[0, :, 1].T.tolist() == layer.weight[[4, 3, 8]].tolist()


def test_buckets_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="must be even, not 7"):
        Buckets(4, 7)
    with pytest.raises(InvalidConfig, match="far=8 is among the 8 distances"):
        Buckets(4, 32, 8)
    with pytest.raises(InvalidConfig, match="does not score for attentions with heads=2"):
        Stack(Block((Attention(2),)), 1, position=Buckets(4))
