"""RNNsearch and Luong's decoders against loops written out from the papers; what scores and places promise."""

import math
from types import ModuleType
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from transept.errors import InvalidConfig, UsageError
from transept.families import bahdanau, elman, gru, lstm, luong
from transept.models import Seq2Seq
from transept.parts.attention import Attention, AttentionLayer
from transept.parts.attentive import Feeding, FeedingLayer, SearchingLayer
from transept.parts.cell import CellLayer
from transept.parts.contextual import ContextualLayer
from transept.parts.core import Allowed, Core, Fused, Reference
from transept.parts.memory import Memory
from transept.parts.pattern import Full
from transept.parts.place import Place, Placed, PlaceLayer
from transept.parts.scores import Additive, Location
from transept.parts.view import View
from transept.spec import edit, replace
from transept.topology import Built, outline

EXACT = {"rtol": 1e-10, "atol": 1e-10}
SOURCE, TARGET = torch.randint(3, 23, (3, 7)), torch.randint(3, 23, (3, 5))
VALID = torch.arange(7) < torch.tensor([[7], [3], [5]])


def lively(spec: Seq2Seq) -> Built:
    torch.manual_seed(0)
    model = spec.build().double().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    assert isinstance(model, Built)
    return model


def test_rnnsearch_is_the_papers() -> None:
    """Appendix A.2, token by token: the state before looks, moves, and is read out with what it saw."""
    model = lively(bahdanau.declare(**bahdanau.TOY | {"reset": "before"}))
    memory, x = model.encode(SOURCE, VALID), model.embed(TARGET).x
    decoder = model.decoder
    assert isinstance(decoder, SearchingLayer)
    attend, cell = decoder.attend, decoder.cell
    assert isinstance(attend, AttentionLayer)
    v = attend.core.v.weight[0]
    s, out = decoder.start(memory, 3)["h"][:, 0], []
    for t in range(5):
        energy = torch.stack(
            [torch.tanh(attend.q(s) + attend.k(memory.states[:, j])) @ v for j in range(7)], 1
        ).masked_fill(~VALID, -math.inf)
        context = (energy.softmax(1)[..., None] * memory.states).sum(1)
        pairs = decoder.readout.linear(torch.cat([s, x[:, t], context], 1))
        out.append(torch.maximum(pairs[:, 0::2], pairs[:, 1::2]))
        (s,) = cell.step(cell.input(torch.cat([x[:, t], context], 1)), (s,))
    assert_close(decoder(x, View.of(x, None, memory)), torch.stack(out, 1), **EXACT)


def test_the_context_of_cho_is_given_to_every_step() -> None:
    model = lively(gru.declare(**gru.TOY))  # type: ignore[arg-type]
    memory, x = model.encode(SOURCE, VALID), model.embed(TARGET).x
    decoder = model.decoder
    assert isinstance(decoder, ContextualLayer)
    assert isinstance(decoder.cell, CellLayer)
    last = torch.stack([memory.states[i, n - 1] for i, n in enumerate(VALID.sum(1).tolist())])
    c = decoder.context(last).tanh()
    s, out = decoder.start["h"](c).tanh(), []
    for t in range(5):
        (s,) = decoder.cell.step(decoder.cell.input(torch.cat([x[:, t], c], 1)), (s,))
        pairs = decoder.readout.linear(torch.cat([s, x[:, t], c], 1))
        out.append(torch.maximum(pairs[:, 0::2], pairs[:, 1::2]))
    assert_close(decoder(x, View.of(x, None, memory)), torch.stack(out, 1), **EXACT)


@pytest.mark.parametrize("feed", [True, False])
@pytest.mark.parametrize("score", ["dot", "general", "concat", "location"])
def test_luongs_decoder_is_the_papers(score: str, feed: bool) -> None:
    model = lively(luong.declare(**luong.TOY | {"score": score, "feed": feed}))
    memory, x = model.encode(SOURCE, VALID), model.embed(TARGET).x
    decoder = model.decoder
    assert isinstance(decoder, FeedingLayer)
    attend, hs = decoder.attend, memory.states
    assert isinstance(attend, AttentionLayer)
    start = decoder.start(memory, 3)
    states = [(start["h"][:, i], start["c"][:, i]) for i in range(2)]
    fed, out = torch.zeros(3, 32, dtype=torch.float64), []
    for t in range(5):
        given = torch.cat([x[:, t], fed], 1) if feed else x[:, t]
        for i, cell in enumerate(decoder.cells):
            states[i] = cell.step(cell.input(given), states[i])
            given = states[i][0]
        h = given
        scores = {
            "dot": lambda h: (h[:, None] * hs).sum(2),
            "general": lambda h: (attend.q(h)[:, None] * hs).sum(2),
            "concat": lambda h: torch.tanh(attend.q(h)[:, None] + attend.k(hs)) @ attend.core.v.weight[0],
            "location": lambda h: attend.core.place(h)[:, :7],
        }[score](h)
        weights = scores.masked_fill(~VALID, -math.inf).softmax(1)
        fed = torch.tanh(decoder.readout.linear(torch.cat([(weights[..., None] * hs).sum(1), h], 1)))
        out.append(fed)
    assert_close(decoder(x, View.of(x, None, memory)), torch.stack(out, 1), **EXACT)


