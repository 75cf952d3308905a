"""wav2vec 2.0 (Baevski et al. 2020): an encoder of sound that learns from what it hears before it is told any words."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.families.configuration import BOOKKEEPING, GENERATION, Keys
from transept.families.hugging_face import (
    ACTIVATIONS,
    OtherShape,
    activation_word,
    architecture,
    architecture_of,
    demand_said,
    first,
    label_words,
    respelled,
)
from transept.families.orders import ordered
from transept.heads.classes import Classes, States
from transept.heads.contrast import Contrast
from transept.heads.head import Head
from transept.heads.letters import Letters
from transept.inputs.waveform import Waveform
from transept.models import Model
from transept.names import Drop, Entry, Names, linear, reshaped, same
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.convolution import Convolutions, Convolved
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial, Normal
from transept.parts.masking import Masking
from transept.parts.norm import Norm
from transept.parts.stack import Stack
from transept.spec import replace
from transept.topology import Topology

Heading = Literal["contrast", "letters", "classes", "states"]

HEADS: dict[str, Heading] = {
    "Wav2Vec2ForPreTraining": "contrast",
    "Wav2Vec2ForCTC": "letters",
    "Wav2Vec2ForSequenceClassification": "classes",
    "Wav2Vec2Model": "states",
}
HF_MODELS = {"wav2vec2": tuple(HEADS)}
HF_WORDS = {"position": "positions: convolution"}

DROPPED = {"dropout": 0.1, "attention_dropout": 0.1, "project_dropout": 0.1, "head_dropout": 0.1}
WIDE = {"width": 1024, "hidden": 4096, "heads": 16, "depth": 24, "code_width": 768, "out": 768}
SIZES: dict[str, dict[str, Any]] = {  # section 4.2; large-lv60 is the one trained on Libri-Light, as released
    "base": {"width": 768, "hidden": 3072, "heads": 12, "depth": 12, "skip": 0.05, **DROPPED},
    "large": {**WIDE, "skip": 0.2, **DROPPED},
    "large-lv60": {**WIDE, "frame_norm": "layer", "frame_bias": True, "norm": "before"},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2, "head": "letters"}
TOY |= {"channels": (8, 12), "kernels": (5, 3), "strides": (3, 2), "taps": 6, "groups": 4}
TOY |= {"codes": 5, "code_width": 6, "out": 8, "negatives": 4}
CONVOLUTIONS = {"channels": (512,) * 7, "kernels": (10, 3, 3, 3, 3, 2, 2), "strides": (5, 2, 2, 2, 2, 2, 2)}
GOLDEN_VOCAB = 32  # the letters of English, as the released models spell
INITIAL = Normal(0.02)


def declare(
    *,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    vocab: int = GOLDEN_VOCAB,
    channels: tuple[int, ...] = CONVOLUTIONS["channels"],
    kernels: tuple[int, ...] = CONVOLUTIONS["kernels"],
    strides: tuple[int, ...] = CONVOLUTIONS["strides"],
    frame_norm: Literal["group", "layer"] = "group",
    frame_bias: bool = False,
    positions: str = "convolution",
    taps: int = 128,
    groups: int = 16,
    norm: Literal["after", "before"] = "after",
    eps: float = 1e-5,
    activation: Activation = "gelu",
    masked: float = 0.65,
    span: int = 10,
    masked_channels: float = 0.0,
    channel_span: int = 10,
    codes: int = 320,
    code_width: int = 256,
    out: int = 256,
    negatives: int = 100,
    head: Heading = "contrast",
    labels: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation_dropout: float = 0.0,
    project_dropout: float = 0.0,
    head_dropout: float = 0.0,
    skip: float = 0.0,
    initial: Initial = INITIAL,
) -> Model:
    """The description.

    `channels`, `kernels` and `strides` make frames of samples; `frame_norm` "group" norms the first convolution over
    time, "layer" each over its channels. `taps` and `groups` are those of the convolution that tells the order. `norm`
    "before" is the large model of Libri-Light's. A share of `masked` frames is drawn to be hidden in training, in spans
    of `span`, at least two spans, and a share of `masked_channels` of the projected features in spans of `channel_span`
    (section 5.3). `head` "contrast" tells hidden frames apart by `codes` in each of two books, "letters" scores `vocab`
    letters at every frame, the first of which is the blank, "classes" tells `labels` classes of the whole sound.
    `head_dropout` is of what "contrast" quantises, or of what "letters" scores; `skip` leaves blocks out in training.
    """
    features = Convolutions(channels, kernels, strides, frame_norm, frame_bias, activation)
    made: dict[str, Head] = {
        "contrast": Contrast(
            channels[-1], codes=codes, code_width=code_width, out=out, negatives=negatives, dropout=head_dropout
        ),
        "letters": Letters(vocab, dropout=head_dropout),
        "classes": Classes(labels, "mean", narrow=256),
        "states": States(),
    }
    if masked_channels and channel_span > width:
        raise InvalidConfig(f"channel_span: no {channel_span} channels follow each other in a width of {width}")
    small = Norm(eps=eps)
    embed = Waveform(
        features,
        small,
        Convolved(taps, groups, activation),
        small if norm == "after" else None,
        Masking(masked, span, 2),
        Masking(masked_channels, channel_span),
        project_dropout=project_dropout,
        dropout=dropout,
    )
    attend = Attention(heads, dropout=attention_dropout)
    block = Block((attend, FeedForward(hidden, activation, dropout=activation_dropout)), small, norm, dropout)
    stack = Stack(block, depth, small if norm == "before" else None, skip=skip)
    return ordered(Model(width, embed, stack, made[head], initial), positions, "convolution")


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways

# The words of `declare`, or the fields of a part, that a key of theirs says alone; with what its absence stands for.
LISTS = {"channels": "conv_dim", "kernels": "conv_kernel", "strides": "conv_stride"}
SIZED = {"width": ("hidden_size", 768), "hidden": ("intermediate_size", 3072), "heads": ("num_attention_heads", 12)}
SIZED |= {"depth": ("num_hidden_layers", 12), "taps": ("num_conv_pos_embeddings", 128)}
SIZED |= {"groups": ("num_conv_pos_embedding_groups", 16)}
SHARED = {"dropout": ("hidden_dropout", 0.1), "attention_dropout": ("attention_dropout", 0.1)}
SHARED |= {"activation_dropout": ("activation_dropout", 0.1), "project_dropout": ("feat_proj_dropout", 0.0)}
SHARED |= {"skip": ("layerdrop", 0.1)}
CONTRAST = {"groups": ("num_codevector_groups", 2), "codes": ("num_codevectors_per_group", 320)}
CONTRAST |= {
    "code_width": ("codevector_dim", 256),
    "out": ("proj_codevector_dim", 256),
    "negatives": ("num_negatives", 100),
}


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a wav2vec 2.0 configuration, every key of which is honoured, held to one value, or refused.

    Raises InvalidConfig with the key.
    """
    keys = Keys(config, "wav2vec 2.0")
    word = HEADS[architecture(config, HF_MODELS)]
    words: dict[str, Any] = {ours: _list(keys, key, CONVOLUTIONS[ours]) for ours, key in LISTS.items()}
    words |= {ours: keys.whole(*key) for ours, key in SIZED.items()}
    words |= {ours: keys.share(*key) for ours, key in SHARED.items()}
    spec = declare(
        frame_norm=keys.choice("feat_extract_norm", "group", {"group": "group", "layer": "layer"}),
        frame_bias=keys.truth("conv_bias", False),
        norm="before" if keys.truth("do_stable_layer_norm", False) else "after",
        eps=keys.positive("layer_norm_eps", 1e-5),
        activation=keys.choice("feat_extract_activation", "gelu", ACTIVATIONS),
        head=word,
        initial=Normal(keys.positive("initializer_range", 0.02)),
        **words,
    )
    times, channels = _masking(keys, "mask_time", 0.05, 2), _masking(keys, "mask_feature", 0.0, 0)
    augment = keys.truth("apply_spec_augment", True)
    assert isinstance(spec.embed, Waveform)
    embed = replace(spec.embed, times=times, channels=channels, augment=augment)
    (block,) = spec.blocks.cycle()
    feed = replace(first(spec.blocks, FeedForward), activation=keys.choice("hidden_act", "gelu", ACTIVATIONS))
    stack = replace(spec.blocks, block=replace(block, parts=(first(spec.blocks, Attention), feed)))
    head = _head(keys, word, words["channels"][-1])
    _hold_the_rest(keys, spec.width, len(words["channels"]))
    return replace(spec, embed=embed, stack=stack, head=head)


