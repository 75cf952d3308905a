"""RoBERTa (Liu et al. 2019): BERT trained longer, on masked words alone. XLM-RoBERTa is the same in 100 languages."""

from collections.abc import Mapping
from typing import Any, Literal

from transept.errors import InvalidConfig
from transept.families import bert
from transept.families.configuration import Keys
from transept.families.hugging_face import architecture, architecture_of, demand_said, over_tokens, respelled
from transept.families.orders import ordered
from transept.heads.classes import Classes, Pooled, Spans, Tags
from transept.heads.vocabulary import Vocabulary
from transept.inputs.tokens import Tokens
from transept.models import Model
from transept.names import Names, linear
from transept.parts.dense import Dense
from transept.parts.feedforward import Activation
from transept.parts.initial import Initial
from transept.parts.position import Learned
from transept.spec import replace
from transept.topology import Topology

Heading = Literal["masked", "pooled", "classes", "tags", "spans"]

HEADS: dict[str, Heading] = {
    "RobertaForMaskedLM": "masked",
    "RobertaModel": "pooled",
    "RobertaForSequenceClassification": "classes",
    "RobertaForTokenClassification": "tags",
    "RobertaForQuestionAnswering": "spans",
}
HF_MODELS = {"roberta": tuple(HEADS), "xlm-roberta": tuple(f"XLM{name}" for name in HEADS)}
HF_WORDS = {"position": "positions: learned"}

SIZES: dict[str, dict[str, Any]] = {  # table 9
    "base": {"width": 768, "hidden": 3072, "heads": 12, "depth": 12, "dropout": 0.1, "attention_dropout": 0.1},
    "large": {"width": 1024, "hidden": 4096, "heads": 16, "depth": 24, "dropout": 0.1, "attention_dropout": 0.1},
}

TOY: dict[str, Any] = {"vocab": 23, "width": 32, "hidden": 48, "heads": 4, "depth": 2, "length": 64}
GOLDEN_VOCAB = 50_265  # GPT-2's pieces of bytes, and special tokens


def declare(
    *,
    vocab: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
    length: int = 512,
    offset: int = 2,
    positions: str = "learned",
    segments: int = 1,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    activation: Activation = "gelu",
    eps: float = 1e-5,
    head: Heading = "masked",
    labels: int = 2,
    head_dropout: float | None = None,
    embeddings: Literal["tied", "separate"] = "tied",
    initial: Initial = bert.INITIAL,
) -> Model:
    """BERT's description with `offset` rows before its positions: theirs count from the id of padding, 1, plus one.

    A dense matrix of the classifier's own takes the pooler's place, and what enters it is dropped out too.
    """
    spec = bert.declare(
        vocab=vocab,
        width=width,
        hidden=hidden,
        heads=heads,
        depth=depth,
        segments=segments,
        dropout=dropout,
        attention_dropout=attention_dropout,
        activation=activation,
        eps=eps,
        head=head,
        labels=labels,
        head_dropout=head_dropout,
        embeddings=embeddings,
        initial=initial,
    )
    made, embed = spec.head, spec.embed
    assert isinstance(embed, Tokens)
    if isinstance(made, Vocabulary):
        made = replace(made, dense=Dense("gelu", embed.norm))
    elif isinstance(made, Classes):
        made = replace(made, drop="both")
    spec = replace(spec, embed=replace(embed, position=Learned(length, offset)), head=made)
    return ordered(spec, positions, "learned", length)


# ------------------------------------------------------------------ Hugging Face: the configuration, both ways


def from_hf(config: Mapping[str, Any]) -> Model:
    """The description of a RoBERTa or XLM-RoBERTa configuration; their positions begin after the id of padding.

    Every key is honoured, held to its one value, or refused: raises InvalidConfig with the key.
    """
    keys = Keys(config, "RoBERTa")
    word = HEADS[architecture(config, HF_MODELS).removeprefix("XLM")]
    words = bert.words_of(keys, word, bert.GOLDEN_VOCAB if config.get("model_type") == "xlm-roberta" else GOLDEN_VOCAB)
    offset, rows = keys.whole("pad_token_id", 1, least=0) + 1, keys.whole("max_position_embeddings", 512)
    if rows <= offset:
        raise InvalidConfig(f"max_position_embeddings is {rows}, and the first {offset} are before the first token")
    keys.only("position_embedding_type", "absolute", why="distances are scored, which only BERT's are here")
    bert.finish(keys)
    return declare(**words, length=rows - offset, offset=offset)


def to_hf(spec: Topology) -> dict[str, Any]:
    """The RoBERTa configuration of a description, of XLM-RoBERTa's too, which computes the same.

    Raises InvalidConfig that names what it cannot say.
    """
    model, embed = over_tokens(spec, "RoBERTa")
    position = embed.position if isinstance(embed.position, Learned) else Learned(512, 2)
    config = {
        "architectures": [architecture_of(model, "RoBERTa", HEADS)],
        "model_type": "roberta",
        **bert.config_of(model),
        "max_position_embeddings": position.length + max(position.offset, 1),
        "pad_token_id": max(position.offset, 1) - 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    demand_said(spec, from_hf(config), "RoBERTa", HF_WORDS)
    return config


# ------------------------------------------------------------------ Hugging Face: the names of the weights


def names(spec: Model) -> Names:
    """Our weights and those of the architecture that the head tells; a pooler that no head reads is dropped."""
    base, head = "" if isinstance(spec.head, Pooled) else "roberta.", spec.head
    pooler = f"{base}pooler.dense"
    table = bert.trunk(spec, base)
    table += linear("head.dense.linear", pooler) if isinstance(head, Pooled) else bert.unused(pooler)
    table += bert.vocabulary(head, "lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder")
    if isinstance(head, Classes):
        table += [*linear("head.dense.linear", "classifier.dense"), *linear("head.score", "classifier.out_proj")]
    elif isinstance(head, Tags | Spans):
        table += linear("head.score", "qa_outputs" if isinstance(head, Spans) else "classifier")
    return Names(respelled(table, bert.GAMMA, bert.BETA, (base, "") if base else ("", "roberta.")))
