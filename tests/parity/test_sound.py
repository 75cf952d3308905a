"""What wav2vec 2.0 needs beside the laws: padding, the loss of its pretraining, texts of letters, older names."""

import copy
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from parity.subjects import NAMED, Batch, config_of, imported, of_ours, of_theirs, on_real, oracles, pair
from transept.errors import InvalidConfig
from transept.families import wav2vec2
from transept.heads.contrast import draw_negatives
from transept.parts.convolution import Convolutions
from transept.parts.loss import IGNORED

sound = oracles()["wav2vec2"].sound
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
SOUND = [name for name in NAMED if name.startswith("wav2vec2:")]
CHANNELS = [name for name in SOUND if pair(name).ours.spec.embed.features.norm == "layer"]


@pytest.mark.parametrize("name", CHANNELS)
@torch.no_grad()
def test_padded_as_theirs_where_frames_are_normed_by_themselves(name: str) -> None:
    found = pair(name)
    given = found.batch("right")
    ours, theirs = of_ours(found.ours, given), of_theirs(found.theirs, given)
    assert {"logits", "hidden", "block 1", "map 2"} <= set(theirs)
    for part, other in theirs.items():
        assert_close(on_real(part, ours[part], given), on_real(part, other, given), **CLOSE, msg=part)


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("side", ["right", "left"])
@torch.no_grad()
def test_padded_as_theirs_alone(name: str, side: str) -> None:
    """Over time too, whose statistics theirs lets padding into: alone it has none."""
    found = pair(name)
    given = found.batch(side)
    logits = found.ours(**given.ours).logits
    assert given.real is not None
    for i, arguments in enumerate(given.alone):
        mine = logits[i] if logits.dim() == 2 else logits[i, given.real[i]]
        assert_close(mine, of_theirs(found.theirs, Batch({}, arguments))["logits"][0], **CLOSE)