def _list(keys: Keys, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found = default if keys.absent(key) else keys.config[key]
    if not isinstance(found, (list, tuple)) or not found or any(type(size) is not int or size < 1 for size in found):
        raise InvalidConfig(f"{key} must be a list of whole numbers from 1 on, not {found!r:.60}")
    return tuple(found)


def _masking(keys: Keys, kind: str, share: float, least: int) -> Masking:
    share, span = keys.share(f"{kind}_prob", share), keys.whole(f"{kind}_length", 10)
    return Masking(share, span, keys.whole(f"{kind}_min_masks", least, least=0))


def _head(keys: Keys, word: Heading, features: int) -> Head:
    """The head of an architecture, with its own keys; those of the others are set aside."""
    if word == "contrast":
        kappa, weight = keys.positive("contrastive_logits_temperature", 0.1), keys.number("diversity_loss_weight", 0.1)
        sizes = {ours: keys.whole(*key) for ours, key in CONTRAST.items()}
        dropout = keys.share("feat_quantizer_dropout", 0.0)
        return Contrast(features, **sizes, kappa=kappa, diversity=weight, dropout=dropout)
    if word == "letters":
        blank = keys.whole("pad_token_id", 0, least=0)
        return Letters(keys.whole("vocab_size", 32), blank, keys.share("final_dropout", 0.1))
    if word == "classes":
        keys.only("use_weighted_layer_sum", False, why="the states of all blocks are averaged")
        return Classes(keys.labels(), "mean", narrow=keys.whole("classifier_proj_size", 256))
    return States()


def _hold_the_rest(keys: Keys, width: int, convolutions: int) -> None:
    """The keys, old and new, that can have one value only, and those that compute nothing in this architecture."""
    keys.only("add_adapter", False, why="convolutions follow the encoder")
    keys.only("adapter_attn_dim", None, why="each block has an adapter")
    keys.only("pruned_heads", {}, None, why="heads were cut out of the weights")
    for key in ("is_encoder_decoder", "tie_encoder_decoder", "is_decoder", "add_cross_attention"):
        keys.only(key, False, why="a model with a decoder is another shape")
    keys.alias("num_feat_extract_layers", "the length of conv_dim", convolutions)
    if not keys.absent("output_hidden_size"):
        keys.alias("output_hidden_size", "hidden_size", width)
    others = """
        vocab_size final_dropout contrastive_logits_temperature diversity_loss_weight feat_quantizer_dropout
        classifier_proj_size use_weighted_layer_sum tdnn_dim tdnn_kernel tdnn_dilation xvector_output_dim
        adapter_kernel_size adapter_stride num_adapter_layers ctc_loss_reduction ctc_zero_infinity tie_word_embeddings
    """  # of other heads, of adapters that are not there, and of their own training
    fairseq = """
        feat_extract_dropout hidden_dropout_prob freeze_feat_extract_train mask_channel_length mask_channel_min_space
        mask_channel_other mask_channel_prob mask_channel_selection mask_time_min_space mask_time_other
        mask_time_selection no_mask_channel_overlap no_mask_time_overlap
    """  # written with the first released models, and read by nothing
    keys.done(BOOKKEEPING, GENERATION, others, fairseq, *(key for key, _ in CONTRAST.values()))


def to_hf(spec: Topology) -> dict[str, Any]:
    """The wav2vec 2.0 configuration of a description. Raises InvalidConfig that names what it cannot say."""
    if not isinstance(spec, Model) or not isinstance(spec.embed, Waveform):
        over = f" over {type(spec.embed).__name__}" if isinstance(spec, Model) else ""
        raise OtherShape(f"wav2vec 2.0 is one stack over sound, this model is a {type(spec).__name__}{over}")
    embed, stack, attend, feed = spec.embed, spec.blocks, first(spec.blocks, Attention), first(spec.blocks, FeedForward)
    features = embed.features
    position = embed.position if isinstance(embed.position, Convolved) else Convolved()
    sizes = (spec.width, feed.hidden, attend.heads, stack.depth, position.kernel, position.groups)
    shares = (embed.dropout, attend.dropout, feed.dropout, embed.project_dropout, stack.skip)
    config = {
        "model_type": "wav2vec2",
        "architectures": [architecture_of(spec, "wav2vec 2.0", HEADS)],
        **_said(spec.head),
        **{theirs: list(getattr(features, ours)) for ours, theirs in LISTS.items()},
        **{theirs: value for (theirs, _), value in zip(SIZED.values(), sizes, strict=True)},
        **{theirs: value for (theirs, _), value in zip(SHARED.values(), shares, strict=True)},
        "hidden_act": activation_word(feed.activation),
        "initializer_range": spec.initial.std if isinstance(spec.initial, Normal) else 0.02,
        "layer_norm_eps": embed.norm.eps,
        "feat_extract_norm": features.norm,
        "feat_extract_activation": activation_word(features.activation),
        "conv_bias": features.bias,
        "do_stable_layer_norm": embed.after is None,
        "apply_spec_augment": embed.augment,
    }
    for kind, masking in (("mask_time", embed.times), ("mask_feature", embed.channels)):
        config |= {f"{kind}_prob": masking.share, f"{kind}_length": masking.span, f"{kind}_min_masks": masking.least}
    demand_said(spec, from_hf(config), "wav2vec 2.0", HF_WORDS)
    return config


def _said(head: Head) -> dict[str, Any]:
    """What a configuration says of a head."""
    said: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    match head:
        case Contrast():
            said |= {theirs: getattr(head, ours) for ours, (theirs, _) in CONTRAST.items()}
            said |= {"contrastive_logits_temperature": head.kappa, "diversity_loss_weight": head.diversity}
            said |= {"feat_quantizer_dropout": head.dropout}
        case Letters():
            said |= {"vocab_size": head.count, "pad_token_id": head.blank, "final_dropout": head.dropout}
        case Classes():
            said |= {"classifier_proj_size": head.narrow or 256, **label_words(head.count)}
    return said


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells; a file may have `wav2vec2.` before them or not.

    The gains and directions of the positions have had other names since torch 2.
    """
    base = "" if isinstance(spec.head, States) else "wav2vec2."
    head, theirs = spec.head, f"{base}encoder"
    table = [*_waveform(spec, base)]
    for ours, other in (
        *(
            (f"attention.{part}", f"attention.{name}_proj")
            for part, name in zip("qkvo", ("q", "k", "v", "out"), strict=True)
        ),
        ("attention_norm", "layer_norm"),
        ("feedforward.up", "feed_forward.intermediate_dense"),
        ("feedforward.down", "feed_forward.output_dense"),
        ("feedforward_norm", "final_layer_norm"),
    ):
        table += linear(f"stack.blocks.{{i}}.{ours}", f"{theirs}.layers.{{i}}.{other}")
    match head:
        case Contrast():
            book = head.code_width // head.groups
            shapes = (head.groups, head.codes, book), (1, head.groups * head.codes, book)
            table += [reshaped("head.book", "quantizer.codevectors", *shapes)]
            table += [*linear("head.choose", "quantizer.weight_proj"), *linear("head.guess", "project_hid")]
            table += linear("head.truth", "project_q")
        case Letters():
            table += linear("head.score", "lm_head")
        case Classes():
            table += [*linear("head.project", "projector"), *linear("head.score", "classifier")]
    tails = ("parametrizations.weight.original0", "weight_g"), ("parametrizations.weight.original1", "weight_v")
    return Names(respelled(table, *tails, (base, "") if base else ("", "wav2vec2.")))


def _waveform(spec: Model, base: str) -> list[Entry]:
    """What enters, and the one norm of theirs that is ours of the input or of the stack."""
    embed = spec.embed
    assert isinstance(embed, Waveform)
    frames, tail = f"{base}feature_extractor.conv_layers.{{i}}", "parametrizations.weight.original"
    order = f"{base}encoder.pos_conv_embed.conv"
    table: list[Entry] = [
        *linear("embed.features.convs.{i}", f"{frames}.conv"),
        *linear("embed.features.norms.{i}", f"{frames}.layer_norm"),
        *linear("embed.norm", f"{base}feature_projection.layer_norm"),
        *linear("embed.project", f"{base}feature_projection.projection"),
        same("embed.position.gain", f"{order}.{tail}0"),
        same("embed.position.direction", f"{order}.{tail}1"),
        same("embed.position.bias", f"{order}.bias"),
        *linear("stack.norm" if embed.after is None else "embed.after", f"{base}encoder.layer_norm"),
    ]
    vector = f"{base}masked_spec_embed"
    if embed.times.share or embed.channels.share:
        return [*table, same("embed.hidden", vector)]
    return [*table, Drop(vector, "nothing is hidden in this model")]
