"""DeiT (Touvron et al. 2021): the Vision Transformer with one token more, which learns what a teacher answers."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.families import vit
from transept.families.configuration import Keys
from transept.families.hugging_face import architecture, architecture_of, demand_said
from transept.families.orders import ordered
from transept.heads.classes import Averaged, Classes
from transept.heads.head import Head
from transept.inputs.patches import Patches
from transept.models import Model
from transept.names import Names
from transept.parts.feedforward import Activation
from transept.parts.initial import Initial, Normal
from transept.spec import replace
from transept.topology import Topology

Heading = Literal["averaged", "classes", "pooled", "states"]

HEADS: dict[str, Heading] = {
    "DeiTForImageClassificationWithTeacher": "averaged",
    "DeiTForImageClassification": "classes",
    "DeiTModel": "pooled",
}
HF_MODELS = {"deit": tuple(HEADS)}
HF_WORDS = vit.HF_WORDS

SIZES: dict[str, dict[str, Any]] = {name: vit.SIZES[f"{name}-16"] for name in ("tiny", "small", "base")}  # table 1
TOY = vit.TOY
INITIAL = Normal(0.02)


def declare(
    *,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    labels: int = 1000,
    image: int = 224,
    patch: int = 16,
    channels: int = 3,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu",
    eps: float = 1e-6,
    bias: bool = True,
    stages: tuple[tuple[int, ...], ...] = (),
    pools: tuple[int, ...] = (),
    stage_norm: Literal["none", "batch"] = "none",
    positions: str = "learned",
    head: Heading = "averaged",
    pooler: Activation = "tanh",
    resize: Literal["bicubic", "bilinear"] | None = None,
    initial: Initial = INITIAL,
) -> Model:
    """ViT's description with an exact GELU and a distillation token.

    `head` "averaged" has classes of both tokens and answers with the mean; the second ones learn what a teacher answers
    (section 4). `stages`, `pools` and `stage_norm` are `vit.declare`'s.
    """
    spec = vit.declare(
        width=width,
        hidden=hidden,
        heads=heads,
        depth=depth,
        labels=labels,
        image=image,
        patch=patch,
        channels=channels,
        dropout=dropout,
        attention_dropout=attention_dropout,
        activation=activation,
        eps=eps,
        bias=bias,
        stages=stages,
        pools=pools,
        stage_norm=stage_norm,
        head="classes" if head == "averaged" else head,
        pooler=pooler,
        resize=resize,
        initial=initial,
    )
    top: Head = Averaged((Classes(labels), Classes(labels, "second"))) if head == "averaged" else spec.head
    assert isinstance(spec.embed, Patches)
    spec = replace(spec, embed=replace(spec.embed, front="distilled"), head=top)
    return ordered(spec, positions, "learned")


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a DeiT configuration, every key of which is honoured, held to its one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "DeiT")
    return vit.sized(declare(**vit.words_of(keys), head=HEADS[architecture(config, HF_MODELS)]), keys)


def to_hf(spec: Topology) -> dict[str, Any]:
    """The DeiT configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model = vit.pictured(spec, "DeiT")
    found = architecture_of(model, "DeiT", HEADS)
    config = {"architectures": [found], "model_type": "deit", **vit.config_of(model)}
    demand_said(model, from_hf(config), "DeiT", HF_WORDS)
    return config


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells; a file may have `deit.` before them or not."""
    return vit.table(spec, "deit.")
