"""Windows of words: convolutions against torch's, receptive fields against Jacobians, padding, steps, beginnings."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.testing import assert_close

from laws import test_cache as cached
from laws.subjects import lively, padded, some_ids
from transept.errors import InvalidConfig, UsageError
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.parts import neighbours
from transept.parts.initial import Preserving
from transept.parts.mapped import Mapped, Normalised
from transept.parts.neighbours import Stepped, Whole
from transept.parts.view import View
from transept.parts.windows import Kernels, Windows, WindowsLayer

TIGHT = {"rtol": 1e-10, "atol": 1e-10}

FORMS = {
    "plain": Windows((Kernels(6, 3, depth=2),)),
    "wide": Windows((Kernels(6, 5), Kernels(8, 1)), activation="none"),
    "causal": Windows((Kernels(6, 4, depth=2),), looks="back", activation="tanh"),
    "dilated": Windows((Kernels(6, 3, 1), Kernels(6, 3, 2), Kernels(6, 3, 4)), activation="tanh"),
    "causal, dilated": Windows((Kernels(6, 2, 1), Kernels(6, 2, 2), Kernels(6, 2, 4)), looks="back", residual="sum"),
    "gated": Windows((Kernels(6, 3), Kernels(4, 3, 2)), activation="glu", residual="halved", leave=7),
    "normalised": Windows((Kernels(6, 3, depth=2),), "back", "glu", "halved", "normalised", "linear", 5),
}


def alive(spec: Windows, width: int = 5, dtype: torch.dtype = torch.float64) -> WindowsLayer:
    torch.manual_seed(0)
    layer = spec.build(width).to(dtype)
    for p in layer.parameters():
        p.data = torch.randn_like(p) * 0.4 + (1.0 if p.dim() == 1 else 0.0)
    return layer.eval()


# ------------------------------------------------------------------ the function


def matrix(module: Any, x: Tensor) -> Tensor:
    """By torch's own weight normalisation, where there are gains."""
    linear = nn.Linear(module.in_features, module.out_features).double()
    linear.bias.data.copy_(module.bias)
    if isinstance(module, Normalised):
        weight_norm(linear, dim=0)
        linear.parametrizations.weight.original0.data.copy_(module.gain[:, None])
        linear.parametrizations.weight.original1.data.copy_(module.direction)
    else:
        linear.weight.data.copy_(module.weight)
    return linear(x)


def by_torch(spec: Windows, layer: WindowsLayer, x: Tensor) -> Tensor:
    """The same with nn.Conv1d, one after another."""
    if spec.enter == "linear":
        x = matrix(layer.enter, x)
    for i, kernels in enumerate(spec.each()):
        module = layer.layer(i)
        taps, size = module.taps, kernels.kernel
        reach = kernels.dilation * (size - 1)
        conv = nn.Conv1d(x.size(-1), taps.out_features, size, dilation=kernels.dilation).double()
        weight = taps.weight.unflatten(1, (size, -1)).transpose(1, 2)  # (O, K*C) -> (O, C, K)
        conv.weight.data.copy_(weight)
        conv.bias.data.copy_(taps.bias)
        sides = (reach, 0) if spec.looks == "back" else (reach // 2, reach // 2)
        y = conv(F.pad(x.transpose(1, 2), sides)).transpose(1, 2)
        y = {"glu": lambda y: F.glu(y, -1), "none": lambda y: y, "relu": F.relu, "tanh": torch.tanh}[spec.activation](y)
        if spec.residual != "none":
            kept = x if module.residual is None else matrix(module.residual, x)
            y = (y + kept) * (0.5**0.5 if spec.residual == "halved" else 1.0)
        x = y
    return matrix(layer.leave, x) if spec.leave else x


@pytest.mark.parametrize("name", FORMS)
def test_it_is_torchs_convolution(name: str) -> None:
    spec, x = FORMS[name], torch.randn(3, 9, 5, dtype=torch.float64)
    layer = alive(spec)
    wanted = by_torch(spec, layer, x)
    assert wanted.size(-1) == spec.leaves(5)
    assert_close(layer(x, View.of(x)), wanted, **TIGHT)
    with torch.no_grad():  # gains are then put on what comes out
        assert_close(layer(x, View.of(x)), wanted, **TIGHT)


def test_gains_learn_as_torchs_do() -> None:
    torch.manual_seed(0)
    ours, x = Normalised(6, 4).double(), torch.randn(5, 6, dtype=torch.float64)
    ours.direction.data.normal_()
    ours.gain.data.uniform_(0.5, 2)
    theirs = nn.Linear(6, 4).double()
    theirs.bias.data.zero_()
    weight_norm(theirs)
    kept = theirs.parametrizations.weight
    kept.original0.data.copy_(ours.gain[:, None])
    kept.original1.data.copy_(ours.direction)
    for layer in (ours, theirs):
        layer(x).square().sum().backward()
    assert_close(ours.gain.grad, kept.original0.grad[:, 0], **TIGHT)
    assert_close(ours.direction.grad, kept.original1.grad, **TIGHT)


def test_half_precision_keeps_the_gains() -> None:
    torch.manual_seed(0)
    layer = Normalised(300, 4, bias=False)
    layer.direction.data.normal_()
    layer.gain.data.fill_(2.0)
    norms = torch.linalg.vector_norm(layer.bfloat16().weight.float(), dim=1)
    assert_close(norms, torch.full((4,), 2.0), rtol=5e-3, atol=0)


# ------------------------------------------------------------------ the receptive field

FIELDS = {
    "plain": range(-2, 3),
    "wide": range(-2, 3),
    "causal": range(-6, 1),
    "dilated": range(-7, 8),
    "causal, dilated": range(-7, 1),
    "gated": range(-3, 4),
    "normalised": range(-4, 1),
}


def felt(layer: WindowsLayer, length: int = 19) -> Tensor:
    """Which states feel which tokens, (query, key)."""
    x = torch.randn(1, length, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x, View.of(x)), x)
    assert isinstance(jacobian, Tensor)
    return jacobian[0, :, :, 0].abs().amax((1, 3)) > 0


