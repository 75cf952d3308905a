"""T5, version 1.1 and mT5: published configurations, what files hold, and which output is whose."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from parity.subjects import oracles, perturb
from transept.decode.config import Search
from transept.decode.search import search
from transept.errors import InvalidConfig, InvalidData
from transept.families import t5
from transept.families.registry import family_of_hf
from transept.hub.directory import read, read_blank, read_spec, save
from transept.hub.export import export_hf, import_hf
from transept.models import Seq2Seq
from transept.use.loaded import load

SMALL = {  # as t5-small has it
    "architectures": ["T5ForConditionalGeneration"],
    "d_ff": 2048,
    "d_kv": 64,
    "d_model": 512,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "t5",
    "n_positions": 512,
    "num_heads": 8,
    "num_layers": 6,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_num_buckets": 32,
    "task_specific_params": {"summarization": {"early_stopping": True, "num_beams": 4, "prefix": "summarize: "}},
    "vocab_size": 32128,
}
HUGE = SMALL | {
    "architectures": ["T5WithLMHeadModel"],  # as t5-11b
    "d_ff": 65536,
    "d_kv": 128,
    "d_model": 1024,
    "num_heads": 128,
    "num_layers": 24,
}
FLAN = SMALL | {
    "d_ff": 2048,  # as flan-t5-base, which is 1.1's shape
    "d_model": 768,
    "feed_forward_proj": "gated-gelu",
    "num_decoder_layers": 12,
    "num_heads": 12,
    "num_layers": 12,
    "relative_attention_max_distance": 128,
    "tie_word_embeddings": False,
    "transformers_version": "4.23.1",
    "use_cache": True,
}
LATER = FLAN | {"classifier_dropout": 0.0, "dense_act_fn": "gelu_new", "is_gated_act": True}
MANY = {key: value for key, value in FLAN.items() if key not in ("task_specific_params", "output_past")} | {
    "architectures": ["MT5ForConditionalGeneration"],  # as mt5-small
    "d_ff": 1024,
    "d_model": 512,
    "model_type": "mt5",
    "num_decoder_layers": 8,
    "num_heads": 6,
    "num_layers": 8,
    "tokenizer_class": "T5Tokenizer",
    "vocab_size": 250112,
}


State = dict[str, torch.Tensor]
model_of_theirs = oracles()["t5"].t5


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SMALL, t5.declare(vocab=32128, **t5.SIZES["small"])),
        (HUGE, t5.declare(vocab=32128, **t5.SIZES["11b"])),
        (FLAN, t5.declare(vocab=32128, **t5.SIZES["1.1-base"])),
        (LATER, t5.declare(vocab=32128, **t5.SIZES["1.1-base"])),
        (MANY, t5.declare(vocab=250112, **t5.SIZES["1.1-small"])),
        (
            {"model_type": "mt5", "architectures": ["MT5ForConditionalGeneration"]},
            t5.declare(vocab=250112, **t5.SIZES["1.1-small"]),
        ),
    ],
    ids=["t5-small", "t5-11b", "flan-t5-base", "flan-t5-base, later", "mt5-small", "mt5, its defaults"],
)
def test_published_configurations_are_the_published_sizes(config: dict[str, Any], expected: Seq2Seq) -> None:
    assert family_of_hf(config["model_type"]) is t5
    assert t5.from_hf(config) == expected
    assert t5.from_hf(t5.to_hf(expected)) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feed_forward_proj": "gated-mish"}, "feed_forward_proj is 'gated-mish'"),
        ({"dense_act_fn": "gelu"}, "dense_act_fn is gelu, and feed_forward_proj says otherwise"),
        ({"is_gated_act": True}, "is_gated_act is True: feed_forward_proj says otherwise"),
        ({"is_decoder": True}, "is_decoder is True: a decoder alone"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder is False"),
        ({"relative_attention_num_buckets": 7}, "Buckets.count must be even, not 7"),
        ({"num_layer": 6}, "unknown keys for T5: 'num_layer' Did you mean 'num_layers'"),
        ({"architectures": ["T5ForTokenClassification"]}, "the architecture is T5ForTokenClassification"),
    ],
)
def test_what_cannot_be_honoured_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        t5.from_hf(SMALL | changes)


def test_exact_gelu_behind_gates_has_no_word_there() -> None:
    spec = t5.declare(**t5.TOY, activation="gelu", gated=True)
    with pytest.raises(InvalidConfig, match="T5 cannot say this model"):
        t5.to_hf(spec)


# ------------------------------------------------------------------ the names of files


def read_names(
    config: dict[str, Any], state: dict[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    spec = t5.from_hf(config)
    with torch.device("meta"):
        wanted = spec.build().state_dict()
    return t5.names(spec).to_ours(state, wanted)


def theirs(architecture: str = "T5ForConditionalGeneration") -> tuple[dict[str, Any], State]:
    torch.manual_seed(0)
    model = model_of_theirs(architecture)
    return model.config.to_dict() | {"architectures": [architecture]}, dict(model.state_dict())


ALIASES = ["shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head"]


@pytest.mark.parametrize("kept", [*ALIASES, "all"])
def test_the_table_may_stand_under_any_of_its_names(kept: str) -> None:
    config, state = theirs()
    whole, _ = read_names(config, state)
    dropped = [f"{name}.weight" for name in ALIASES if kept not in (name, "all")]
    found, _ = read_names(config, {name: tensor for name, tensor in state.items() if name not in dropped})
    assert found.keys() == whole.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())


def test_what_nothing_reads_is_dropped() -> None:
    """t5-small's file has scores of positions for the attention to the memory."""
    config, state = theirs()
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    assert set(read_names(config, state | {name: torch.randn(32, 4)})[1]) == {name}
    bare, dropped = read_names(config | {"architectures": ["T5Model"]}, state)
    assert set(dropped) == {"lm_head.weight"}
    assert bare.keys() == read_names(config, state)[0].keys()


