"""BART and mBART: published configurations, what files hold, one table for both sides, and summaries."""

import copy
import json
from dataclasses import replace as replace_in
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import transformers

from parity.subjects import oracles
from transept.decode.config import Search
from transept.decode.hypothesis import Special
from transept.decode.rules import Rules
from transept.decode.search import search
from transept.errors import InvalidConfig, InvalidData
from transept.families import bart
from transept.families.registry import family_of_hf
from transept.hub.directory import read
from transept.hub.export import export_hf, import_hf
from transept.hub.verify import verify
from transept.inputs.tokens import Tokens
from transept.models import Seq2Seq
from transept.spec import replace

LARGE = {  # as bart-large-cnn has it, without its search
    "_num_labels": 3,
    "activation_dropout": 0.0,
    "activation_function": "gelu",
    "add_final_layer_norm": False,
    "architectures": ["BartForConditionalGeneration"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "classif_dropout": 0.0,
    "classifier_dropout": 0.0,
    "d_model": 1024,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 12,
    "decoder_start_token_id": 2,
    "dropout": 0.1,
    "encoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 12,
    "eos_token_id": 2,
    "force_bos_token_to_be_generated": True,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "gradient_checkpointing": False,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2},
    "max_position_embeddings": 1024,
    "model_type": "bart",
    "normalize_before": False,
    "num_hidden_layers": 12,
    "output_past": True,
    "pad_token_id": 1,
    "prefix": " ",
    "scale_embedding": False,
    "transformers_version": "4.7.0.dev0",
    "use_cache": True,
    "vocab_size": 50264,
}
SUMMARY = {  # and with it
    "early_stopping": True,
    "length_penalty": 2.0,
    "max_length": 142,
    "min_length": 56,
    "no_repeat_ngram_size": 3,
    "num_beams": 4,
}
BASE = LARGE | {
    "architectures": ["BartModel"],
    "d_model": 768,
    "normalize_embedding": True,
    "num_hidden_layers": 6,
    "vocab_size": 50265,
    **{
        f"{side}_{what}": value for side in ("encoder", "decoder") for what, value in (("layers", 6), ("ffn_dim", 3072))
    },
    **{f"{side}_attention_heads": 12 for side in ("encoder", "decoder")},
}
MULTILINGUAL = LARGE | {
    "add_final_layer_norm": True,
    "architectures": ["MBartForConditionalGeneration"],
    "model_type": "mbart",
    "normalize_before": True,
    "normalize_embedding": True,
    "scale_embedding": True,
    "static_position_embeddings": False,
    "vocab_size": 250027,
}


State = dict[str, torch.Tensor]
model_of_theirs = oracles()["bart"].bart


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LARGE, bart.declare(vocab=50264, **bart.SIZES["large"], head_bias=True)),
        (LARGE | SUMMARY, bart.declare(vocab=50264, **bart.SIZES["large"], head_bias=True)),
        (BASE, bart.declare(vocab=50265, **bart.SIZES["base"], head="states")),
        (
            MULTILINGUAL,
            bart.declare(vocab=250027, **bart.SIZES["large"], norm="before", scaled=True, head_bias=True),
        ),
    ],
    ids=["bart-large-cnn", "bart-large-cnn, its search", "bart-base", "mbart-large"],
)
def test_published_configurations_are_the_published_sizes(config: dict[str, Any], expected: Seq2Seq) -> None:
    assert family_of_hf(config["model_type"]) is bart
    assert bart.from_hf(config) == expected
    assert bart.from_hf(bart.to_hf(expected)) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False: each side and the output have tables"),
        ({"normalize_before": True}, "normalize_before is True: the norms have another place"),
        ({"normalize_embedding": False}, "normalize_embedding is False"),
        ({"add_final_layer_norm": True}, "add_final_layer_norm is True"),
        ({"static_position_embeddings": True}, "static_position_embeddings is True: positions are sinusoids"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder is False"),
        ({"num_hidden_layers": 6}, "num_hidden_layers is 6 and encoder_layers is 12"),
        ({"architectures": ["BartForCausalLM"]}, "the architecture is BartForCausalLM"),
        ({"encoder_layer": 6}, "unknown keys for BART: 'encoder_layer' Did you mean 'encoder_layers'"),
        ({"num_labels": 4}, "num_labels is 4, and id2label names 3 classes"),
    ],
)
def test_what_cannot_be_honoured_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        bart.from_hf(LARGE | changes)


