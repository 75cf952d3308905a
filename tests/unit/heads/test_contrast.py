"""wav2vec 2.0's pretraining: codes, the loss against a sum that is written out, and what frames are told from."""

import math

import pytest
import torch
from torch.testing import assert_close

from transept.errors import InvalidConfig
from transept.heads.contrast import Contrast, draw_negatives, perplexity_of
from transept.inputs.waveform import Waveform
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.convolution import Convolutions
from transept.parts.entered import Entered
from transept.parts.initial import Normal
from transept.parts.stack import Stack

SPEC = Contrast(6, groups=2, codes=3, code_width=4, out=5, negatives=4)


def built(**changes):
    torch.manual_seed(0)
    layer = Contrast(**{name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__} | changes).build(8)
    Normal(0.5).apply(layer, 8)
    return layer


def given(rows=2, frames=7):
    torch.manual_seed(1)
    raw = torch.randn(rows, frames, 6)
    return torch.randn(rows, frames, 8), Entered(torch.zeros(0), raw=raw)


@torch.no_grad()
def test_the_best_code_of_each_group_is_taken():
    layer = built().eval()
    states, entered = given()
    guess, truth = layer(states, entered).unbind(2)
    assert_close(guess, layer.guess(states))
    scores = layer.choose(entered.raw)
    for b in range(2):
        for f in range(7):
            first, second = scores[b, f, :3].argmax(), scores[b, f, 3:].argmax()
            code = torch.cat([layer.book[0, first], layer.book[1, second]])
            assert_close(truth[b, f], layer.truth(code), rtol=1e-5, atol=1e-6)


def test_the_loss_written_out():
    layer = built().eval()
    states, entered = given()
    hidden = torch.tensor([[1, 0, 1, 1, 0, 0, 1], [0, 1, 1, 0, 0, 0, 0]]).bool()
    negatives = draw_negatives(hidden, 4, torch.Generator().manual_seed(3))
    made = layer.loss(states, entered, hidden, negatives)
    with torch.no_grad():
        guess, truth = layer(states, entered).unbind(2)
        codes = layer.choices(entered).argmax(-1)
        total, right = 0.0, 0
        for b, f in hidden.nonzero().tolist():
            others = [(n // 7, n % 7) for n in negatives[b, f].tolist()]
            others = [at for at in others if not torch.equal(codes[at], codes[b, f])]
            near = [float(torch.cosine_similarity(guess[b, f], truth[at], dim=0)) / 0.1 for at in ((b, f), *others)]
            total += math.log(sum(math.exp(one) for one in near)) - near[0]
            right += near[0] >= max(near)
        used = torch.nn.functional.one_hot(codes[hidden], 3).double().mean(0)
        perplexity = sum(math.exp(-sum(p * math.log(p) for p in row if p > 0)) for row in used.tolist())
    assert_close(float(made.contrast), total, rtol=1e-5, atol=1e-5)
    assert_close(float(made.perplexity), perplexity, rtol=1e-5, atol=1e-5)
    assert_close(float(made.diversity), (6 - perplexity) / 6 * 6, rtol=1e-5, atol=1e-5)
    assert_close(float(made.total.detach()), total + 0.1 * (6 - perplexity), rtol=1e-5, atol=1e-5)
    assert (int(made.right), made.count) == (right, 6)


def test_training_draws_codes_and_learns_to_choose():
    layer = built().train()
    states, entered = given()
    hidden = torch.ones(2, 7).bool()
    made = layer.loss(states, entered, hidden, draw_negatives(hidden, 4))
    made.contrast.isfinite()
    made.total.backward()
    assert layer.choose.weight.grad.abs().max() > 0
    torch.manual_seed(5)
    one = layer.chosen(layer.choices(entered), 0.5)
    torch.manual_seed(6)
    other = layer.chosen(layer.choices(entered), 0.5)
    assert not torch.equal(one, other)
    assert_close(one.sum(-1), torch.ones(2, 7, 2))


def test_nothing_hidden_is_no_loss():
    layer = built().eval()
    states, entered = given()
    hidden = torch.zeros(2, 7).bool()
    made = layer.loss(states, entered, hidden, draw_negatives(hidden, 4))
    assert (float(made.total.detach()), made.count) == (0.0, 0)


def test_a_frame_that_is_hidden_alone_has_no_others():
    layer = built().eval()
    states, entered = given()
    hidden = torch.zeros(2, 7).bool()
    hidden[1, 3] = True
    negatives = draw_negatives(hidden, 4)
    assert negatives[1, 3].tolist() == [10] * 4
    assert float(layer.loss(states, entered, hidden, negatives).contrast) == 0.0


def test_others_are_hidden_frames_of_the_same_row_and_all_alike_likely():
    draws = torch.Generator().manual_seed(0)
    hidden = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 0, 0, 0, 1]]).bool()
    found = draw_negatives(hidden, 3000, draws)
    for b, f in hidden.nonzero().tolist():
        seen, counts = found[b, f].unique(return_counts=True)
        others = [b * 6 + int(place) for place in hidden[b].nonzero() if int(place) != f]
        assert seen.tolist() == others
        assert (counts - 3000 / len(others)).abs().max() < 150
    assert not found[~hidden].any()


def test_perplexity():
    even = torch.eye(4)[torch.arange(8) % 4][:, None].expand(-1, 2, -1)
    assert_close(float(perplexity_of(even)), 8.0)
    one = torch.eye(4)[torch.zeros(8).long()][:, None].expand(-1, 2, -1)
    assert_close(float(perplexity_of(one)), 2.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code_width": 5}, "groups=2 does not divide code_width=5"),
        ({"kappa": 0.0}, "kappa must be above 0"),
        ({"negatives": 0}, "negatives"),
        ({"diversity": -1.0}, "diversity"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(InvalidConfig, match=words):
        built(**changes)


def test_a_contrast_must_fit_what_enters():
    embed = Waveform(Convolutions((4, 7), (5, 3), (3, 2)))
    with pytest.raises(InvalidConfig, match="Contrast needs 6 features, and Waveform hands on 7"):
        Model(8, embed, Stack(Block((Attention(2),)), 1), SPEC)


def test_codes_begin_as_published():
    layer = built()
    assert 0 <= float(layer.book.detach().min()) <= float(layer.book.detach().max()) <= 1
    assert not layer.choose.bias.any()
    assert 0.5 < float(layer.choose.weight.detach().std()) < 1.5
