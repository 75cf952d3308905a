"""Attention inside a network over pictures: its properties, against loops, trained on marks in noise."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from laws.subjects import lively
from transept.data.pictures import Preparation
from transept.errors import InvalidConfig
from transept.families import jetley
from transept.heads.attended import Attended
from transept.hub.directory import save
from transept.inputs.annotations import Annotations
from transept.models import Model, ModelLayer
from transept.parts.attention import Attention
from transept.parts.convnet import Convnet
from transept.parts.straight import Straight
from transept.spec import replace
from transept.topology import outline
from transept.use.loaded import load

COMPARED = ("dot", "parameterised")


def toy(compare: str = "dot") -> ModelLayer:
    model = lively(jetley.declare(**jetley.TOY | {"compare": compare}))
    assert isinstance(model, ModelLayer)
    return model


def looked(model: ModelLayer, pictures: Tensor) -> list[Tensor]:
    """The weights of each level, (B, places), as those of any attention are read."""
    kept: list[Tensor] = []

    def keep(module: object, args: object, value: Any, own: Any) -> None:
        q, k, _, allowed = value
        kept.append(own.core.weights(q, k, allowed, own.scale)[:, 0, 0])

    layers: Any = model.head.attend
    hooks = [layer.asked.register_forward_hook(partial(keep, own=layer)) for layer in layers]
    model(pictures)
    for hook in hooks:
        hook.remove()
    return kept


@pytest.mark.parametrize("compare", COMPARED)
@torch.no_grad()
def test_each_level_is_looked_at_whole(compare: str) -> None:
    model, pictures = toy(compare), torch.randn(3, 1, 8, 8)
    found = looked(model, pictures)
    assert [weights.shape for weights in found] == [(3, 64), (3, 16)]
    for weights in found:
        assert_close(weights.sum(-1), torch.ones(3), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_it_is_the_papers() -> None:
    """By the dot product, a place at a time; the classes come from what was found, beside each other."""
    model, pictures = toy(), torch.randn(2, 1, 8, 8)
    entered = model.embed(pictures)
    for row in range(2):
        g, found = entered.x[row, 0], []
        for i, level in enumerate(entered.levels):
            q = g if i == 1 else F.linear(g, model.head.attend[0].q.weight)  # of 6 channels, where g has 12
            scores = torch.stack([place @ q for place in level[row]])
            found.append(scores.softmax(0) @ level[row])
        wanted = F.linear(torch.cat(found), model.head.score.weight, model.head.score.bias)
        assert_close(model(pictures).logits[row], wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_u_of_nothing_is_average_pooling() -> None:
    model, pictures = toy("parameterised"), torch.randn(2, 1, 8, 8)
    for layer in model.head.attend:  # type: ignore[union-attr]
        layer.core.u.weight.zero_()
    means = torch.cat([level.mean(1) for level in model.embed(pictures).levels], -1)
    assert_close(model(pictures).logits, model.head.score(means), rtol=1e-5, atol=1e-5)  # type: ignore[operator]


@torch.no_grad()
def test_the_whole_takes_no_part_in_the_classes_itself() -> None:
    """By a dot product it says where to look; added to what u scores, it says the same of every place."""
    pictures = torch.randn(2, 1, 8, 8)
    changed = []
    for compare in COMPARED:
        model = toy(compare)
        before = model(pictures).logits
        model.embed.whole.weight.mul_(-1)
        model.embed.whole.bias.add_(1)
        changed.append(float((model(pictures).logits - before).abs().max()))
    assert changed[0] > 1e-2
    assert changed[1] < 1e-5


def test_it_finds_a_mark_in_noise() -> None:
    """Three marks at any place: the class is found, and the deepest attention is on the mark."""
    torch.manual_seed(0)
    marks = torch.zeros(3, 4, 4)
    marks[0, 1] = marks[1, :, 1] = 1.0
    marks[2] = torch.eye(4)
    sizes = {"labels": 3, "image": 16, "stages": ((8,), (16,)), "pools": (2, 8), "taken": (1,), "width": 16}
    model = jetley.declare(**jetley.TOY | sizes).build()

    def some(count: int) -> tuple[Tensor, Tensor, Tensor]:
        labels, places = torch.randint(3, (count,)), torch.randint(0, 4, (count, 2)) * 4
        pictures = torch.rand(count, 1, 16, 16) * 0.3
        for picture, label, (top, left) in zip(pictures, labels, places.tolist(), strict=True):
            picture[0, top : top + 4, left : left + 4] += 2 * marks[label]
        return pictures, labels, places

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        pictures, labels, _ = some(32)
        optimizer.zero_grad()
        F.cross_entropy(model(pictures).logits, labels).backward()
        optimizer.step()
    model.eval()
    assert isinstance(model, ModelLayer)
    with torch.no_grad():
        pictures, labels, places = some(200)
        assert float((model(pictures).logits.argmax(-1) == labels).float().mean()) > 0.95
        weights = looked(model, pictures)[0].unflatten(1, (8, 8))
    mass = [weights[i, t // 2 : t // 2 + 2, s // 2 : s // 2 + 2].sum() for i, (t, s) in enumerate(places.tolist())]
    assert float(torch.stack(mass).mean()) > 0.5  # of 4 places among 64


def test_a_published_one_is_kept_and_sees(tmp_path: Path) -> None:
    """Batch norm's statistics are part of what is kept."""
    sizes = {"stage_norm": "batch", "image": 8, "labels": 2}
    model = jetley.declare(**jetley.TOY | sizes).build()
    model.train()(torch.randn(16, 1, 8, 8) + 1)
    save(tmp_path / "m", model.eval(), labels=["cat", "dog"], processor=Preparation(size=(8, 8)))
    loaded = load(tmp_path / "m")
    assert loaded.verbs == ("see",)
    picture = torch.randn(1, 8, 8)
    scores = loaded.see(picture).scores
    with torch.no_grad():
        assert list(scores.values()) == pytest.approx(sorted(model(picture[None]).logits.softmax(-1)[0].tolist())[::-1])


def test_the_published_sizes() -> None:
    spec = jetley.declare(**jetley.SIZES["vgg-att3"])
    assert spec.embed.levels == (256, 512, 512)
    assert spec.embed.net.grids((32, 32))[2:5] == [(32, 32), (16, 16), (8, 8)]
    assert outline(spec).head.score.in_features == 1280  # type: ignore[union-attr]


def test_what_does_not_fit_is_refused() -> None:
    spec = jetley.declare(**jetley.TOY)
    with pytest.raises(InvalidConfig, match=r"looks at levels \(6, 12\), Levels hands on \(6,\)"):
        replace(spec, embed=replace(spec.embed, taken=(0,)))
    with pytest.raises(InvalidConfig, match="Annotations hands on none"):
        Model(12, Annotations((8, 8), Convnet(((12,),), (2,), 1)), Straight(), spec.head)
    with pytest.raises(InvalidConfig, match="names stages of 0 to 1"):
        replace(spec.embed, taken=(2,))
    with pytest.raises(InvalidConfig, match="it projects nothing"):
        Attended(2, (3,), Attention(1, source="memory"))
