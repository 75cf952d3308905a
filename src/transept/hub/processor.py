"""What a model wants of pictures and of sound, in its `preprocessor_config.json`, both ways."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transept.data.pictures import Preparation
from transept.errors import InvalidConfig
from transept.families.configuration import Keys
from transept.hub.described import at
from transept.hub.files import member, read_json

PREPARED, WHOLE = "preprocessor_config.json", "processor_config.json"

# What their files say that changes no number: names, forms of arrays, what a call returns.
ASIDE = """
    image_processor_type feature_extractor_type processor_class _processor_class _valid_processor_keys data_format
    input_data_format return_tensors device disable_grouping do_convert_rgb default_to_square image_seq_length
    pad_size size_divisor
"""
HEARD = "feature_extractor_type processor_class _processor_class padding_side padding return_tensors truncation"
# What each class of theirs takes where its file is silent: height and width, those of a crop, the filter.
PICTURES: dict[str, tuple[int, int | None, int]] = {"ViT": (224, None, 2), "DeiT": (256, 224, 3)}
SOUND = "Wav2Vec2FeatureExtractor"
HALF = [0.5, 0.5, 0.5]


@dataclass(frozen=True)
class Hearing:
    """How sound becomes numbers: so many samples a second; `normalise` brings them to mean 0 and variance 1.

    `mask` tells that padding was marked in training; else it is silence that the model was trained to see.
    """

    rate: int = 16_000
    normalise: bool = True
    mask: bool = False


Processor = Preparation | Hearing


def read_processor(root: Path) -> Processor | None:
    """What a model directory says of pictures or sound; None where it says nothing.

    Raises InvalidConfig with the file and the key that is unknown or cannot be honoured.
    """
    for name in (PREPARED, WHOLE):
        if not (root / name).is_symlink() and not (root / name).exists():
            continue
        config = read_json(member(root, name))
        for part in ("image_processor", "feature_extractor"):  # newer files hold it inside, beside the tokenizer's name
            if isinstance(config.get(part), dict):
                config = config[part]
        if "image_processor_type" in config or "feature_extractor_type" in config or name == PREPARED:
            return at(root / name, from_hf, config)
    return None


def from_hf(config: dict[str, Any]) -> Processor:
    """The description in a configuration of theirs, every key of which is honoured, of no effect, or refused."""
    kind = config.get("image_processor_type") or config.get("feature_extractor_type") or ""
    if kind == SOUND or (not kind and "sampling_rate" in config):
        return _heard(config)
    short = (
        str(kind)
        .removesuffix("Fast")
        .removesuffix("Pil")
        .removesuffix("ImageProcessor")
        .removesuffix("FeatureExtractor")
    )
    if kind and short not in PICTURES:
        raise InvalidConfig(f"{kind} prepares inputs in a way that Transept does not know")
    return _seen(config, short or "ViT")


def _heard(config: dict[str, Any]) -> Hearing:
    keys = Keys({key: value for key, value in config.items() if value is not None}, "sound")
    keys.only("feature_size", 1, why="the model takes one channel")
    keys.only("padding_value", 0.0, 0, why="what stands beyond the end is silence")
    keys.only("padding_side", "right", why="sound is padded at its end")
    found = Hearing(
        keys.whole("sampling_rate", 16_000),
        keys.truth("do_normalize", True),
        keys.truth("return_attention_mask", False),
    )
    keys.done(HEARD)
    return found


def _seen(config: dict[str, Any], kind: str) -> Preparation:
    keys = Keys({key: value for key, value in config.items() if value is not None}, "pictures")
    side, middle, filtered = PICTURES[kind]
    size, shortest = _size(keys, "size", side)
    crop, edge = _size(keys, "crop_size", middle or side)
    resized, cropped = keys.truth("do_resize", True), keys.truth("do_center_crop", middle is not None)
    scaled, normal = keys.truth("do_rescale", True), keys.truth("do_normalize", True)
    resample, factor = keys.whole("resample", filtered, least=0), keys.positive("rescale_factor", 1 / 255)
    mean, std = _channels(keys, "image_mean"), _channels(keys, "image_std")
    if len(mean) != len(std):
        raise InvalidConfig(
            f"image_mean has {len(mean)} numbers and image_std {len(std)}", remedy="Each has one for each channel."
        )
    keys.only("do_pad", False, why="pictures are not padded")
    keys.done(ASIDE)
    if resample > 5:
        raise InvalidConfig(f"resample is {resample}, and Pillow's filters are 0 to 5")
    if edge is not None:
        raise InvalidConfig("crop_size has a height and a width")
    return Preparation(
        size if resized else None,
        shortest if resized else None,
        crop if cropped else None,
        resample,
        factor if scaled else None,
        mean if normal else None,
        std if normal else None,
    )


def _size(keys: Keys, key: str, default: int) -> tuple[tuple[int, int] | None, int | None]:
    """(height, width) or the shortest side of a number or a table."""
    value = keys.config.get(key, default)
    if type(value) is int:
        side = keys.whole(key, default)
        return (side, side), None
    inner = Keys(keys.table(key), f"the {key} of pictures")
    if "shortest_edge" in inner.config:
        found: tuple[tuple[int, int] | None, int | None] = None, inner.whole("shortest_edge", 1)
    else:
        found = (inner.whole("height", 0), inner.whole("width", 0)), None
    inner.done()
    return found


def _channels(keys: Keys, key: str) -> tuple[float, ...]:
    values = keys.listed(key) if key in keys.config else HALF
    if not values or not all(type(value) in (int, float) for value in values) or (key == "image_std" and 0 in values):
        raise InvalidConfig(f"{key} must have a number for each channel, not {values!r:.40}")
    return tuple(float(value) for value in values)


def to_hf(processor: Processor) -> dict[str, Any]:
    """The content of preprocessor_config.json."""
    if isinstance(processor, Hearing):
        return {
            "feature_extractor_type": SOUND,
            "feature_size": 1,
            "sampling_rate": processor.rate,
            "padding_value": 0.0,
            "padding_side": "right",
            "do_normalize": processor.normalise,
            "return_attention_mask": processor.mask,
        }
    size = {"shortest_edge": processor.shortest} if processor.size is None else _table(processor.size)
    config: dict[str, Any] = {
        "image_processor_type": "DeiTImageProcessor" if processor.crop else "ViTImageProcessor",
        "do_resize": processor.size is not None or processor.shortest is not None,
        "resample": processor.resample,
        "do_rescale": processor.scale is not None,
        "do_normalize": processor.mean is not None,
    }
    config |= {"size": size} if config["do_resize"] else {}
    config |= {"do_center_crop": True, "crop_size": _table(processor.crop)} if processor.crop else {}
    config |= {"rescale_factor": processor.scale} if processor.scale is not None else {}
    if processor.mean is not None and processor.std is not None:
        config |= {"image_mean": list(processor.mean), "image_std": list(processor.std)}
    return config


def _table(size: tuple[int, int]) -> dict[str, int]:
    return {"height": size[0], "width": size[1]}
