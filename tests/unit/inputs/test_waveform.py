"""Sound becomes frames: how many, which are real, which are hidden, and what is refused."""

import pytest
import torch
from torch.testing import assert_close

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.inputs.waveform import Waveform
from transept.parts.convolution import Convolutions, Convolved
from transept.parts.initial import Normal, Xavier
from transept.parts.masking import Masking


def built(norm="group", width=8, **changes):
    torch.manual_seed(0)
    features = Convolutions((4, 6), (5, 3), (3, 2), norm)
    words = {"position": Convolved(4, 2), "times": Masking(0.5, 2, 1)} | changes
    layer = Waveform(features, **words).build(width)
    Normal(0.5).apply(layer, width)
    return layer


@torch.no_grad()
def test_frames_and_which_are_real():
    layer = built().eval()
    waves, lengths = torch.randn(4, 40), torch.tensor([40, 23, 10, 0])
    entered = layer(waves, torch.arange(40) < lengths[:, None])
    assert entered.x.shape == (4, 5, 8)
    assert entered.raw.shape == (4, 5, 6)
    assert entered.valid.sum(1).tolist() == [layer.spec.features.frames(n) for n in lengths.tolist()] == [5, 3, 0, 0]
    assert layer(waves).valid is None


def test_hidden_frames_become_one_vector_before_the_projection_alone():
    layer = built(position=Convolved(1, 2), after=None).eval()
    with torch.no_grad():
        layer.position.gain.zero_()
        layer.position.bias.zero_()  # so that positions add nothing
        waves = torch.randn(1, 40)
        hide = torch.tensor([[True, False, False, True, False]])
        seen, hidden = layer(waves), layer(waves, hide=hide)
    assert_close(hidden.x[hide], layer.hidden.expand(2, -1), rtol=0, atol=0)
    assert torch.equal(hidden.x[~hide], seen.x[~hide])
    assert torch.equal(hidden.raw, seen.raw)


def test_training_hides_by_itself_and_reading_does_not():
    layer = built(channels=Masking(0.5, 2, 1))
    waves = torch.randn(2, 40)
    assert not torch.equal(layer.train()(waves).x, layer(waves).x)
    assert torch.equal(layer.eval()(waves).x, layer(waves).x)
    layer = built(augment=False).train()
    assert torch.equal(layer(waves).x, layer(waves).x)


@pytest.mark.parametrize(
    ("waves", "more", "kind", "words"),
    [
        (torch.zeros(2, 10), {}, InvalidData, ["10 samples", "11"]),
        (torch.zeros(2, 1, 40), {}, InvalidData, ["(2, 1, 40)", "one channel"]),
        (torch.zeros(2, 40), {"positions": torch.zeros(2, 40).long()}, UsageError, ["positions"]),
    ],
)
def test_what_makes_no_frames_is_refused(waves, more, kind, words):
    with pytest.raises(kind) as caught:
        built()(waves, **more)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_nothing_can_be_hidden_without_a_vector():
    layer = built(times=Masking())
    assert layer.hidden is None
    with pytest.raises(UsageError, match="no vector"):
        layer(torch.zeros(1, 40), hide=torch.ones(1, 5).bool())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Convolutions((4, 6), (5,), (3, 2)), ["2 channels, 1 kernels, 2 strides"]),
        (lambda: Convolutions((), (), ()), ["0 channels"]),
        (lambda: Convolutions((4,), (0,), (1,)), ["(0,)"]),
        (lambda: Convolved(4, 3).build(8), ["groups=3", "width=8"]),
        (lambda: Convolved(0), ["kernel"]),
        (lambda: Masking(span=0), ["span"]),
        (lambda: Masking(-0.5), ["share"]),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("scheme", [Xavier(), Normal(0.02)])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_every_scheme_fills_it(scheme, norm):
    layer = built(norm, width=64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(float("nan"))
    scheme.apply(layer, 64)
    assert all(torch.isfinite(parameter).all() for parameter in layer.parameters())
    norms = torch.linalg.vector_norm(layer.position.direction, dim=(0, 1), keepdim=True)
    assert_close(layer.position.gain, norms)  # the weight is what was drawn
    assert float(layer.hidden.detach().min()) >= 0
    assert float(layer.project.weight.detach().abs().max()) <= 6**-0.5


def test_it_can_be_built_without_data():
    with torch.device("meta"):
        layer = Waveform(Convolutions((4,), (5,), (3,)), times=Masking(0.5)).build(32)
        Normal(0.02).apply(layer, 32)
    assert all(parameter.is_meta for parameter in layer.parameters())


# ------------------------------------------------------------------ what is hidden


def test_spans_are_within_their_rows_and_as_many_as_declared():
    draws = torch.Generator().manual_seed(0)
    lengths = [300, 50, 9, 0]
    share = torch.zeros(4)
    for _ in range(200):
        hidden = Masking(0.65, 10).draw(lengths, 300, draws)
        for row, length in zip(hidden, lengths, strict=True):
            assert not row[length:].any()
            edges = row.int().diff(prepend=torch.zeros(1), append=torch.zeros(1)).nonzero()[:, 0].tolist()
            assert all(end - start >= 10 for start, end in zip(edges[::2], edges[1::2], strict=True))
        share += hidden.sum(1) / torch.tensor(lengths).clamp(min=1)
    assert 0.46 < float(share[0]) / 200 < 0.51  # the paper: about half
    assert share[2:].tolist() == [0, 0]


def test_the_least_number_of_spans():
    hidden = Masking(0.0, 3, 2).draw([40, 5, 2], 40, torch.Generator().manual_seed(0))
    assert hidden.sum(1).tolist()[1:] == [3, 0]
    assert 3 < int(hidden[0].sum()) <= 6


def test_spans_follow_the_generator():
    one, other = (Masking(0.5, 4).draw([60] * 3, 60, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, Masking(0.5, 4).draw([60] * 3, 60, torch.Generator().manual_seed(6)))
