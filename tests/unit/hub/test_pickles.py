"""Pickled weights: refused unless they are allowed by name, and then nothing but tensors comes out."""

import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from transept.errors import InvalidData
from transept.hub.directory import read
from transept.hub.export import import_hf
from transept.hub.pickles import header
from unit.hub.made import directory, model
from unit.hub.test_directory import equal


def pickled(root: Path, **options: Any) -> Path:
    """A directory whose weights are a pickle."""
    torch.save(load_file(root / "model.safetensors"), root / "pytorch_model.bin", **options)
    (root / "model.safetensors").unlink()
    return root


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["archive", "of old"])
def test_tensors_are_taken_out_where_that_is_allowed(options: dict[str, Any], tmp_path: Path) -> None:
    root = pickled(directory(tmp_path), **options)
    with pytest.raises(InvalidData, match=r"the weights are a pickle \(pytorch_model.bin\)[\s\S]*--allow-pickle"):
        read(root)
    assert equal(read(root, allow_pickle=True).model, model())
    with pytest.raises(InvalidData, match="the weights are a pickle"):
        import_hf(root, tmp_path / "out", check=False)
    import_hf(root, tmp_path / "out", check=False, allow_pickle=True)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".md", ".safetensors"}
    assert equal(read(tmp_path / "out").model, model())


def test_proper_weights_are_taken_before_a_pickle(tmp_path: Path) -> None:
    root = directory(tmp_path)
    (root / "pytorch_model.bin").write_bytes(b"not even a pickle")
    assert equal(read(root, allow_pickle=True).model, model())


def test_tensors_that_are_one_are_taken_as_two(tmp_path: Path) -> None:
    root = directory(tmp_path)
    state = load_file(root / "model.safetensors")
    state["lm_head.weight"] = state["model.shared.weight"]
    torch.save(state, root / "pytorch_model.bin")
    (root / "model.safetensors").unlink()
    assert equal(read(root, allow_pickle=True).model, model())


def test_several_files_are_read(tmp_path: Path) -> None:
    root = directory(tmp_path)
    state = load_file(root / "model.safetensors")
    (root / "model.safetensors").unlink()
    places = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(sorted(state))}
    for file in set(places.values()):
        torch.save({name: state[name] for name in places if places[name] == file}, root / file)
    index = root / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert equal(read(root, allow_pickle=True).model, model())
    with pytest.raises(InvalidData, match="the weights are a pickle"):
        read(root)
    for place in ("../x.bin", "/etc/passwd", "model.safetensors"):
        index.write_text(json.dumps({"weight_map": places | {next(iter(places)): place}}))
        with pytest.raises(InvalidData, match="which is no bin file beside it"):
            read(root, allow_pickle=True)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def deflated(path: Path) -> None:
    """An archive that is far larger inside."""
    torch.save({"a": torch.zeros(10**6)}, path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


WRONG: dict[str, tuple[Any, str]] = {
    "a program": (lambda p: torch.save({"a": Evil(p.parent / "opened")}, p), "holds more than tensors"),
    "a program without an archive": (
        lambda p: p.write_bytes(pickle.dumps({"a": Evil(p.parent / "opened")})),
        "holds more than tensors, or is none",
    ),
    "a whole module": (lambda p: torch.save(torch.nn.Linear(2, 2), p), "holds more than tensors"),
    "no pickle": (lambda p: p.write_bytes(b"\0" * 100), "holds more than tensors, or is none"),
    "nothing": (lambda p: p.write_bytes(b""), "holds more than tensors, or is none"),
    "a list": (lambda p: torch.save([torch.ones(2)], p), "holds a list, not tensors by name"),
    "tables in a table": (lambda p: torch.save({"model": {"a": torch.ones(2)}}, p), "model is a dict in the pickle"),
    "a number": (lambda p: torch.save({"a": torch.ones(2), "epoch": 3}, p), "epoch is a int in the pickle"),
    "sparse": (
        lambda p: torch.save({"a": torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (2**40,))}, p),
        "a is no plain tensor: torch.sparse_coo|holds more than tensors",
    ),
    "one value as many": (lambda p: torch.save({"a": torch.ones(1).expand(2**40)}, p), "too few bytes"),
    "complex": (lambda p: torch.save({"a": torch.ones(2, dtype=torch.complex64)}, p), "a is of complex64"),
    "compressed": (deflated, "the archive is compressed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_table_of_tensors_is_refused(name: str, tmp_path: Path) -> None:
    write, message = WRONG[name]
    root = directory(tmp_path)
    (root / "model.safetensors").unlink()
    write(root / "pytorch_model.bin")
    ran: list[str] = []
    sys.addaudithook(lambda event, args: ran.append(event) if event in ("os.mkdir", "os.system", "exec") else None)
    with pytest.raises(InvalidData, match=message) as caught:
        read(root, allow_pickle=True)
    assert str(root / "pytorch_model.bin") in str(caught.value)
    assert "os.mkdir" not in ran
    assert not (root / "opened").exists()


def test_values_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    root = directory(tmp_path)
    state = load_file(root / "model.safetensors")
    state["model.encoder.layers.0.fc1.bias"][2] = float("nan")
    torch.save(state, root / "pytorch_model.bin")
    (root / "model.safetensors").unlink()
    with pytest.raises(
        InvalidData, match="model.encoder.layers.0.fc1.bias: 1 of 24 values are infinite or not a number"
    ):
        read(root, allow_pickle=True)


def test_a_header_has_names_types_and_shapes(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2, 3).half(), "b": torch.tensor(1)}, tmp_path / "x.bin")
    found = header(tmp_path / "x.bin")
    assert {name: (one.dtype, one.shape) for name, one in found.items()} == {
        "a": (torch.float16, (2, 3)),
        "b": (torch.int64, ()),
    }
