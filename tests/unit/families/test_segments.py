"""Transformer-XL and the Memorizing Transformer as wholes: what they learn over segments, and what is kept of them."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from transept.errors import InvalidConfig
from transept.families import memorizing, transformer_xl
from transept.families.declared import declared
from transept.hub.directory import read, save
from transept.models import ModelLayer
from transept.parts.loss import Smoothing
from transept.topology import outline

SEGMENT = 4


def learned(carries: bool) -> float:
    """The loss of a segment that says again what the one before said, after some training."""
    torch.manual_seed(0)
    model = transformer_xl.declare(**transformer_xl.TOY | {"carries": SEGMENT}).build()
    optimizer, found = torch.optim.Adam(model.parameters(), lr=3e-3), []
    for _ in range(300):
        text = torch.randint(23, (16, SEGMENT)).repeat(1, 3)
        carried = model.carry(16) if carries else None
        for at, end in pairwise(range(0, 3 * SEGMENT, SEGMENT)):
            states, entered = model.hidden(text[:, at:end], cache=carried)
            loss = model.head.loss(states, entered, text[:, at + 1 : end + 1], Smoothing())
            if at:
                optimizer.zero_grad()
                (loss.total / loss.count).backward()
                optimizer.step()
                found.append(float(loss.nll) / loss.count)
    return sum(found[-10:]) / 10


def test_what_was_said_a_segment_ago_is_learned_by_what_is_carried() -> None:
    assert learned(carries=True) < 0.5
    assert learned(carries=False) > 2.5  # log 23 is 3.1


@pytest.mark.parametrize("family", [transformer_xl, memorizing])
def test_a_directory_keeps_it(family: Any, tmp_path: Any) -> None:
    more = {"cutoffs": (5, 12), "divisor": 2} if family is transformer_xl else {"carries": 4}
    torch.manual_seed(0)
    model = family.declare(**family.TOY | more).build().eval()
    save(tmp_path, model)
    again = read(tmp_path).model
    assert isinstance(again, ModelLayer)
    assert again.spec == model.spec
    ids = torch.randint(23, (2, 9))
    carried = again.carry(2)
    got = torch.cat([again.decode(piece, cache=carried) for piece in ids.split(3, 1)], 1)
    carried = model.carry(2)
    wanted = torch.cat([model.decode(piece, cache=carried) for piece in ids.split(3, 1)], 1)
    assert_close(got, wanted, rtol=0, atol=0)


def test_published_sizes_have_their_parameters() -> None:
    """Of wt103-base the released training log tells the number; the paper has 41 and 277 million for enwik8.

    For wt103-large it has 257 million, and the configuration that was released makes 285.
    """
    told = {
        "wt103-base": 151_107_538,
        "wt103-large": 285_205_322,
        "enwik8-12": 41_055_436,
        "enwik8-24": 277_231_820,
    }
    for size, count in told.items():
        spec = transformer_xl.declare(**transformer_xl.SIZES[size])
        assert sum(p.numel() for p in outline(spec).parameters()) == count, size


def test_recipes_name_them() -> None:
    spec: Any = declared({"family": "transformer_xl", "size": "enwik8-12", "carries": 1600}, 0)
    assert spec.stack.carries == 1600
    spec = declared({"family": "memorizing", "size": "8k"}, 32_000)
    (recall,) = [a.recall for a in spec.stack.attentions() if a.recall is not None]
    assert (recall.neighbours, recall.segment, recall.size) == (32, 512, 8192)
    assert [a.recall is not None for a in spec.stack.attentions()].index(True) == 8  # the ninth
    with pytest.raises(InvalidConfig, match="begin at 200,000 need more than 30,000 tokens"):
        declared({"family": "transformer_xl", "size": "wt103-base", "vocab": 30_000}, 0)
