"""Show, Attend and Tell against its equations, written as plain loops; what its network sees; what is refused."""

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from laws.subjects import lively
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.families import xu
from transept.inputs.annotations import Annotations
from transept.models import Seq2Seq
from transept.parts.convnet import Convnet, Convolution
from transept.parts.readout import Readout
from transept.parts.scores import Additive
from transept.spec import replace
from transept.topology import outline


@torch.no_grad()
def test_the_decoder_is_the_papers() -> None:
    """Sections 3.1.2 and 4.2.1, a step and a place at a time."""
    model = lively(xu.declare(**xu.TOY))
    pictures, target = torch.randn(2, 1, 12, 12), torch.randint(3, 23, (2, 5))
    weights = dict(model.named_parameters())

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    x = pictures
    for stage in range(2):
        x = F.conv2d(
            x, weights[f"source.net.convs.{stage}.0.weight"], weights[f"source.net.convs.{stage}.0.bias"], padding=1
        )
        x = F.max_pool2d(x.relu(), 2)
    for row in range(2):
        a = x[row].flatten(1).T  # (L, D)
        h, c = (linear(f"decoder.start.bridge.{name}.0", a.mean(0)).tanh() for name in "hc")
        for t in range(5):
            e = torch.stack(
                [
                    F.linear(
                        (linear("decoder.attend.k", place) + linear("decoder.attend.q", h)).tanh(),
                        weights["decoder.attend.core.v.weight"],
                    )
                    for place in a
                ]
            ).flatten()
            z = linear("decoder.gate", h).sigmoid() * (e.softmax(0) @ a)
            y = weights["embed.table.weight"][target[row, t]]
            i, f, g, o = (linear("decoder.cell.input", torch.cat([y, z])) + linear("decoder.cell.state", h)).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            deep = y + linear("decoder.readout.linear", torch.cat([h, z]))  # L_h h and L_z z, beside each other
            logits = F.linear(deep, weights["head.score.weight"], weights["head.bias"])
            assert_close(model(pictures, target).logits[row, t], logits, rtol=1e-4, atol=1e-4)


def test_the_published_network_makes_196_annotations_of_512() -> None:
    spec = xu.declare(vocab=10_000, **xu.SIZES["coco"])
    assert isinstance(spec.source, Annotations)
    assert (spec.source.grid(), spec.width) == ((14, 14), 512)
    convs = [m for m in outline(spec).modules() if isinstance(m, Convolution)]
    assert len(convs) == 13
    # A convolution of the first stage is done 16 * 16 times for each annotation, one of the last once.
    assert (convs[0].area, convs[-1].area) == (256, 1)


def test_one_word_makes_it_hard() -> None:
    soft, hard = (xu.declare(**xu.TOY | {"attention": word}) for word in ("soft", "hard"))
    assert isinstance(soft, Seq2Seq)
    attend = hard.decoder.attentions()[0]
    assert attend.core.limit() is None
    assert replace(attend, core=Additive()) == soft.decoder.attentions()[0]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="13 x 13 pixels are no whole squares"):
        xu.declare(**xu.TOY | {"image": 13})
    with pytest.raises(InvalidConfig, match="every stage has one of each"):
        Convnet(((4,),), (2, 2))
    with pytest.raises(InvalidConfig, match="cannot enter a model of width 8"):
        Annotations((8, 8), Convnet(((4,),), (2,), 1)).build(8)
    with pytest.raises(InvalidConfig, match="has 5: make them equal"):
        Readout(4, "added").build(3, 5)
    model = lively(xu.declare(**xu.TOY))
    with pytest.raises(InvalidData, match="16 x 16 pixels, and the model takes 12 x 12"):
        model.encode(torch.zeros(1, 1, 16, 16))
    with pytest.raises(InvalidData, match="rows, 1, height, width"):
        model.encode(torch.zeros(1, 3, 12, 12))
    with pytest.raises(UsageError, match="valid cannot be given"):
        model.encode(torch.zeros(1, 1, 12, 12), torch.ones(1, 9, dtype=torch.bool))
    with pytest.raises(InvalidConfig, match="has no table"):
        replace(model.spec, share="table")  # type: ignore[type-var]
