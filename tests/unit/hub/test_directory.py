"""Model directories: written whole, read strictly, and refused by name wherever they disagree with themselves."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.errors import InvalidConfig, InvalidData, TranseptError, UsageError
from transept.hub.directory import read, read_spec, save
from transept.hub.generation import Generation
from transept.spec import replace
from unit.hub.made import directory, edit, entry, model, raw, tokenizer

FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "transept.json",
}


def equal(one: Any, other: Any) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# ------------------------------------------------------------------ writing


def test_there_and_back(tmp_path: Path) -> None:
    built, words = model(), tokenizer()
    search = Search(beam=3, length_penalty=0.6, penalty="wu", max_extra=7)
    save(tmp_path / "m", built, tokenizer=words, generation=search)
    assert {path.name for path in (tmp_path / "m").iterdir()} == FILES
    stored = read(tmp_path / "m")
    again, reader, generation = stored.model, stored.tokenizer, stored.generation
    assert equal(again, built)
    assert again.spec == built.spec == read_spec(tmp_path / "m")
    assert not again.training
    assert reader is not None
    assert reader.encode("a small house") == words.encode("a small house")
    unsaid = range(words.vocab, 300)  # rows of the model without a token
    assert len(unsaid) > 9
    assert generation == Generation(search, Special(1, 2, (0, 1, 3, *unsaid)), 0, 1024)
    assert json.loads((tmp_path / "m" / "config.json").read_text())["model_type"] == "marian"


@pytest.mark.parametrize("changes", [{"norm": "before"}, {"kv_heads": 1}, {"order": "interleaved"}, {"bias": False}])
def test_what_hugging_face_cannot_say_is_kept_in_our_form(changes: dict[str, Any], tmp_path: Path) -> None:
    built = model(**changes)
    save(tmp_path / "m", built)
    stored = read(tmp_path / "m")
    assert equal(stored.model, built)
    assert stored.tokenizer is None
    assert json.loads((tmp_path / "m" / "config.json").read_text())["model_type"] == "transept"


def test_loading_draws_no_random_number(tmp_path: Path) -> None:
    root = directory(tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    read(root)
    assert torch.equal(torch.rand(3), expected)


def test_a_loaded_model_can_be_trained_further(tmp_path: Path) -> None:
    again = read(directory(tmp_path)).model.train()
    ids = torch.randint(4, 50, (2, 5))
    again(ids, ids).logits.sum().backward()
    assert all(p.grad is not None for p in again.parameters())


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_modes_follow_the_umask(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        root = save(tmp_path / "m", model(), tokenizer=tokenizer())
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in root.iterdir()} == {oct(0o666 & ~mask)}
    assert root.stat().st_mode & 0o777 == 0o777 & ~mask


def test_nothing_is_written_over_unasked(tmp_path: Path) -> None:
    root = directory(tmp_path)
    before = {path: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(UsageError, match=r"a model is in this directory already[\s\S]*overwrite"):
        save(root, model(seed=1))
    assert {path: path.read_bytes() for path in root.iterdir()} == before
    save(root, model(seed=1), overwrite=True)
    assert equal(read(root).model, model(seed=1))
    assert {path.name for path in root.iterdir()} == FILES - {"tokenizer.json", "tokenizer_config.json"}


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("home", "file"):
        with pytest.raises(UsageError, match="no model, which are never replaced"):
            save(tmp_path / name, model(), overwrite=True)
    assert (tmp_path / "home" / "letter").read_text() == (tmp_path / "file").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    save(tmp_path / "empty", model())


def test_what_lies_beside_a_model_is_not_lost_with_it(tmp_path: Path) -> None:
    root = directory(tmp_path)
    (root / "notes.txt").write_text("dear")
    (root / "mine").mkdir()
    with pytest.raises(UsageError, match=r"beside the model lies mine \(and 1 more\), which would be lost"):
        save(root, model(seed=1), overwrite=True)
    assert (root / "notes.txt").read_text() == "dear"
    assert equal(read(root).model, model())


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = directory(tmp_path)
    before = {path: path.read_bytes() for path in root.iterdir()}

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transept.hub.tensors.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save(root, model(seed=1), overwrite=True)
    assert {path: path.read_bytes() for path in root.iterdir()} == before
    assert os.listdir(tmp_path) == ["model"]


def test_saving_where_it_was_loaded_from(tmp_path: Path) -> None:
    root = directory(tmp_path)
    stored = read(root)
    save(root, stored.model, tokenizer=stored.tokenizer, generation=stored.generation, overwrite=True)
    assert equal(read(root).model, model())


def test_a_vocabulary_that_does_not_fit_is_refused_before_writing(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="the tokenizer has .* tokens, the model 20"):
        save(tmp_path / "m", model(vocab=20), tokenizer=tokenizer())
    with pytest.raises(InvalidConfig, match="the search has token 25, the model 20"):
        save(tmp_path / "m", model(vocab=20), generation=Generation(special=Special(1, 25)))
    assert not (tmp_path / "m").exists()


# ------------------------------------------------------------------ where a model is


def test_a_run_is_taken_where_a_model_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("run: x")
    (run / "checkpoints").mkdir()
    with pytest.raises(InvalidData, match=r"no model yet, only checkpoints[\s\S]*--resume[\s\S]*transept average"):
        read(run)
    save(run / "model", model())
    assert equal(read(run).model, model())
    assert read_spec(str(run)) == model().spec


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match=r"there is no such directory[\s\S]*transept import"):
        read(tmp_path / "nowhere")
    with pytest.raises(InvalidData, match=r"config.json is missing\s+The directory is empty"):
        read(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InvalidData, match=r"config.json is missing\s+The directory holds notes.txt"):
        read(tmp_path)


# ------------------------------------------------------------------ weights that are wrong

WEIGHT = "model.decoder.layers.1.fc1.weight"


def tensors(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    """A corruption of the weights' file that leaves it well-formed."""

    def corrupt(root: Path) -> None:
        state = load_file(root / "model.safetensors")
        change(state)
        save_file(state, root / "model.safetensors", {"format": "pt"})

    return corrupt


