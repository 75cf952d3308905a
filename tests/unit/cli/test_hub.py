"""`transept import`, `export` and `show` for every kind of model: what they say, and what machines read of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from transept.cli.main import app
from transept.families.registry import all_families
from transept.hub.directory import read, save
from transept.hub.processor import Hearing
from unit.data.test_foreign import gpt2, word_pieces
from unit.hub.test_kinds import built


def run(*words: object) -> tuple[int, str, str]:
    ended = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return ended.exit_code, ended.stdout, ended.stderr


def theirs(root: Path, family: str, maker: Any = None, **changes: Any) -> Path:
    """A directory as it comes from Hugging Face."""
    save(root, built(family, **changes))
    for name in ("transept.json", "README.md"):
        (root / name).unlink()
    if maker is not None:
        maker(root)
    return root


def test_an_import_is_compared_and_told(tmp_path: Path) -> None:
    source = theirs(tmp_path / "theirs", "bert", word_pieces)
    code, out, err = run("import", source, tmp_path / "ours", "--verify")
    assert code == 0, err
    assert "equal to Hugging Face" in out
    assert "output: largest difference" in out
    code, out, _ = run("import", source, tmp_path / "ours", "--verify", "--overwrite", "--json")
    (told,) = map(json.loads, out.splitlines())
    assert told["good"] is True
    assert 0 < told["largest"] < 1e-5
    assert {check["name"].split(":")[0] for check in told["checks"]} >= {"states", "output"}
    code, out, _ = run("import", source, tmp_path / "ours", "--overwrite", "--json")
    told = json.loads(out)
    assert (told["directory"], told["verified"], told["good"]) == (str(tmp_path / "ours"), False, None)


def test_an_export_is_compared_and_told(tmp_path: Path) -> None:
    theirs(tmp_path / "theirs", "gpt2", gpt2)
    assert run("import", tmp_path / "theirs", tmp_path / "ours")[0] == 0
    code, out, err = run("export", tmp_path / "ours", tmp_path / "back", "--to", "hf", "--verify", "--json")
    assert code == 0, err
    names = [check["name"].split(":")[0] for check in json.loads(out)["checks"]]
    assert names[-2:] == ["greedy", "beam of 5"]
    assert (tmp_path / "back" / "merges.txt").read_bytes() == (tmp_path / "theirs" / "merges.txt").read_bytes()


def test_a_pickle_is_imported_only_where_it_is_allowed(tmp_path: Path) -> None:
    source = theirs(tmp_path / "theirs", "vit")
    torch.save(load_file(source / "model.safetensors"), source / "pytorch_model.bin")
    (source / "model.safetensors").unlink()
    code, _, err = run("import", source, tmp_path / "ours")
    assert code == 3
    assert "--allow-pickle" in err
    assert not (tmp_path / "ours").exists()
    code, _, err = run("import", source, tmp_path / "ours", "--allow-pickle")
    assert code == 0, err
    assert (tmp_path / "ours" / "model.safetensors").exists()


def test_an_import_without_its_tokenizer_says_so(tmp_path: Path) -> None:
    source = theirs(tmp_path / "theirs", "transformer")
    (source / "vocab.json").write_text("{}")
    (source / "tokenizer_config.json").write_text('{"tokenizer_class": "MarianTokenizer"}')
    code, _, err = run("import", source, tmp_path / "ours")
    assert code == 0
    assert "note: the model has no tokenizer here: tokenizer_class is 'MarianTokenizer'" in err


@pytest.mark.parametrize("family", all_families())
def test_every_family_is_shown(family: str, tmp_path: Path) -> None:
    size = next(iter(all_families()[family].SIZES))
    code, out, err = run("show", f"{family}:{size}")
    assert code == 0, err
    assert out.startswith(f"{family}:{size}")
    assert "families/" not in out.split("from")[0]
    save(tmp_path / "m", built(family))
    count = sum(parameter.numel() for parameter in read(tmp_path / "m").model.parameters())
    code, out, err = run("show", tmp_path / "m")
    assert code == 0, err
    assert f"{count:,} parameters" in out


def test_what_a_model_holds_is_shown(tmp_path: Path) -> None:
    bert = theirs(tmp_path / "bert", "bert", word_pieces)
    save(tmp_path / "named", read(bert).model, tokenizer=read(bert).tokenizer, labels=("no", "maybe", "yes"))
    out = run("show", tmp_path / "named")[1]
    assert "Classes: no, maybe, yes" in out
    assert "padded on the right; pad [PAD] = 0, unk [UNK] = 1, cls [CLS] = 2, sep [SEP] = 3, mask [MASK] = 4" in out
    held = json.loads(run("show", tmp_path / "named", "--json")[1].splitlines()[-1])["holds"]
    assert held["labels"] == ["no", "maybe", "yes"]
    assert held["tokenizer"]["special"]["mask"] == {"id": 4, "token": "[MASK]"}
    assert held["search"] is None
    save(tmp_path / "sound", built("wav2vec2"), processor=Hearing(8000))
    out = run("show", tmp_path / "sound")[1]
    assert "Sound: rate 8000, normalise True, mask False" in out
    out = run("show", theirs(tmp_path / "gpt2", "gpt2", gpt2))[1]
    assert "Search: beam of 5, at most 64 tokens a side" in out