def test_an_output_of_its_own_is_said_by_the_configuration() -> None:
    """Hugging Face ties it, whatever the configuration says, until it meets a file that holds another matrix."""
    torch.manual_seed(0)
    model = oracles()["t5"].separate()
    state, config = dict(model.state_dict()), model.config.to_dict()
    found, _ = read_names(config, state)
    assert torch.equal(found["head.score.weight"], state["lm_head.weight"])
    with pytest.raises(InvalidData, match="lm_head.weight should be shared.weight under a second name"):
        read_names(config | {"tie_word_embeddings": True}, state)
    del state["lm_head.weight"]
    with pytest.raises(InvalidData, match=r"1 tensor is missing: lm_head.weight \(head.score.weight\)"):
        read_names(config, state)


def test_a_1_1_goes_to_them_with_its_own_output(tmp_path: Path) -> None:
    torch.manual_seed(0)
    spec = t5.declare(**(t5.TOY | {"activation": "gelu_tanh", "gated": True, "embeddings": "separate"}))
    model = spec.build().eval()
    save(tmp_path / "ours", model)
    other, info = transformers.T5ForConditionalGeneration.from_pretrained(
        tmp_path / "ours", attn_implementation="eager", output_loading_info=True
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert not torch.equal(other.lm_head.weight, other.shared.weight)
    source, target = torch.tensor([[5, 6, 7, 1]]), torch.tensor([[0, 8, 9]])
    with torch.no_grad():
        logits = other(input_ids=source, decoder_input_ids=target).logits
        assert_close(model(source, target).logits, logits, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ what the weights say of the output

NOTE = "the weights hold an lm_head.weight of its own"
SOURCE, TARGET = torch.tensor([[5, 6, 7, 1]]), torch.tensor([[0, 8, 9]])


def as_they_save_it(root: Path, kind: str, own: bool, scaled: bool = False) -> Any:
    """A T5 of version 1.1 that came from years ago and was saved again: they say that its output is tied."""
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 6, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 43}
    config = getattr(transformers, f"{kind}Config")(**sizes, feed_forward_proj="gated-gelu", decoder_start_token_id=0)
    if kind == "T5":
        config.scale_decoder_outputs = scaled
    model = perturb(getattr(transformers, f"{kind}ForConditionalGeneration")(config))
    model.save_pretrained(root / "old")
    if own:
        state = load_file(root / "old" / "model.safetensors") | {"lm_head.weight": torch.randn(43, 32)}
        save_file(state, root / "old" / "model.safetensors", {"format": "pt"})
    again = type(model).from_pretrained(root / "old", attn_implementation="eager")
    again.save_pretrained(root / "theirs")
    said = json.loads((root / "theirs" / "config.json").read_text())
    assert said["tie_word_embeddings"] is True
    assert ("lm_head.weight" in load_file(root / "theirs" / "model.safetensors")) == own
    return again.eval()


@torch.no_grad()
def logits_of(model: Any) -> torch.Tensor:
    if isinstance(model, transformers.PreTrainedModel):
        return model(input_ids=SOURCE, decoder_input_ids=TARGET).logits
    return model(SOURCE, TARGET).logits


@pytest.mark.parametrize(("kind", "scaled"), [("T5", False), ("T5", True), ("MT5", False)])
@pytest.mark.parametrize("own", [True, False])
def test_the_weights_tell_whether_the_output_is_tied(own: bool, kind: str, scaled: bool, tmp_path: Path) -> None:
    theirs = as_they_save_it(tmp_path, kind, own, scaled)
    heard: list[str] = []
    report = import_hf(tmp_path / "theirs", tmp_path / "ours", say=heard.append)
    assert report is not None
    assert [NOTE in sentence for sentence in heard] == ([True] if own else [])
    stored = read(tmp_path / "theirs")
    assert stored.model.spec.head.tied is not own  # type: ignore[union-attr]
    assert (stored.model.spec.head.scale == 1.0) is not scaled  # type: ignore[union-attr]
    assert stored.model.spec == read_spec(tmp_path / "theirs") == read_blank(tmp_path / "theirs").model.spec
    assert_close(logits_of(stored.model), logits_of(theirs), rtol=1e-5, atol=1e-5)
    assert read(tmp_path / "ours").note == ""  # said once: what was written says what it is
    export_hf(tmp_path / "ours", tmp_path / "back", check=False)
    (tmp_path / "back" / "transept.json").unlink()
    back, info = type(theirs).from_pretrained(tmp_path / "back", attn_implementation="eager", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert back.config.model_type == theirs.config.model_type
    assert torch.equal(logits_of(back.eval()), logits_of(theirs))
    assert read(tmp_path / "back").note == ""


def test_who_loads_such_a_model_is_told(tmp_path: Path) -> None:
    as_they_save_it(tmp_path, "T5", own=True)
    with pytest.warns(UserWarning, match=NOTE):
        load(tmp_path / "theirs")
    heard: list[str] = []
    load(tmp_path / "theirs", say=heard.append)
    assert len(heard) == 1


def test_an_output_that_is_saved_twice_is_tied(tmp_path: Path) -> None:
    """Pickles hold the table under each of its names; so may any file."""
    theirs = as_they_save_it(tmp_path, "T5", own=False)
    state = {name: value.clone() for name, value in theirs.state_dict().items()}
    assert "lm_head.weight" in state
    save_file(state, tmp_path / "theirs" / "model.safetensors", {"format": "pt"})
    stored = read(tmp_path / "theirs")
    assert (stored.model.spec.head.tied, stored.note) == (True, "")  # type: ignore[union-attr]


def test_a_pickle_tells_it_too(tmp_path: Path) -> None:
    theirs = as_they_save_it(tmp_path, "MT5", own=True)
    (tmp_path / "theirs" / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), tmp_path / "theirs" / "pytorch_model.bin")
    stored = read(tmp_path / "theirs", allow_pickle=True)
    assert NOTE in stored.note
    assert_close(logits_of(stored.model), logits_of(theirs), rtol=1e-5, atol=1e-5)
    assert read_blank(tmp_path / "theirs").note == ""  # a pickle is not opened to look at a model


def test_an_mt5_is_never_scaled() -> None:
    with pytest.raises(InvalidConfig, match="scale_decoder_outputs is True: Hugging Face's mT5 reads it"):
        t5.from_hf(MANY | {"scale_decoder_outputs": True})


def test_mt5_is_t5_and_is_handed_back_as_one() -> None:
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 6, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 43}
    other = transformers.MT5ForConditionalGeneration(transformers.MT5Config(**sizes)).eval()
    config = other.config.to_dict() | {"architectures": ["MT5ForConditionalGeneration"]}
    spec = t5.from_hf(config)
    model = spec.build().eval()
    model.load_state_dict(t5.names(spec).to_ours(other.state_dict(), model.state_dict())[0])
    source, target = torch.tensor([[5, 6, 7, 1]]), torch.tensor([[0, 8, 9]])
    with torch.no_grad():
        logits = other(input_ids=source, decoder_input_ids=target).logits
        assert_close(model(source, target).logits, logits, rtol=1e-5, atol=1e-5)
    said = t5.to_hf(spec)
    assert (said["model_type"], said["architectures"]) == ("t5", ["T5ForConditionalGeneration"])
    assert t5.from_hf(said) == spec


def test_answers_begin_with_the_padding_token_and_are_theirs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = model_of_theirs()
    with torch.no_grad():
        model.lm_head.weight[1] *= 2.0  # else a random model ends at once or never
    settings = {"max_length": 16, "num_beams": 3, "no_repeat_ngram_size": 2, "decoder_start_token_id": 0}
    model.generation_config.update(**settings, pad_token_id=0, eos_token_id=1)
    model.save_pretrained(tmp_path)
    stored = read(tmp_path)
    assert (stored.generation.special.bos, stored.generation.pad) == (0, 0)
    assert stored.generation.search == Search(beam=3, max_ratio=0.0, max_extra=15, no_repeat_ngram=2)
    rows = [[*torch.randint(3, 43, (n,)).tolist(), 1] for n in (3, 9, 1, 6)]
    mine = search(stored.model, rows, stored.generation.search, stored.generation.special)  # type: ignore[arg-type]
    for row, found in zip(rows, mine, strict=True):
        assert found[0].tokens == model.generate(input_ids=torch.tensor([row]))[0, 1:].tolist()
