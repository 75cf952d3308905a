"""Adapters as files: read again, read by Hugging Face's PEFT, and read from it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import transept
from transept.errors import InvalidData, UsageError
from transept.families.registry import family
from transept.hub.adapters import CONFIG, WEIGHTS, read_adapters, save_adapters
from transept.hub.directory import read, save
from transept.hub.merging import Merged, merge
from transept.parts.lora import adapters, lora, merge_lora
from transept.topology import Built

IDS = torch.randint(3, 20, (2, 7), generator=torch.Generator().manual_seed(1))


def made(name: str = "bert", **words: Any) -> Built:
    torch.manual_seed(5)
    model = family(name).declare(**family(name).TOY | words).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def tuned(model: Built, targets: str = "*.q|v", **words: Any) -> Built:
    adapted = lora(model, 2, 6.0, targets, **words)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return adapted.eval()


def answers(model: nn.Module) -> Tensor:
    inputs = (IDS,) if hasattr(model, "stack") else (IDS, IDS[:, :5])
    with torch.no_grad():
        found: Tensor = model(*inputs).logits
    return found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bert", {"head": "classes", "labels": 3}),
        ("gpt2", {}),
        ("llama", {}),
        ("t5", {}),
        ("lstm", {}),  # no family of Hugging Face's: our own names
    ],
)
@pytest.mark.parametrize("also", [(), ("head",)])
def test_what_was_written_is_read(tmp_path: Path, name: str, words: dict[str, Any], also: tuple[str, ...]) -> None:
    model = made(name, **words)
    if also and not any(n.startswith("head.") for n, _ in model.named_parameters()):
        pytest.skip("its head has nothing of its own")
    targets = "*.input" if name == "lstm" else "*.q|v"
    adapted = tuned(model, targets, also=also)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    again = read_adapters(save_adapters(tmp_path / "out", adapted), model).eval()
    assert torch.equal(answers(again), answers(adapted)) or name == "gpt2"
    torch.testing.assert_close(answers(again), answers(adapted), rtol=1e-6, atol=1e-6)
    assert (answers(again) - answers(model)).abs().max() > 1e-2
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in before.items())
    learning = {n for n, p in again.named_parameters() if p.requires_grad}
    assert learning == {n for n, p in adapted.named_parameters() if p.requires_grad}


def test_a_head_that_the_model_has_no_place_for_is_told(tmp_path: Path) -> None:
    """Of a run on labels, which began at a model that embeds."""
    adapted = tuned(made("bert", head="classes", labels=3), also=["head"])
    plain = made("bert", head="pooled")
    apart = save_adapters(tmp_path / "apart", adapted)
    with pytest.raises(InvalidData, match="bring a part of their own.*: classifier.bias, classifier.weight") as told:
        read_adapters(apart, plain)
    assert "merge_and_unload" in str(told.value.remedy)
    save(tmp_path / "run/model", merge_lora(adapted))
    with pytest.raises(InvalidData) as told:
        read_adapters(save_adapters(tmp_path / "run/model/adapters", adapted), plain)
    assert told.value.remedy == f"{tmp_path / 'run/model'} is the model with both merged already."


def test_a_small_file_is_left(tmp_path: Path) -> None:
    adapted = tuned(made("bert", head="classes", labels=3), also=("head.score",))
    save_adapters(tmp_path / "out", adapted, base="models/bert")
    tensors = load_file(tmp_path / "out" / WEIGHTS)
    query = "base_model.model.bert.encoder.layer.1.attention.self.query"
    assert tensors[f"{query}.lora_A.weight"].shape == (2, 32) and tensors[f"{query}.lora_B.weight"].shape == (32, 2)
    rest = {name for name in tensors if "lora" not in name}
    assert rest == {"base_model.model.classifier.weight", "base_model.model.classifier.bias"}
    config = json.loads((tmp_path / "out" / CONFIG).read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 6.0)
    assert config["modules_to_save"] == ["classifier"] and config["base_model_name_or_path"] == "models/bert"


def test_a_model_is_merged_from_directories(tmp_path: Path) -> None:
    model = made("bert", head="classes", labels=3)
    save(tmp_path / "base", model)
    adapted = tuned(model)
    save_adapters(tmp_path / "adapters", adapted)
    assert merge(tmp_path / "base", tmp_path / "out", tmp_path / "adapters") == Merged(4)
    torch.testing.assert_close(answers(read(tmp_path / "out").model), answers(adapted), rtol=1e-5, atol=2e-6)
    assert "Made of base by merging adapters into 4 matrices" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(InvalidData, match=r"these are adapters, and no model\n.*convert MODEL OUT --adapters"):
        transept.load(tmp_path / "adapters")
    with pytest.raises(UsageError, match="holds files already"):
        save_adapters(tmp_path / "adapters", adapted)
    save_adapters(tmp_path / "adapters", adapted, overwrite=True)
    with pytest.raises(UsageError, match="this model has no adapters"):
        save_adapters(tmp_path / "none", model)


def under(was: Built, spec: Any) -> Built:
    """A model with the weights of another, but for its head, which begins anew."""
    model = spec.build()
    kept = {name: tensor for name, tensor in was.state_dict().items() if name in model.state_dict()}
    model.load_state_dict({name: t for name, t in kept.items() if not name.startswith("head.")}, strict=False)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "was", "now", "dense"),
    [
        ("bert", {"head": "pooled"}, {"head": "classes", "labels": 3}, True),
        ("bert", {"head": "pretraining"}, {"head": "classes", "labels": 3}, True),
        ("bert", {"head": "pretraining"}, {"head": "classes", "labels": 3}, False),
        ("bert", {"head": "classes", "labels": 5}, {"head": "tags", "labels": 4}, False),
        ("bert", {"head": "masked"}, {"head": "spans"}, False),
        ("distilbert", {"head": "masked"}, {"head": "classes", "labels": 2}, True),
        ("roberta", {"head": "masked"}, {"head": "classes", "labels": 4}, True),
        ("gpt2", {}, {"head": "classes", "labels": 3}, False),
        ("vit", {"labels": 5}, {"labels": 3}, False),
    ],
)
@pytest.mark.parametrize("half", [False, True])
def test_a_head_is_carried_over_with_the_adapters_of_its_model(
    tmp_path: Path, name: str, was: dict[str, Any], now: dict[str, Any], dense: bool, half: bool
) -> None:
    """`dense` says that the matrix below the scores was trained too; else the pooler is the base's."""
    start = made(name, **was)
    spec = family(name).declare(**family(name).TOY | now)
    model = under(start, spec)
    if not dense:  # BERT's pooler goes on, wherever it stood
        for place in ("head.dense", "second.dense"):
            own = {n: t for n, t in start.state_dict().items() if n.startswith(place)}
            model.load_state_dict({n.replace("second.", "head."): t for n, t in own.items()}, strict=False)
    also = ["head"] if dense else [n for n, _ in model.named_parameters() if n.startswith("head.") and "dense" not in n]
    if half:
        start, model = start.to(torch.bfloat16), model.to(torch.bfloat16)
    adapted = tuned(model, also=also)
    count = now.get("labels", 0)
    save(tmp_path / "base", start)
    save_adapters(tmp_path / "apart", adapted, labels=[f"class {i}" for i in range(count)])
    told = merge(tmp_path / "base", tmp_path / "out", tmp_path / "apart")
    assert told.head == type(spec.head).__name__ and told.head in str(told)
    out = read(tmp_path / "out")
    drawn = {"dropout": spec.head.dropout} if hasattr(spec.head, "dropout") else {}  # of training alone
    assert replace(out.model.spec.head, **drawn) == spec.head and out.labels == tuple(
        f"class {i}" for i in range(count)
    )
    wanted = merge_lora(adapted).state_dict()
    assert wanted.keys() == out.model.state_dict().keys()
    for key, tensor in out.model.state_dict().items():
        torch.testing.assert_close(tensor, wanted[key], rtol=0, atol=0)
    assert f"under their head, {told.head}" in (tmp_path / "out/README.md").read_text()


