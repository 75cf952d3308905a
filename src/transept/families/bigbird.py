"""BigBird (Zaheer et al. 2020): BERT whose tokens see neighbouring, global and random blocks, and no others."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.families import bert
from transept.families.configuration import Keys
from transept.families.hugging_face import architecture, architecture_of, demand_said, first, over_tokens, respelled
from transept.families.orders import ordered
from transept.heads.classes import Classes, Pooled, Spans, Tags
from transept.heads.head import Head
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.names import Names, linear
from transept.parts.attention import Attention
from transept.parts.block import Block
from transept.parts.dense import Dense
from transept.parts.feedforward import Activation, FeedForward
from transept.parts.initial import Initial
from transept.parts.norm import Norm
from transept.parts.pattern import Full, Pattern
from transept.parts.pattern_blocks import GlobalBlocks, Local, RandomBlocks
from transept.parts.planner import Auto
from transept.parts.scored import Repeated
from transept.spec import Part, edit, replace
from transept.topology import Topology

Blocks = Literal["drawn", "first", "full"]

HEADS: dict[str, bert.Heading] = {
    "BigBirdForPreTraining": "pretraining",
    "BigBirdForMaskedLM": "masked",
    "BigBirdModel": "pooled",
    "BigBirdForSequenceClassification": "classes",
    "BigBirdForTokenClassification": "tags",
    "BigBirdForQuestionAnswering": "spans",
}
HF_MODELS = {"big_bird": tuple(HEADS)}
UNSAID = {"Tokens": {"drops": "before"}}

SIZES: dict[str, dict[str, Any]] = {  # appendix E
    "base": {"width": 768, "hidden": 3072, "heads": 12, "depth": 12, "dropout": 0.1, "attention_dropout": 0.1},
    "large": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 24, "dropout": 0.1, "attention_dropout": 0.1},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2, "length": 64}
TOY |= {"block": 4, "random": 2, "head": "masked"}
FORMER = {"size": "block"}
GOLDEN_VOCAB = 50_358  # the pieces of the released models


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    length: int = 4096,
    block: int = 64,
    random: int = 3,
    blocks: Blocks = "drawn",
    segments: int = 2,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu_tanh",
    eps: float = 1e-12,
    bias: bool | Literal["out"] = True,
    scale: float = 1.0,
    head: bert.Heading = "pretraining",
    labels: int = 2,
    head_dropout: float | None = None,
    embeddings: Literal["tied", "separate"] = "tied",
    positions: str = "learned",
    initial: Initial = bert.INITIAL,
) -> Model:
    """BERT's description with another pattern, and with heads of its own for classes and answers.

    A token sees its own block of `block` tokens, one on either side, the first and the last of `length` positions,
    and `random` more. `blocks` "drawn" is the paper's: each head of each layer draws its own, once. "first" is what
    Hugging Face evaluates: the first block, once more for each. "full" sees everything. The pattern is that of `length`
    however long a row is. Embeddings are dropped out before their norm, and not, as BERT's, after it.
    """
    words: dict[str, Any] = {
        "dropout": dropout,
        "attention_dropout": attention_dropout,
        "activation": activation,
        "eps": eps,
    }
    words |= {"embeddings": embeddings, "head_dropout": head_dropout, "labels": labels, "initial": initial}
    shape: dict[str, Any] = {
        "vocab": vocab,
        "width": width,
        "hidden": hidden,
        "heads": heads,
        "depth": depth,
        "segments": segments,
    }
    spec = bert.declare(**shape, **words, length=length, head=head)
    made, second = headed(spec.head, FeedForward(hidden, activation), Norm(eps=eps)), spec.second
    if head in ("masked", "classes", "tags"):
        second = Pooled("first", Dense("tanh"))  # which their classes keep, and read nowhere
    seeds = depth if blocks == "drawn" else 1
    seen = [pattern_of(blocks, length, block, random, seed, heads) for seed in range(seeds)]
    cycle = tuple(attending(spec.blocks.cycle()[0], pattern, bias) for pattern in seen)
    position = Repeated(block, 1 + random, length) if blocks == "first" and random else None
    stack = replace(spec.blocks, block=cycle if seeds > 1 else cycle[0], position=position)
    assert isinstance(spec.embed, Tokens)
    return ordered(
        replace(spec, embed=replace(spec.embed, scale=scale, drops="before"), stack=stack, head=made, second=second),
        positions,
        "learned",
        length,
    )


def pattern_of(blocks: Blocks, length: int, size: int, random: int, seed: int, heads: int) -> Pattern:
    """Who sees whom in one layer."""
    if blocks == "full":
        return Full()
    fixed = Local(size, 1, 1) | GlobalBlocks(size) | GlobalBlocks(size, (length - 1) // size)
    return fixed | RandomBlocks(size, random, length, seed, heads) if blocks == "drawn" else fixed


def attending(block: Block, pattern: Pattern, bias: bool | Literal["out"]) -> Block:
    """The block with another pattern, which the planner computes."""

    def change(part: Part) -> Part:
        return replace(part, pattern=pattern, core=Auto(), bias=bias) if isinstance(part, Attention) else part

    return edit(block, change)


def headed(head: Head, feed: FeedForward, norm: Norm) -> Head:
    """Theirs for one of BERT's heads: classes have a dense matrix in the pooler's place, answers one more network."""
    if isinstance(head, Classes):
        return replace(head, dense=Dense(feed.activation), drop="both")
    return replace(head, feed=feed, norm=norm) if isinstance(head, Spans) else head


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a BigBird configuration: what it evaluates on rows of all its positions.

    Every key is honoured, held to its one value, or refused: raises InvalidConfig with the key.
    """
    keys = Keys(config, "BigBird")
    words = bert.words_of(keys, HEADS[architecture(config, HF_MODELS)], GOLDEN_VOCAB, "gelu_new")
    length, size = keys.whole("max_position_embeddings", 4096), keys.whole("block_size", 64)
    random = keys.whole("num_random_blocks", 3, least=0)
    kinds: dict[str, Blocks] = {"block_sparse": "first", "original_full": "full"}
    blocks = keys.choice("attention_type", "block_sparse", kinds)
    if blocks == "first" and length <= (least := (5 + 2 * random) * size):
        raise InvalidConfig(
            f"attention_type is 'block_sparse', and no row of max_position_embeddings {length} is longer than {least}",
            remedy="Hugging Face then computes full attention: say attention_type 'original_full'.",
        )
    if blocks == "first" and not random:
        raise InvalidConfig("num_random_blocks is 0, and Hugging Face's block_sparse attention fails without any")
    if blocks == "first" and length % size:
        raise InvalidConfig(
            f"max_position_embeddings {length} is no multiple of block_size {size}: rows are filled up beyond it"
        )
    words |= {"length": length, "block": size, "random": random, "blocks": blocks}
    words |= {"bias": True if keys.truth("use_bias", True) else "out"}
    words |= {"scale": words["width"] ** 0.5 if keys.truth("rescale_embeddings", False) else 1.0}
    bert.finish(keys)
    return declare(**words)