def test_blocks_left_out_in_training_are_read_and_written() -> None:
    spec = bart.from_hf(LARGE | {"encoder_layerdrop": 0.1, "decoder_layerdrop": 0.2})
    assert (spec.encoder.skip, spec.decoder.skip) == (0.1, 0.2)
    assert bart.from_hf(bart.to_hf(spec)) == spec


# ------------------------------------------------------------------ one table, two positions, two norms


def test_one_table_serves_both_sides() -> None:
    model = bart.declare(**bart.TOY).build()
    tables = [name for name in model.state_dict() if "table" in name]
    assert tables == ["embed.table.weight"]
    for name in ("source.position.weight", "source.norm.weight", "embed.position.weight", "embed.norm.weight"):
        assert name in model.state_dict()
    source, target = torch.tensor([[5, 6, 7]]), torch.tensor([[8, 9]])
    model(source, target).hidden[..., 0].sum().backward()
    grad = model.get_parameter("embed.table.weight").grad
    assert grad is not None
    assert grad.abs().sum(1).nonzero().flatten().tolist() == [5, 6, 7, 8, 9]
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_parameter("embed.table.weight").mul_(2)
    assert not torch.equal(other(source, target).memory.states, model(source, target).memory.states)


def test_a_table_is_shared_by_sides_of_one_vocabulary() -> None:
    spec = bart.declare(**bart.TOY)
    with pytest.raises(InvalidConfig, match="one table cannot hold 24 tokens and 23"):
        replace(spec, source=replace(spec.source, vocab=24))
    with pytest.raises(InvalidConfig, match="'table' without a source"):
        replace(spec, source=None)
    assert replace(spec, source=Tokens(23)).limit() == 64


# ------------------------------------------------------------------ the names of files