def with_nan(state: dict[str, Tensor]) -> None:
    state[WEIGHT][3, 2] = float("nan")


def every_half(state: dict[str, Tensor]) -> None:
    state.update({name: tensor.half() for name, tensor in state.items()})


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (tensors(lambda s: s.pop(WEIGHT)), r"missing: model.decoder.layers.1.fc1.weight \(decoder.blocks.1"),
    "extra": (
        tensors(lambda s: s.update({"model.decoder.layers.1.fc3.weight": torch.ones(2)})),
        r"unknown: model.decoder.layers.1.fc3.weight\. Did you mean 'model.decoder.layers.1.fc\d.weight'",
    ),
    "misspelt": (
        tensors(lambda s: s.update({"model.decoder.layers.1.fc1.wieght": s.pop(WEIGHT)})),
        r"missing: .*fc1.weight .*unknown: .*fc1.wieght\. Did you mean 'model.decoder.layers.1.fc1.weight'",
    ),
    "a layer too many": (
        tensors(lambda s: s.update({n.replace("layers.1", "layers.2"): t.clone() for n, t in s.items()})),
        r"42 tensors are beyond this model: model.encoder.layers.2",
    ),
    "transposed": (
        tensors(lambda s: s.update({WEIGHT: s[WEIGHT].T.contiguous()})),
        r"fc1.weight has the shape \(16, 24\), the model expects \(24, 16\)",
    ),
    "a row too many": (
        tensors(lambda s: s.update({"model.shared.weight": torch.ones(301, 16)})),
        r"model.shared.weight has the shape \(301, 16\), the model expects \(300, 16\)",
    ),
    "not a number": (tensors(with_nan), r"model.decoder.layers.1.fc1.weight: 1 of 384 values are infinite or not"),
    "one of another type": (
        tensors(lambda s: s.update({WEIGHT: s[WEIGHT].double()})),
        r"fc1.weight is of float64, the weights are of float32",
    ),
    "whole numbers": (tensors(lambda s: s.update({WEIGHT: s[WEIGHT].long()})), r"fc1.weight is of int64"),
    "all of another type": (tensors(every_half), r"the weights are of float16, config.json says float32"),
    "a tied name that differs": (
        tensors(lambda s: s.update({"lm_head.weight": torch.ones(300, 16)})),
        "lm_head.weight should be model.shared.weight under a second name",
    ),
    "truncated": (lambda r: os.truncate(r / "model.safetensors", 5000), "model.safetensors: truncated"),
    "one byte too many": (
        lambda r: (r / "model.safetensors").write_bytes((r / "model.safetensors").read_bytes() + b"\0"),
        "model.safetensors: too long",
    ),
    "empty": (lambda r: (r / "model.safetensors").write_bytes(b""), "model.safetensors: truncated: 0 bytes"),
    "without tensors": (lambda r: (r / "model.safetensors").write_bytes(raw({})), "0 tensors are stored"),
    "no file": (lambda r: (r / "model.safetensors").unlink(), "model.safetensors is missing"),
    "a folder": (
        lambda r: ((r / "model.safetensors").unlink(), (r / "model.safetensors").mkdir()),
        "model.safetensors is not a regular file",
    ),
    "a link out": (
        lambda r: (
            shutil.move(r / "model.safetensors", r.parent / "w"),
            (r / "model.safetensors").symlink_to(r.parent / "w"),
        ),
        "outside of the model directory",
    ),
    "a name that is a path": (
        lambda r: (r / "model.safetensors").write_bytes(raw({"../../x": entry([1], 0, 4)}, bytes(4))),
        r"stored|unknown: \.\./\.\./x",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_weights_are_refused(name: str, tmp_path: Path) -> None:
    corrupt, message = WRONG[name]
    root = directory(tmp_path)
    corrupt(root)
    with pytest.raises(TranseptError, match=message) as caught:
        read(root)
    assert caught.value.exit_code == 3
    assert str(root) in str(caught.value)


OWN = "decoder.blocks.1.feedforward.up.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop(OWN), f"1 missing \\({OWN}\\)"),
        (lambda s: s.update({"more": torch.ones(1)}), r"1 unknown \(more\)"),
        (lambda s: s.update({OWN[:-1]: s.pop(OWN)}), f"1 missing .*1 unknown .*Did you mean '{OWN}'"),
        (lambda s: s.update({OWN: s[OWN].T.contiguous()}), f"{OWN} has the shape"),
    ],
)
def test_wrong_weights_of_our_own_form_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    root = directory(tmp_path, norm="before")
    tensors(change)(root)
    with pytest.raises(InvalidData, match=message):
        read(root)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "opened"),)

    root = directory(tmp_path)
    for name in ("pytorch_model.bin", "optimizer.pt", "training_args.bin"):
        (root / name).write_bytes(pickle.dumps(Evil()))
    assert equal(read(root).model, model())  # beside proper weights they lie unread
    (root / "model.safetensors").unlink()
    with pytest.raises(InvalidData, match=r"the weights are a pickle[\s\S]*--allow-pickle"):
        read(root)
    shutil.copy(root / "pytorch_model.bin", root / "model.safetensors")
    with pytest.raises(InvalidData, match="not a safetensors file"):
        read(root)
    assert not (tmp_path / "opened").exists()


