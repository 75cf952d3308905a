"""Topologies: a model's outline has its names and shapes, costs nothing, and loads nothing."""

import subprocess
import sys

import pytest
import torch

from laws.subjects import families
from transept.families.gpt3 import SIZES, declare
from transept.topology import outline


@pytest.mark.parametrize("name", families())
def test_an_outline_has_the_names_and_shapes(name: str) -> None:
    spec = families()[name]
    made, drawn = outline(spec), spec.build()
    shapes = {key: (tensor.shape, tensor.dtype) for key, tensor in drawn.state_dict().items()}
    assert {key: (tensor.shape, tensor.dtype) for key, tensor in made.state_dict().items()} == shapes
    assert all(tensor.is_meta for tensor in made.state_dict().values())


def test_the_largest_model_has_an_outline() -> None:
    made = outline(declare(vocab=50_257, **SIZES["175b"]))
    assert sum(parameter.numel() for parameter in made.parameters()) == 174_604_259_328


def test_an_outline_does_not_load_torchs_compiler() -> None:
    """Drawing on the meta device does: a second and a half before a model is loaded or shown."""
    code = """if True:
        import sys
        from transept.families.gpt2 import TOY, declare
        from transept.topology import outline
        outline(declare(**TOY))
        print({"torch._dynamo", "sympy"} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_is_built_afterwards_is_drawn() -> None:
    spec = declare(vocab=23, width=32, heads=4, depth=1, length=8)
    outline(spec)
    torch.manual_seed(0)
    assert float(spec.build().embed.table.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
