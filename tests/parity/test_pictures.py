"""What ViT's and DeiT's pictures need beside the laws: other sizes, both heads apart, and the names in their files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from parity.subjects import NAMED, imported, oracles, pair
from transept.families.registry import all_families
from transept.inputs.patches import Patches
from transept.spec import edit, replace

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
PICTURES = [name for name in NAMED if name.startswith(("vit:", "deit:"))]


def with_resize(spec: Any, resize: str | None) -> Any:
    return edit(spec, lambda part: replace(part, resize=resize) if isinstance(part, Patches) else part)


@pytest.mark.parametrize("name", ["vit: square, one channel", "deit: square, silu"])
@pytest.mark.parametrize("size", [(20, 16), (8, 12), (12, 12)])
@torch.no_grad()
def test_another_size_as_theirs(name: str, size: tuple[int, int]) -> None:
    found = pair(name)
    model = imported(found.family, found.theirs, with_resize(found.ours.spec, "bicubic"))
    channels = found.theirs.config.num_channels
    pictures = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(3))
    theirs = found.theirs(pictures, interpolate_pos_encoding=True).logits
    assert_close(model(pictures).logits, theirs, **CLOSE)
    wrong = imported(found.family, found.theirs, with_resize(found.ours.spec, "bilinear"))
    assert size == (12, 12) or float((wrong(pictures).logits - theirs).abs().max()) > 1e-3


def corner_aligned(grid: Tensor, rows: int, columns: int) -> Tensor:
    """(h, w, D) -> (rows, columns, D), each point between its four neighbours, written out."""
    height, width, _ = grid.shape
    out = torch.empty(rows, columns, grid.size(2))
    for i in range(rows):
        for j in range(columns):
            y, x = i * (height - 1) / (rows - 1), j * (width - 1) / (columns - 1)
            top, left = min(int(y), height - 2), min(int(x), width - 2)
            down, right = y - top, x - left
            upper = grid[top, left] * (1 - right) + grid[top, left + 1] * right
            lower = grid[top + 1, left] * (1 - right) + grid[top + 1, left + 1] * right
            out[i, j] = upper * (1 - down) + lower * down
    return out


@torch.no_grad()
def test_another_size_as_the_papers_own_code() -> None:
    layer = Patches((12, 8), (4, 2), front="distilled", resize="bilinear").build(6)
    torch.nn.init.normal_(layer.position)
    made = layer.table(layer.position, (5, 7))
    assert torch.equal(made[:2], layer.position[:2])
    expected = corner_aligned(layer.position[2:].unflatten(0, (3, 4)), 5, 7)
    assert_close(made[2:], expected.flatten(0, 1), rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_the_two_heads_of_deit() -> None:
    found = pair("deit: two heads of classes")
    given = found.batch("none")
    theirs = found.theirs(**given.theirs)
    states, entered = found.ours.hidden(**given.ours)
    own, teacher = found.ours.head.each(states, entered)
    assert_close(own, theirs.cls_logits, **CLOSE)
    assert_close(teacher, theirs.distillation_logits, **CLOSE)
    assert float((own - teacher).abs().max()) > 1e-3


@pytest.mark.parametrize("name", PICTURES)
def test_files_have_the_names_of_version_4(name: str, tmp_path: Path) -> None:
    """Their models of version 5 have other names than the files that they write; either is read, with a base or not."""
    found = pair(name)
    found.theirs.save_pretrained(tmp_path)
    file = load_file(tmp_path / "model.safetensors")
    names, ours = found.family.names(found.ours.spec), found.ours.state_dict()
    written = names.stored(names.to_theirs(ours))
    assert written.keys() == file.keys()
    assert all(torch.equal(written[key], value) for key, value in file.items())
    assert any(".attention.attention.query." in key for key in file)
    base = found.theirs.base_model_prefix + "."
    for state in (file, found.theirs.state_dict()):
        for before in (base, ""):
            spelt = {key if "classifier" in key else before + key.removeprefix(base): v for key, v in state.items()}
            read, _ = names.to_ours(spelt, ours)
            assert all(torch.equal(read[key], value) for key, value in ours.items())


def test_the_configuration_of_a_published_model() -> None:
    """google/vit-base-patch16-224 and facebook/deit-base-distilled-patch16-224, as they are at the hub."""
    config: dict[str, Any] = {
        "_name_or_path": "google/vit-base-patch16-224-in21k",
        "architectures": ["ViTForImageClassification"],
        "attention_probs_dropout_prob": 0.0,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": 768,
        "id2label": {str(i): f"LABEL_{i}" for i in range(1000)},
        "image_size": 224,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "label2id": {f"LABEL_{i}": i for i in range(1000)},
        "layer_norm_eps": 1e-12,
        "model_type": "vit",
        "num_attention_heads": 12,
        "num_channels": 3,
        "num_hidden_layers": 12,
        "patch_size": 16,
        "qkv_bias": True,
        "transformers_version": "4.13.0.dev0",
    }
    for name, architecture, size in (
        ("vit", "ViTForImageClassification", "base-16"),
        ("deit", "DeiTForImageClassificationWithTeacher", "base"),
    ):
        family = all_families()[name]
        spec = family.from_hf(config | {"model_type": name, "architectures": [architecture]})
        words = family.SIZES[size] | {"activation": "gelu", "eps": 1e-12, "initial": spec.initial}
        assert spec == family.declare(**words)


def test_a_model_of_other_sizes_is_exported_if_theirs_can_follow() -> None:
    """Theirs resizes positions when a call asks for it, so a model that does is the same there; one that follows the
    paper's own code is not."""
    family, theirs = all_families()["vit"], oracles()["vit"].vit(image_size=12, patch_size=4)
    spec = imported(family, theirs).spec
    assert family.to_hf(with_resize(spec, "bicubic")) == family.to_hf(spec)
    with pytest.raises(ValueError, match=r"embed\.resize is bilinear"):
        family.to_hf(with_resize(spec, "bilinear"))