# ------------------------------------------------------------------ weights in several files


def shard(root: Path) -> dict[str, Any]:
    """Spread the weights over two files; the index."""
    state = load_file(root / "model.safetensors")
    (root / "model.safetensors").unlink()
    names = sorted(state)
    places = {name: f"model-{1 + (i % 2):05d}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: state[name] for name in names if places[name] == file}, root / file, {"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    return index


def test_several_files_are_read(tmp_path: Path) -> None:
    root = directory(tmp_path)
    shard(root)
    assert equal(read(root).model, model())


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/etc/passwd", "which is no safetensors file beside it"),
        ("../other.safetensors", "which is no safetensors file beside it"),
        ("a\\b.safetensors", "which is no safetensors file beside it"),
        ("x\0.safetensors", "which is no safetensors file beside it"),
        ("pytorch_model.bin", "which is no safetensors file beside it"),
        (3, "which is no safetensors file beside it"),
        ("%2e%2e%2fx.safetensors", "is missing"),
        ("nowhere.safetensors", "nowhere.safetensors is missing"),
        ("model-00002-of-00002.safetensors", "but the index has it in model-00002-of-00002"),
    ],
)
def test_an_index_names_files_beside_it_alone(place: Any, message: str, tmp_path: Path) -> None:
    root = directory(tmp_path)
    index = shard(root)
    name = next(n for n, file in index["weight_map"].items() if file.startswith("model-00001"))
    index["weight_map"][name] = place
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidData, match=message):
        read(root)