def test_a_head_in_the_place_of_another_brings_the_names_of_its_classes(tmp_path: Path) -> None:
    """As many classes as the model has, and other ones."""
    model = made("bert", head="classes", labels=2)
    save(tmp_path / "base", model, labels=("negative", "positive"))
    adapted = tuned(model, also=["head"])
    apart = save_adapters(tmp_path / "apart", adapted, labels=("ham", "spam"))
    told = merge(tmp_path / "base", tmp_path / "out", apart)
    assert told.head == "Classes" and read(tmp_path / "out").labels == ("ham", "spam")
    own = save_adapters(tmp_path / "own", adapted, labels=("negative", "positive"))
    assert merge(tmp_path / "base", tmp_path / "same", own).head == ""
    bare = save_adapters(tmp_path / "bare", tuned(model), labels=("ham", "spam"))  # a head is not among them
    merge(tmp_path / "base", tmp_path / "kept", bare)
    for name in ("same", "kept"):
        assert read(tmp_path / name).labels == ("negative", "positive")


def test_a_head_of_no_known_class_is_not_guessed(tmp_path: Path) -> None:
    """`classifier` may be of a text or of each token; which, only its class tells."""
    adapted = tuned(made("bert", head="classes", labels=3), also=["head"])
    apart = save_adapters(tmp_path / "apart", adapted)
    save(tmp_path / "base", made("bert", head="masked"))
    config = json.loads((apart / CONFIG).read_text())
    for words in ({"task_type": "SEQ_CLS"}, {"task_type": "TOKEN_CLS"}, {}):
        (apart / CONFIG).write_text(json.dumps(config | {"auto_mapping": None} | words))
        if words.get("task_type") == "SEQ_CLS":
            assert merge(tmp_path / "base", tmp_path / "out", apart).head == "Classes"
        else:  # tags have no pooler, which is brought
            with pytest.raises(InvalidData, match="bring a part of their own"):
                merge(tmp_path / "base", tmp_path / "no", apart)
            assert not (tmp_path / "no").exists()


