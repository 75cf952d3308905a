"""Convolutional sequence to sequence (Gehring et al. 2017): words are read in windows, all at once."""

from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.heads.mapped import MappedVocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model, Seq2Seq
from transept.parts.initial import Initial, Preserving
from transept.parts.mapped import Weights
from transept.parts.multistep import Multistep
from transept.parts.position import Learned
from transept.parts.windows import Kernels, Windows
from transept.spec import replace

SIZES: dict[str, dict[str, Any]] = {
    # Sections 4.2 and 5.1; where the paper gives no width of embeddings, those of the authors' code (fairseq).
    "en-ro": {"width": 512, "hidden": 512, "depth": 20, "readout": 512, "dropout": 0.2},
    "en-de": {"width": 768, "hidden": (512, 1024, 2048), "kernel": (3, 3, 1), "depth": (9, 4, 2), "readout": 512},
    "en-fr": {
        "width": 768,
        "hidden": (512, 768, 1024, 2048, 4096),
        "kernel": (3, 3, 3, 1, 1),
        "depth": (6, 4, 3, 1, 1),
        "readout": 512,
    },
    "iwslt": {"width": 256, "hidden": 256, "depth": 4, "decoder_depth": 3, "readout": 256, "dropout": 0.2},
    # bentrevett/pytorch-seq2seq, the fifth notebook: no gains, and one pair of maps around all attentions. It scales no
    # mix and no gradient, and lets padding be read.
    "notebook": {
        "width": 256,
        "hidden": 512,
        "depth": 10,
        "readout": 256,
        "dropout": 0.25,
        "length": 100,
        "weights": "plain",
        "share": "maps",
    },
    "reduced": {"width": 256, "hidden": 256, "depth": 4, "decoder_depth": 3, "readout": 256, "dropout": 0.25},  # ours
}
TOY: dict[str, Any] = {"vocab": 23, "width": 16, "hidden": 24, "depth": 2, "readout": 20, "length": 64}
GOLDEN_VOCAB = 40_000  # section 4.1

BEGINNING = Preserving()  # section 3.5

Counts = int | tuple[int, ...]


def declare(
    *,
    vocab: int,
    width: int,
    hidden: Counts,
    depth: Counts,
    readout: int,
    kernel: Counts = 3,
    decoder_depth: Counts | None = None,
    length: int = 1024,
    dropout: float = 0.0,
    weights: Weights = "normalised",
    share: Literal["nothing", "maps"] = "nothing",
    sums: Literal["halved", "plain"] = "halved",
    form: Literal["seq2seq", "language_model"] = "seq2seq",
    initial: Initial = BEGINNING,
) -> Seq2Seq | Model:
    """The description.

    `hidden`, `kernel` and `depth` may be several, for layers that widen: (512, 1024) and (9, 4) are nine layers of 512
    and four of 1024. `readout` is the width of what is scored. `sums` "halved" is the authors' code, "plain" what
    equations 1 and 2 print. `form` "language_model" is the decoder without a source (Dauphin et al. 2017).
    """
    embed = Tokens(vocab, Learned(length), dropout=dropout)
    encoder = Windows(
        kernels_of(hidden, kernel, depth),
        activation="glu",
        residual="halved",
        weights=weights,
        enter="linear",
        leave=width,
        dropout=dropout,
    )
    own = kernels_of(hidden, kernel, depth if decoder_depth is None else decoder_depth)
    decoder = replace(encoder, kernels=own, looks="back", leave=readout)
    head = MappedVocabulary(vocab, tied=False, bias=True, weights=weights, dropout=dropout)
    if form == "language_model":
        return Model(width, embed, decoder, head, initial)
    return Seq2Seq(width, embed, encoder, Multistep(decoder, share=share, sums=sums), head, embed, initial)


def kernels_of(hidden: Counts, kernel: Counts, depth: Counts) -> tuple[Kernels, ...]:
    """Kernels for each of several counts, of which one alone stands for all. Raises InvalidConfig."""
    given = [each if isinstance(each, tuple) else (each,) for each in (hidden, kernel, depth)]
    count = max(map(len, given))
    if any(len(each) not in (1, count) for each in given):
        raise InvalidConfig(
            f"hidden={hidden}, kernel={kernel} and depth={depth} are not of as many groups of layers",
            remedy="Give each as many numbers, or one for all.",
        )
    groups = zip(*(each * count if len(each) == 1 else each for each in given), strict=True)
    return tuple(Kernels(features, taps, depth=layers) for features, taps, layers in groups)
