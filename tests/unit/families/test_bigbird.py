"""BigBird: drawn blocks beside Hugging Face's, rows that end early, what is refused. Parity is elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from parity.subjects import VOCAB, config_of, imported, oracles
from transept.errors import InvalidConfig
from transept.families import bert, bigbird
from transept.families.bigbird import declare, from_hf, to_hf
from transept.hub.directory import read, read_spec, save
from transept.parts.pattern_blocks import RandomBlocks
from transept.spec import edit, replace

ORACLE: Any = oracles()["bigbird"]
RANDOM, ROOM, SIZE, theirs_of = ORACLE.RANDOM, ORACLE.ROOM, ORACLE.SIZE, ORACLE.bigbird
SHAPE: dict[str, Any] = {"vocab": VOCAB, "width": 32, "hidden": 48, "heads": 4, "depth": 3, "length": ROOM}
SHAPE |= {"block": SIZE, "random": RANDOM, "head": "masked"}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def drawing(theirs: Any, spec: Any) -> Any:
    """Theirs with our draws in place of its own: each head of each layer sees its blocks."""
    for layer, attend in zip(theirs.bert.encoder.layer, spec.blocks.attentions(), strict=True):
        (drawn,) = (part for part in attend.pattern.parts() if isinstance(part, RandomBlocks))
        graphs = [drawn.of_head(head).graph()[1:-1] for head in range(attend.heads)]
        each = [graph.nonzero()[:, 1].view(-1, RANDOM).numpy() for graph in graphs]
        layer.attention.self._bigbird_block_rand_mask_with_head = lambda each=each, **more: each
    return theirs


def test_drawn_blocks_are_seen_by_each_head_as_theirs_would() -> None:
    """Values and gradients; theirs has its own draws replaced, which it would make from its seeds."""
    spec = declare(**SHAPE)
    torch.manual_seed(0)
    theirs = drawing(theirs_of("BigBirdForMaskedLM"), spec)
    ours = imported(bigbird, theirs, spec)
    ids = torch.randint(3, VOCAB, (2, ROOM))
    valid = torch.arange(ROOM) < torch.tensor([ROOM, 19])[:, None]
    mine = ours(ids, valid).logits
    other = theirs(input_ids=ids, attention_mask=valid.long()).logits
    assert_close(mine[valid], other[valid], **CLOSE)
    up = torch.randn(mine[valid].shape)
    for logits in (mine, other):
        (logits[valid] * up).sum().backward()
    for got, want in (("stack.blocks.1.attention.k.weight", "bert.encoder.layer.1.attention.self.key.weight"),):
        one, two = ours.get_parameter(got).grad, theirs.get_parameter(want).grad
        assert_close(one, two, rtol=1e-4, atol=1e-5 * float(two.abs().max()))
    for wrong in (
        edit(spec, lambda part: replace(part, heads=1) if isinstance(part, RandomBlocks) else part),
        edit(spec, lambda part: replace(part, seed=part.seed + 1) if isinstance(part, RandomBlocks) else part),
        declare(**SHAPE | {"blocks": "first"}),
    ):
        far = imported(bigbird, theirs, wrong)(ids, valid).logits - other
        assert float(far[valid].abs().max()) > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("lengths", [(ROOM, 22, 3), (39, 1, 17)])
def test_rows_that_end_early_are_theirs_filled_up(lengths: tuple[int, ...]) -> None:
    """A row has the blocks of `length`: what theirs computes where it is padded to that."""
    theirs = theirs_of("BigBirdForMaskedLM")
    ours = imported(bigbird, theirs)
    ids = torch.randint(3, VOCAB, (len(lengths), ROOM))
    valid = torch.arange(ROOM) < torch.tensor(lengths)[:, None]
    other = theirs(input_ids=ids.masked_fill(~valid, 0), attention_mask=valid.long()).logits
    for row, length in enumerate(lengths):
        assert_close(ours(ids[row : row + 1, :length]).logits[0], other[row, :length], **CLOSE)


def test_heads_and_layers_draw_apart() -> None:
    """As the paper has it: a pattern for each head of each layer, fixed once it is drawn."""
    attentions = declare(**SHAPE).blocks.attentions()
    drawn = [part for attend in attentions for part in attend.pattern.parts() if isinstance(part, RandomBlocks)]
    graphs = [part.of_head(head).graph() for part in drawn for head in range(4)]
    assert len({tuple(graph.flatten().tolist()) for graph in graphs}) == 12
    assert all(graph[1:-1].sum(1).eq(RANDOM).all() for graph in graphs)
    assert drawn[0].of_head(0) == replace(drawn[0], heads=1)


def config(**changes: Any) -> dict[str, Any]:
    return config_of(theirs_of("BigBirdForMaskedLM")) | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_position_embeddings": 36}, "no row of max_position_embeddings 36 is longer than 36"),
        ({"max_position_embeddings": 42}, "42 is no multiple of block_size 4"),
        ({"num_random_blocks": 0}, "num_random_blocks is 0"),
        ({"attention_type": "sparse"}, "attention_type is 'sparse'"),
        ({"is_decoder": True}, "is_decoder"),
        ({"blocksize": 4}, "'blocksize'.*'block_size'"),
    ],
)
def test_what_theirs_would_do_in_silence_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        from_hf(config(**changes))


def test_what_theirs_cannot_say_is_refused_with_the_word_that_changes_it() -> None:
    with pytest.raises(InvalidConfig, match="draws BigBird's random blocks in training alone") as refused:
        to_hf(declare(**SHAPE))
    assert "blocks: first" in str(refused.value.remedy)
    said = to_hf(declare(**SHAPE | {"blocks": "first"}))
    assert (said["attention_type"], said["block_size"], said["num_random_blocks"]) == ("block_sparse", SIZE, RANDOM)
    assert to_hf(declare(**SHAPE | {"blocks": "full"}))["attention_type"] == "original_full"


def test_heads_that_a_pattern_tells_apart_are_those_of_the_attention() -> None:
    spec = declare(**SHAPE)
    with pytest.raises(InvalidConfig, match="tells 3 heads apart, and there are 4"):
        edit(spec, lambda part: replace(part, heads=3) if isinstance(part, RandomBlocks) else part)


def test_a_classifier_keeps_the_pooler_that_nothing_reads() -> None:
    model = declare(**SHAPE | {"head": "classes"}).build()
    out = model(torch.randint(3, VOCAB, (2, 9)))
    assert isinstance(out.second, Tensor)
    assert out.second.shape == (2, 32)


def test_embeddings_are_dropped_before_their_norm() -> None:
    """What leaves is normalised in training too, as with Hugging Face; BERT's has holes."""
    torch.manual_seed(0)
    for family, normalised in ((bigbird, True), (bert, False)):
        embed = family.declare(**family.TOY | {"dropout": 0.4}).build().train().embed
        x = embed(torch.randint(5, 20, (4, 9))).x
        assert torch.allclose(x.mean(-1), torch.zeros(4, 9), rtol=0, atol=1e-5) == normalised
        assert bool((x == 0).any()) != normalised


@pytest.mark.parametrize("head", ["masked", "classes"])
def test_a_description_from_before_drops_was_a_word_still_loads(head: str, tmp_path: Path) -> None:
    """BigBird's embeddings were dropped out behind their norm then, and nothing in the file says so."""
    spec = declare(**SHAPE | {"head": head, "blocks": "first", "dropout": 0.1})
    save(tmp_path / "m", spec.build())
    assert json.loads((tmp_path / "m" / "config.json").read_text())["model_type"] == "big_bird"
    path = tmp_path / "m" / "transept.json"
    document = json.loads(path.read_text())
    assert document["spec"]["embed"].pop("drops") == "before"
    path.write_text(json.dumps(document))
    assert read_spec(tmp_path / "m") == spec
    assert read(tmp_path / "m").model.spec == spec
    document["spec"]["embed"]["drops"] = "after"  # what is said is not overruled
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidConfig, match=r"embed\.drops is after"):
        read_spec(tmp_path / "m")