# ------------------------------------------------------------------ scores


def attention(project: str, core: Core | None = None, place: Place | None = None, heads: int = 1) -> AttentionLayer:
    core = core or Fused()
    spec = Attention(heads, source="memory", bias=False, scale=1.0, project=project, place=place, core=core)
    return spec.build(6, 6).double()


def test_general_with_the_identity_is_dot() -> None:
    general, dot = attention("q"), attention("")
    nn.init.eye_(general.q.weight)  # type: ignore[arg-type]
    h, memory = torch.randn(2, 4, 6, dtype=torch.float64), Memory(torch.randn(2, 9, 6, dtype=torch.float64))
    assert torch.equal(general(h, View.of(h, None, memory)), dot(h, View.of(h, None, memory)))


def test_additive_scores_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Additive().build(3, 5)
    q, k = torch.randn(2, 3, 7, 5), torch.randn(2, 3, 4, 5)
    at = torch.arange(7)[None]
    allowed = Allowed(Full(), at, at[:, :4], own=False)
    whole = layer.score(q, k, allowed)
    brute = torch.stack([torch.tanh(q[:, :, i, None] + k).mul(layer.v.weight[:, None]).sum(-1) for i in range(7)], 2)
    assert_close(whole, brute, rtol=1e-6, atol=1e-6)
    monkeypatch.setattr("transept.parts.scores.ROOM", 500)
    assert_close(layer.score(q, k, allowed), whole, rtol=1e-6, atol=1e-6)


def test_a_transformer_with_additive_attention_is_one_replace() -> None:
    from transept.families import transformer

    spec = transformer.declare(**transformer.TOY)
    changed = edit(spec, lambda part: replace(part, core=Additive()) if isinstance(part, Attention) else part)
    model = lively(changed)
    more = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in spec.build().parameters())
    assert more == 6 * 32  # a vector v for each head of two encoder and four decoder attentions
    assert torch.isfinite(model(SOURCE, TARGET).logits).all()


def test_a_place_beyond_the_last_has_no_weight() -> None:
    spec = luong.declare(**luong.TOY | {"score": "location", "longest": 5})
    assert spec.limit() is None  # of the source alone: an answer may be longer
    with pytest.raises(UsageError, match="no weight for place 6"):
        lively(spec)(torch.randint(3, 23, (1, 6)), TARGET[:1])
    assert isinstance(spec.decoder, Feeding)
    assert spec.decoder.attend.core == Location(5)


# ------------------------------------------------------------------ places


@pytest.mark.parametrize("core", [Fused(), Reference(), Additive()], ids=lambda core: type(core).__name__)
def test_a_window_beyond_the_source_is_global(core: Core) -> None:
    torch.manual_seed(1)
    near, whole = attention("qk", core, Place(40)), attention("qk", core)
    near.load_state_dict(whole.state_dict())
    h, memory = torch.randn(2, 5, 6, dtype=torch.float64), Memory(torch.randn(2, 9, 6, dtype=torch.float64))
    assert torch.equal(near(h, View.of(h, None, memory)), whole(h, View.of(h, None, memory)))


def placed(p: float, reach: int, length: int, valid: Tensor | None = None) -> Allowed:
    """What is allowed to one query whose predicted place is p."""
    at = torch.arange(length)[None]
    layer = Place(reach, "predicted").build(6)
    real = length if valid is None else int(valid.sum())
    keys = at if valid is None else (valid.long().cumsum(1) - 1).clamp(min=0)
    return layer(torch.tensor([[p / real]], dtype=torch.float64), Allowed(Full(), at[:, :1], keys, valid, own=False))


