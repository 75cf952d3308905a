"""Laws 1 and 2: export(import(x)) equals x bit for bit, Hugging Face loads it, no key of a configuration is idle."""

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from parity.subjects import NAMED, SUBJECTS, pair
from transept.errors import InvalidConfig
from transept.families.configuration import BOOKKEEPING, GENERATION
from transept.hub.directory import read, save
from transept.hub.export import export_hf, import_hf
from transept.hub.verify import verify
from transept.spec import replace

subjects = pytest.mark.parametrize("name", NAMED)
FIRST = [f"{family}: {next(iter(made))}" for family, made in SUBJECTS.items()]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each subject as Hugging Face writes it."""
    found = {}
    for name in NAMED:
        found[name] = tmp_path_factory.mktemp("theirs") / "model"
        pair(name).theirs.save_pretrained(found[name])
    return found


@subjects
def test_names_there_and_back(name: str) -> None:
    found = pair(name)
    names = found.family.names(found.ours.spec)
    theirs = found.theirs.state_dict()
    back = names.to_theirs(found.ours.state_dict())
    _, dropped = names.to_ours(theirs, found.ours.state_dict())
    assert set(theirs) - set(back) == set(dropped)
    assert set(back) <= set(theirs)
    for key, value in back.items():
        assert torch.equal(value, theirs[key]), key


@subjects
def test_directories_there_and_back(name: str, saved: dict[str, Path], tmp_path: Path) -> None:
    found = pair(name)
    import_hf(saved[name], tmp_path / "ours", check=False)
    export_hf(tmp_path / "ours", tmp_path / "back", check=False)
    (tmp_path / "back" / "transept.json").unlink()  # what others see
    first = load_file(saved[name] / "model.safetensors")
    for out in ("ours", "back"):
        again = load_file(tmp_path / out / "model.safetensors")
        assert again.keys() == first.keys()
        assert all(torch.equal(again[key], value) for key, value in first.items())
    theirs, info = type(found.theirs).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert all(torch.equal(v, found.theirs.state_dict()[k]) for k, v in theirs.state_dict().items())
    before, after = (plain(config) for config in (found.theirs.config, theirs.config))
    assert after == before
    model, _, generation = read(tmp_path / "back")
    assert model.spec == found.ours.spec
    assert generation.longest == found.theirs.config.max_position_embeddings


def plain(config: Any) -> dict[str, Any]:
    """A configuration of theirs without what tells of files, and with one word for each activation."""
    found = {key: value for key, value in config.to_dict().items() if key not in ("_name_or_path", "dtype")}
    word = found["activation_function"]
    return found | {"activation_function": {"swish": "silu", "gelu_new": "gelu_pytorch_tanh"}.get(word, word)}


@subjects
def test_the_same_words_come_out(name: str, saved: dict[str, Path], tmp_path: Path) -> None:
    import_hf(saved[name], tmp_path / "ours", check=False)
    report = verify(tmp_path / "ours", saved[name])
    assert report.good, report
    assert report.largest < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_type_is_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = copy.deepcopy(pair("transformer: relu, one table").theirs).to(dtype)
    theirs.save_pretrained(tmp_path / "theirs")
    import_hf(tmp_path / "theirs", tmp_path / "ours", check=False)
    first, again = (load_file(tmp_path / out / "model.safetensors") for out in ("theirs", "ours"))
    assert all(torch.equal(again[key], value) and value.dtype == dtype for key, value in first.items())


def test_a_checkpoint_of_old_is_read(tmp_path: Path) -> None:
    """Every tied name written out, the sinusoids too, and a configuration of years ago."""
    found = pair("transformer: swish, unscaled")
    found.theirs.save_pretrained(tmp_path / "old")
    state = {name: value.clone() for name, value in found.theirs.state_dict().items()}
    save_file(state, tmp_path / "old" / "model.safetensors", {"format": "pt"})
    old = found.theirs.config.to_dict() | {
        "_name_or_path": "x",
        "_num_labels": 3,
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "bad_words_ids": [[0]],
        "classif_dropout": 0.0,
        "classifier_dropout": 0.0,
        "gradient_checkpointing": False,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "max_length": 64,
        "normalize_before": False,
        "normalize_embedding": False,
        "num_beams": 4,
        "num_hidden_layers": 2,
        "static_position_embeddings": True,
        "torch_dtype": "float32",
    }
    old = {key: value for key, value in old.items() if key not in ("dtype", "tie_word_embeddings")}
    (tmp_path / "old" / "generation_config.json").unlink()
    (tmp_path / "old" / "config.json").write_text(json.dumps(old))
    model, _, generation = read(tmp_path / "old")
    assert all(torch.equal(v, found.ours.state_dict()[k]) for k, v in model.state_dict().items())
    assert (generation.search.method, generation.search.beam, generation.special.suppress) == ("beam", 4, (0,))
    table = state["model.encoder.embed_positions.weight"]
    table[3, 5] += 0.1
    save_file(state, tmp_path / "old" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="embed_positions.weight cannot be dropped: its values are 1.0e-01 away"):
        read(tmp_path / "old")


# What a key may be changed to, so that something must notice.
OTHER: dict[str, Any] = {"activation_function": "tanh", "decoder_vocab_size": 7, "init_std": 0.5}


def changed(value: Any) -> Any:
    """Another value of the same type, where a type is known."""
    if isinstance(value, bool):
        return not value
    return 2 * value or 1 if isinstance(value, int) else value + 0.25 if isinstance(value, float) else 7


@subjects
def test_no_key_is_idle(name: str) -> None:
    """Change each key of their configuration: the description changes, or it is refused; the rest is listed by name."""
    found = pair(name)
    config = found.theirs.config.to_dict()
    idle = set()
    for key, value in config.items():
        other = OTHER.get(
            key, not value if isinstance(value, bool) else value + 0.25 if isinstance(value, float) else None
        )
        if isinstance(value, int) and not isinstance(value, bool):
            other = 2 * value if value else 1
        if other is None:
            other = 7
        with suppress(InvalidConfig):
            if found.family.from_hf(config | {key: other}) == found.ours.spec:
                idle.add(key)
    assert idle > {"transformers_version", "max_position_embeddings", "pad_token_id"}
    # The longest text is no part of the mathematics of sinusoids: the directory keeps it, and `read` gives it back.
    assert idle <= {*BOOKKEEPING.split(), *GENERATION.split(), "max_position_embeddings"}


@subjects
def test_a_description_there_and_back(name: str) -> None:
    found = pair(name)
    said = found.family.to_hf(found.ours.spec)
    assert found.family.from_hf(said) == found.ours.spec
    theirs = type(found.theirs.config)(**said)
    assert theirs.to_dict().keys() >= said.keys()


@subjects
def test_an_unknown_key_is_refused_with_the_nearest(name: str) -> None:
    found = pair(name)
    config = found.theirs.config.to_dict()
    with pytest.raises(InvalidConfig, match=r"'encoder_layer'.*Did you mean 'encoder_layers'"):
        found.family.from_hf(config | {"encoder_layer": 2})


@pytest.mark.parametrize("name", FIRST)
def test_a_model_of_ours_without_a_bias_gets_a_constant(name: str, tmp_path: Path) -> None:
    """final_logits_bias is always there in theirs; where our head has none it is zero, and must be."""
    spec = pair(name).ours.spec
    spec = replace(spec, head=replace(spec.head, bias=False))
    torch.manual_seed(3)
    model = spec.build().eval()
    save(tmp_path / "m", model)
    state = load_file(tmp_path / "m" / "model.safetensors")
    assert not state["final_logits_bias"].any()
    assert read(tmp_path / "m").model.spec == spec
    assert verify(tmp_path / "m").good
    state["final_logits_bias"][0, 5] = 1e-3
    save_file(state, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="final_logits_bias is not 0 everywhere"):
        read(tmp_path / "m")