def test_an_index_that_disagrees_with_its_files_is_refused(tmp_path: Path) -> None:
    root = directory(tmp_path)
    index = shard(root)
    path = root / "model.safetensors.index.json"
    fewer = dict(list(index["weight_map"].items())[1:])
    path.write_text(json.dumps({"weight_map": fewer}))
    with pytest.raises(InvalidData, match="is here, but the index has it in None"):
        read(root)
    path.write_text(json.dumps({"weight_map": index["weight_map"] | {"more": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(InvalidData, match="more is not in model-00001-of-00002.safetensors"):
        read(root)
    path.write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(InvalidData, match="there is no weight_map"):
        read(root)


# ------------------------------------------------------------------ descriptions that are wrong


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "config.json",
            {"model_type": "bird"},
            r"models of type 'bird' are not read\n.*Transept reads .*marian, .*transept",
        ),
        ("config.json", {"model_type": "bert"}, "the architecture is MarianMTModel; Transept reads BertForPreTraining"),
        ("config.json", {"model_type": "marain"}, "models of type .marain. are not read"),
        ("config.json", {"model_type": None}, "no model_type says what the model is"),
        ("config.json", {"architectures": ["MarianModel"]}, "the architecture is MarianModel"),
        ("config.json", {"encoder_layer": 2}, "unknown keys for Marian: 'encoder_layer' Did you mean 'encoder_layers'"),
        ("config.json", {"d_model": 32}, "width is 16 in transept.json and 32 in config.json"),
        ("config.json", {"scale_embedding": False}, "embed.scale is 4.0 in transept.json and 1.0 in config.json"),
        ("config.json", {"encoder_layerdrop": 1.0}, "encoder_layerdrop must be a probability below 1"),
        ("config.json", {"activation_function": "gelux"}, "activation_function is 'gelux'.*Did you mean 'gelu'"),
        ("config.json", {"dropout": 1.0}, "dropout must be a probability"),
        ("config.json", {"vocab_size": -5}, "vocab_size must be a whole number"),
        ("config.json", {"vocab_size": 2**40}, "vocab_size must be a whole number"),
        ("config.json", {"d_model": True}, "d_model must be a whole number"),
        ("config.json", {"dtype": "float16"}, "the weights are of float32, config.json says float16"),
        ("config.json", {"quantization_config": {"bits": 4}}, "unknown keys for Marian: 'quantization_config'"),
        ("generation_config.json", {"typical_p": 0.5}, "typical_p is 0.5"),
        ("generation_config.json", {"num_beam": 3}, "unknown keys for a search: 'num_beam' Did you mean 'num_beams'"),
        ("generation_config.json", {"eos_token_id": 300}, "token 300 is beyond the vocabulary of 300"),
    ],
)
def test_a_wrong_configuration_is_refused(file: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    root = directory(tmp_path)
    edit(root / file, **changes)
    with pytest.raises(TranseptError, match=message) as caught:
        read(root)
    assert caught.value.exit_code == 3
    assert str(root) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["transept"], 2, "version 2, and this Transept reads 1 to 1"),
        (["spec", "kind"], "Norm", "Norm has no field"),
        (["spec", "widht"], 16, "Seq2Seq has no field 'widht'. Did you mean 'width'"),
        (["spec", "width"], 3_000_000, "transept.json: Marian cannot say this model: embed.scale is 4.0"),
        (["spec", "encoder", "depth"], 10**9, "depth"),
    ],
)
def test_a_wrong_description_is_refused(path: list[str], value: Any, message: str, tmp_path: Path) -> None:
    root = directory(tmp_path)
    document = json.loads((root / "transept.json").read_text())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (root / "transept.json").write_text(json.dumps(document))
    with pytest.raises(TranseptError, match=message):
        read(root)


@pytest.mark.parametrize("form", ["marian", "transept"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 10**9}, "a stack of 1000000000 blocks is declared"),
        ({"hidden": 2**30}, r"\(1073741824, 16\)"),
        ({"vocab": 2**30}, r"has the shape \(.*300.*\), .*expect.* \(.*1073741824"),
    ],
)
def test_no_memory_is_taken_on_a_configurations_word(
    form: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from transept.families.transformer import declare, to_hf
    from transept.spec import to_json

    root = directory(tmp_path, norm="after" if form == "marian" else "before")
    sizes: dict[str, Any] = {"vocab": 300, "width": 16, "hidden": 24, "heads": 2, "depth": 2} | changes
    spec = declare(**sizes, norm="after" if form == "marian" else "before")
    if form == "marian":
        (root / "config.json").write_text(json.dumps(to_hf(spec)))
        (root / "transept.json").unlink()
    else:
        (root / "transept.json").write_text(to_json(spec))
    with pytest.raises(TranseptError, match=message):
        read(root)


def test_a_part_is_no_model(tmp_path: Path) -> None:
    from transept.parts.norm import Norm
    from transept.spec import to_json

    root = directory(tmp_path, norm="before")
    (root / "transept.json").write_text(to_json(Norm()))
    with pytest.raises(InvalidConfig, match="it describes a Norm, not a whole model"):
        read(root)
    (root / "transept.json").unlink()
    with pytest.raises(InvalidData, match="transept.json is missing"):
        read(root)


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    root = directory(tmp_path)
    (root / "tokenizer.json").write_text("{")
    with pytest.raises(InvalidData, match="not a tokenizer"):
        read(root)
    (root / "tokenizer.json").unlink()
    (root / "tokenizer.json").symlink_to("/etc/passwd")
    with pytest.raises(InvalidData, match="outside of the model directory"):
        read(root)


def test_a_directory_without_our_description_is_read_by_its_family(tmp_path: Path) -> None:
    root = directory(tmp_path, head_bias=True)
    (root / "transept.json").unlink()
    again = read(root).model
    assert again.spec == replace(model(head_bias=True).spec, initial=again.spec.initial)
    assert equal(again, model(head_bias=True))
