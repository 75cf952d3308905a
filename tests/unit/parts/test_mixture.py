"""A mixture of experts: its definition by hand, its two ways of computing, what is chosen, and what it costs."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from transept.cli.flat import _Walk
from transept.errors import InvalidConfig
from transept.parts.feedforward import FeedForward
from transept.parts.mixture import Mixture, MixtureLayer
from transept.spec import from_json, to_json

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def lively(spec: Mixture, seed: int = 0) -> MixtureLayer:
    torch.manual_seed(seed)
    layer = spec.build(6)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer.eval()


def by_hand(layer: MixtureLayer, x: Tensor) -> Tensor:
    """Token by token, by equations 1, 3 and 5 of Shazeer et al. 2017 without noise."""
    out = torch.zeros_like(x)
    for at in torch.cartesian_prod(torch.arange(x.size(0)), torch.arange(x.size(1))):
        token = x[at[0], at[1]]
        scores = layer.gate.weight @ token
        kept = scores.sort(descending=True).indices[: layer.spec.chosen]
        for i, gate in zip(kept, scores[kept].softmax(0), strict=True):
            hidden = torch.relu(layer.up[i] @ token + layer.up_bias[i])
            out[at[0], at[1]] += gate * (layer.down[i] @ hidden + layer.down_bias[i])
    return out


@pytest.mark.parametrize("chosen", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 9])
@torch.no_grad()
def test_it_is_the_equation_of_the_paper(chosen: int, count: int) -> None:
    """Few tokens with their own matrices, many by their experts."""
    layer, x = lively(Mixture(5, 7, chosen)), torch.randn(2, count, 6)
    assert_close(layer(x), by_hand(layer, x), **CLOSE)
    wrong = lively(Mixture(5, 7, chosen))
    wrong.gate.weight.neg_()
    assert float((wrong(x) - by_hand(layer, x)).abs().max()) > 1e-3 or chosen == 5


def test_both_ways_have_the_same_gradients() -> None:
    layer, x = lively(Mixture(5, 7, 2)), torch.randn(12, 6, requires_grad=True)
    experts, gates = layer.route(x)
    assert len(experts.unique()) > 2
    found = []
    for way in (layer.each, layer.sorted):
        up = way(x, experts, gates).square().sum()
        found.append(torch.autograd.grad(up, [x, *layer.parameters()], allow_unused=True, retain_graph=True))
    for one, other in zip(*found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert_close(one, other, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_one_expert_is_a_feed_forward_network() -> None:
    layer, x = lively(Mixture(1, 7, 1, "gelu")), torch.randn(2, 5, 6)
    plain = FeedForward(7, "gelu").build(6)
    weights = {"up.weight": layer.up, "up.bias": layer.up_bias, "down.weight": layer.down, "down.bias": layer.down_bias}
    plain.load_state_dict({name: weight[0] for name, weight in weights.items()})
    assert_close(layer(x), plain(x), **CLOSE)


def test_noise_is_of_training_alone_and_as_wide_as_it_learned() -> None:
    layer, x = lively(Mixture(4, 3, 1)), torch.randn(4000, 6)[:1].expand(4000, 6)
    assert len(layer.route(x)[0].unique()) == 1
    layer.train()
    with torch.no_grad():
        layer.gate.weight.zero_()
        layer.noise.weight.zero_()  # alike for all: each expert is the best as often as any other
        shares = layer.route(x)[0].flatten().bincount(minlength=4) / 4000
        assert_close(shares, torch.full((4,), 0.25), rtol=0, atol=0.03)
        layer.gate.weight.copy_(10 * torch.eye(4, 6))
        moved = layer.route(torch.eye(4, 6))[0].flatten()
    assert moved.tolist() == [0, 1, 2, 3]  # 10 away, of noise with the deviation log 2


def test_the_beginning_chooses_by_noise_alone() -> None:
    layer = Mixture(4, 300, 2).build(200)
    layer.begin()
    assert not layer.gate.weight.any()
    assert not layer.up_bias.any()
    assert_close(layer.up.std(), torch.tensor(200**-0.5), rtol=0.02, atol=0)
    assert_close(layer.down.std(), torch.tensor(300**-0.5), rtol=0.02, atol=0)


def test_what_it_costs_does_not_hang_on_how_many_there_are() -> None:
    few, many = (_Walk(6, 10).flops(Mixture(experts, 7, 2).build(6)) for experts in (2, 64))
    assert few == many == 2 * 2 * (2 * 7 * 6)


@torch.no_grad()
def test_a_compiled_step_is_one_graph() -> None:
    layer, x = lively(Mixture(5, 7, 2)), torch.randn(3, 4, 6)
    step = torch.compile(layer, backend="eager", fullgraph=True)
    assert_close(step(x), layer(x), **CLOSE)


@torch.no_grad()
def test_half_precision_is_near() -> None:
    layer, x = lively(Mixture(5, 7, 2)), torch.randn(2, 9, 6)
    experts, gates = layer.route(x.flatten(0, 1))
    want = layer.sorted(x.flatten(0, 1), experts, gates)
    half = layer.bfloat16().sorted(x.flatten(0, 1).bfloat16(), experts, gates.bfloat16())
    assert half.dtype == torch.bfloat16
    assert F.cosine_similarity(half.float().flatten(), want.flatten(), dim=0) > 0.999


def test_refusals_and_json() -> None:
    with pytest.raises(InvalidConfig, match="chosen=3 of experts=2"):
        Mixture(2, 4, 3)
    with pytest.raises(InvalidConfig, match="experts must be at least 1"):
        Mixture(0, 4)
    assert from_json(to_json(Mixture(3, 4))) == Mixture(3, 4)
