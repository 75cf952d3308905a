"""ViT, DeiT and wav2vec 2.0: what they say at Hugging Face, and what they refuse."""

import pytest
import torch

from transept.errors import InvalidConfig
from transept.families import deit, transformer, vit, wav2vec2
from transept.families.declared import declared
from transept.heads.classes import Averaged, Spans
from transept.heads.contrast import draw_negatives
from transept.inputs.patches import Patches
from transept.parts.attention import Attention
from transept.parts.masking import Masking
from transept.parts.norm import Norm
from transept.parts.relative import RelativeKeys
from transept.spec import edit, from_json, replace, to_json

FAMILIES = {"vit": vit, "deit": deit, "wav2vec2": wav2vec2}
HEADED = [(name, word) for name, family in FAMILIES.items() for word in family.HEADS.values()]


@pytest.mark.parametrize(("name", "word"), HEADED)
def test_a_description_there_and_back(name, word):
    family = FAMILIES[name]
    spec = family.declare(**family.TOY | {"head": word})
    said = family.to_hf(spec)
    assert said["architectures"] == [theirs for theirs, head in family.HEADS.items() if head == word]
    again = family.from_hf(said)
    assert replace(again, initial=spec.initial) == spec
    assert from_json(to_json(spec)) == spec


@pytest.mark.parametrize("name", FAMILIES)
def test_another_shape_is_refused(name):
    family = FAMILIES[name]
    with pytest.raises(InvalidConfig, match="this model is a Seq2Seq"):
        family.to_hf(transformer.declare(**transformer.TOY))
    spec = family.declare(**family.TOY)
    with pytest.raises(InvalidConfig, match="no model with Spans as its head"):
        family.to_hf(replace(spec, head=Spans()))
    keyed = edit(spec, lambda p: replace(p, position=RelativeKeys(3)) if isinstance(p, Attention) else p)
    with pytest.raises(InvalidConfig, match="position"):
        family.to_hf(keyed)
    with pytest.raises(InvalidConfig, match="norm"):
        family.to_hf(edit(spec, lambda p: replace(p, form="rms") if isinstance(p, Norm) else p))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("pooler_output_size", 16, "pooler_output_size is 16 and hidden_size is 32"),
        ("head_dim", 16, "head_dim is 16"),
        ("image_size", [12], "a height and a width"),
        ("image_size", 13, "13 x 13 pixels are no whole squares of 4 x 4"),
        ("patch_size", "16", "patch_size must be a whole number"),
        ("hidden_act", "mish", "hidden_act is 'mish'"),
        ("qkv_biases", True, "Did you mean 'qkv_bias'"),
        ("layer_norm_eps", 0, "layer_norm_eps"),
        ("architectures", ["ViTForMaskedImageModeling"], "ViTForMaskedImageModeling"),
    ],
)
def test_keys_of_pictures_that_are_refused(key, value, words):
    config = vit.to_hf(vit.declare(**vit.TOY))
    with pytest.raises(InvalidConfig, match=words):
        vit.from_hf(config | {key: value})


def test_deit_is_vit_with_a_token_more():
    own, other = deit.declare(**deit.TOY), vit.declare(**vit.TOY, activation="gelu", initial=deit.INITIAL)
    assert isinstance(own.head, Averaged)
    assert own.head.heads[0] == other.head
    assert isinstance(other.embed, Patches)
    assert replace(own, head=other.head, embed=replace(own.embed, front="class")) == other
    with pytest.raises(InvalidConfig, match=r"embed\.front is distilled, ViT's is class"):
        vit.to_hf(replace(own, head=other.head))


def test_recipes_name_them_without_a_vocabulary():
    assert declared({"family": "vit", "size": "base-32", "labels": 10}, 0) == vit.declare(
        **vit.SIZES["base-32"], labels=10
    )
    toy = {name: list(value) if isinstance(value, tuple) else value for name, value in wav2vec2.TOY.items()}
    assert declared({"family": "wav2vec2", **toy}, 5) == wav2vec2.declare(**wav2vec2.TOY)
    with pytest.raises(InvalidConfig, match=r"unknown key 'model\.vocab'"):
        declared({"family": "vit", "size": "base-32", "vocab": 10}, 0)


def test_what_is_hidden_is_said_as_hugging_face_says_it():
    words = {"masked": 0.2, "span": 3, "masked_channels": 0.1, "channel_span": 4}
    config = wav2vec2.to_hf(wav2vec2.declare(**wav2vec2.TOY | words))
    said = {key: config[f"mask_{key}"] for key in ("time_prob", "time_length", "feature_prob", "feature_length")}
    assert said == {"time_prob": 0.2, "time_length": 3, "feature_prob": 0.1, "feature_length": 4}
    for wrong, reason in (({"masked": 1.5}, "share"), ({"masked_channels": 0.1, "channel_span": 33}, "width of 32")):
        with pytest.raises(InvalidConfig, match=reason):
            wav2vec2.declare(**wav2vec2.TOY | wrong)


def test_blocks_are_left_out_in_training_alone():
    torch.manual_seed(0)
    model = wav2vec2.declare(**wav2vec2.TOY | {"skip": 0.5, "masked": 0.0}).build()
    waves = torch.randn(2, 61)
    made = [model.train()(waves).hidden for _ in range(20)]
    assert len({float(one.detach()[0, 0, 0]) for one in made}) == 4  # neither, one, the other, both
    assert torch.equal(model.eval()(waves).hidden, model(waves).hidden)


def test_pretraining_learns_to_tell_hidden_frames():
    torch.manual_seed(0)
    model = wav2vec2.declare(**wav2vec2.TOY | {"head": "contrast", "codes": 40}).build().train()
    waves, draws = torch.randn(4, 121), torch.Generator().manual_seed(0)
    hidden = Masking(0.65, 3, 1).draw([model.spec.embed.features.frames(121)] * 4, 19, draws)
    negatives = draw_negatives(hidden, model.spec.head.negatives, draws)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    found = []
    for _ in range(150):
        states, entered = model.hidden(waves, hide=hidden)
        made = model.head.loss(states, entered, hidden, negatives, temperature=0.5)
        optimizer.zero_grad()
        (made.total / made.count).backward()
        optimizer.step()
        found.append((float(made.contrast) / made.count, int(made.right) / made.count))
    assert found[0][0] > 1.2
    assert sum(loss for loss, _ in found[-10:]) / 10 < 0.4
    assert sum(right for _, right in found[-10:]) / 10 > 0.85
