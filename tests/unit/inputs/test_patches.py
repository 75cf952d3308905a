"""Pictures are cut row by row, and what does not fit is refused with the numbers."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.inputs.patches import Patches
from transept.parts.convnet import Convnet
from transept.parts.initial import Initial, Normal, Xavier


def built(**changes):
    torch.manual_seed(0)
    layer = Patches(**{"size": (4, 6), "patch": (2, 3), "channels": 2} | changes).build(8)
    Normal(0.5).apply(layer, 8)
    return layer


@torch.no_grad()
def test_each_square_is_projected_and_stands_in_reading_order():
    layer = built()
    picture = torch.randn(1, 2, 4, 6)
    entered = layer(picture)
    assert entered.valid is None
    assert_close(entered.x[0, 0], layer.token + layer.position[0], rtol=0, atol=0)
    weight = layer.project.weight.flatten(1)  # (D, C * rows * columns)
    for i, (top, left) in enumerate([(0, 0), (0, 3), (2, 0), (2, 3)]):
        square = picture[0, :, top : top + 2, left : left + 3].flatten()
        expected = weight @ square + layer.project.bias + layer.position[1 + i]
        assert_close(entered.x[0, 1 + i], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pools", [(2, 2), (2, 1)], ids=["a place", "a square of four places"])
@torch.no_grad()
def test_squares_are_cut_out_of_what_a_network_computes(pools):
    layer = built(size=(8, 12), patch=(4, 4), net=Convnet(((5, 6), (7,)), pools, channels=2, norm="batch")).eval()
    pictures = torch.randn(3, 2, 8, 12)
    x = pictures
    for convs, norms, pool in zip(layer.net.convs, layer.net.norms, pools, strict=True):
        for conv, norm in zip(convs, norms, strict=True):
            x = F.conv2d(x, conv.weight, conv.bias, padding=1)
            x = F.batch_norm(x, norm.mean, norm.variance, norm.weight, norm.bias)
            x = x.relu()
        x = F.max_pool2d(x, pool)
    x = F.conv2d(x, layer.project.weight, layer.project.bias, stride=layer.project.kernel_size)
    expected = x.flatten(2).transpose(1, 2) + layer.position[1:]
    assert_close(layer(pictures).x[:, 1:], expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_network_before_the_squares_takes_other_sizes_where_they_do():
    layer = built(size=(8, 12), patch=(4, 4), resize="bicubic", net=Convnet(((5,),), (4,), channels=2))
    assert layer(torch.zeros(2, 2, 12, 16)).x.shape == (2, 1 + 12, 8)


@pytest.mark.parametrize(("front", "count"), [("none", 0), ("class", 1), ("distilled", 2)])
def test_what_stands_in_front(front, count):
    layer = built(front=front)
    assert layer(torch.zeros(3, 2, 4, 6)).x.shape == (3, count + 4, 8)
    assert len([name for name in layer.state_dict() if name in ("token", "distilled")]) == count
    assert layer.position.shape == (count + 4, 8)


@pytest.mark.parametrize(
    ("shape", "resize", "words"),
    [
        ((1, 3, 4, 6), None, ["(rows, 2, height, width)", "(1, 3, 4, 6)"]),
        ((2, 4, 6), None, ["(2, 4, 6)"]),
        ((1, 2, 8, 6), None, ["8 x 6", "4 x 6", "resize: bicubic"]),
        ((1, 2, 5, 6), "bicubic", ["5 x 6", "2 x 3"]),
        ((1, 2, 4, 7), "bilinear", ["4 x 7", "2 x 3"]),
        ((1, 2, 1, 3), "bilinear", ["1 x 3", "2 x 3"]),
    ],
)
def test_other_pictures_are_refused(shape, resize, words):
    with pytest.raises(InvalidData) as caught:
        built(resize=resize)(torch.zeros(shape))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": (5, 6)}, ["5 x 6", "2 x 3"]),
        ({"patch": (0, 3)}, ["0 x 3"]),
        ({"channels": 0}, ["channels", "0"]),
        ({"front": "clas"}, ["front", "'class'"]),
        ({"resize": "nearest"}, ["resize", "'bicubic'"]),
        ({"net": Convnet(((5,),), (2,))}, ["3 channels", "2"]),
        ({"net": Convnet(((5,),), (2,), channels=2)}, ["2 x 3 pixels", "2 x 2 pixels", "multiple"]),
    ],
)
def test_other_sizes_are_refused(changes, words):
    with pytest.raises(InvalidConfig) as caught:
        built(**changes)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("more", [{"valid": torch.ones(1, 5).bool()}, {"positions": torch.arange(5)[None]}])
def test_a_picture_has_no_padding_and_no_other_places(more):
    with pytest.raises(UsageError, match=f"{next(iter(more))} cannot be given with pictures"):
        built()(torch.zeros(1, 2, 4, 6), **more)


def test_the_type_of_a_picture_follows_the_weights():
    assert built().to(torch.bfloat16)(torch.zeros(1, 2, 4, 6)).x.dtype == torch.bfloat16


@pytest.mark.parametrize("scheme", [Xavier(), Normal(0.02)])
def test_every_scheme_fills_it(scheme: Initial):
    layer = built()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(float("nan"))
    scheme.apply(layer, 8)
    assert all(torch.isfinite(parameter).all() for parameter in layer.parameters())
    assert 0.01 < float(layer.position.detach().std()) < 0.03


def test_dropout_is_in_training_alone():
    layer, picture = built(dropout=0.5), torch.randn(2, 2, 4, 6)
    assert (layer.train()(picture).x == 0).float().mean() > 0.3
    assert not (layer.eval()(picture).x == 0).any()