def test_a_head_of_theirs_is_carried_over(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    transformers = pytest.importorskip("transformers")
    save(tmp_path / "base", made("bert", head="pretraining"))
    plain = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=4)
    settings = peft.LoraConfig(r=2, target_modules=["query"], task_type="SEQ_CLS")
    theirs = peft.get_peft_model(plain.eval(), settings).eval()
    with torch.no_grad():
        for key, parameter in theirs.named_parameters():
            if "lora" in key or "modules_to_save" in key:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    theirs.save_pretrained(tmp_path / "apart")
    assert merge(tmp_path / "base", tmp_path / "out", tmp_path / "apart").head == "Classes"
    torch.testing.assert_close(
        answers(read(tmp_path / "out").model), their_answers(theirs, "bert"), rtol=1e-5, atol=2e-5
    )


def test_ours_names_its_class_for_theirs(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = made("bert", head="classes", labels=3)
    save(tmp_path / "base", model)
    adapted = tuned(model, also=["head.score"])
    save_adapters(tmp_path / "apart", adapted, base=tmp_path / "base", labels=["a", "b", "c"])
    theirs = peft.AutoPeftModel.from_pretrained(tmp_path / "apart").eval()
    torch.testing.assert_close(their_answers(theirs, "bert"), answers(adapted), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("peft_type", "IA3", "peft_type is 'IA3'; only LORA is read"),
        ("bias", "all", "bias is 'all'"),
        ("use_dora", True, "use_dora is True, which is not known here"),
        ("init_lora_weights", "pissa", "init_lora_weights is 'pissa', which changes the model's own weights"),
        ("layer_replication", [[0, 2]], "layer_replication is"),
    ],
)
def test_settings_of_another_function_are_refused(tmp_path: Path, key: str, value: Any, told: str) -> None:
    model = made()
    file = save_adapters(tmp_path / "out", tuned(model)) / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(InvalidData, match=told):
        read_adapters(tmp_path / "out", model)


