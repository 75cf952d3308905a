"""BERT and its relatives: what files of years ago hold, relative keys, and what is refused. Parity is elsewhere."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch.nn import functional as F
from torch.testing import assert_close
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention

from transept.errors import InvalidConfig, InvalidData
from transept.families import bert, distilbert, roberta
from transept.families.registry import family_of_hf
from transept.hub import weights
from transept.parts.attention import Attention
from transept.parts.initial import Normal
from transept.parts.position import Learned
from transept.parts.relative import RelativeKeys
from transept.parts.view import View
from transept.spec import replace

TINY = {"vocab_size": 29, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
SMALL = {"vocab_size": 29, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 40}  # the same in DistilBERT's words
ROOM = {"max_position_embeddings": 16}
FAMILIES = {"bert": bert, "roberta": roberta, "distilbert": distilbert}

BASE = {  # as bert-base-uncased has it
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "transformers_version": "4.6.0.dev0",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 30522,
}
DISTILLED = {  # as distilbert-base-uncased
    "activation": "gelu",
    "architectures": ["DistilBertForMaskedLM"],
    "attention_dropout": 0.1,
    "dim": 768,
    "dropout": 0.1,
    "hidden_dim": 3072,
    "initializer_range": 0.02,
    "max_position_embeddings": 512,
    "model_type": "distilbert",
    "n_heads": 12,
    "n_layers": 6,
    "pad_token_id": 0,
    "qa_dropout": 0.1,
    "seq_classif_dropout": 0.2,
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "transformers_version": "4.10.0.dev0",
    "vocab_size": 30522,
}
ROBUST = {key: value for key, value in BASE.items() if key not in ("gradient_checkpointing", "use_cache")} | {
    "architectures": ["RobertaForMaskedLM"],  # as roberta-base
    "bos_token_id": 0,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 514,
    "model_type": "roberta",
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "vocab_size": 50265,
}
MULTILINGUAL = ROBUST | {
    "architectures": ["XLMRobertaForMaskedLM"],
    "model_type": "xlm-roberta",
    "output_past": True,
    "vocab_size": 250002,
}
CHINESE = BASE | {
    "architectures": ["BertModel"],
    "directionality": "bidi",
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
    "vocab_size": 21128,
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (BASE, bert.declare(vocab=30522, **bert.SIZES["base"], head="masked")),
        (CHINESE, bert.declare(vocab=21128, **bert.SIZES["base"], head="pooled")),
        (ROBUST, roberta.declare(vocab=50265, **roberta.SIZES["base"])),
        (MULTILINGUAL, roberta.declare(vocab=250002, **roberta.SIZES["base"])),
        (DISTILLED, distilbert.declare(vocab=30522, **distilbert.SIZES["base"])),
    ],
    ids=["bert", "chinese bert", "roberta", "xlm-roberta", "distilbert"],
)
def test_published_configurations_are_the_published_sizes(config: dict[str, Any], expected: Any) -> None:
    module = family_of_hf(config["model_type"])
    assert module is not None
    assert module.from_hf(config) == expected
    assert module.from_hf(module.to_hf(expected)) == expected


# ------------------------------------------------------------------ the names of files


def theirs(architecture: str = "BertForPreTraining", **changes: Any) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """A configuration and the weights of a small model of theirs, every one drawn."""
    torch.manual_seed(0)
    made = getattr(transformers, architecture)
    sizes = SMALL if architecture.startswith("DistilBert") else TINY
    model = made(made.config_class(**(sizes | ROOM | changes)))
    state = {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
    for second, first in (model._tied_weights_keys or {}).items():
        state[second] = state[first]
    return model.config.to_dict() | {"architectures": [architecture]}, state


def read(module: Any, config: dict[str, Any], state: dict[str, torch.Tensor]) -> tuple[Any, dict[str, str]]:
    """Their weights in a model of ours, and what was dropped."""
    spec = module.from_hf(config)
    model = spec.build().eval()
    ours, dropped = module.names(spec).to_ours(state, model.state_dict())
    model.load_state_dict(ours)
    return model, dropped


def same_bits(one: Any, other: Any) -> bool:
    found, wanted = one.state_dict(), other.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in found)


HEADS = {
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
}


def test_heads_that_a_model_does_not_have_are_dropped() -> None:
    """bert-base-uncased says BertForMaskedLM, and its file has the whole pretraining."""
    config, state = theirs()
    whole, none = read(bert, config, state)
    masked, dropped = read(bert, config | {"architectures": ["BertForMaskedLM"]}, state)
    pooled, more = read(bert, config | {"architectures": ["BertModel"]}, state)
    assert (none, set(dropped)) == ({}, HEADS)
    assert set(more) == {name for name in state if name.startswith("cls.")}
    assert all("head" in why for why in dropped.values())
    for model in (masked, pooled):
        assert torch.equal(model.stack.blocks[1].attention.q.weight, whole.stack.blocks[1].attention.q.weight)
    assert torch.equal(pooled.head.dense.linear.weight, whole.second.dense.linear.weight)
    assert torch.equal(masked.head.bias, whole.head.bias)


def test_a_classifier_is_not_made_of_nothing() -> None:
    config, state = theirs()
    with pytest.raises(InvalidData, match=r"2 tensors are missing: classifier.weight \(head.score.weight\)"):
        read(bert, config | {"architectures": ["BertForSequenceClassification"]}, state)


def test_older_names_are_read() -> None:
    """TensorFlow's gamma and beta, names without the base model's before them, and a buffer of positions."""
    config, state = theirs()
    new, _ = read(bert, config, state)
    state["bert.embeddings.position_ids"] = torch.arange(16)[None]
    for spelling in (
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
        lambda name: name.removeprefix("bert."),
        lambda name: name.removeprefix("bert.").replace("LayerNorm.weight", "LayerNorm.gamma"),
    ):
        old, dropped = read(bert, config, {spelling(name): tensor for name, tensor in state.items()})
        assert same_bits(old, new)
        assert [name.removeprefix("bert.") for name in dropped] == ["embeddings.position_ids"]
    single = {name: tensor for name, tensor in state.items() if ".decoder." not in name}
    assert same_bits(read(bert, config, single)[0], new)


@pytest.mark.parametrize(("module", "stem"), [(bert, "Bert"), (roberta, "Roberta"), (distilbert, "DistilBert")])
def test_the_name_of_the_base_model_may_be_there_or_not(module: Any, stem: str) -> None:
    config, state = theirs(f"{stem}ForTokenClassification")
    prefix = next(name for name in state if "embeddings" in name).split(".")[0] + "."
    new, _ = read(module, config, state)
    old, _ = read(module, config, {name.removeprefix(prefix): tensor for name, tensor in state.items()})
    assert same_bits(old, new)
    config, state = theirs(f"{stem}Model")
    new, _ = read(module, config, state)
    old, dropped = read(module, config, {prefix + name: tensor for name, tensor in state.items()})
    assert same_bits(old, new)
    assert dropped == {}


def test_a_buffer_of_whole_numbers_may_stand_in_a_file(tmp_path: Path) -> None:
    """Only what is read must be of one type."""
    config, state = theirs("BertModel")
    spec = bert.from_hf(config)
    save_file(state | {"embeddings.position_ids": torch.arange(16)[None]}, tmp_path / "model.safetensors")
    model, dropped = weights.load(tmp_path, spec, bert.names(spec), "float32")
    assert torch.equal(model.stack.blocks[0].attention.q.bias, state["encoder.layer.0.attention.self.query.bias"])
    assert list(dropped) == ["embeddings.position_ids"]
    name = "encoder.layer.0.attention.self.query.bias"
    save_file(state | {name: state[name].half()}, tmp_path / "model.safetensors")
    with pytest.raises(InvalidData, match="query.bias is of float16, the weights are of float32"):
        weights.load(tmp_path, spec, bert.names(spec), "float32")


def test_two_biases_of_one_head_must_agree() -> None:
    """Without tying, theirs reads one of them and stores both."""
    config, state = theirs("BertForMaskedLM", tie_word_embeddings=False)
    read(bert, config, state)
    state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"] + 1
    with pytest.raises(InvalidData, match="cls.predictions.decoder.bias should be cls.predictions.bias"):
        read(bert, config, state)


def test_xlm_roberta_is_roberta() -> None:
    config, state = theirs("XLMRobertaForMaskedLM", pad_token_id=1)
    model, dropped = read(roberta, config, state)
    assert (model.spec.embed.position, dropped) == (Learned(14, 2), {})
    assert roberta.to_hf(model.spec)["architectures"] == ["RobertaForMaskedLM"]


# ------------------------------------------------------------------ relative keys


def by_hand(state: dict[str, torch.Tensor], ids: torch.Tensor, both: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The states and maps of a BERT with relative keys, as Hugging Face 4 computed them, pair by pair.

    The distance is query minus key plus the longest text minus one; the table of positions is not added.
    """

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-12)

    heads, length, maps = TINY["num_attention_heads"], ROOM["max_position_embeddings"], []
    x = state["embeddings.word_embeddings.weight"][ids] + state["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for i in range(TINY["num_hidden_layers"]):
        name = f"encoder.layer.{i}"
        table = state[f"{name}.attention.self.distance_embedding.weight"]
        q, k, v = (
            linear(x, f"{name}.attention.self.{part}").unflatten(-1, (heads, -1)) for part in ("query", "key", "value")
        )
        scores = q.new_zeros(heads, len(ids), len(ids))
        for head in range(heads):
            for a in range(len(ids)):
                for b in range(len(ids)):
                    far = table[a - b + length - 1]
                    score = q[a, head] @ k[b, head] + q[a, head] @ far
                    scores[head, a, b] = score + k[b, head] @ far if both else score
        maps.append((scores / math.sqrt(q.size(-1))).softmax(-1))
        mixed = torch.einsum("hab,bhe->ahe", maps[-1], v).flatten(1)
        x = norm(x + linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        up = F.gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(x + linear(up, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    return x, maps


@pytest.mark.parametrize(("word", "both"), [("relative_key", False), ("relative_key_query", True)])
def test_relative_keys_are_those_of_the_formula(word: str, both: bool) -> None:
    config, state = theirs("BertModel")
    for i in range(TINY["num_hidden_layers"]):
        state[f"encoder.layer.{i}.attention.self.distance_embedding.weight"] = torch.randn(31, 8)
    state = {name: tensor.double() * 0.3 for name, tensor in state.items()}
    model, dropped = read(bert, config | {"position_embedding_type": word}, state)
    model = model.double()
    model.load_state_dict(bert.names(model.spec).to_ours(state, model.state_dict())[0])
    ids = torch.tensor([5, 3, 3, 17, 28, 5, 9, 1, 1, 2, 6])
    states, maps = by_hand(state, ids, both)
    found: list[torch.Tensor] = []
    for block in model.stack.blocks:
        layer = block.attention
        layer.asked.register_forward_hook(
            lambda module, args, value, layer=layer: found.append(
                layer.core.weights(value[0], value[1], value[3], layer.scale)
            )
        )
    with torch.no_grad():
        out = model(torch.stack([ids, ids.flip(0)]))
    assert list(dropped) == ["embeddings.position_embeddings.weight"]
    assert_close(out.hidden[0], states, rtol=1e-10, atol=1e-10)
    for mine, other in zip(found, maps, strict=True):
        assert_close(mine[0], other, rtol=1e-10, atol=1e-10)
    assert model.spec.stack.block.parts[0].position == RelativeKeys(15, "both" if both else "queries")


def test_relative_keys_are_those_of_wav2vec2_bert() -> None:
    """Distances beyond the reach share the last vector, there and here."""
    torch.manual_seed(2)
    sizes = {"hidden_size": 24, "num_attention_heads": 3, "attention_dropout": 0.0}
    reach = {"left_max_position_embeddings": 4, "right_max_position_embeddings": 4}
    config = transformers.Wav2Vec2BertConfig(position_embeddings_type="relative_key", **sizes, **reach)
    config._attn_implementation = "eager"
    other = Wav2Vec2BertSelfAttention(config).eval()
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    ours = Attention(3, position=RelativeKeys(4)).build(24).eval()
    stored = other.state_dict()
    named = {"q": "linear_q", "k": "linear_k", "v": "linear_v", "o": "linear_out"}
    state = {f"{mine}.{part}": stored[f"{name}.{part}"] for mine, name in named.items() for part in ("weight", "bias")}
    ours.load_state_dict(state | {"position.weight": stored["distance_embedding.weight"]})
    x = torch.randn(2, 11, 24)
    with torch.no_grad():
        assert_close(ours(x, View.of(x)), other(x)[0], rtol=1e-5, atol=1e-5)


def test_relative_keys_are_not_handed_back() -> None:
    spec = bert.declare(**bert.TOY, positions="relative_keys(63)")
    with pytest.raises(InvalidConfig, match="Hugging Face has not honoured it since version 5"):
        bert.to_hf(spec)
    with pytest.raises(InvalidConfig, match="distances are scored"):
        roberta.from_hf(ROBUST | {"position_embedding_type": "relative_key"})


# ------------------------------------------------------------------ what is refused, and by whom


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            BASE | {"architectures": ["BertForMultipleChoice"]},
            "BertForMultipleChoice; Transept reads BertForPreTraining",
        ),
        (BASE | {"is_decoder": True}, "is_decoder is True"),
        (BASE | {"add_cross_attention": True}, "add_cross_attention is True"),
        (BASE | {"pruned_heads": {"0": [1]}}, "pruned_heads"),
        (BASE | {"position_embedding_type": "rotary"}, "position_embedding_type is 'rotary'"),
        (BASE | {"hidden_act": "gelu_fats"}, "hidden_act is 'gelu_fats'"),
        (BASE | {"layer_norm_eps": 0}, "layer_norm_eps must be a number above 0"),
        (BASE | {"type_vocab_size": 0}, "type_vocab_size must be a whole number from 1"),
        (BASE | {"classifier_dropout": 1.5}, "classifier_dropout must be a probability"),
        (BASE | {"hiden_size": 3}, "unknown keys for BERT: 'hiden_size' Did you mean 'hidden_size'"),
        (BASE | {"num_labels": 3, "id2label": {"0": "A", "1": "B"}}, "num_labels is 3, and id2label names 2"),
        (BASE | {"architectures": ["BertForQuestionAnswering"], "num_labels": 3}, "an answer has two ends"),
        (ROBUST | {"max_position_embeddings": 2}, "the first 2 are before the first token"),
        (ROBUST | {"pad_token_id": None}, "pad_token_id must be a whole number"),
        (DISTILLED | {"hidden_size": 768}, "unknown keys for DistilBERT: 'hidden_size'"),
        (DISTILLED | {"qa_dropout": -1}, "qa_dropout must be a probability"),
    ],
)
def test_a_configuration_is_refused_by_its_key(config: dict[str, Any], reason: str) -> None:
    module = family_of_hf(str(config["model_type"]))
    assert module is not None
    with pytest.raises(InvalidConfig, match=reason):
        module.from_hf(config)


def test_classes_are_counted_by_their_names() -> None:
    classifier = BASE | {"architectures": ["BertForSequenceClassification"]}
    names = {"id2label": {"0": "A", "1": "B", "2": "C"}}
    assert bert.from_hf(classifier).head.count == 2
    assert bert.from_hf(classifier | names).head.count == 3
    assert bert.from_hf(classifier | {"num_labels": 7, "id2label": None}).head.count == 7
    said = bert.to_hf(bert.from_hf(classifier | names))
    assert said["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("other", FAMILIES)
def test_each_says_its_own_models_and_no_other(name: str, other: str) -> None:
    spec = FAMILIES[name].declare(**FAMILIES[name].TOY)
    if name == other:
        assert FAMILIES[name].from_hf(FAMILIES[name].to_hf(spec)) == spec
        return
    with pytest.raises(InvalidConfig, match="cannot say this model|has no model with"):
        FAMILIES[other].to_hf(spec)


def test_what_a_configuration_cannot_say_is_named() -> None:
    spec = bert.declare(**bert.TOY, head="classes", labels=3)
    with pytest.raises(InvalidConfig, match="head.pool is mean, BERT's is first"):
        bert.to_hf(replace(spec, head=replace(spec.head, pool="mean")))
    with pytest.raises(InvalidConfig, match=r"stack.block.place is before, BERT's is after"):
        bert.to_hf(replace(spec, stack=replace(spec.stack, block=replace(spec.stack.block, place="before"))))
    assert bert.to_hf(replace(spec, initial=Normal(0.5)))["initializer_range"] == 0.5