def test_the_gaussian_is_one_at_its_centre_and_e_to_minus_two_at_the_edge() -> None:
    allowed = placed(10.0, 4, 30)
    assert allowed.factor is not None
    factor = allowed.factor[0, 0, 0]
    assert_close(factor[10], torch.tensor(1.0, dtype=torch.float64), rtol=1e-12, atol=0)
    for edge in (6, 14):
        assert_close(factor[edge], torch.tensor(math.exp(-2), dtype=torch.float64), rtol=1e-12, atol=0)
    assert allowed.mask()[0, 0, 0].nonzero().flatten().tolist() == list(range(6, 15))


def test_the_window_is_around_the_rounded_place_and_inside_the_text() -> None:
    assert placed(2.6, 2, 30).mask()[0, 0, 0].nonzero().flatten().tolist() == [1, 2, 3, 4, 5]
    valid = torch.arange(30)[None] >= 26  # four real tokens, padded on the left
    assert placed(3.9, 2, 30, valid).mask()[0, 0, 0].nonzero().flatten().tolist() == [28, 29]


def test_a_window_past_the_last_place_with_a_weight_is_refused() -> None:
    layer = attention("qv", Location(12), Place(3))
    memory = Memory(torch.randn(1, 20, 6, dtype=torch.float64))
    layer(torch.randn(1, 9, 6, dtype=torch.float64), View.of(torch.zeros(1, 9, 6), None, memory))
    with pytest.raises(UsageError, match="no weight for place 13: Location scores 12"):
        layer(torch.randn(1, 10, 6, dtype=torch.float64), View.of(torch.zeros(1, 10, 6), None, memory))


def test_the_place_learns_through_the_gaussian_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = attention("qk", place=Place(3, "predicted"))
    h, memory = torch.randn(1, 2, 6, dtype=torch.float64), Memory(torch.randn(1, 20, 6, dtype=torch.float64))

    def slope() -> float:
        layer.zero_grad()
        layer(h, View.of(h, None, memory)).square().sum().backward()
        assert layer.place is not None
        assert layer.place.v is not None
        grad = layer.place.v.weight.grad
        return 0.0 if grad is None else float(grad.abs().sum())

    assert slope() > 1e-4
    monkeypatch.setattr(Placed, "factor", lambda self, k: None)
    assert slope() == 0.0


PADDED = {
    "real": None,
    "right": torch.arange(20) < torch.tensor([[20], [13], [3]]),
    "left": torch.arange(20) >= torch.tensor([[0], [6], [18]]),
    "holes": torch.rand(3, 20, generator=torch.Generator().manual_seed(4)) < 0.6,
    "nothing": torch.arange(20) < torch.tensor([[20], [0], [9]]),
}


@pytest.mark.parametrize("padded", PADDED)
@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("at", ["same", "predicted"])
@pytest.mark.parametrize("core", [Fused(), Additive(), Location(20)], ids=lambda core: type(core).__name__)
def test_the_window_gives_what_all_keys_give_behind_a_mask(
    core: Core, at: Literal["same", "predicted"], beams: int, padded: str
) -> None:
    torch.manual_seed(2)
    layer = attention("qkv" if isinstance(core, Additive) else "qv", core, Place(3, at), heads=2)
    h = torch.randn(3 * beams, 5, 6, dtype=torch.float64)
    states = torch.randn(3, 20, 6, dtype=torch.float64)

    def passed() -> tuple[Tensor, Tensor, int]:
        layer.zero_grad()
        memory = Memory(states.clone().requires_grad_(), PADDED[padded])  # of 20 tokens
        widths = set()
        with layer.core.register_forward_pre_hook(lambda _, given: widths.add(given[1].size(2))):
            out = layer(h, View.of(h, None, memory))
        out.square().sum().backward()
        assert memory.states.grad is not None
        (width,) = widths
        slopes = [p.grad.flatten() for p in (memory.states, *layer.parameters()) if p.grad is not None]
        return out.detach(), torch.cat(slopes), width

    out, grad, width = passed()
    assert width == 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlaceLayer, "attend", lambda self, core, *asked: core(*asked))
        wanted, slope, whole = passed()
    assert whole == 20
    assert_close(out, wanted, rtol=1e-10, atol=1e-12)
    assert_close(grad, slope, rtol=1e-8, atol=1e-10)


def test_a_place_beyond_the_source_is_its_last_token() -> None:
    at = torch.arange(9)[None]
    allowed = Place(1).build(6)(None, Allowed(Full(), at, at[:, :4], None, own=False))
    seen = allowed.mask()[0, 0]
    assert seen[2].tolist() == [False, True, True, True]
    assert seen[8].tolist() == [False, False, True, True]