def to_hf(spec: Topology) -> dict[str, Any]:
    """The BigBird configuration of a description. Raises InvalidConfig that names what it cannot say."""
    model, embed = over_tokens(spec, "BigBird")
    seen = [part for attend in model.blocks.attentions() for part in attend.pattern.parts()]
    if any(isinstance(part, RandomBlocks) for part in seen):
        raise InvalidConfig(
            "Hugging Face draws BigBird's random blocks in training alone, and evaluates the first block instead",
            remedy="Train it with blocks: first.",
        )
    sizes = [part.size for part in seen if isinstance(part, GlobalBlocks)]
    times = model.blocks.position.times if isinstance(model.blocks.position, Repeated) else 1
    config = {
        "architectures": [architecture_of(without_pooler(model), "BigBird", HEADS)],
        "model_type": "big_bird",
        **bert.config_of(model),
        "max_position_embeddings": model.limit() or 4096,
        "attention_type": "block_sparse" if sizes else "original_full",
        **({"block_size": sizes[0], "num_random_blocks": times - 1} if sizes else {}),
        "use_bias": first(model.blocks, Attention).bias is True,
        "rescale_embeddings": embed.scale != 1.0,
        "pad_token_id": 0,
    }
    demand_said(spec, from_hf(config), "BigBird")
    return config


def without_pooler(model: Model) -> Model:
    """The model without the pooler that nothing reads, if that is its second head."""
    return replace(model, second=None) if isinstance(model.second, Pooled) else model


def whole(spec: Topology) -> bool:
    """Whether theirs computes the same on rows of all its positions alone: its last block is that of the row."""
    return isinstance(spec, Model) and any(attend.pattern != Full() for attend in spec.blocks.attentions())


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells."""
    base = "" if isinstance(spec.head, Pooled) else "bert."
    head, pooler, table = spec.head, f"{base}pooler", bert.trunk(spec, base)
    owner = "head" if isinstance(head, Pooled) else "second"
    table += bert.unused(pooler) if isinstance(head, Spans) else linear(f"{owner}.dense.linear", pooler)
    if isinstance(spec.second, Classes):
        table += linear("second.score", "cls.seq_relationship")
    else:
        table += bert.unused("cls.seq_relationship")
    transform = "cls.predictions.transform"
    theirs = (f"{transform}.dense", f"{transform}.LayerNorm", "cls.predictions.bias", "cls.predictions.decoder")
    table += bert.vocabulary(head, *theirs)
    if isinstance(head, Classes):
        table += [*linear("head.dense.linear", "classifier.dense"), *linear("head.score", "classifier.out_proj")]
    elif isinstance(head, Tags):
        table += linear("head.score", "classifier")
    elif isinstance(head, Spans):
        table += linear("head.feed.up", "qa_classifier.intermediate.dense")
        table += linear("head.feed.down", "qa_classifier.output.dense")
        table += [
            *linear("head.norm", "qa_classifier.output.LayerNorm"),
            *linear("head.score", "qa_classifier.qa_outputs"),
        ]
    return Names(respelled(table, bert.GAMMA, bert.BETA, (base, "") if base else ("", "bert.")))
