"""What a model wants of pictures and sound, both ways."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from transept.data.pictures import Preparation
from transept.errors import InvalidConfig, InvalidData
from transept.hub.processor import Hearing, from_hf, read_processor, to_hf

HALF = (0.5, 0.5, 0.5)
VIT = {  # as google/vit-base-patch16-224 has it
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "size": 224,
}
DEIT = {  # as facebook/deit-base-distilled-patch16-224 has it
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "DeiTFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": 256,
}
WAV2VEC2 = {  # as facebook/wav2vec2-base-960h has it
    "do_normalize": True,
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": False,
    "sampling_rate": 16000,
}

KNOWN: list[tuple[dict[str, Any], Any]] = [
    (VIT, Preparation((224, 224), None, None, 2, 1 / 255, HALF, HALF)),
    (
        DEIT,
        Preparation((256, 256), None, (224, 224), 3, 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ),
    (WAV2VEC2, Hearing(16_000, True, False)),
    (
        {"image_processor_type": "ViTImageProcessorFast", "size": {"height": 96, "width": 64}, "do_rescale": False},
        Preparation((96, 64), None, None, 2, None, HALF, HALF),
    ),
    (
        {"image_processor_type": "ViTImageProcessor", "size": {"shortest_edge": 30}, "do_normalize": False},
        Preparation(None, 30, None, 2, 1 / 255, None, None),
    ),
    (
        {"image_processor_type": "ViTImageProcessor", "do_resize": False},
        Preparation(None, None, None, 2, 1 / 255, HALF, HALF),
    ),
    ({"sampling_rate": 8000, "return_attention_mask": True}, Hearing(8000, True, True)),
]


@pytest.mark.parametrize(("config", "expected"), KNOWN)
def test_there_and_back(config: dict[str, Any], expected: Any) -> None:
    assert from_hf(config) == expected
    assert from_hf(to_hf(expected)) == expected


@pytest.mark.parametrize("expected", [one for _, one in KNOWN if isinstance(one, Preparation)])
def test_hugging_face_reads_pictures_the_same(expected: Preparation, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(to_hf(expected)))
    theirs = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    assert theirs.do_resize == (expected.size is not None or expected.shortest is not None)
    if expected.size is not None:
        assert (theirs.size["height"], theirs.size["width"]) == expected.size
    assert bool(theirs.do_center_crop) == (expected.crop is not None)
    assert theirs.resample == expected.resample
    assert theirs.do_rescale == (expected.scale is not None)
    assert theirs.do_normalize == (expected.mean is not None)
    if expected.mean is not None:
        assert (tuple(theirs.image_mean), tuple(theirs.image_std)) == (expected.mean, expected.std)
    theirs.save_pretrained(tmp_path)
    assert read_processor(tmp_path) == expected


@pytest.mark.parametrize("expected", [Hearing(), Hearing(8000, False, True)])
def test_hugging_face_reads_sound_the_same(expected: Hearing, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(to_hf(expected)))
    theirs = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)
    assert (theirs.sampling_rate, theirs.do_normalize) == (expected.rate, expected.normalise)
    assert theirs.return_attention_mask == expected.mask
    theirs.save_pretrained(tmp_path)
    assert read_processor(tmp_path) == expected


def test_a_newer_file_holds_it_inside(tmp_path: Path) -> None:
    assert read_processor(tmp_path) is None
    whole = {"feature_extractor": WAV2VEC2, "processor_class": "Wav2Vec2Processor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(whole))
    assert read_processor(tmp_path) == Hearing()
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "BertProcessor"}))
    assert read_processor(tmp_path) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (VIT | {"image_maen": [0.5]}, "unknown keys for pictures: 'image_maen' Did you mean 'image_mean'"),
        (VIT | {"size": "large"}, "size"),
        (VIT | {"size": {"height": 3}}, "width must be a whole number"),
        (VIT | {"size": {"shortest_edge": 3, "longest_edge": 4}}, "unknown keys for the size of pictures"),
        (VIT | {"image_std": [0.5, 0.0, 0.5]}, "image_std must have a number for each channel"),
        (VIT | {"image_mean": ["a"]}, "image_mean must have a number for each channel"),
        (VIT | {"image_mean": [0.5, 0.5]}, "image_mean has 2 numbers and image_std 3"),
        (VIT | {"resample": 9}, "resample is 9"),
        (VIT | {"do_pad": True}, "do_pad is True: pictures are not padded"),
        (VIT | {"image_processor_type": "CLIPImageProcessor"}, "CLIPImageProcessor prepares inputs in a way"),
        (WAV2VEC2 | {"feature_size": 80}, "feature_size is 80: the model takes one channel"),
        (WAV2VEC2 | {"sampling_rate": 0}, "sampling_rate must be a whole number"),
        (WAV2VEC2 | {"do_normalise": True}, "unknown keys for sound: 'do_normalise' Did you mean 'do_normalize'"),
    ],
)
def test_what_would_change_numbers_is_honoured_or_refused(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=message):
        from_hf(config)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidConfig, match="preprocessor_config.json"):
        read_processor(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("[]")
    with pytest.raises(InvalidData, match="not a JSON object"):
        read_processor(tmp_path)
