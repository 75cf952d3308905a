"""Weights in memory are the model's own: what happens to the file afterwards does not reach them."""

from pathlib import Path

import pytest
import torch

from transept.errors import InvalidData
from transept.families import bert, gpt2, llama
from transept.hub import weights
from transept.hub.tensors import demand_finite, write
from transept.topology import Built


@pytest.mark.parametrize("module", [gpt2, bert, llama], ids=["gpt2", "bert", "llama"])
def test_a_file_that_is_written_over_changes_no_model(module: object, tmp_path: Path) -> None:
    """Mapped weights would change: tensors that are taken as they are, in pieces, turned, or under a second name."""
    torch.manual_seed(0)
    spec = module.declare(**module.TOY)  # type: ignore[attr-defined]
    made = spec.build()
    names = module.names(spec)  # type: ignore[attr-defined]
    file = tmp_path / "model.safetensors"
    write(file, {name: tensor.clone() for name, tensor in names.to_theirs(made.state_dict()).items()})
    found, _ = weights.load(tmp_path, spec, names, "float32")
    assert isinstance(found, Built)
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 3)
        opened.write(bytes(file.stat().st_size - file.stat().st_size // 3))
    assert all(torch.equal(tensor, made.state_dict()[name]) for name, tensor in found.state_dict().items())
    places = [tensor.untyped_storage().data_ptr() for tensor in found.state_dict().values()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_one_value_that_is_no_number_is_found(dtype: torch.dtype, wrong: float, tmp_path: Path) -> None:
    large = torch.full((400, 300), torch.finfo(dtype).max, dtype=dtype)  # whose sum is infinite
    small = torch.randn(400, 300).to(dtype)
    for tensor in (large, small):
        demand_finite("a", tensor, tmp_path)
        tensor[123, 45] = wrong
        with pytest.raises(InvalidData, match="a: 1 of 120000 values are infinite or not a number"):
            demand_finite("a", tensor, tmp_path)
    both = torch.tensor([float("inf"), -float("inf")]).to(dtype)
    with pytest.raises(InvalidData, match="2 of 2"):
        demand_finite("a", both, tmp_path)
