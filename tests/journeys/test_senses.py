"""A person trains models that see and that hear: files, a run, an interruption, figures, use, and handing them on."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import transept
from journeys.conftest import run
from unit.data.made_digits import write_digits
from unit.data.made_senses import RATE, packed, write_colours, write_tones

SMALL = "model={family: vit, image: 12, patch: 4, width: 16, hidden: 32, heads: 2, depth: 1}"
SEEING = (
    SMALL, "data.train=train", "data.mean=[0.5, 0.5, 0.5]", "data.std=[0.5, 0.5, 0.5]", "data.hold={share: 0.25}",
    "train.batch_tokens=16", "train.stop=40u", "train.validate_every=20u", "train.threads=1", "train.device=cpu",
    "train.schedule={name: constant, rate: 0.01, warmup: 5}", "train.precision=float32",
)  # fmt: skip
LISTENER = (
    "model={family: wav2vec2, width: 16, hidden: 32, heads: 2, depth: 1, channels: [12, 12], kernels: [8, 4],"
    " strides: [8, 4], taps: 4, groups: 2, masked: %s, frame_norm: layer, norm: before, codes: 6, code_width: 8,"
    " out: 8, negatives: 5}"
)
HEARING = (
    "data.train=tones", f"data.rate={RATE}", "data.hold={speakers: [s3]}", "data.perturb={speed: 0.02}",
    "train.batch_tokens=400", "train.validate_every=20u", "train.threads=1", "train.device=cpu",
    "train.precision=float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seen")
    write_colours(folder)
    ended = run("train", "vit-cifar10", f"data.dir={folder}", f"run={folder}/run", *SEEING)
    assert ended.code == 0, ended.err
    assert f"{folder}/train: 60 files in 3 folders, each a class" in ended.err + ended.out
    assert f"use it:   transept see {folder}/run PICTURE" in ended.out
    return folder


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Learned from sounds alone, then from what is said in them."""
    folder = tmp_path_factory.mktemp("heard")
    write_tones(folder / "tones", 40)
    first = run("train", "wav2vec2-digits-pretrain", f"data.dir={folder}", f"run={folder}/pre", LISTENER % 0.65,
                *HEARING, "train.stop=20u")  # fmt: skip
    assert first.code == 0, first.err
    assert f"use it:   transept show {folder}/pre\n" in first.out
    ended = run("train", "wav2vec2-digits", "--from", f"{folder}/pre", f"data.dir={folder}", f"run={folder}/run",
                *HEARING, "train.stop=120u", "train.freeze=[embed.features]", "tune={times: 0.0}",
                "train.schedule={name: constant, rate: 0.01, warmup: 5}", "evaluate.best=loss")  # fmt: skip
    assert ended.code == 0, ended.err
    assert "a new head, Letters of 7, begins in place of Contrast" in ended.err + ended.out
    return folder


