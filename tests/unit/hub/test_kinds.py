"""Model directories of every kind: what each holds beside its weights, kept as it was, and equal to Hugging Face."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from transept.data.foreign import read_tokenizer
from transept.decode.config import Search
from transept.errors import InvalidConfig, InvalidData, UsageError
from transept.families.registry import all_families
from transept.hub.described import saying, unsayable
from transept.hub.directory import Stored, read, read_blank, read_spec, save
from transept.hub.export import export_hf, import_hf, save_stored
from transept.hub.kinds import classes, reads, rows_of, verb_of, writes_text
from transept.hub.processor import Hearing
from transept.hub.verify import verify
from transept.inputs.patches import Patches
from transept.models import Model
from transept.spec import edit, replace
from transept.topology import Built
from unit.data.test_foreign import gpt2, letters, word_pieces
from unit.hub.made import edit as edit_file

TOYS: dict[str, dict[str, Any]] = {name: {} for name in all_families()} | {
    "bert": {"vocab": 300, "head": "classes", "labels": 3},
    "gpt2": {"vocab": 420},
    "wav2vec2": {"vocab": 32},
}


def built(family: str, seed: int = 0, **changes: Any) -> Built:
    """A toy of a family, every parameter moved."""
    module = all_families()[family]
    torch.manual_seed(seed)
    spec = module.declare(**module.TOY | TOYS.get(family, {}) | changes)
    model: Built = spec.build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def equal(one: Any, other: Any) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("family", all_families())
def test_every_family_there_and_back(family: str, tmp_path: Path) -> None:
    model = built(family)
    save(tmp_path / "m", model)
    stored = read(tmp_path / "m")
    assert stored.model.spec == model.spec == read_spec(tmp_path / "m") == read_blank(tmp_path / "m").model.spec
    assert equal(stored.model, model)
    assert (stored.generation is not None) <= writes_text(model.spec)
    assert len(stored.labels) == classes(model.spec)
    assert stored.tokenizer is None
    assert stored.unread == ""
    again = save_stored(tmp_path / "again", stored, None)
    for name in ("transept.json", "model.safetensors"):
        assert (again / name).read_bytes() == (tmp_path / "m" / name).read_bytes()
    before, after = (json.loads((root / "config.json").read_text()) for root in (tmp_path / "m", again))
    assert after == before


HYBRID = {"stages": ((8,), (16,)), "pools": (2, 2), "stage_norm": "batch"}


@pytest.mark.parametrize(
    ("family", "words", "reason"),
    [
        ("vit", HYBRID, r"ViT cannot say this model: embed\.net is [\s\S]*with stages: \[\]"),
        ("deit", HYBRID, r"DeiT cannot say this model: embed\.net is "),
        ("wav2vec2", {"positions": "sinusoid"}, "wav2vec 2.0 cannot say this model"),
        ("t5", {"positions": "sinusoid"}, "T5 cannot say this model"),
        ("bart", {"positions": "alibi"}, "BART cannot say this model"),
        ("transformer", {"norm": "before"}, "Marian cannot say this model"),
        ("gpt2", {"positions": "alibi"}, "GPT-2 cannot say this model"),
    ],
)
def test_the_reason_is_that_of_the_family_with_the_same_shape(family: str, words: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        raise unsayable(built(family, **words).spec, Path("m"))


def test_a_reason_without_a_remedy_is_nearer_than_another_shape() -> None:
    bare = edit(built("vit").spec, lambda part: replace(part, front="none") if isinstance(part, Patches) else part)
    with pytest.raises(UsageError, match="ViT cannot say this model: embed.front is none"):
        raise unsayable(bare, Path("m"))


@pytest.mark.parametrize("family", all_families())
def test_every_family_is_equal_to_hugging_face(family: str, tmp_path: Path) -> None:
    model = built(family)
    save(tmp_path / "m", model)
    if saying(model.spec) is None:
        with pytest.raises(UsageError, match="cannot say this model|draws BigBird's random blocks in training alone"):
            verify(tmp_path / "m")
        return
    report = verify(tmp_path / "m")
    assert report.good, str(report)
    assert report.largest < 1e-5
    names = [check.name.split(":")[0] for check in report.checks]
    assert {"states", "output"} <= set(names)
    told = json.loads(json.dumps(report.to_dict()))
    assert told["good"] is True
    assert len(told["checks"]) == len(report.checks)


def test_classes_without_padding_are_compared_by_one_row(tmp_path: Path) -> None:
    save(tmp_path / "m", built("gpt2", head="classes"))
    edit_file(tmp_path / "m" / "config.json", pad_token_id=None)
    assert verify(tmp_path / "m").good


def test_what_a_model_is_for() -> None:
    spec = {name: built(name).spec for name in ("transformer", "bert", "gpt2", "vit", "wav2vec2")}
    assert [reads(one) for one in spec.values()] == ["text", "text", "text", "pictures", "sound"]
    assert [writes_text(one) for one in spec.values()] == [True, False, True, False, False]
    assert verb_of(spec["transformer"]) == "translate"
    assert verb_of(spec["bert"]) == "classify"
    assert verb_of(spec["gpt2"]) == "generate"
    assert verb_of(spec["vit"]) == "see"
    assert (rows_of(spec["bert"]), rows_of(spec["vit"])) == (300, None)
    assert isinstance(spec["gpt2"], Model)
    assert spec["gpt2"].stack.causal
    assert isinstance(spec["bert"], Model)
    assert not spec["bert"].stack.causal


# ------------------------------------------------------------------ names of classes


def test_names_of_classes_are_kept(tmp_path: Path) -> None:
    model = built("bert")
    save(tmp_path / "m", model)
    assert read(tmp_path / "m").labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    save(tmp_path / "named", model, labels=("no", "maybe", "yes"))
    config = json.loads((tmp_path / "named" / "config.json").read_text())
    assert config["id2label"] == {"0": "no", "1": "maybe", "2": "yes"}
    assert config["label2id"] == {"no": 0, "maybe": 1, "yes": 2}
    stored = read(tmp_path / "named")
    assert stored.labels == ("no", "maybe", "yes")
    export_hf(tmp_path / "named", tmp_path / "out", check=False)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["id2label"] == config["id2label"]
    with pytest.raises(InvalidConfig, match="2 names for the 3 classes of the model"):
        save(tmp_path / "few", model, labels=("no", "yes"))


@pytest.mark.parametrize(
    ("named", "message"),
    [({"0": "a", "1": "b", "3": "c"}, "id2label must name 3 classes, from 0 on"), ([], "id2label must be an object")],
)
def test_names_that_are_not_numbered_from_0_are_refused(named: Any, message: str, tmp_path: Path) -> None:
    save(tmp_path / "m", built("bert"))
    edit_file(tmp_path / "m" / "config.json", id2label=named)
    with pytest.raises(InvalidConfig, match=message) as caught:
        read(tmp_path / "m")
    assert "config.json" in str(caught.value)


# ------------------------------------------------------------------ tokenizers and ids


def with_tokenizer(root: Path, family: str, maker: Any, **changes: Any) -> Stored:
    """A directory as Hugging Face's users have it: weights, configuration, and the files of a vocabulary."""
    save(root, built(family, **changes))
    for name in ("transept.json", "README.md"):
        (root / name).unlink()
    maker(root)
    return read(root)


