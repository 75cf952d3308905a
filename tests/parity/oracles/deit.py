"""DeiT with every head."""

from collections.abc import Callable
from typing import Any

import transformers

from laws.subjects import on
from parity.oracles import vit
from parity.subjects import Change, perturb
from transept.inputs.patches import Patches

SIDES, DOUBLE, IDLE, batch = vit.SIDES, vit.DOUBLE, vit.IDLE, vit.batch


def deit(architecture: str = "DeiTForImageClassificationWithTeacher", **changes: Any) -> Any:
    """A DeiT of theirs."""
    return perturb(getattr(transformers, architecture)(transformers.DeiTConfig(**vit.sizes() | changes))).eval()


SUBJECTS: dict[str, Callable[[], Any]] = {
    "two heads of classes": deit,
    "square, silu": lambda: deit(image_size=12, patch_size=4, hidden_act="silu", qkv_bias=False),
    "classes": lambda: deit("DeiTForImageClassification", num_labels=3),
    "pooled": lambda: deit("DeiTModel", pooler_act="gelu"),
}

MUTANTS: dict[str, tuple[str, Change]] = vit.of_pictures("two heads of classes") | {
    "one token in front": ("two heads of classes", on(Patches, front="class")),
}

PUBLISHED: dict[str, int] = {  # the distilled ones, with the 1,000 classes of ImageNet
    "tiny": 5_910_800,
    "small": 22_436_432,
    "base": 87_338_192,
}
