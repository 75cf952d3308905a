"""Multi-step attention and ConvS2S as a whole against the paper's equations written out, token by token."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from laws import test_cache as cached
from laws import test_invariance as invariance
from laws.subjects import lively, padded, some_ids
from transept.errors import InvalidConfig
from transept.families.convs2s import declare
from transept.inspect.record import record
from transept.models import Seq2Seq, Seq2SeqLayer
from transept.parts import multistep
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.multistep import Multistep
from transept.parts.windows import Kernels, Windows
from transept.spec import replace

SMALL: dict[str, Any] = {"vocab": 23, "width": 10, "readout": 14, "length": 20}
FORMS: dict[str, dict[str, Any]] = {
    "as published": {"hidden": 12, "depth": 3},
    "as printed": {"hidden": 12, "depth": 2, "sums": "plain"},
    "widening": {"hidden": (12, 16, 8), "depth": (1, 2, 1), "kernel": (3, 5, 1), "decoder_depth": (2, 1, 1)},
    "as the notebook": {"hidden": 12, "depth": 2, "weights": "plain", "share": "maps"},
}
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


def model(name: str) -> Seq2SeqLayer:
    built = lively(declare(**SMALL | FORMS[name])).double()
    assert isinstance(built, Seq2SeqLayer)
    return built


# ------------------------------------------------------------------ the paper, written out


class Paper:
    """ConvS2S on one pair of sentences, from the weights of a model and from nothing else of it."""

    def __init__(self, built: Seq2SeqLayer) -> None:
        self.spec, self.weights = built.spec, dict(built.named_parameters())
        assert isinstance(self.spec.decoder, Multistep)
        assert isinstance(self.spec.encoder, Windows)
        self.decoder, self.encoder = self.spec.decoder, self.spec.encoder
        self.half = 0.5**0.5 if self.decoder.sums == "halved" else 1.0

    def linear(self, name: str, x: Tensor) -> Tensor:
        """W x + b of one vector, W = g v / |v|."""
        if f"{name}.weight" in self.weights:
            matrix = self.weights[f"{name}.weight"]
        else:
            rows = zip(self.weights[f"{name}.gain"], self.weights[f"{name}.direction"], strict=True)
            matrix = torch.stack([g * v / v.square().sum().sqrt() for g, v in rows])
        return matrix @ x + self.weights.get(f"{name}.bias", 0.0)

    def embedded(self, side: str, ids: list[int]) -> list[Tensor]:
        table, order = self.weights[f"{side}.table.weight"], self.weights[f"{side}.position.weight"]
        return [table[token] + order[place] for place, token in enumerate(ids)]

    def convolved(
        self, name: str, kernels: list[Kernels], x: list[Tensor], back: bool, look: Callable[[int, int, Tensor], Tensor]
    ) -> list[Tensor]:
        """v(W [h_(i-k/2), ..., h_(i+k/2)] + b) + h_i, times sqrt(0.5), layer by layer (section 3.2)."""
        h = [self.linear(f"{name}.enter", one) for one in x]
        for at, kernel in enumerate(kernels):
            nothing, size, made = torch.zeros_like(h[0]), kernel.kernel, []
            for i in range(len(h)):
                first = i - (size - 1 if back else (size - 1) // 2)
                window = [h[j] if 0 <= j < len(h) else nothing for j in range(first, first + size)]
                a, b = self.linear(f"{name}.layers.{at}.taps", torch.cat(window)).chunk(2)
                y = look(at, i, a / (1 + torch.exp(-b)))
                changed = h[i].numel() != y.numel()
                kept = self.linear(f"{name}.layers.{at}.residual", h[i]) if changed else h[i]
                made.append((y + kept) * 0.5**0.5)
            h = made
        return [self.linear(f"{name}.leave", one) for one in h]

    def logits(self, source: list[int], target: list[int]) -> Tensor:
        e = self.embedded("source", source)
        z = self.convolved("encoder", self.encoder.each(), e, False, lambda at, i, y: y)
        kernels = self.decoder.windows.each()
        # The value is z; of its gradient 1 / (2 L) goes on.
        share = 1 / (2 * len(kernels))
        z = [one * share + (one * (1 - share)).detach() for one in z]
        values = [(a + b) * self.half for a, b in zip(z, e, strict=True)]
        g, m = self.embedded("embed", target), len(source)

        def look(at: int, i: int, h: Tensor) -> Tensor:
            own = 0 if self.decoder.share == "maps" else at
            d = (self.linear(f"decoder.query.{own}", h) + g[i]) * self.half
            scores = torch.stack([d @ one for one in z]).exp()
            c = sum(weight * value for weight, value in zip(scores / scores.sum(), values, strict=True))
            assert isinstance(c, Tensor)
            return (h + self.linear(f"decoder.back.{own}", c * m * (1 / m) ** 0.5)) * self.half

        top = self.convolved("decoder.windows", kernels, g, True, look)
        return torch.stack([self.linear("head.score", one) + self.weights["head.bias"] for one in top])


def pair() -> tuple[list[Tensor], list[Tensor]]:
    torch.manual_seed(1)
    return [some_ids(n) for n in (7, 2, 5)], [some_ids(n) for n in (4, 6, 1)]


def check_values(built: Seq2SeqLayer) -> None:
    sources, targets = pair()
    paper = Paper(built)
    with torch.no_grad():
        wanted = [paper.logits(s.tolist(), t.tolist()) for s, t in zip(sources, targets, strict=True)]
        for side in ("left", "right"):
            source, source_valid = padded(sources, side)
            target, valid = padded(targets, side)
            got = built(source, target, source_valid, valid).logits
            for i in range(3):
                assert_close(got[i][valid[i]], wanted[i], **TOLERANCE)


def check_gradients(built: Seq2SeqLayer) -> None:
    source, target = (rows[0] for rows in pair())
    built.train()  # the gradients are divided for training alone: who explains a model wants the slopes themselves
    weights = list(built.parameters())
    wanted = torch.autograd.grad(Paper(built).logits(source.tolist(), target.tolist()).square().sum(), weights)
    got = torch.autograd.grad(built(source[None], target[None]).logits.square().sum(), weights)
    for (name, _), a, b in zip(built.named_parameters(), got, wanted, strict=True):
        assert_close(a, b, rtol=1e-7, atol=1e-7 * float(b.abs().max()), msg=name)
        assert b.any(), name


@pytest.mark.parametrize("name", FORMS)
def test_it_is_the_paper(name: str) -> None:
    check_values(model(name))


@pytest.mark.parametrize("name", FORMS)
def test_it_learns_as_the_paper_says(name: str) -> None:
    check_gradients(model(name))


KEYED = AttentionLayer.keyed
WRONG: dict[str, tuple[Any, str, Any, Callable[[Seq2SeqLayer], None]]] = {
    "a mix of unscaled vectors": (multistep, "root_of", lambda memory, rows: 1.0, check_values),
    "a scale by the padded length": (
        multistep,
        "root_of",
        lambda memory, rows: memory.states.size(1) ** 0.5,
        check_values,
    ),
    "values that are the keys": (AttentionLayer, "keyed", lambda self, x, y=None: KEYED(self, x), check_values),
    "keys that are the values": (AttentionLayer, "keyed", lambda self, x, y=None: KEYED(self, y), check_values),
    "a whole gradient": (multistep, "divided", lambda x, share: x, check_gradients),
    "a gradient divided once more": (multistep, "divided", lambda x, share: DIVIDED(x, share / 2), check_gradients),
}
DIVIDED = multistep.divided


@pytest.mark.parametrize("what", WRONG)
def test_mutants_are_caught(what: str) -> None:
    owner, attribute, wrong, check = WRONG[what]
    built = model("as published")
    with patch.object(owner, attribute, wrong), pytest.raises(AssertionError):
        check(built)


# ------------------------------------------------------------------ the laws on forms that the family has not


def other(attend: Attention) -> Seq2Seq:
    spec = declare(**SMALL, hidden=12, depth=2)
    assert isinstance(spec, Seq2Seq)
    return replace(spec, decoder=replace(spec.decoder, attend=attend))


OTHERS = {name: declare(**SMALL | form) for name, form in FORMS.items()} | {
    "projected heads": other(Attention(2, source="memory")),
    "projected keys": other(Attention(1, source="memory", project="qk", bias=False)),
}


@pytest.mark.parametrize("check", [*cached.CHECKS, invariance.check_alone, invariance.check_empty_rows])
@pytest.mark.parametrize("name", OTHERS)
def test_the_laws_hold(name: str, check: Callable[[Any], None]) -> None:
    check(lively(OTHERS[name]))


def test_keys_are_kept_once_where_nothing_projects_them() -> None:
    def kept(spec: Any) -> int:
        built = spec.build()
        memory = built.encode(some_ids(1, 4))
        return sum(slot.kind == "memory" for slot in built.cache(1, 4, memory).used())

    assert kept(OTHERS["as published"]) == 1
    assert kept(OTHERS["projected keys"]) == 2


@torch.no_grad()
def test_every_layer_tells_what_it_looks_at() -> None:
    """By the same call as a Transformer, row by row of the target's own columns, wherever its padding stands."""
    built = model("as the notebook")
    sources, targets = pair()
    target, valid = padded(targets, "left")
    source, source_valid = padded(sources, "right")
    with record(built) as together:
        built(source, target, source_valid, valid)
    assert list(together) == ["decoder.attend.0", "decoder.attend.1"]
    for i, count in enumerate(map(len, sources)):
        with record(built) as alone:
            built(sources[i][None], targets[i][None])
        for name, weights in together.items():
            mine = weights[i][:, valid[i]]
            assert_close(mine[..., :count], alone[name][0], **TOLERANCE)
            assert_close(mine.sum(-1), torch.ones_like(mine[..., 0]), **TOLERANCE)
            assert not mine[..., count:].any()
    assert not torch.allclose(*together.values())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Multistep(Windows((Kernels(6),), "back"), Attention(1)), ["source", "memory"]),
        (lambda: Multistep(Windows((Kernels(6), Kernels(8)), "back"), share="maps"), ["different widths"]),
        (
            lambda: replace(OTHERS["as published"], encoder=replace(OTHERS["as published"].encoder, leave=9)).build(),
            ["memory of 9", "Windows.leave=10"],
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert all(word in f"{caught.value} {caught.value.remedy}" for word in words), str(caught.value)