def test_a_bert_keeps_its_tokenizer_and_has_no_search(tmp_path: Path) -> None:
    stored = with_tokenizer(tmp_path / "m", "bert", word_pieces)
    assert stored.generation is None
    assert stored.tokenizer is not None
    assert (stored.tokenizer.bos, stored.tokenizer.eos, stored.tokenizer.cls) == (None, None, 2)
    edit_file(tmp_path / "m" / "config.json", sep_token_id=3, problem_type="single_label_classification")
    import_hf(tmp_path / "m", tmp_path / "again", check=False)
    assert not (tmp_path / "again" / "generation_config.json").exists()
    assert (tmp_path / "again" / "vocab.txt").read_bytes() == (tmp_path / "m" / "vocab.txt").read_bytes()
    before, after = (json.loads((tmp_path / at / "config.json").read_text()) for at in ("m", "again"))
    assert {key: value for key, value in after.items() if value is not None} == before
    again = read(tmp_path / "again")
    assert again.tokenizer is not None
    assert again.tokenizer.encode("the fox", "a dog") == stored.tokenizer.encode("the fox", "a dog")


def test_a_new_model_with_a_tokenizer_of_theirs(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    tokenizer = read_tokenizer(gpt2(tmp_path / "files"))
    assert tokenizer is not None
    save(tmp_path / "m", built("gpt2"), tokenizer=tokenizer)
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (0, 0, None)
    stored = read(tmp_path / "m")
    assert stored.generation is not None
    assert stored.generation.special.eos == tokenizer.eos == 0
    assert "decoder_start_token_id" not in json.loads((tmp_path / "m" / "generation_config.json").read_text())
    assert verify(tmp_path / "m").good


def test_a_decoder_without_an_end_ends_at_a_length(tmp_path: Path) -> None:
    save(tmp_path / "m", built("gpt2"))
    (tmp_path / "m" / "generation_config.json").unlink()
    edit_file(tmp_path / "m" / "config.json", eos_token_id=None, bos_token_id=None, pad_token_id=None)
    found = read(tmp_path / "m").generation
    assert found is not None
    assert (found.special.bos, found.special.ends, found.pad) == (None, (), None)
    edit_file(tmp_path / "m" / "config.json", eos_token_id=5)
    found = read(tmp_path / "m").generation
    assert found is not None
    assert (found.special.bos, found.special.eos, found.pad) == (5, 5, None)


def test_a_search_is_for_models_that_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a search was given for a model that writes no text"):
        save(tmp_path / "m", built("bert"), generation=Search())


def test_a_tokenizer_of_a_kind_that_is_not_known_is_told(tmp_path: Path) -> None:
    save(tmp_path / "m", built("transformer"))
    (tmp_path / "m" / "vocab.json").write_text("{}")
    (tmp_path / "m" / "tokenizer_config.json").write_text('{"tokenizer_class": "MarianTokenizer"}')
    stored = read(tmp_path / "m")
    assert stored.tokenizer is None
    assert "tokenizer_class is 'MarianTokenizer'" in stored.unread


def test_a_link_out_is_refused_whatever_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("[PAD]\n")
    for name in ("vocab.txt", "preprocessor_config.json", "generation_config.json"):
        root = save(tmp_path / name.split(".")[0], built("gpt2"))
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(tmp_path / "secret")
        with pytest.raises(InvalidData, match="outside of the model directory"):
            read(root)


def test_a_model_that_listens_keeps_its_letters_and_its_rate(tmp_path: Path) -> None:
    stored = with_tokenizer(tmp_path / "m", "wav2vec2", letters)
    asked = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 8000, "do_normalize": False}
    (tmp_path / "m" / "preprocessor_config.json").write_text(json.dumps(asked))
    stored = read(tmp_path / "m")
    assert stored.processor == Hearing(8000, False, False)
    save_stored(tmp_path / "again", stored, None)
    assert read(tmp_path / "again").processor == stored.processor
    assert (tmp_path / "again" / "vocab.json").exists()


