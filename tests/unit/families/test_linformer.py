"""Linformer as a family: its published sizes, its three sharings, and why it is no decoder. The core has tests too."""

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from laws.subjects import families, lively, on, padded, some_ids
from transept.errors import InvalidConfig, UsageError
from transept.families import roberta
from transept.families.declared import declared
from transept.families.linformer import SIZES, TOY, declare
from transept.parts.attention import Attention
from transept.parts.core import Fused
from transept.parts.lowrank import LowRank, LowRankLayer
from transept.parts.pattern import Causal, Window
from transept.spec import edit
from transept.topology import outline

SHARES = {"heads": 2 * 12, "keys": 12, "layers": 1}  # matrices of twelve layers


@pytest.mark.parametrize("share", SHARES)
def test_what_a_projection_is_one_for_tells_how_many_there_are(share: str) -> None:
    """Section 4: of a base model 24 matrices headwise, 12 with keys and values as one, 1 for all layers."""
    name = "base-256" if share == "heads" else f"base-256-{share}"
    spec = declared({"family": "linformer", "size": name}, 50_265)
    body = declared({"family": "roberta", "size": "base", "segments": 0}, 50_265)
    counts = [sum(weight.numel() for weight in outline(one).parameters()) for one in (spec, body)]
    offset = 2 * 768  # rows of positions before the first token, which RoBERTa's files have
    assert counts[0] - counts[1] + offset == SHARES[share] * 256 * 512
    assert all(attend.core == LowRank(512, 256, share) for attend in spec.blocks.attentions())  # type: ignore[arg-type]


@torch.no_grad()
def test_without_loss_it_is_roberta() -> None:
    """E = F = 1 at the full length."""
    words: dict[str, Any] = TOY | {"length": 11, "rank": 11}
    ours = lively(declare(**words))
    for module in ours.modules():
        if isinstance(module, LowRankLayer):
            torch.nn.init.eye_(module.keys)
            torch.nn.init.eye_(module.values)
    full = lively(edit(ours.spec, on(Attention, core=Fused())))
    full.load_state_dict({name: value for name, value in ours.state_dict().items() if ".core." not in name})
    ids = some_ids(3, 11)
    assert_close(ours(ids).logits, full(ids).logits, rtol=1e-5, atol=1e-5)
    assert float((lively(declare(**words | {"rank": 4}))(ids).logits - full(ids).logits).abs().max()) > 1e-3
    body = roberta.declare(**{key: value for key, value in words.items() if key != "rank"}, offset=0, segments=0)
    assert full.spec.stack == body.stack


@pytest.mark.parametrize("pattern", [Causal(), Causal() & Window(3), Window(3)])
def test_no_pattern_but_full_and_the_reason(pattern: Any) -> None:
    with pytest.raises(
        InvalidConfig, match=r"LowRank cannot honour the pattern .*mixes the whole row, what comes after"
    ):
        edit(declare(**TOY), on(Attention, pattern=pattern))


def test_no_decoder_takes_its_core() -> None:
    with pytest.raises(InvalidConfig, match="LowRank cannot honour the pattern causal"):
        edit(families()["gpt2"], on(Attention, core=LowRank(64, 8)))


def test_a_row_that_is_too_long_is_refused_and_a_short_one_is_as_if_zeros_followed() -> None:
    model = lively(declare(**TOY))
    with pytest.raises((InvalidConfig, UsageError, ValueError), match="64"):
        model(some_ids(1, 65))
    rows = [some_ids(9), some_ids(4)]
    ids, valid = padded(rows, "left")
    assert_close(model(ids, valid).logits[1, -4:], model(rows[1][None]).logits[0], rtol=1e-5, atol=1e-5)


def test_every_size_is_the_body_of_roberta_base() -> None:
    assert {(words["width"], words["depth"], words["heads"], words["length"]) for words in SIZES.values()} == {
        (768, 12, 12, 512)
    }