def events(folder: Path) -> list[dict[str, object]]:
    """What a run told."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_model_that_sees_is_checked_scored_used_and_handed_on(seen: Path, tmp_path: Path) -> None:
    checked = run("check", "vit-cifar10", f"data.dir={seen}", f"run={tmp_path}/other", *SEEING)
    assert checked.code == 0, checked.err
    assert "3 (blue, green, red), 15 to 15 examples each" in checked.out
    scored = run("eval", seen / "run", "--json", "--out", tmp_path / "out.txt")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert (found["split"], found["pictures"]) == ("valid", 15)
    assert found["accuracy"]["value"] > 90 and found["accuracy"]["low"] < found["accuracy"]["value"]
    assert {"f1", "mcc", "loss"} <= set(found) and "search" not in found
    told = run("eval", seen / "run", "--data", packed(seen / "train", tmp_path / "all.zip"))
    assert told.code == 0, told.err
    assert "data: 60 pictures of" in told.out and "nats an example" in told.out
    files = sorted((seen / "train").glob("*/00[01].png"))
    used = run("see", seen / "run", *files)
    assert [line.split("\t")[0] for line in used.out.splitlines()] == [file.parent.name for file in files]
    model = transept.load(seen / "run")
    assert model.labels == ("blue", "green", "red") and model.see(files[0]).probability > 0.5
    assert run("eval", seen / "run", "beam=2").code == 2
    card = (seen / "run" / "model" / "README.md").read_text()
    assert "| accuracy |" in card and "It tells the class of pictures." in card and 'model.see("picture.png")' in card
    pytest.importorskip("transformers", reason="transformers is not installed")
    out = run("export", seen / "run", tmp_path / "hf", "--to", "hf", "--verify")
    assert out.code == 0, out.err
    from transformers import AutoModelForImageClassification

    theirs = AutoModelForImageClassification.from_pretrained(tmp_path / "hf")
    assert theirs.config.id2label == {0: "blue", 1: "green", 2: "red"}


def test_a_run_that_was_interrupted_ends_at_the_same_bits(seen: Path, tmp_path: Path) -> None:
    words = [word for word in SEEING if not word.startswith("train.stop")]
    assert run("train", "vit-cifar10", f"data.dir={seen}", f"run={tmp_path}/run", *words, "train.stop=20u").code == 0
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace("stop: 20u", "stop: 40u"))
    ended = run("train", tmp_path / "run", "--resume")
    assert ended.code == 0, ended.err
    whole, parted = (load_file(root / "last" / "model.safetensors") for root in (seen / "run", tmp_path / "run"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, parted[name]), name


def test_a_model_that_listens_is_scored_used_and_handed_on(heard: Path, tmp_path: Path) -> None:
    scored = run("eval", heard / "run", "--json", "--out", tmp_path / "out.txt")
    assert scored.code == 0, scored.err
    found = json.loads(scored.out)
    assert (found["split"], found["sounds"]) == ("valid", 20)
    assert {"wer", "cer", "exact_match"} <= set(found)
    valid = [event for event in events(heard / "run") if event["event"] == "valid"]
    assert found["loss"] < 2 and found["loss"] == pytest.approx(min(event["loss"] for event in valid), rel=1e-4)
    files = sorted((heard / "tones").glob("*_s3_*.wav"))
    used = run("transcribe", heard / "run", *files)
    assert used.code == 0, used.err
    assert used.out.splitlines() == (tmp_path / "out.txt").read_text().splitlines()  # what was scored
    first = run("eval", heard / "pre", "--json")
    assert first.code == 0 and json.loads(first.out)["codes"] >= 1
    refused = run("eval", heard / "run", "--tokenize", "none")
    assert refused.code == 2 and "'--tokenize' is for models that search" in refused.err, refused.err
    refused = run("eval", heard / "pre", "--out", tmp_path / "none.txt")
    assert refused.code == 2 and "--out is for models whose answers are scored" in refused.err, refused.err
    assert not (tmp_path / "none.txt").exists()
    card = (heard / "run" / "model" / "README.md").read_text()
    assert "| WER |" in card and "nats a letter" in card
    pytest.importorskip("transformers", reason="transformers is not installed")
    for name in ("run", "pre"):
        out = run("export", heard / name, tmp_path / name, "--to", "hf", "--verify")
        assert out.code == 0, out.err


def test_a_model_tells_the_class_of_a_sound(heard: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "classes.yaml"
    recipe.write_text(
        "task: classification\n"
        f"run: {tmp_path}/run\n"
        f"start: {heard}/pre\n"
        "model: {}\n"
        'data: {dir: %s, train: tones, names: "{label}_{speaker}_{number}", rate: %d, hold: {speakers: [s3]}}\n'
        "train: {stop: 40u, batch_tokens: 400, schedule: {name: constant, rate: 0.01}, threads: 1}\n"
        "tune: {times: 0.0}\n" % (heard, RATE)
    )
    ended = run("train", recipe)
    assert ended.code == 0, ended.err
    assert f"use it:   transept hear {tmp_path}/run SOUND" in ended.out
    file = next((heard / "tones").glob("b_*.wav"))
    used = run("hear", tmp_path / "run", file, "--top", "2")
    assert used.code == 0, used.err
    assert {*used.out.split()[::2]} == {"a", "b"}
    assert run("transcribe", tmp_path / "run", file).code == 2
    assert json.loads(run("eval", tmp_path / "run", "--json").out)["sounds"] == 20


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("data.hold={last: 240}", "there are 240 examples in all"),
        ("data.classes=[zero, one]", "picture 2: the label 2 is out of range: there are 2 classes"),
        ("model.image=27", "no whole squares"),
        ("data.hold={lasst: 3}", "unknown key 'data.hold.lasst'. Did you mean 'last'"),
        ("classify.weights=[1, 2]", "classify.weights has 2 numbers, and there are 10 classes"),
        ("evaluate.best=bleu", "evaluate.best=bleu: there is no 'bleu'"),
    ],
)
def test_what_cannot_be_trained_is_told_before_anything_is_written(tmp_path: Path, change: str, told: str) -> None:
    write_digits(tmp_path)
    words = ["data.hold={last: 40}", f"data.dir={tmp_path}", f"run={tmp_path}/run", change]
    ended = run("train", "vit-mnist", *words)
    assert ended.code == 3 and told in ended.err, ended.err
    assert not (tmp_path / "run").exists()
