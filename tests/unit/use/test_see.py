"""`see`: picture files as Hugging Face's image-classification sees them; tensors; what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    DeiTImageProcessor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    pipeline,
)

from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.use.loaded import Loaded, load
from unit.use.made import edit, shaken

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "id2label": {0: "cat", 1: "dog", 2: "house"},
    "label2id": {"cat": 0, "dog": 1, "house": 2},
}


def model_in(root: Path, kind: str) -> Loaded:
    torch.manual_seed(0)
    if kind == "vit":
        shaken(ViTForImageClassification(ViTConfig(**SIZES))).save_pretrained(root)
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(root)
    else:
        model = DeiTForImageClassificationWithTeacher if kind == "distilled" else DeiTForImageClassification
        shaken(model(DeiTConfig(**SIZES))).save_pretrained(root)
        size, crop = {"height": 40, "width": 40}, {"height": 32, "width": 32}
        DeiTImageProcessor(size=size, crop_size=crop, image_mean=[0.4, 0.5, 0.6]).save_pretrained(root)
    return load(root)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return model_in(tmp_path_factory.mktemp("vit"), "vit")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wide, high, grey, half transparent, turned by its camera."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    found = []
    for name, shape in (
        ("wide.png", (40, 90, 3)),
        ("high.jpg", (77, 33, 3)),
        ("grey.png", (50, 50)),
        ("a.png", (30, 30, 4)),
    ):
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(root / name)
        found.append(root / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(random.integers(0, 256, (60, 30, 3), np.uint8)).save(root / "turned.jpg", exif=exif)
    return [*found, root / "turned.jpg"]


@pytest.mark.parametrize("kind", ["vit", "deit", "distilled"])
def test_labels_and_probabilities_are_hugging_faces(tmp_path: Path, kind: str, pictures: list[Path]) -> None:
    loaded = model_in(tmp_path, kind)
    assert loaded.verbs == ("see",)
    pipe = pipeline("image-classification", model=str(tmp_path))
    found = loaded.see(pictures)
    for path, ours in zip(pictures, found, strict=True):
        wanted = {one["label"]: one["score"] for one in pipe(str(path))}
        assert ours.scores == pytest.approx(wanted, rel=1e-4)
        assert ours == max(wanted, key=wanted.get)  # type: ignore[arg-type]
        assert loaded.see(path).scores == pytest.approx(ours.scores, rel=1e-5)
    assert loaded.see([]) == []


def test_a_tensor_is_taken_as_it_is(vit: Loaded) -> None:
    batch = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        wanted = vit.model(batch).logits.softmax(-1)
    for each, label, row in zip(batch, vit.see(batch), wanted, strict=True):
        assert [label.scores[name] for name in ("cat", "dog", "house")] == pytest.approx(row.tolist(), rel=1e-4)
        assert vit.see(each).scores == pytest.approx(label.scores, rel=1e-5)


def test_what_is_refused(vit: Loaded, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InvalidData, match="text.png: this is no picture that Pillow reads"):
        vit.see(tmp_path / "text.png")
    with pytest.raises(InvalidData, match="gone.png: the picture cannot be read: No such file"):
        vit.see(str(tmp_path / "gone.png"))
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    with pytest.raises(InvalidData, match=r"cut.png: the picture cannot be read|cut.png: this is no picture"):
        vit.see(tmp_path / "cut.png")
    with pytest.raises(InvalidData, match=r"picture 2 is \(32, 32\), not \(channels, height, width\)"):
        vit.see([torch.zeros(3, 32, 32), torch.zeros(32, 32)])
    with pytest.raises(UsageError, match=r"cannot classify: it is an encoder that reads pictures[\s\S]*It can see:"):
        vit.classify("a text")


def test_who_says_nothing_of_pictures_is_asked(tmp_path: Path, pictures: list[Path]) -> None:
    model_in(tmp_path, "vit")
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(InvalidData, match="preprocessor_config.json is missing, which says how pictures are prepared"):
        load(tmp_path).see(pictures[0])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_means_are_as_many_as_channels(count: int, pictures: list[Path], tmp_path: Path) -> None:
    model_in(tmp_path, "vit")
    edit(tmp_path / "preprocessor_config.json", image_mean=[0.5] * count, image_std=[0.5] * count)
    with pytest.raises(
        InvalidConfig, match=rf"preprocessor_config.json: image_mean has {count} numbers, and the model"
    ):
        load(tmp_path).see(pictures[0])
