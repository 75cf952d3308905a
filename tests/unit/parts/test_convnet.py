"""Batch norm's moving means: true in any precision, and still where the norm does not learn."""

import pytest
import torch
from torch import nn

from transept.errors import InvalidConfig
from transept.families import vit
from transept.parts.convnet import BatchNorm, Convnet
from transept.recipes.recipe import load_recipe
from transept.train.adapting import adapted
from transept.train.flat import Flat


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_moving_means_reach_those_of_the_data(dtype: torch.dtype) -> None:
    """In bfloat16, of which 20 has steps of an eighth, a tenth of a small step would be lost."""
    norm = BatchNorm(3).to(dtype).train()
    norm.begin()
    draws = torch.Generator().manual_seed(0)
    means, deviations = torch.tensor([20.0, 0.0, -3.0]), torch.tensor([2.0, 1.0, 0.1])
    for _ in range(150):
        x = torch.randn(16, 3, 8, 8, generator=draws) * deviations[:, None, None] + means[:, None, None]
        made = norm(x.to(dtype))
    assert made.dtype == dtype
    assert norm.mean.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(norm.mean.float(), means, rtol=0, atol=0.1)
    torch.testing.assert_close(norm.variance.float(), deviations.square(), rtol=0.06, atol=0)


def test_it_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm(4), nn.BatchNorm2d(4)
    ours.begin()
    for _ in range(3):
        x = torch.randn(5, 4, 3, 3) * 2 + 1
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.mean, theirs.running_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("words", [["train.freeze=[embed]"], ["train.lora={rank: 2}"]], ids=["frozen", "under LoRA"])
def test_nothing_of_a_norm_that_does_not_learn_moves(words: list[str]) -> None:
    model = vit.declare(**vit.TOY | {"stages": ((6,),), "pools": (4,), "stage_norm": "batch"}).build()
    config = load_recipe("vit-cifar10", ["data.dir=.", "start=somewhere", *words]).train
    made = adapted(model, config).train()
    Flat(made, torch.bfloat16)
    kept = {name: tensor.clone() for name, tensor in made.state_dict().items() if ".norms." in name}
    assert len(kept) == 4
    made(torch.randn(8, 3, 12, 12).bfloat16() * 3 + 5)
    for name, tensor in kept.items():
        assert torch.equal(made.state_dict()[name], tensor), name


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="1 stages and 2 pools"):
        Convnet(((3,),), (1, 2))
    for words in ({"stages": ((8,),)}, {"pools": (2,)}):
        with pytest.raises(InvalidConfig, match="every stage has one of each"):
            vit.declare(**vit.TOY | words)
    with pytest.raises(InvalidConfig, match="stage_norm: batch is of stages, and there are none"):
        vit.declare(**vit.TOY | {"stage_norm": "batch"})
    told = {"channels": 1, "stages": ((8,), (5,)), "pools": (2, 2), "stage_norm": "batch"}
    assert vit.declare(**vit.TOY | told).embed.net == Convnet(((8,), (5,)), (2, 2), 1, "batch")  # type: ignore[union-attr]