def test_tensors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = made()
    file = save_adapters(tmp_path / "out", tuned(model)) / WEIGHTS
    whole, query = load_file(file), "base_model.model.bert.encoder.layer.0.attention.self.query"
    for change, told in (
        ({f"{query}.lora_B.weight": None}, "query: its B is missing"),
        ({f"{query}.lora_A.weight": torch.ones(2, 31)}, r"A \[2, 31\] and B \[32, 2\] do not suit 32 x 32"),
        (
            {"base_model.model.bert.pooler.dens.weight": torch.ones(2)},
            "the model has nothing of the name. Did you mean 'bert.pooler.dense.w",
        ),
        (
            {f"{query}s.lora_A.weight": torch.ones(2, 32)},
            "querys: the model has no such matrix. Did you mean 'bert.*self.query'",
        ),
    ):
        save_file({n: t for n, t in (whole | change).items() if t is not None}, file)
        with pytest.raises(InvalidData, match=told):
            read_adapters(tmp_path / "out", model)


# ------------------------------------------------------------------ Hugging Face's PEFT

THEIRS = {
    "bert": ("BertForSequenceClassification", {"num_labels": 3}, ["query", "value", "output.dense"]),
    "gpt2": ("GPT2LMHeadModel", {}, ["c_attn", "c_proj"]),
    "llama": ("LlamaForCausalLM", {}, ["q_proj", "v_proj", "down_proj"]),
    "t5": ("T5ForConditionalGeneration", {}, ["q", "v", "wo"]),
}


def base(name: str, folder: Path) -> tuple[Any, Any, Built]:
    """Their class, their model and ours, of one random directory."""
    model = made(name, **({"head": "classes", "labels": 3} if name == "bert" else {}))
    save(folder, model)
    theirs = getattr(pytest.importorskip("transformers"), THEIRS[name][0])
    return theirs, theirs.from_pretrained(folder).eval(), read(folder).model


def their_answers(model: Any, name: str) -> Tensor:
    with torch.no_grad():
        found: Tensor = (model(IDS) if name != "t5" else model(input_ids=IDS, decoder_input_ids=IDS[:, :5])).logits
    return found


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("slora", [False, True])
def test_theirs_is_read_here(tmp_path: Path, name: str, slora: bool) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    _, plain, ours = base(name, tmp_path / "base")
    patterns = {"rank_pattern": {"v|value|c_attn": 3}, "alpha_pattern": {"v|value|c_attn": 5}}
    also = {"modules_to_save": ["classifier"]} if name == "bert" else {}
    settings = peft.LoraConfig(r=2, lora_alpha=3, target_modules=THEIRS[name][2], use_rslora=slora, **patterns, **also)
    theirs = peft.get_peft_model(plain, settings).eval()
    with torch.no_grad():
        for key, parameter in theirs.named_parameters():
            if "lora" in key or "modules_to_save" in key:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    theirs.save_pretrained(tmp_path / "out")
    mine = read_adapters(tmp_path / "out", ours).eval()
    torch.testing.assert_close(answers(mine), their_answers(theirs, name), rtol=1e-5, atol=2e-5)
    assert (answers(mine) - answers(ours)).abs().max() > 1e-2


@pytest.mark.parametrize("name", THEIRS)
def test_ours_is_read_there(tmp_path: Path, name: str) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    theirs, _, ours = base(name, tmp_path / "base")
    adapted = tuned(ours, "*.q|v|down", also=("head.score",) if name == "bert" else ())
    save_adapters(tmp_path / "out", adapted, base=tmp_path / "base")
    found = peft.PeftModel.from_pretrained(theirs.from_pretrained(tmp_path / "base"), tmp_path / "out").eval()
    torch.testing.assert_close(their_answers(found, name), answers(adapted), rtol=1e-5, atol=2e-5)
    assert (answers(adapted) - answers(ours)).abs().max() > 1e-2
    torch.testing.assert_close(answers(merge_lora(adapted)), answers(adapted), rtol=1e-5, atol=2e-5)
    assert len(list(adapters(adapted))) > 3
