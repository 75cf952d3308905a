"""Laws 1 and 2: export(import(x)) equals x bit for bit, Hugging Face loads it, no key of a configuration is idle."""

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from parity.subjects import NAMED, config_of, oracles, pair
from transept.errors import InvalidConfig
from transept.families.configuration import BOOKKEEPING, GENERATION
from transept.hub.beside import BESIDE
from transept.hub.described import saying
from transept.hub.directory import read, save
from transept.hub.export import export_hf, import_hf
from transept.hub.kinds import classes, writes_text
from transept.hub.verify import verify
from transept.spec import replace

subjects = pytest.mark.parametrize("name", NAMED)
FIRST = {family: f"{family}: {next(iter(oracle.SUBJECTS))}" for family, oracle in oracles().items()}
MARIAN = FIRST["transformer"]


def saved(name: str, root: Path) -> Path:
    """A subject as Hugging Face writes it."""
    pair(name).theirs.save_pretrained(root)
    return root


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
def test_directories_there_and_back(name: str, tmp_path: Path) -> None:
    found = pair(name)
    report = import_hf(saved(name, tmp_path / "theirs"), tmp_path / "ours")
    assert report is not None
    assert all(check.difference <= check.limit / 10 for check in report.checks)  # 1e-5 of the largest value
    export_hf(tmp_path / "ours", tmp_path / "back", check=False)
    (tmp_path / "back" / "transept.json").unlink()  # what others see
    first = load_file(tmp_path / "theirs" / "model.safetensors")
    for out in ("ours", "back"):
        again = load_file(tmp_path / out / "model.safetensors")
        assert again.keys() == first.keys()
        assert all(torch.equal(again[key], value) for key, value in first.items())
    theirs, info = type(found.theirs).from_pretrained(tmp_path / "back", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert all(torch.equal(v, found.theirs.state_dict()[k]) for k, v in theirs.state_dict().items())
    before, after = (plain(type(found.theirs.config).from_pretrained(tmp_path / at)) for at in ("theirs", "back"))
    searched = set(GENERATION.split()) - set(BESIDE.split())  # that is in generation_config.json now
    searched |= {"num_decoder_layers"} if name == "t5: encoder" else set()  # of which it has none
    assert {key: after[key] for key in before if key not in searched} == {
        key: value for key, value in before.items() if key not in searched
    }
    stored = read(tmp_path / "back")
    assert stored.model.spec == found.ours.spec
    assert len(stored.labels) == classes(stored.model.spec)
    assert stored.generation is None or writes_text(stored.model.spec)


WORDS = {"swish": "silu", "gelu_new": "gelu_pytorch_tanh", "gelu_fast": "gelu_pytorch_tanh"}


def plain(config: Any) -> dict[str, Any]:
    """A configuration of theirs without what tells of files, and with one word for each activation."""
    found = {key: value for key, value in config.to_dict().items() if key not in ("_name_or_path", "dtype")}
    return {key: WORDS.get(value, value) if isinstance(value, str) else value for key, value in found.items()}


# ------------------------------------------------------------------ keys


def changed(value: Any) -> Any:
    """Another value of the same type, where a type is known."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value or 1
    return value + 0.25 if isinstance(value, float) else 7


# What a key of some name may be changed to, so that something must notice.
OTHER: dict[str, Any] = {"decoder_vocab_size": 7, "init_std": 0.5, "initializer_range": 0.5}


def idle_keys(name: str) -> set[str]:
    """The keys whose change changes nothing of the description, and is not refused either."""
    found = pair(name)
    config, idle = config_of(found.theirs), set()
    for key, value in config.items():
        with suppress(InvalidConfig):
            if found.family.from_hf(config | {key: OTHER.get(key, changed(value))}) == found.ours.spec:
                idle.add(key)
    return idle


# Keys of heads and of training that no model of ours has: where they would compute something, they are refused.
SILENT = {
    "deit": {"encoder_stride"},  # of guessing hidden pixels
    "distilbert": {"sinusoidal_pos_embds"},  # of how positions begin
    "gpt": {f"summary_{word}" for word in ("use_proj", "proj_to_labels", "first_dropout", "type", "activation")},
    "gpt2": {f"summary_{word}" for word in ("use_proj", "proj_to_labels", "first_dropout", "type", "activation")},
    "vit": {"encoder_stride"},
    "wav2vec2": {
        *{"tdnn_dilation", "tdnn_dim", "tdnn_kernel", "xvector_output_dim"},  # of telling voices
        *{"adapter_kernel_size", "adapter_stride", "num_adapter_layers"},  # of adapters, which add_adapter would add
        *{"ctc_loss_reduction", "ctc_zero_infinity"},  # of a loss over a batch
    },
}


@pytest.mark.parametrize("family", FIRST)
def test_no_key_is_idle(family: str) -> None:
    """Each key of their configuration changes the description of one subject at least, or is refused.

    What is left is listed by name. One head has settings that another has not, so all subjects are asked.
    """
    names = [name for name in NAMED if name.startswith(f"{family}: ")]
    idle = set.intersection(*map(idle_keys, names))
    assert "transformers_version" in idle
    # The longest text is no part of the mathematics where positions are computed: the directory keeps it.
    told = {"max_position_embeddings"} if pair(FIRST[family]).ours.spec.limit() is None else set()
    assert idle <= {*BOOKKEEPING.split(), *GENERATION.split(), *told, *SILENT.get(family, ())}


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
    config = config_of(found.theirs)
    known = next(key for key in ("hidden_size", "d_model", "n_embd", "dim") if key in config)
    with pytest.raises(InvalidConfig, match=f"'{known[:-1]}'.*Did you mean"):
        found.family.from_hf(config | {known[:-1]: 2})


@pytest.mark.parametrize("family", FIRST)
def test_a_model_is_written_as_the_kind_that_it_was_read_as(family: str, tmp_path: Path) -> None:
    """Where several families can say a description, the one that it came from does."""
    import_hf(saved(FIRST[family], tmp_path / "theirs"), tmp_path / "ours", check=False)
    before, after = (json.loads((tmp_path / at / "config.json").read_text()) for at in ("theirs", "ours"))
    assert (after["model_type"], after["architectures"]) == (before["model_type"], before["architectures"])
    assert saying(pair(FIRST[family]).ours.spec) is not None


# ------------------------------------------------------------------ files of other times and types


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("family", ["transformer", "bert", "gpt2"])
def test_a_type_is_kept(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    theirs = copy.deepcopy(pair(FIRST[family]).theirs).to(dtype)
    theirs.save_pretrained(tmp_path / "theirs")
    import_hf(tmp_path / "theirs", tmp_path / "ours", check=False)
    first, again = (load_file(tmp_path / out / "model.safetensors") for out in ("theirs", "ours"))
    assert all(torch.equal(again[key], value) and value.dtype == dtype for key, value in first.items())


@pytest.mark.parametrize("family", FIRST)
def test_tied_tensors_may_be_saved_once_or_twice(family: str, tmp_path: Path) -> None:
    found = pair(FIRST[family])
    saved(FIRST[family], tmp_path / "twice")
    state = {name: value.clone() for name, value in found.theirs.state_dict().items()}
    save_file(state, tmp_path / "twice" / "model.safetensors", {"format": "pt"})
    model = read(tmp_path / "twice").model
    assert all(torch.equal(value, found.ours.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("family", FIRST)
def test_pickles_and_several_files_hold_the_same(family: str, tmp_path: Path) -> None:
    found = pair(FIRST[family])
    found.theirs.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").exists()
    pickled = saved(FIRST[family], tmp_path / "pickle")
    (pickled / "model.safetensors").unlink()
    torch.save(found.theirs.state_dict(), pickled / "pytorch_model.bin")
    for stored in (read(tmp_path / "shards"), read(pickled, allow_pickle=True)):
        assert all(torch.equal(v, found.ours.state_dict()[k]) for k, v in stored.model.state_dict().items())


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
    stored = read(tmp_path / "old")
    generation = stored.generation
    assert generation is not None
    assert all(torch.equal(v, found.ours.state_dict()[k]) for k, v in stored.model.state_dict().items())
    assert (generation.search.method, generation.search.beam, generation.special.suppress) == ("beam", 4, (0,))
    assert generation.longest == found.theirs.config.max_position_embeddings
    table = state["model.encoder.embed_positions.weight"]
    table[3, 5] += 0.1
    save_file(state, tmp_path / "old" / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="embed_positions.weight cannot be dropped: its values are 1.0e-01 away"):
        read(tmp_path / "old")


def test_a_model_of_ours_without_a_bias_gets_a_constant(tmp_path: Path) -> None:
    """final_logits_bias is always there in theirs; where our head has none it is zero, and must be."""
    spec = pair(MARIAN).ours.spec
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
