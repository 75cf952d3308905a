"""Liu et al. 2018: its layers in turn, what they equal at the edges, the mixture in the middle, what it costs."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from laws.subjects import lively, on, some_ids
from laws.test_invariance import influence
from transept.errors import InvalidConfig
from transept.families.declared import declared
from transept.families.wikipedia import MCA, SIZES, TOY, declare
from transept.parts.attention import Attention
from transept.parts.feedforward import FeedForward
from transept.parts.mixture import Mixture
from transept.parts.pattern import Causal
from transept.parts.shorten import Shorten
from transept.parts.sparse import Sliding
from transept.spec import edit, replace

PLAIN: dict[str, Any] = {key: value for key, value in TOY.items() if key != "experts"}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def test_the_published_layers_stand_in_turn() -> None:
    spec = declared({"family": "wikipedia", "size": "tdmca-moe-128"}, 32_000)
    kinds = [type(part).__name__ for block in spec.blocks.cycle() for part in block.parts[1:]]
    assert kinds == ["FeedForward", "FeedForward", "Mixture", "FeedForward", "FeedForward"]
    short = [attend.shorten for attend in spec.blocks.attentions()]
    assert short == [None, Shorten(3), None, Shorten(3), None]
    cores = [attend.core.chosen(attend) for attend in spec.blocks.attentions() if attend.shorten is None]
    assert cores == [Sliding()] * 3
    assert [str(attend.pattern) for attend in spec.blocks.attentions()][:2] == ["causal & local(256)", "causal"]
    assert {attend.pattern for attend in declare(vocab=23, **SIZES["td"]).blocks.attentions()} == {Causal()}


@torch.no_grad()
def test_a_row_within_one_block_is_seen_as_by_the_dense_layer() -> None:
    local = lively(declare(**PLAIN | {"layers": ("local", "local"), "block": 9}))
    dense = lively(declare(**PLAIN | {"layers": ("dense", "dense")}))
    dense.load_state_dict(local.state_dict())
    ids = some_ids(2, 12)
    assert_close(local(ids[:, :9]).logits, dense(ids[:, :9]).logits, **CLOSE)
    assert float((local(ids).logits - dense(ids).logits)[:, 9:].abs().max()) > 1e-3


def test_local_layers_feel_their_block_and_what_is_looked_back_at() -> None:
    for back in (0, 1):
        felt = influence(lively(declare(**PLAIN | {"layers": ("local",), "look_back": back})), some_ids(1, 12)) > 0
        at = torch.arange(12)
        away = at[:, None] // 4 - at // 4
        assert torch.equal(felt, (at <= at[:, None]) & (away >= 0) & (away <= back))


def test_a_compressed_layer_feels_whole_spans_that_are_past_and_the_first_token() -> None:
    felt = influence(lively(declare(**PLAIN | {"layers": ("compressed",)})), some_ids(1, 12)) > 0
    at = torch.arange(12)
    past = 3 * (at // 3 + 1) <= at[:, None]  # the span of a key has ended
    assert torch.equal(felt, past | (at == 0) | (at == at[:, None]))


@torch.no_grad()
def test_what_is_wrong_is_noticed() -> None:
    spec, ids = declare(**TOY), some_ids(2, 14)
    want = lively(spec)(ids).logits
    for change in (
        on(Attention, lambda part: part.shorten is not None, shorten=Shorten(2)),
        on(Mixture, chosen=1),
        on(Attention, lambda part: part.shorten is None, pattern=Causal()),
    ):
        wrong = edit(spec, change)
        assert wrong != spec
        assert float((lively(wrong)(ids).logits - want).abs().max()) > 1e-3


def test_words_and_refusals() -> None:
    assert declare(**TOY | {"norm": "after"}).blocks.norm is None
    wide = declare(vocab=23, width=32, hidden=48, heads=4, layers=MCA, experts=4, chosen=1)
    assert [type(block.parts[1]) for block in wide.blocks.cycle()].count(Mixture) == 1
    assert isinstance(wide.blocks.cycle()[0].parts[1], FeedForward)
    with pytest.raises(InvalidConfig, match="chosen=2 of experts=1"):
        declare(**TOY | {"experts": 1})
    with pytest.raises(InvalidConfig, match="model.layers must be"):
        declared({"family": "wikipedia", "size": "td", "layers": ["local", "compresed"]}, 23)
    with pytest.raises(InvalidConfig, match="whose pattern looks back alone|no such order"):
        edit(declare(**TOY), lambda part: replace(part, source="memory") if isinstance(part, Attention) else part)
