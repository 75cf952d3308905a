"""The decoders: published configurations, files of years ago, and what is refused by its key. Parity is elsewhere."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from transept.errors import InvalidConfig, InvalidData
from transept.families import gpt, gpt2, gpt3, llama
from transept.families.hugging_face import plain
from transept.families.registry import family_of_hf
from transept.families.rotation import rope
from transept.hub import weights
from transept.parts.attention import Attention
from transept.parts.initial import Normal
from transept.parts.pattern import Causal, Window
from transept.parts.rotary import Banded, Interpolated, Rotary, Yarn
from transept.parts.stack import Stack
from transept.spec import edit, replace

SUMMARY = {
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
}
SHAPE = {"n_embd": 768, "n_head": 12, "n_layer": 12, "layer_norm_epsilon": 1e-5, "initializer_range": 0.02}
DROP = {"attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1}
FIRST = {  # as openai-gpt
    "afn": "gelu",
    "architectures": ["OpenAIGPTLMHeadModel"],
    "model_type": "openai-gpt",
    "n_ctx": 512,
    "n_positions": 512,
    "n_special": 0,
    "predict_special_tokens": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 40478,
    **(SHAPE | DROP | SUMMARY),
}
SECOND = {  # as gpt2
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "bos_token_id": 50256,
    "eos_token_id": 50256,
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_positions": 1024,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 50257,
    **(SHAPE | DROP | SUMMARY),
}
NEO = {  # as EleutherAI/gpt-neo-125m
    "activation_function": "gelu_new",
    "architectures": ["GPTNeoForCausalLM"],
    "attention_dropout": 0,
    "attention_layers": ["global", "local"] * 6,
    "attention_types": [[["global", "local"], 6]],
    "bos_token_id": 50256,
    "embed_dropout": 0,
    "eos_token_id": 50256,
    "gradient_checkpointing": False,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": None,
    "layer_norm_epsilon": 1e-05,
    "max_position_embeddings": 2048,
    "model_type": "gpt_neo",
    "num_heads": 12,
    "num_layers": 12,
    "resid_dropout": 0,
    "use_cache": True,
    "vocab_size": 50257,
    "window_size": 256,
    **SUMMARY,
}
ROPED = {"hidden_act": "silu", "initializer_range": 0.02, "use_cache": True, "bos_token_id": 1, "eos_token_id": 2}
LLAMA_2 = ROPED | {  # as meta-llama/Llama-2-7b-hf
    "_name_or_path": "meta-llama/Llama-2-7b-hf",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.31.0.dev0",
    "vocab_size": 32000,
}
LLAMA_3 = LLAMA_2 | {  # as meta-llama/Llama-3.2-1B
    "attention_bias": False,
    "attention_dropout": 0.0,
    "head_dim": 64,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "num_hidden_layers": 16,
    "num_key_value_heads": 8,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "vocab_size": 128256,
}
MISTRAL = ROPED | {  # as mistralai/Mistral-7B-v0.1
    "architectures": ["MistralForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "vocab_size": 32000,
}
QWEN = ROPED | {  # as Qwen/Qwen2-0.5B
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 131072,
    "max_window_layers": 24,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 131072,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}
EXPECTED = {
    "gpt": (FIRST, gpt.declare(vocab=40478, **gpt.SIZES["base"])),
    "gpt2": (SECOND, gpt2.declare(vocab=50257, **gpt2.SIZES["small"])),
    "gpt-neo": (NEO, gpt3.declare(vocab=50257, **gpt3.SIZES["small"], bias="out", scale=1.0, initial=Normal(0.02))),
    "llama 2": (LLAMA_2, llama.declare(vocab=32000, **llama.SIZES["2-7b"])),
    "llama 3.2": (LLAMA_3, llama.declare(**llama.SIZES["3.2-1b"])),
    "mistral": (MISTRAL, llama.declare(vocab=32000, **llama.SIZES["mistral-7b"])),
    "qwen2": (QWEN, llama.declare(**llama.SIZES["qwen2-0.5b"])),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_published_configurations_are_the_published_sizes(name: str) -> None:
    config, expected = EXPECTED[name]
    module = family_of_hf(config["model_type"])
    assert module is not None
    assert plain(module.from_hf(config)) == plain(expected)
    said = module.to_hf(expected)
    assert said["architectures"] == config["architectures"]
    assert plain(module.from_hf(said)) == plain(expected)


@pytest.mark.parametrize("name", EXPECTED)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_configuration_is_read_or_refused(name: str, data: Any) -> None:
    config, _ = EXPECTED[name]
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just([["global"], 3])
    many = values | st.lists(values, max_size=3) | st.dictionaries(st.sampled_from(["rope_type", "factor"]), values)
    keys = st.sampled_from(sorted(config.keys() - {"model_type"} | {"layer_types", "rope_parameters"}))
    changes = data.draw(st.dictionaries(keys, many, max_size=3))
    module = family_of_hf(config["model_type"])
    assert module is not None
    with suppress(InvalidConfig):
        spec = module.from_hf(config | changes)
        with suppress(InvalidConfig):  # Hugging Face's own words may say what its models cannot be
            assert plain(module.from_hf(module.to_hf(spec))) == plain(spec)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (FIRST, {"afn": "gelu_new"}, "afn is 'gelu_new', and Transept knows gelu, relu, silu, swish"),
    (FIRST, {"n_special": 3}, "n_special is 3: the table has rows beyond vocab_size"),
    (FIRST, {"architectures": ["OpenAIGPTDoubleHeadsModel"]}, "OpenAIGPTDoubleHeadsModel; Transept reads OpenAIGPTLM"),
    (SECOND, {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
    (SECOND, {"reorder_and_upcast_attn": True}, "reorder_and_upcast_attn is True"),
    (SECOND, {"add_cross_attention": True}, "add_cross_attention is True"),
    (SECOND, {"n_ctx": 512}, "n_ctx is 512 and n_positions is 1024, but they are one thing"),
    (SECOND, {"hidden_size": 512}, "hidden_size is 512 and n_embd is 768"),
    (SECOND, {"activation_function": "mish"}, "activation_function is 'mish'"),
    (SECOND, {"n_lyer": 3}, "'n_lyer'.*Did you mean 'n_layer'"),
    (SECOND, {"afn": "gelu"}, "unknown keys for GPT-2: 'afn'"),
    (SECOND, {"n_inner": "wide"}, "n_inner must be a whole number"),
    (NEO, {"attention_types": [["global", 12]]}, "attention_types has \\['global', 12\\]"),
    (NEO, {"attention_types": [[["global", "strange"], 6]]}, "attention_types has"),
    (NEO, {"attention_types": [[["global", "local"], 5]]}, "attention_types tells 10 layers, and num_layers is 12"),
    (NEO, {"attention_types": [[["global"], 10**9]]}, "attention_types repeats"),
    (NEO, {"attention_layers": ["local", "global"] * 6}, "attention_layers is .*: attention_types tells other layers"),
    (NEO, {"window_size": 0}, "window_size must be a whole number from 1 on, not 0"),
    (LLAMA_2, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "rope_type is 'dynamic', whose angles change with"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "longrope"}}, "rope_type is 'longrope', whose angles change with"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "proportional"}}, "rope_type is 'proportional', and Transept knows def"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "yarn"}}, "factor must be a number above 0"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_slow": 40.0}}, "slow=40.0 must be above 0"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "mscal": 1.0}}, "unknown keys.*'mscal'.*'mscale'"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "linear"}}, "factor must be a number above 0"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "linear", "factor": 0.5}}, "Interpolated.factor must be at least 1"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "linear", "type": "default", "factor": 2.0}}, "type is 'default'"),
    (LLAMA_2, {"rope_scaling": {"rope_type": "default", "mscale": 2.0}}, "unknown keys for rope_scaling: 'mscale'"),
    (LLAMA_2, {"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor is 0.5"),
    (LLAMA_3, {"rope_parameters": {"rope_type": "default"}}, "unknown keys for Llama: 'rope_parameters'"),
    (LLAMA_2, {"sliding_window": 16}, "unknown keys for Llama: 'sliding_window'"),
    (LLAMA_2, {"pretraining_tp": 2}, "pretraining_tp is 2"),
    (
        LLAMA_2,
        {"num_key_value_heads": 5},
        "num_key_value_heads is 5, and does not divide num_attention_heads",
    ),
    (LLAMA_2, {"architectures": ["LlamaForQuestionAnswering"]}, "LlamaForQuestionAnswering; Transept reads LlamaForC"),
    (MISTRAL, {"attention_bias": True}, "unknown keys for Mistral: 'attention_bias'"),
    (MISTRAL, {"layer_types": ["full_attention"] * 32}, "unknown keys for Mistral: 'layer_types'"),
    (QWEN, {"layer_types": ["full_attention"]}, "layer_types must be 24 of full_attention, sliding_attention"),
    (QWEN, {"layer_types": ["sliding_attention"] * 24}, "layer_types names sliding_attention, and there is no"),
]


@pytest.mark.parametrize(
    ("config", "change", "words"), REFUSED, ids=[f"{one['model_type']} {c}" for one, c, _ in REFUSED]
)
def test_what_is_not_supported_is_refused_by_its_key(
    config: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    module = family_of_hf(config["model_type"])
    assert module is not None
    with pytest.raises(InvalidConfig, match=words):
        module.from_hf(config | change)


def test_older_words_for_rotations_are_the_newer_ones() -> None:
    bare = {key: value for key, value in LLAMA_2.items() if not key.startswith("rope")}

    def rotation(**words: Any) -> Rotary:
        found = llama.from_hf(bare | words).stack.block.parts[0].position
        assert isinstance(found, Rotary)
        return found

    assert rotation() == rotation(rope_theta=10000) == rotation(rope_parameters={"rope_theta": 1e4}) == Rotary()
    old = rotation(rope_theta=500.0, rope_scaling={"type": "linear", "factor": 4})
    new = rotation(rope_parameters={"rope_type": "linear", "rope_theta": 500.0, "factor": 4.0})
    assert old == new == Rotary(500.0, scaling=Interpolated(4.0))
    bands = LLAMA_3["rope_scaling"]
    assert rotation(rope_scaling=bands) == rotation(rope_parameters=bands) == Rotary(scaling=Banded(32.0, 8192))
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
    assert rotation(rope_parameters=yarn) == Rotary(scaling=Yarn(4.0, 512))
    changed = yarn | {"truncate": False, "attention_factor": 1.5, "beta_fast": 16.0}
    assert rope(rotation(rope_parameters=changed)) == changed | {
        "rope_theta": 10_000.0
    }  # what is theirs anyway is left out
    without = {key: value for key, value in bands.items() if key != "original_max_position_embeddings"}
    assert rotation(rope_scaling=without).scaling == Banded(32.0, 4096)  # as long as the configuration says


def test_their_words_for_activations() -> None:
    """In GPT's configuration "gelu" is the approximation by tanh, in GPT-2's it is exact."""
    for word, activation in (("gelu", "gelu_tanh"), ("swish", "silu"), ("relu", "relu")):
        spec = gpt.from_hf(FIRST | {"afn": word})
        assert spec.stack.block.parts[1].activation == activation
        assert gpt.from_hf(gpt.to_hf(spec)) == spec
    assert gpt2.from_hf(SECOND | {"activation_function": "gelu"}).stack.block.parts[1].activation == "gelu"


def windows(**words: Any) -> list[int | None]:
    """The window of each layer of a small Qwen2."""
    spec = llama.from_hf(QWEN | {"num_hidden_layers": 4, "max_window_layers": 4, "sliding_window": 8} | words)
    cycle = spec.stack.cycle()
    patterns = [cycle[i % len(cycle)].parts[0].pattern for i in range(4)]
    return [None if pattern == Causal() else pattern.right.reach + 1 for pattern in patterns]


def test_windows_are_of_the_layers_that_a_configuration_names() -> None:
    assert windows() == windows(max_window_layers=0) == [None] * 4
    assert windows(use_sliding_window=True) == [None] * 4
    assert windows(use_sliding_window=True, max_window_layers=1) == [None, 8, 8, 8]
    assert windows(use_sliding_window=True, max_window_layers=0) == [8] * 4
    assert windows(use_sliding_window=True, sliding_window=None, max_window_layers=0) == [None] * 4
    turns = ["full_attention", "sliding_attention"] * 2
    assert windows(use_sliding_window=True, layer_types=turns) == [None, 8, None, 8]
    assert llama.from_hf(MISTRAL | {"sliding_window": None}).stack.block.parts[0].pattern == Causal()


@pytest.mark.parametrize(
    ("words", "kinds"), [(["global"] * 3, 1), (["local"] * 3, 1), (["global", "local", "local"], 3)]
)
def test_a_cycle_of_layers_is_the_shortest(words: list[str], kinds: int) -> None:
    spec = gpt3.from_hf(NEO | {"attention_types": [[words, 4]], "attention_layers": words * 4})
    assert len(spec.stack.cycle()) == kinds
    assert gpt3.to_hf(spec)["attention_types"] == [[words[:kinds], 12 // kinds]]


# ------------------------------------------------------------------ what they cannot say


def test_the_papers_gpt3_is_refused_with_the_words_that_would_do() -> None:
    with pytest.raises(InvalidConfig, match=r"(?s)GPT-Neo cannot say this model.*Train it with bias: out, scale: 1.0"):
        gpt3.to_hf(gpt3.declare(**gpt3.TOY))
    gpt3.to_hf(gpt3.declare(**gpt3.TOY, bias="out", scale=1.0))


@pytest.mark.parametrize("module", [gpt, gpt2, gpt3, llama])
def test_a_family_says_its_own_models_alone(module: Any) -> None:
    words = {"bias": "out", "scale": 1.0} if module is gpt3 else {}
    spec = module.declare(**module.TOY, **words)
    for other in (gpt, gpt2, gpt3, llama):
        if other is module:
            assert plain(other.from_hf(other.to_hf(spec))).stack == plain(spec).stack
        else:
            with pytest.raises(InvalidConfig):
                other.to_hf(spec)


def test_windows_that_no_configuration_has_are_refused() -> None:
    spec = llama.declare(**llama.TOY, window=4)
    llama.to_hf(spec)
    two = spec.stack.cycle()[0]
    wider = edit(two, lambda p: replace(p, pattern=Causal() & Window(7)) if isinstance(p, Attention) else p)
    with pytest.raises(InvalidConfig, match="Mistral cannot say this model"):
        llama.to_hf(replace(spec, stack=replace(spec.stack, block=(two, wider))))


def test_what_is_spelt_out_and_changes_nothing_is_said() -> None:
    spec = llama.declare(**llama.TOY)
    spelt = edit(spec, lambda p: replace(p, head_width=8) if isinstance(p, Attention) else p)
    block = spec.stack.block
    twice = edit(spelt, lambda p: replace(p, block=(block, block)) if isinstance(p, Stack) else p)
    assert llama.to_hf(twice) == llama.to_hf(spec)


# ------------------------------------------------------------------ files of years ago

TINY: dict[str, dict[str, Any]] = {
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 12},
    "OpenAIGPT": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 12},
    "GPTNeo": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "max_position_embeddings": 12,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 3,
    },
    "Llama": {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
}
BASE = {"GPT2": "transformer.", "OpenAIGPT": "transformer.", "GPTNeo": "transformer.", "Llama": "model."}
HEAD = {"GPT2": "LMHeadModel", "OpenAIGPT": "LMHeadModel", "GPTNeo": "ForCausalLM", "Llama": "ForCausalLM"}


def theirs(stem: str, end: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A configuration and the weights of a small model of theirs, every one drawn."""
    torch.manual_seed(0)
    made = getattr(transformers, stem + end)
    nobody = {"bos_token_id": None, "eos_token_id": None}
    model = made(made.config_class(vocab_size=29, tie_word_embeddings=True, **TINY[stem], **nobody))
    state = {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
    for second, first in (model._tied_weights_keys or {}).items():
        state[second] = state[first]
    return model.config.to_dict() | {"architectures": [stem + end]}, state


def read(root: Path, config: dict[str, Any], state: dict[str, Tensor]) -> tuple[Any, dict[str, str]]:
    """Their weights, as a file has them, in a model of ours, and what was dropped."""
    module = family_of_hf(config["model_type"])
    assert module is not None
    spec = module.from_hf(config)
    save_file({name: tensor.clone() for name, tensor in state.items()}, root / "model.safetensors")
    return weights.load(root, spec, module.names(spec), "float32")


def same_bits(one: Any, other: Any) -> bool:
    found, wanted = one.state_dict(), other.state_dict()
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in found)


