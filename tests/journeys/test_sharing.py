"""A model handed to others and taken back, through Hugging Face's own library."""

import hashlib
from pathlib import Path

import pytest
import torch

import transept

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def exported(cli, trained, tmp_path_factory):
    """The trained model as it is handed to others."""
    out = tmp_path_factory.mktemp("shared") / "hf"
    ended = cli("export", trained, out, "--to", "hf", "--verify")
    assert ended.code == 0, ended.err
    assert "equal to Hugging Face" in ended.out
    return out


def test_hugging_face_translates_alike_by_greedy_and_by_beam(exported, trained):
    texts = (trained.parent / "test.src").read_text().splitlines()
    theirs = transformers.MarianMTModel.from_pretrained(exported)
    tokenizer = transformers.AutoTokenizer.from_pretrained(exported)
    ours = transept.load(trained)
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    for beam in (1, 3):
        with torch.no_grad():
            found = theirs.generate(**inputs, num_beams=beam)
        wanted = ours.translate(texts, method="greedy") if beam == 1 else ours.translate(texts)
        assert tokenizer.batch_decode(found, skip_special_tokens=True) == [str(answer) for answer in wanted]


def test_what_comes_back_is_the_same_model(cli, exported, trained, tmp_path):
    back = tmp_path / "back"
    ended = cli("import", exported, back, "--verify")
    assert ended.code == 0, ended.err
    sums = [hashlib.sha256((place / "model.safetensors").read_bytes()).hexdigest() for place in (exported, back)]
    assert sums[0] == sums[1]
    text = (trained.parent / "test.src").read_text().splitlines()[0]
    assert cli("translate", back, text).out == cli("translate", trained, text).out


def test_a_directory_that_they_saved_is_imported(cli, exported, trained, tmp_path):
    saved, ours = tmp_path / "saved", tmp_path / "ours"
    transformers.MarianMTModel.from_pretrained(exported).save_pretrained(saved)
    ended = cli("import", saved, ours, "--verify")
    assert ended.code == 0, ended.err
    transformers.AutoTokenizer.from_pretrained(exported).save_pretrained(saved)
    ended = cli("import", saved, ours, "--overwrite")
    assert ended.code == 0, ended.err
    text = (trained.parent / "test.src").read_text().splitlines()[0]
    assert cli("translate", ours, text, "beam=3").out == cli("translate", trained, text).out


def test_nothing_is_written_over(cli, exported, trained, tmp_path):
    before = {path.name: path.stat().st_mtime_ns for path in exported.iterdir()}
    ended = cli("export", trained, exported)
    assert ended.code == 2
    assert "--overwrite" in ended.err
    assert {path.name: path.stat().st_mtime_ns for path in exported.iterdir()} == before
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    ended = cli("export", trained, mine, "--overwrite")
    assert ended.code == 2
    assert (mine / "letter.txt").read_text() == "dear"


def test_a_shape_that_they_do_not_have_is_named(cli, toy):
    words = ("model.norm=before", "train.stop=2u", "train.validate_every=1u")
    assert cli("train", toy, *words).code == 0
    ended = cli("export", toy.parent / "run", toy.parent / "out", "--to", "hf")
    assert ended.code == 2
    assert "norm: after" in ended.err
    assert not Path(toy.parent / "out").exists()


def test_a_name_that_nobody_has_is_refused_without_network(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSEPT_OFFLINE", "1")
    ended = cli("import", "nobody/nothing", tmp_path / "out")
    assert ended.code == 3
    assert "TRANSEPT_OFFLINE" in ended.err