def test_a_place_in_half_precision_is_between_two_tokens() -> None:
    at = torch.arange(300)[None]
    share = torch.tensor([[0.7212]], dtype=torch.bfloat16)
    allowed = Place(10, "predicted").build(6)(share, Allowed(Full(), at[:, :1], at, None, own=False))
    exact = 300 * float(share)
    assert allowed.factor is not None
    wanted = torch.exp(-2 * ((at[0] - exact) / 10).square())
    assert_close(allowed.factor[0, 0, 0], wanted, rtol=1e-5, atol=1e-6)


def zeros_in_training(model: Built, module: nn.Module, target: Tensor) -> float:
    """The share of zeros in what a module is given while training."""
    kept: list[Tensor] = []
    with module.register_forward_pre_hook(lambda _, given: kept.append(given[0].detach())):
        model.train()(SOURCE, target)
    return float((torch.cat([given.flatten() for given in kept]) == 0).double().mean())


@pytest.mark.parametrize("feed", [True, False])
def test_dropout_is_between_layers_and_on_what_leaves(feed: bool) -> None:
    """Luong's model: on embeddings, on what each layer hands on, on h~ before it is scored."""
    told = luong.TOY | {"dropout": 0.5, "feed": feed, "width": 64, "hidden": 64}
    model = lively(luong.declare(**told))
    target = torch.randint(3, 23, (3, 40))
    assert 0.4 < zeros_in_training(model, model.head, target) < 0.6
    upper = model.decoder.cells[1]
    if feed:
        assert 0.4 < zeros_in_training(model, upper.input, target) < 0.6
    model.eval()
    bare = lively(luong.declare(**told | {"dropout": 0.0}))
    bare.load_state_dict(model.state_dict())
    assert torch.equal(bare(SOURCE, target).logits, model(SOURCE, target).logits)
    torch.manual_seed(3)
    first = model.train()(SOURCE, target).memory.states
    assert 0.4 < float((first == 0).double().mean()) < 0.6


def test_the_notebooks_sizes_have_the_parameters_that_they_print() -> None:
    """13.9, 14.2 and 20.5 million with 7,853 German and 5,893 English words."""
    wanted = {lstm: 13_898_501, gru: 14_219_781, bahdanau: 20_518_405}
    for family, count in wanted.items():
        spec = family.declare(vocab=5893, **family.SIZES["notebook"])
        assert isinstance(spec, Seq2Seq)
        assert spec.source is not None
        spec = replace(spec, source=replace(spec.source, vocab=7853))
        found = sum(p.numel() for p in outline(spec).parameters())
        assert abs(found - count) <= 512, (family.__name__, found)  # the alignment has no bias here


@pytest.mark.parametrize("family", [elman, lstm, luong], ids=lambda family: family.__name__.rpartition(".")[2])
def test_a_source_may_be_read_both_ways(family: ModuleType) -> None:
    """The decoder then begins with what a matrix makes of the last states of both directions, in every layer."""
    model = lively(family.declare(**family.TOY | {"reads": "both", "depth": 2}))
    whole = model(SOURCE, TARGET, VALID).logits
    memory = model.encode(SOURCE, VALID)
    cache = model.cache(3, 5, memory)
    for at in range(5):
        step = model.decode(TARGET[:, at : at + 1], cache=cache)
        assert_close(step[:, 0], whole[:, at], **EXACT)
    wanted = {"h"} if family is elman else {"h", "c"}
    bridges = {name for name, _ in model.decoder.start.named_parameters()}  # type: ignore[union-attr]
    assert {name.split(".")[1] for name in bridges} == wanted


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="head_width=5 is that of queries and keys with weights"):
        Attention(1, source="memory", project="q", head_width=5)
    with pytest.raises(InvalidConfig, match="luong has no score 'generl'.*'general'"):
        luong.declare(**luong.TOY | {"score": "generl"})
    with pytest.raises(InvalidConfig, match="luong has no reach 'local-p'.*'local_p'"):
        luong.declare(**luong.TOY | {"reach": "local-p"})
    with pytest.raises(InvalidConfig, match="window"):
        Attention(1, place=Place(3))
    with pytest.raises(InvalidConfig, match="in this order"):
        Attention(1, project="kq")
    with pytest.raises(InvalidConfig, match="neither is projected"):
        Attention(1, source="memory", project="").build(4, 8)