def check_field(spec: Windows, field: list[int]) -> None:
    assert list(spec.field()) == field
    apart = torch.arange(19) - torch.arange(19)[:, None]
    inside = (apart[..., None] == torch.tensor(field)).any(-1)
    assert torch.equal(felt(alive(spec)), inside)


@pytest.mark.parametrize("name", FORMS)
def test_the_jacobian_is_the_receptive_field(name: str) -> None:
    check_field(FORMS[name], list(FIELDS[name]))


def test_wide_dilations_alone_leave_holes() -> None:
    check_field(Windows((Kernels(6, 3, 2, 2),), activation="tanh"), [-4, -2, 0, 2, 4])
    check_field(Windows((Kernels(6, 2, 3),), looks="back", activation="tanh"), [-3, 0])


def ahead(self: Whole, x: Tensor, offsets: tuple[int, ...], slot: object) -> Tensor:
    return torch.cat([F.pad(x, (0, 0, 8, 9))[:, 9 + o : 9 + o + x.size(1)] for o in offsets], -1)


def near_alone(self: Whole, x: Tensor, offsets: tuple[int, ...], slot: object) -> Tensor:
    taken = [F.pad(x, (0, 0, 8, 8))[:, 8 + o : 8 + o + x.size(1)] for o in offsets]
    return torch.cat([torch.zeros_like(taken[0]), *taken[1:]], -1)


@pytest.mark.parametrize("wrong", [ahead, near_alone])
def test_mutants_of_the_field_are_caught(wrong: Callable[..., Tensor]) -> None:
    with patch.object(Whole, "around", wrong), pytest.raises(AssertionError):
        check_field(FORMS["causal"], list(FIELDS["causal"]))


# ------------------------------------------------------------------ padding


@torch.no_grad()
def check_padding(spec: Windows) -> None:
    layer = alive(spec)
    rows = [torch.randn(n, 5, dtype=torch.float64) for n in (9, 4, 6)]
    places = {
        "right": [range(9), range(4), range(6)],
        "left": [range(9), range(5, 9), range(3, 9)],
        "between": [range(9), [1, 3, 4, 8], [0, 1, 2, 5, 7, 8]],
    }
    for side, columns in places.items():
        x, valid = torch.full((3, 9, 5), 7.0, dtype=torch.float64), torch.zeros(3, 9, dtype=torch.bool)
        for i, at in enumerate(columns):
            x[i, list(at)], valid[i, list(at)] = rows[i], True
        together = layer(x, View.of(x, valid))
        for i, row in enumerate(rows):
            assert_close(together[i][valid[i]], layer(row[None], View.of(row[None]))[0], **TIGHT, msg=side)


@pytest.mark.parametrize("name", FORMS)
def test_padding_is_nobodys_neighbour(name: str) -> None:
    check_padding(FORMS[name])


def test_an_empty_row_is_finite() -> None:
    layer, x = alive(FORMS["normalised"]), torch.randn(2, 4, 5, dtype=torch.float64)
    y = layer(x, View.of(x, torch.tensor([[True] * 4, [False] * 4])))
    y.square().sum().backward()
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


def unmasked(self: Whole, x: Tensor, offsets: tuple[int, ...], slot: object) -> Tensor:
    before = -offsets[0]
    beside = F.pad(x, (0, 0, before, offsets[-1]))
    return torch.cat([beside[:, before + o : before + o + x.size(1)] for o in offsets], -1)


@pytest.mark.parametrize(
    ("owner", "attribute", "wrong"),
    [
        (Whole, "around", unmasked),
        (Whole, "enter", lambda self, x: x),
        (Whole, "leave", lambda self, x: x),
        (neighbours, "closed", lambda valid: True),
    ],
    ids=["padding that is read", "rows not closed up", "rows that stay closed up", "rows taken for closed"],
)
def test_mutants_of_padding_are_caught(owner: Any, attribute: str, wrong: Callable[..., Any]) -> None:
    with patch.object(owner, attribute, wrong), pytest.raises(AssertionError):
        check_padding(FORMS["plain"])