@pytest.mark.parametrize("stem", TINY)
def test_the_name_of_the_base_model_may_be_there_or_not(stem: str, tmp_path: Path) -> None:
    config, state = theirs(stem, HEAD[stem])
    new, dropped = read(tmp_path, config, state)
    single = {name: tensor for name, tensor in state.items() if name != "lm_head.weight"}
    bare = {name.removeprefix(BASE[stem]): tensor for name, tensor in single.items()}
    assert dropped == {}
    assert same_bits(new, read(tmp_path, config, single)[0])
    assert same_bits(new, read(tmp_path, config, bare)[0])
    config, state = theirs(stem, "Model")
    new, _ = read(tmp_path, config, state)
    old, _ = read(tmp_path, config, {BASE[stem] + name: tensor for name, tensor in state.items()})
    assert same_bits(new, old)


SEEN = torch.ones(12, 12).tril()
BAND = SEEN - SEEN.tril(-3)


@pytest.mark.parametrize("form", [torch.float32, torch.bool, torch.uint8])
@pytest.mark.parametrize(
    ("stem", "attention", "masks"),
    [
        ("GPT2", "attn", [SEEN, SEEN]),
        ("OpenAIGPT", "attn", [SEEN, SEEN]),
        ("GPTNeo", "attn.attention", [SEEN, BAND]),
    ],
)
def test_masks_of_old_files_are_computed_here(
    stem: str, attention: str, masks: list[Tensor], form: torch.dtype, tmp_path: Path
) -> None:
    """They stood in files until version 4.28, without the base model's name in the first of GPT-2's."""
    config, state = theirs(stem, HEAD[stem])
    new, _ = read(tmp_path, config, state)
    old = {name.removeprefix(BASE[stem]): tensor for name, tensor in state.items() if name != "lm_head.weight"}
    for i, mask in enumerate(masks):
        old[f"h.{i}.{attention}.bias"] = mask[None, None].to(form)
        old[f"h.{i}.{attention}.masked_bias"] = torch.tensor(-1e4)
    found, dropped = read(tmp_path, config, old)
    assert same_bits(new, found)
    assert set(dropped) == {name for name in old if name.endswith((f".{attention}.bias", "masked_bias"))}
    wrong = old | {f"h.1.{attention}.bias": torch.ones(1, 1, 12, 12).to(form)}
    with pytest.raises(InvalidData, match=f"h.1.{attention}.bias cannot be dropped: it is not the mask of causal"):
        read(tmp_path, config, wrong)
    with pytest.raises(InvalidData, match="masked_bias cannot be dropped: a score of 0 hides nothing"):
        read(tmp_path, config, old | {f"h.0.{attention}.masked_bias": torch.tensor(0.0)})


def test_frequencies_of_old_files_are_computed_here(tmp_path: Path) -> None:
    config, state = theirs("Llama", "ForCausalLM")
    new, _ = read(tmp_path, config, state)
    name = "model.layers.{}.self_attn.rotary_emb.inv_freq"
    right = 1e4 ** -(torch.arange(0, 8, 2) / 8)
    old, dropped = read(tmp_path, config, state | {name.format(i): right for i in range(2)})
    assert same_bits(new, old)
    assert len(dropped) == 2
    with pytest.raises(InvalidData, match="they are not those of the base 10000"):
        read(tmp_path, config, state | {name.format(0): right * 2})


def test_positions_of_old_files_are_counted_here(tmp_path: Path) -> None:
    config, state = theirs("OpenAIGPT", "LMHeadModel")
    new, _ = read(tmp_path, config, state)
    old, dropped = read(tmp_path, config, state | {"transformer.position_ids": torch.arange(12)})
    assert same_bits(new, old)
    assert list(dropped) == ["transformer.position_ids"]
    with pytest.raises(InvalidData, match="the positions are not 0, 1, 2"):
        read(tmp_path, config, state | {"transformer.position_ids": torch.arange(12).flip(0)})
