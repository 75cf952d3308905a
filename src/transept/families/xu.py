"""Show, Attend and Tell (Xu et al. 2015): a picture is described word by word, each looking at a place of it."""

from typing import Any, Literal

from transept.heads.vocabulary import Vocabulary
from transept.inputs.annotations import Annotations
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.parts.attention import Attention
from transept.parts.attentive import Searching
from transept.parts.cell import Lstm
from transept.parts.convnet import Convnet
from transept.parts.hard import Hard
from transept.parts.initial import Initial, Xavier
from transept.parts.position import Learned
from transept.parts.readout import Readout
from transept.parts.scores import Additive
from transept.parts.start import Start
from transept.parts.straight import Straight

# Simonyan & Zisserman 2015, table 1, D, up to conv5_3: 14 x 14 annotations of 512 channels.
VGG = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

SIZES: dict[str, dict[str, Any]] = {
    # Section 3.1.1 has the annotations; the other widths are those of the authors' code for COCO, evaluate_coco.py.
    "coco": {"image": 224, "stages": VGG, "pools": (2, 2, 2, 2, 1), "hidden": 1800, "align": 512, "dropout": 0.5},
    # Ours, for a processor: 4 x 4 annotations of 64 x 64 grey pixels.
    "reduced": {
        "image": 64,
        "channels": 1,
        "stages": ((16,), (32,), (64,), (64,)),
        "pools": (2, 2, 2, 2),
        "hidden": 128,
        "align": 64,
        "places": True,
    },
}
TOY: dict[str, Any] = {
    "vocab": 23,
    "image": 12,
    "channels": 1,
    "stages": ((6,), (16,)),
    "pools": (2, 2),
    "hidden": 24,
    "align": 12,
}
GOLDEN_VOCAB = 10_000  # evaluate_coco.py

BEGINNING = Xavier()


def declare(
    *,
    vocab: int,
    image: int,
    stages: tuple[tuple[int, ...], ...],
    pools: tuple[int, ...],
    hidden: int,
    align: int,
    channels: int = 3,
    dropout: float = 0.0,
    attention: Literal["soft", "hard"] = "soft",
    estimator: Literal["reinforce", "straight_through", "gumbel"] = "reinforce",
    expected: float = 0.5,
    temperature: float = 1.0,
    places: bool = False,
    initial: Initial = BEGINNING,
) -> Seq2Seq:
    """The description.

    `image` is the side of a picture in pixels; `stages` and `pools` make its annotations, whose channels are the width
    of the model. `align` is the width of the layer that compares a state with an annotation. `attention` "hard" draws
    one annotation for each word, trained as `estimator` says (sections 4.1 and 4.2); `expected` and `temperature` are
    `Hard`'s. `places` adds a learned order to the annotations, which the paper leaves to a deep network.
    """
    width = stages[-1][-1]
    net = Convnet(stages, pools, channels)
    places_of = net.grids((image, image))[-1]
    seen = Annotations((image, image), net, Learned(places_of[0] * places_of[1]) if places else None)
    core = Hard(Additive(), estimator, expected, temperature) if attention == "hard" else Additive()
    attend = Attention(1, source="memory", core=core, head_width=align, bias="qkv", scale=1.0, project="qk")
    readout = Readout(width, "added", bias=True)
    decoder = Searching(Lstm(hidden), attend, readout, Start("mean"), dropout, "after", gate=True)
    head, embed = Vocabulary(vocab, tied=False, bias=True), Tokens(vocab, dropout=dropout)
    return Seq2Seq(width, embed, Straight(), decoder, head, seen, initial)