def test_without_a_look_at_the_values_rows_are_closed_all_the_same() -> None:
    with patch.object(neighbours, "closed", lambda valid: False):
        check_padding(FORMS["gated"])


# ------------------------------------------------------------------ steps


def model(spec: Windows) -> Model:
    return Model(8, Tokens(23), spec, Vocabulary(23, tied=False))


BACK = {name: spec for name, spec in FORMS.items() if spec.causal} | {
    "with one that looks at itself alone": Windows((Kernels(6, 3), Kernels(6, 1), Kernels(6, 3)), "back", "glu"),
}


@pytest.mark.parametrize("check", cached.CHECKS)
@pytest.mark.parametrize("name", BACK)
def test_a_step_equals_the_whole(name: str, check: Callable[[Any], None]) -> None:
    built = lively(model(BACK[name]))
    assert not cached.forgets(built.cache(1, 4)), "a cache of windows can be cropped"
    check(built)


def stepped(name: str) -> Callable[..., Any]:
    find, init = Stepped.find, Stepped.__init__

    def seen(self: Stepped, offsets: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        places, missing = find(self, offsets)
        return places, torch.zeros_like(missing)

    def by_columns(self: Stepped, view: View) -> None:
        init(self, view)
        self.columns = torch.arange(self.columns.size(1)).expand_as(self.columns)

    def first_row(self: Stepped, view: View) -> None:
        init(self, view)
        self.first = torch.zeros_like(self.first)

    return {"seen": seen, "by_columns": by_columns, "first_row": first_row}[name]


@pytest.mark.parametrize(
    ("attribute", "wrong"),
    [
        ("find", stepped("seen")),
        ("__init__", stepped("by_columns")),
        ("__init__", stepped("first_row")),
    ],
    ids=["what stands before the first token", "columns for positions", "the first row for all"],
)
def test_mutants_of_steps_are_caught(attribute: str, wrong: Callable[..., Any]) -> None:
    built = lively(model(FORMS["causal"]))
    with patch.object(Stepped, attribute, wrong), pytest.raises(AssertionError):
        cached.check_passes(built)


def test_what_looks_around_takes_no_steps() -> None:
    with pytest.raises(UsageError, match="what comes later changes what was read"):
        model(FORMS["plain"]).build().cache(1, 4)


def test_an_encoder_of_windows_reads_padding_away() -> None:
    built = lively(model(FORMS["gated"]))
    rows = [some_ids(n) for n in (7, 3)]
    ids, valid = padded(rows, "left")
    assert_close(built(ids, valid).logits[1][valid[1]], built(rows[1][None]).logits[0], rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ descriptions and beginnings


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Windows((Kernels(6, 4),)), ["kernel of 4", "no middle"]),
        (lambda: Windows(()), ["empty"]),
        (lambda: Kernels(6, 0), ["kernel", "0"]),
        (lambda: Windows((Kernels(6),), dropout=1.0), ["dropout", "1"]),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("weights", ["plain", "normalised"])
def test_it_begins_by_what_enters_and_what_is_dropped(weights: Any) -> None:
    """Gehring et al. 2017, section 3.5: N(0, 4p/n) before a gate, N(0, p/n) behind dropout, N(0, 1/n) elsewhere."""
    spec = Windows((Kernels(200, 3, depth=2),), "back", "glu", "halved", weights, "linear", 100, dropout=0.25)
    torch.manual_seed(0)
    layer = spec.build(150)
    Preserving().apply(layer, 150)
    wanted = {"enter": 0.75 / 150, "layers.0.taps": 3 / 600, "layers.1.taps": 3 / 600, "leave": 1 / 200}
    for name, variance in wanted.items():
        module = layer.get_submodule(name)
        assert isinstance(module, Mapped | Normalised)
        assert float(module.weight.detach().var()) == pytest.approx(variance, rel=0.03), name
        assert module.bias is not None
        assert not module.bias.any()
        if isinstance(module, Normalised):
            assert_close(module.weight, module.direction, rtol=1e-5, atol=1e-6)


def test_the_variance_is_kept_through_many_layers() -> None:
    """Twenty layers: of what is as small as embeddings, half the gate's slope is left, and what leaves varies as much.

    The rule takes B for small in sigmoid(B): with inputs of unit variance it would grow a third in each layer.
    """
    spec = Windows((Kernels(128, 3, depth=20),), "around", "glu", "halved", "normalised", "linear")
    torch.manual_seed(0)
    layer = spec.build(128)
    Preserving().apply(layer, 128)
    x = torch.randn(8, 60, 128) * 0.02**0.5  # a token and a position
    with torch.no_grad():
        kept = float(layer(x, View.of(x))[:, 22:-22].var()) / 0.02
    assert 0.6 < kept < 1.6, kept
