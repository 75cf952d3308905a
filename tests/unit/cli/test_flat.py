"""The flattened model: it loses no parameter, counts shared ones once, and its operations are those of a hand count."""

import pytest
import torch

from transept.cli.flat import brief, flatten, patterns
from transept.families import vit, wav2vec2
from transept.families.transformer import declare
from transept.parts.attention import Attention
from transept.parts.norm import Norm
from transept.parts.pattern import Causal, Full, Window
from transept.spec import Part, replace

SMALL = {"vocab": 11, "width": 8, "hidden": 12, "heads": 2, "depth": 3, "dropout": 0.1}


@pytest.mark.parametrize(
    "change",
    [{}, {"norm": "before"}, {"embeddings": "separate"}, {"kv_heads": 1}, {"head_bias": True}, {"decoder_depth": 2}],
)
def test_every_parameter_is_in_one_line(change):
    layer = declare(**SMALL | change).build()
    assert sum(row.parameters for row in flatten(layer, 5)) == sum(p.numel() for p in layer.parameters())


def test_shared_weights_count_once_and_compute_each_time():
    spec = declare(**SMALL)
    shared = replace(spec, encoder=replace(spec.encoder, weights=1))
    rows, plain = flatten(shared.build(), 5), flatten(spec.build(), 5)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in shared.build().parameters())
    assert sum(row.parameters for row in rows) < sum(row.parameters for row in plain)
    assert sum(row.flops for row in rows) == sum(row.flops for row in plain)


def test_operations_by_hand():
    # Encoder: 4 projections, scores and mix over 5 tokens, 2 matrices; the decoder has one more attention; tied head.
    width, hidden, length, vocab = 8, 12, 5, 11
    attention = 4 * 2 * width * width + 2 * 2 * length * width
    feed = 2 * 2 * width * hidden
    expected = 3 * (attention + feed) + 3 * (2 * attention + feed) + 2 * width * vocab
    assert sum(row.flops for row in flatten(declare(**SMALL).build(), length)) == expected


def test_operations_of_convolutions_by_hand():
    picture = flatten(vit.declare(**vit.TOY).build(), 5)
    assert next(row.flops for row in picture if row.name == "embed.project") == 2 * 32 * 3 * 4 * 4
    told = {"stages": ((6,), (8, 10)), "pools": (2, 1)}  # squares of 4 pixels are 2 x 2 of the places that leave
    hybrid = {row.name: row.flops for row in flatten(vit.declare(**vit.TOY | told).build(), 5)}
    convs = [hybrid[f"embed.net.convs.{name}"] for name in ("0.0", "1.0", "1.1")]
    assert convs == [2 * 9 * 16 * 3 * 6, 2 * 9 * 4 * 6 * 8, 2 * 9 * 4 * 8 * 10]
    assert hybrid["embed.project"] == 2 * 32 * 10 * 2 * 2
    sound = {row.name: row for row in flatten(wav2vec2.declare(**wav2vec2.TOY).build(), 5)}
    assert sound["embed.features"].flops == 2 * 8 * 5 * 2 + 2 * 12 * 8 * 3  # the second of them runs half as often
    assert sound["embed.position"].flops == 2 * 32 * 8 * 6
    assert "kernels=(5, 3)" in sound["embed.features"].part


def test_equal_blocks_are_one_line_and_others_their_own():
    spec = declare(**SMALL)
    block = spec.decoder.cycle()[0]
    banded = replace(block, parts=(replace(block.parts[0], pattern=Causal() & Window(2)), *block.parts[1:]))
    mixed = replace(spec, decoder=replace(spec.decoder, block=(block, banded), depth=4)).build()
    names = [row.name for row in flatten(mixed, 5)]
    assert "encoder.blocks.0-2" in names
    assert {"decoder.blocks.0,2", "decoder.blocks.1,3"} < set(names)
    assert list(patterns(mixed).values()) == [Full(), Causal(), Full(), Causal() & Window(2)]
    deep = replace(spec, decoder=replace(spec.decoder, block=(block, banded, banded), depth=12)).build()
    names = {row.name for row in flatten(deep, 5)}
    assert {"decoder.blocks.0,3-9", "decoder.blocks.1,2,4,5,7,8,10,11"} < names


def test_flattening_a_model_without_memory_for_its_weights():
    with torch.device("meta"):
        layer = declare(**SMALL | {"vocab": 10**9}).build()
    assert sum(row.parameters for row in flatten(layer, 5)) > 8 * 10**9


def test_every_line_of_a_described_part_names_its_file():
    for row in flatten(declare(**SMALL).build(), 5):
        assert row.source == "torch.nn" or row.source.endswith(".py"), row


def test_a_brief_tells_what_differs_from_the_default():
    assert brief(Norm()) == "Norm()"
    assert brief(Norm("rms", 1e-6)) == "Norm(form=rms, eps=1e-06)"
    assert brief(Attention(4, Causal(), source="memory")) == "Attention(heads=4, pattern=causal, source=memory)"
    assert isinstance(Norm(), Part)