# ------------------------------------------------------------------ comparisons that fail


@pytest.mark.parametrize("family", ["bert", "gpt2", "vit", "wav2vec2"])
def test_a_difference_is_found(family: str, tmp_path: Path) -> None:
    from transept.parts.norm import Norm

    model = built(family)
    save(tmp_path / "m", model)
    other = edit(model.spec, lambda part: Norm(eps=0.05) if isinstance(part, Norm) else part).build()
    other.load_state_dict(model.state_dict())
    save(tmp_path / "other", other)
    report = verify(tmp_path / "m", tmp_path / "other")
    assert not report.good
    assert {check.name.split(":")[0] for check in report.checks if not check.good} >= {"states", "output"}


# ------------------------------------------------------------------ what files of years ago hold beside the weights


@pytest.mark.parametrize(
    ("family", "buffers"),
    [
        ("bert", {"bert.embeddings.position_ids": torch.arange(64)[None]}),
        (
            "gpt2",
            {
                "transformer.h.0.attn.bias": torch.ones(64, 64).tril().bool()[None, None],
                "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
            },
        ),
    ],
)
def test_buffers_of_whole_numbers_are_no_weights(family: str, buffers: dict[str, Any], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = built(family)
    path = save(tmp_path / "m", model) / "model.safetensors"
    save_file(load_file(path) | buffers, path, {"format": "pt"})
    assert equal(read(tmp_path / "m").model, model)
    save_file(load_file(path) | {"bert.embeddings.token_ids": torch.arange(3)}, path, {"format": "pt"})
    with pytest.raises(InvalidData, match=r"unknown: bert.embeddings.token_ids"):
        read(tmp_path / "m")