def pretraining(**changes: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Theirs, ours, and what hides frames and tells them from others, nothing else drawn at random in training."""
    off = ("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop", "feat_proj_dropout")
    torch.manual_seed(0)
    theirs = sound(**dict.fromkeys(off, 0.0), **changes)
    ours = imported(wav2vec2, theirs)
    draws = torch.Generator().manual_seed(4)
    waves = torch.randn(3, 130, generator=draws)
    frames = ours.spec.embed.features.frames(130)
    hidden = torch.rand(3, frames, generator=draws) < 0.5
    negatives = draw_negatives(hidden, 6, draws)
    return theirs, ours, {"waves": waves, "hidden": hidden, "negatives": negatives}


@pytest.mark.parametrize("training", [False, True])
def test_the_loss_of_pretraining(training: bool) -> None:
    """In training the codes are drawn: the same noise comes out of the same seed.

    There are many of them, so that no two frames have the same: theirs compares what it projected of them, which may
    differ in the last bit, and then takes another frame with the same codes for a wrong one.
    """
    theirs, ours, given = pretraining(num_codevectors_per_group=400)
    for model in (theirs, ours):
        model.train(training).zero_grad()
    torch.manual_seed(7)
    other = theirs(
        given["waves"], mask_time_indices=given["hidden"], sampled_negative_indices=given["negatives"], return_dict=True
    )
    torch.manual_seed(7)
    states, entered = ours.hidden(given["waves"], hide=given["hidden"])
    made = ours.head.loss(states, entered, given["hidden"], given["negatives"])
    assert made.count == int(given["hidden"].sum()) > 10
    assert_close(made.contrast, other.contrastive_loss.detach(), rtol=1e-5, atol=1e-5)
    assert_close(made.diversity, other.diversity_loss.detach(), rtol=1e-5, atol=1e-5)
    assert_close(made.perplexity, other.codevector_perplexity.detach(), rtol=1e-5, atol=1e-5)
    assert_close(made.total, other.loss, rtol=1e-5, atol=1e-5)
    made.total.backward()
    other.loss.backward()
    back = wav2vec2.names(ours.spec).to_theirs(
        {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in ours.named_parameters()}
    )
    for name, parameter in theirs.named_parameters():
        if parameter.grad is not None and "k_proj.bias" not in name:  # a bias of keys has no effect, but for rounding
            reach = float(parameter.grad.abs().max())
            assert_close(back[name], parameter.grad, rtol=1e-4, atol=1e-5 * max(reach, 1e-3), msg=name)
    assert ours.embed.hidden.grad.abs().max() > 0


@torch.no_grad()
def test_the_loss_of_texts() -> None:
    found = pair("wav2vec2: letters")
    given = found.batch("none")
    labels = torch.tensor([[1, 2, 2, IGNORED], [3, IGNORED, IGNORED, IGNORED], [5, 6, 7, 8], [IGNORED] * 4])
    other = found.theirs(**given.theirs, labels=labels).loss
    states, entered = found.ours.hidden(**given.ours)
    assert found.ours.spec.head.blank == 4
    assert_close(found.ours.head.loss(states, entered, labels).sum(), other, rtol=1e-5, atol=1e-4)


def test_how_many_frames() -> None:
    theirs = pair("wav2vec2: states").theirs
    ours = pair("wav2vec2: states").ours.spec.embed.features
    for samples in range(ours.least(), 200):
        assert ours.frames(samples) == theirs._get_feat_extract_output_lengths(torch.tensor(samples)) > 0
    assert ours.frames(ours.least()) == 1
    assert ours.frames(ours.least() - 1) == 0
    published = Convolutions(**wav2vec2.CONVOLUTIONS)
    assert (published.least(), published.frames(16_000)) == (400, 49)


def test_the_vector_is_read_only_where_something_is_hidden() -> None:
    found = pair("wav2vec2: pretraining, three books, no vector")
    assert found.ours.embed.hidden is None
    state = found.theirs.state_dict() | {"wav2vec2.masked_spec_embed": torch.zeros(32)}
    _, dropped = found.family.names(found.ours.spec).to_ours(state, found.ours.state_dict())
    assert dropped == {"wav2vec2.masked_spec_embed": "nothing is hidden in this model"}


@pytest.mark.parametrize("name", SOUND)
def test_older_names_are_read(name: str) -> None:
    """weight_g and weight_v, as torch had them before version 2, with and without the base before them."""
    found = pair(name)
    names, ours = found.family.names(found.ours.spec), found.ours.state_dict()
    state = found.theirs.state_dict()
    heads = {key for key in state if not key.startswith("wav2vec2.")} if "states" not in name else set()
    tails = [f"parametrizations.weight.original{i}" for i in (0, 1)]
    for base in ("", "wav2vec2."):
        for spelling in (tails, ["weight_g", "weight_v"]):
            spelt = {}
            for key, value in state.items():
                key = key if key in heads else base + key.removeprefix("wav2vec2.")
                for new, old in zip(tails, spelling, strict=True):
                    key = key.replace(new, old)
                spelt[key] = value
            read, _ = names.to_ours(spelt, ours)
            assert all(torch.equal(read[key], value) for key, value in ours.items())


def test_the_configuration_of_a_published_model() -> None:
    """facebook/wav2vec2-base-960h, as it is at the hub, with words that nothing reads any more."""
    config: dict[str, Any] = {
        "activation_dropout": 0.1,
        "apply_spec_augment": True,
        "architectures": ["Wav2Vec2ForCTC"],
        "attention_dropout": 0.1,
        "bos_token_id": 1,
        "codevector_dim": 256,
        "contrastive_logits_temperature": 0.1,
        "conv_bias": False,
        "conv_dim": [512] * 7,
        "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "ctc_loss_reduction": "sum",
        "ctc_zero_infinity": False,
        "diversity_loss_weight": 0.1,
        "do_stable_layer_norm": False,
        "eos_token_id": 2,
        "feat_extract_activation": "gelu",
        "feat_extract_dropout": 0.0,
        "feat_extract_norm": "group",
        "feat_proj_dropout": 0.1,
        "feat_quantizer_dropout": 0.0,
        "final_dropout": 0.1,
        "gradient_checkpointing": False,
        "hidden_act": "gelu",
        "hidden_dropout": 0.1,
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-05,
        "layerdrop": 0.1,
        "mask_feature_length": 10,
        "mask_feature_prob": 0.0,
        "mask_time_length": 10,
        "mask_time_prob": 0.05,
        "model_type": "wav2vec2",
        "num_attention_heads": 12,
        "num_codevector_groups": 2,
        "num_codevectors_per_group": 320,
        "num_conv_pos_embedding_groups": 16,
        "num_conv_pos_embeddings": 128,
        "num_feat_extract_layers": 7,
        "num_hidden_layers": 12,
        "num_negatives": 100,
        "pad_token_id": 0,
        "proj_codevector_dim": 256,
        "transformers_version": "4.7.0.dev0",
        "vocab_size": 32,
    }
    spec = wav2vec2.from_hf(config)
    dropped = ("dropout", "attention_dropout", "activation_dropout", "project_dropout", "head_dropout", "skip")
    size = {"width": 768, "hidden": 3072, "heads": 12, "depth": 12, "head": "letters", "masked": 0.05}
    assert spec == wav2vec2.declare(**size, **dict.fromkeys(dropped, 0.1))
    for key, value, reason in (
        ("add_adapter", True, "convolutions follow the encoder"),
        ("adapter_attn_dim", 16, "each block has an adapter"),
        ("conv_stride", [5, 2], "7 channels, 7 kernels, 2 strides"),
        ("conv_kernel", 3, "conv_kernel must be a list"),
        ("num_feat_extract_layers", 8, "num_feat_extract_layers is 8"),
        ("output_hidden_size", 512, "output_hidden_size is 512 and hidden_size is 768"),
        ("feat_extract_norm", "batch", "feat_extract_norm is 'batch'"),
        ("pad_token_id", 40, "blank=40"),
        ("mask_time_probs", 0.1, "Did you mean 'mask_time_prob'"),
    ):
        with pytest.raises(InvalidConfig, match=reason):
            wav2vec2.from_hf(config | {key: value})


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("pretraining", "Wav2Vec2ForPreTraining"),
        ("letters", "Wav2Vec2ForCTC"),
        ("classes", "Wav2Vec2ForSequenceClassification"),
    ],
)
def test_the_keys_of_an_architecture_are_honoured_in_it(name: str, architecture: str) -> None:
    found = pair(f"wav2vec2: {name}")
    config = config_of(found.theirs)
    assert config["architectures"] == [architecture]
    for key in found.oracle.OWN[architecture]:
        value = config[key]
        other = True if value is False else value + 0.25 if isinstance(value, float) else 2 * value
        with suppress(InvalidConfig):
            assert found.family.from_hf(config | {key: other}) != found.ours.spec, key


@torch.no_grad()
def test_half_precision_and_double() -> None:
    found = pair("wav2vec2: letters")
    given = found.batch("right")
    expected = found.ours(**given.ours).logits
    for dtype, close in ((torch.float64, 1e-5), (torch.bfloat16, 0.3)):
        made = copy.deepcopy(found.ours).to(dtype)(**given.ours).logits
        assert made.dtype == dtype
        assert_close(made.float(), expected, rtol=close, atol=close)
