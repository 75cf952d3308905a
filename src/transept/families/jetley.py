"""Learn to pay attention (Jetley et al. 2018): a network that classifies pictures by the places that it looks at."""

from typing import Any, Literal

from transept.heads.attended import Attended
from transept.inputs.levels import Levels
from transept.models import Model
from transept.parts.attention import Attention
from transept.parts.convnet import Convnet
from transept.parts.core import Core, Reference
from transept.parts.initial import Initial, Xavier
from transept.parts.scores import Summed
from transept.parts.straight import Straight

# Section 4: VGG with the pools of its first two stages moved to its end, behind two more convolutions.
VGG = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512), (512,), (512,))

SIZES: dict[str, dict[str, Any]] = {
    "vgg-att3": {"image": 32, "stages": VGG, "pools": (1, 1, 2, 2, 2, 2, 2), "taken": (2, 3, 4), "stage_norm": "batch"},
    "vgg-att2": {"image": 32, "stages": VGG, "pools": (1, 1, 2, 2, 2, 2, 2), "taken": (3, 4), "stage_norm": "batch"},
    # Ours, for a processor: 64 x 64 grey pixels.
    "reduced": {
        "image": 64,
        "channels": 1,
        "stages": ((8,), (16,), (32,), (64,)),
        "pools": (2, 2, 2, 8),
        "taken": (2, 3),
        "width": 64,
    },
}
TOY: dict[str, Any] = {
    "labels": 5,
    "image": 8,
    "channels": 1,
    "stages": ((6,), (12,)),
    "pools": (2, 2),
    "taken": (0, 1),
    "width": 12,
}
BEGINNING = Xavier()


def declare(
    *,
    image: int,
    stages: tuple[tuple[int, ...], ...],
    pools: tuple[int, ...],
    taken: tuple[int, ...],
    labels: int = 10,
    channels: int = 3,
    width: int = 512,
    compare: Literal["dot", "parameterised"] = "parameterised",
    stage_norm: Literal["none", "batch"] = "none",
    dropout: float = 0.0,
    initial: Initial = BEGINNING,
) -> Model:
    """The description.

    `taken` are the stages whose places are looked at, counted from 0; `width` is that of the whole. `compare` is how a
    place suits it: their product, or u . (l + g) with a learned u (equations 2 and 3).
    """
    seen = Levels((image, image), Convnet(stages, pools, channels, stage_norm), taken, dropout)
    core: Core = Reference() if compare == "dot" else Summed()
    attend = Attention(1, source="memory", core=core, bias=False, scale=1.0, project="")
    return Model(width, seen, Straight(), Attended(labels, seen.levels, attend, dropout), initial)