def read_names(
    config: dict[str, Any], state: dict[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    spec = bart.from_hf(config)
    with torch.device("meta"):
        wanted = spec.build().state_dict()
    return bart.names(spec).to_ours(state, wanted)


def theirs(architecture: str = "BartForConditionalGeneration") -> tuple[dict[str, Any], State]:
    torch.manual_seed(0)
    model = model_of_theirs(architecture)
    return model.config.to_dict() | {"architectures": [architecture]}, dict(model.state_dict())


ALIASES = ["model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head"]


@pytest.mark.parametrize("kept", [*ALIASES, "all"])
def test_the_table_may_stand_under_any_of_its_names(kept: str) -> None:
    config, state = theirs()
    whole, _ = read_names(config, state)
    dropped = [f"{name}.weight" for name in ALIASES if kept not in (name, "all")]
    found, _ = read_names(config, {name: tensor for name, tensor in state.items() if name not in dropped})
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())
    assert torch.equal(whole["embed.table.weight"], state["model.shared.weight"])


def test_names_of_one_table_must_agree() -> None:
    config, state = theirs()
    state["lm_head.weight"] = state["lm_head.weight"] + 1
    with pytest.raises(InvalidData, match="lm_head.weight should be model.shared.weight under a second name"):
        read_names(config, state)


def test_a_bare_model_and_a_whole_one_read_each_others_names() -> None:
    """And what belongs to the other's head, or to fairseq, is dropped with its reason."""
    config, state = theirs()
    whole, _ = read_names(config, state | {"model.encoder.version": torch.tensor([3.0])})
    bare = {name.removeprefix("model."): tensor for name, tensor in state.items()}
    again, _ = read_names(config, bare)
    assert all(torch.equal(again[name], tensor) for name, tensor in whole.items())
    states, dropped = read_names(config | {"architectures": ["BartModel"]}, state)
    assert all(torch.equal(states[name], whole[name]) for name in states)
    assert set(dropped) == {"lm_head.weight", "final_logits_bias"}
    assert read_names(config | {"architectures": ["BartModel"]}, bare)[0].keys() == states.keys()


def test_positions_have_two_rows_before_the_first() -> None:
    config, state = theirs()
    name = "model.decoder.embed_positions.weight"
    found, _ = read_names(config, state)
    assert found["embed.position.weight"].shape[0] == config["max_position_embeddings"] + 2
    assert torch.equal(found["embed.position.weight"], state[name])


# ------------------------------------------------------------------ summaries


def test_a_summary_is_theirs_token_by_token(tmp_path: Path) -> None:
    """The search of bart-large-cnn, made small: forced first token, least length, no three tokens twice."""
    torch.manual_seed(1)
    model = model_of_theirs()
    with torch.no_grad():
        model.final_logits_bias[0, 2] += 2.0  # else a random model never ends
    asked = {"min_length": 8, "max_length": 20, "forced_bos_token_id": 0, "suppress_tokens": [1]}
    model.generation_config.update(**(SUMMARY | asked), decoder_start_token_id=2)
    model.save_pretrained(tmp_path)
    stored = read(tmp_path)
    assert stored.generation.special == Special(2, 2, (1,), 0)
    assert stored.generation.search == Search(
        beam=4, length_penalty=2.0, stop="first", max_ratio=0.0, max_extra=19, min_length=8, no_repeat_ngram=3
    )
    rows = [[0, *torch.randint(3, 43, (n,)).tolist(), 2] for n in (3, 9, 1, 6, 12)]
    mine = search(stored.model, rows, stored.generation.search, stored.generation.special)  # type: ignore[arg-type]
    lengths = set()
    for row, found in zip(rows, mine, strict=True):
        other = model.generate(input_ids=torch.tensor([row]))[0, 1:].tolist()
        assert found[0].tokens == other
        assert found[0].tokens[0] == 0
        lengths.add(len(other))
    assert len(lengths) > 1
    assert min(lengths) >= 8


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_that_is_cut_ends_as_theirs_does(beams: int, tmp_path: Path) -> None:
    """BART's forced_eos_token_id: at the longest length the end comes, whatever the scores, and it goes back too."""
    torch.manual_seed(1)
    model = model_of_theirs()
    with torch.no_grad():
        model.final_logits_bias[0, 2] -= 3.0  # else most answers end before
    model.generation_config.update(num_beams=beams, max_length=9, forced_eos_token_id=2, decoder_start_token_id=2)
    model.save_pretrained(tmp_path / "theirs")
    report = import_hf(tmp_path / "theirs", tmp_path / "ours")
    assert report is not None
    export_hf(tmp_path / "ours", tmp_path / "back", check=False)
    asked = json.loads((tmp_path / "back" / "generation_config.json").read_text())
    assert asked["forced_eos_token_id"] == 2
    stored = read(tmp_path / "back")
    assert stored.generation.special.last == 2
    rows = [[0, *torch.randint(3, 43, (n,)).tolist(), 2] for n in (3, 9, 1, 6)]
    mine = search(stored.model, rows, stored.generation.search, stored.generation.special)  # type: ignore[arg-type]
    cut = 0
    for row, found in zip(rows, mine, strict=True):
        assert found[0].tokens == model.generate(input_ids=torch.tensor([row]))[0, 1:].tolist()
        cut += found[0].finish == "length"
    assert cut  # else this says nothing of it
    free = replace_in(stored.generation.special, last=None)
    others = search(stored.model, rows, stored.generation.search, free)  # type: ignore[arg-type]
    assert [found[0].tokens for found in others] != [found[0].tokens for found in mine]


def test_the_comparison_is_of_forced_ends_too(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = model_of_theirs()
    with torch.no_grad():
        model.final_logits_bias[0, 2] -= 3.0  # else most answers end before
    model.generation_config.update(forced_eos_token_id=2, decoder_start_token_id=2)
    model.save_pretrained(tmp_path / "m")
    assert verify(tmp_path / "m").good
    with patch.object(Rules, "_force", lambda self, logprobs, which, token: None):
        report = verify(tmp_path / "m")
    assert [check.name for check in report.checks if not check.good] == [
        "greedy: sentences with other tokens, of 8",
        "beam of 5: sentences with other tokens, of 8",
    ]


def test_a_search_in_a_file_of_its_own_is_all_of_the_search(tmp_path: Path) -> None:
    """What config.json says of a search counts where there is no generation_config.json, as in their library."""
    model = model_of_theirs()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"num_beams": 4, "forced_eos_token_id": 2, "length_penalty": 2.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "generation_config.json").write_text(json.dumps({"max_length": 9, "bos_token_id": 0}))
    found = read(tmp_path).generation
    assert (found.search.method, found.special) == ("greedy", Special(2, 2))
    (tmp_path / "generation_config.json").unlink()
    found = read(tmp_path).generation
    assert (found.search.beam, found.search.length_penalty, found.special) == (4, 2.0, Special(2, 2, last=2))


def test_mbart_is_written_as_such() -> None:
    spec = bart.from_hf(MULTILINGUAL)
    config = bart.to_hf(spec)
    assert (config["model_type"], config["architectures"]) == ("mbart", ["MBartForConditionalGeneration"])
    assert isinstance(transformers.MBartConfig(**config), transformers.MBartConfig)
    assert bart.to_hf(bart.from_hf(BASE))["architectures"] == ["BartModel"]
