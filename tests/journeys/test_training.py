"""Training as a person does it: look, check, train, break off, go on, start from another model."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def weights(model: Path) -> str:
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()


def test_a_recipe_is_copied_changed_and_checked(cli, toy, tmp_path):
    mine = tmp_path / "mine.yaml"
    assert cli("recipes", "copy", "pairs", mine).code == 0
    folder = toy.parent
    sides = [f"data.{split}=[{folder}/{split}.src,{folder}/{split}.tgt]" for split in ("train", "valid")]
    words = ["model.size=tiny", f"run={tmp_path / 'runs' / 'mine'}", "train.threads=1"]
    before = sorted(tmp_path.rglob("*"))
    ended = cli("check", mine, *sides, *words)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1].startswith(f"ready: transept train {mine}")
    for part in ("200 of 200 pairs", "round trip", "largest batch", "memory", "room", "is free"):
        assert part in ended.out
    assert sorted(tmp_path.rglob("*")) == before, "a check writes nothing"


def test_a_dry_run_shows_the_whole_recipe_and_writes_nothing(cli, toy):
    before = sorted(toy.parent.rglob("*"))
    ended = cli("train", toy, "train.seed=5", "--dry-run")
    assert ended.code == 0, ended.err
    assert yaml.safe_load(ended.out)["train"]["seed"] == 5
    assert yaml.safe_load(ended.out)["train"]["optimizer"]["betas"] == [0.9, 0.98], "defaults are written out"
    assert "nothing was written" in ended.out
    assert sorted(toy.parent.rglob("*")) == before


def test_a_run_leaves_everything_that_it_promises(trained):
    names = {path.name for path in trained.iterdir()}
    assert {
        "config.yaml",
        "metrics.jsonl",
        "train.log",
        "samples.jsonl",
        "checkpoints",
        "best",
        "last",
        "model",
    } <= names
    events = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    valid = [event for event in events if event["event"] == "valid"]
    assert [event["update"] for event in valid] == [100, 200, 300]
    assert {"loss", "ppl", "bleu", "chrf", "exact_match"} <= set(valid[0])
    assert valid[-1]["loss"] < valid[0]["loss"]
    samples = [json.loads(line) for line in (trained / "samples.jsonl").read_text().splitlines()]
    assert {"update", "source", "reference", "output"} <= set(samples[0])
    assert len({sample["source"] for sample in samples}) == 4, "the same sentences each time"
    card = (trained / "model" / "README.md").read_text()
    for part in ("# src→tgt", "| BLEU |", "tok:none", "updates 200, 300", "test split", "train.src, train.tgt"):
        assert part in card
    assert str(trained.parent) not in card.partition("## Training")[0], "a reader of a card has other folders"


def test_an_existing_run_is_refused_with_three_choices(cli, trained):
    before = weights(trained / "model")
    ended = cli("train", trained.parent / "toy.yaml")
    assert ended.code == 2
    for choice in ("--resume", "--overwrite", "run="):
        assert choice in ended.err
    assert weights(trained / "model") == before


def start(recipe: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "transept", "train", str(recipe), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read what a process says until it says this."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return
    raise AssertionError("".join(said) + process.stderr.read())


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sign: sign.name)
def test_a_broken_run_ends_as_an_unbroken_one(cli, toy, trained, sign):
    process = start(toy)
    wait_for(process, "update=100 valid_loss")
    process.send_signal(sign)
    _, err = process.communicate(timeout=120)
    run = toy.parent / "run"
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 0, signal.SIGKILL: -9}[sign], err
    assert "Traceback" not in err
    if sign == signal.SIGINT:
        command = re.search(r"transept (train \S+ --resume)", err)
        assert command, err
        ended = cli(*command[1].split())
    else:
        ended = cli("train", run, "--resume")
    assert ended.code == 0, ended.err
    assert weights(run / "model") == weights(trained / "model")
    measured = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [event["update"] for event in measured if event["event"] == "valid"] == [100, 200, 300], "nothing twice"


def test_a_restart_by_torchrun_goes_on_with_what_it_began(cli, toy, monkeypatch):
    short = ("train.stop=4u", "train.validate_every=2u", "train.samples=0")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert cli("train", toy, *short).code == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    ended = cli("train", toy, *short)
    assert ended.code == 0, ended.err
    assert "resumed after update 4" in (toy.parent / "run" / "train.log").read_text()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")
    assert cli("train", toy, *short).code == 2, "somebody else's run is not gone on with unasked"


def test_a_run_that_was_copied_is_trained_in_the_copy(cli, own_run, trained):
    """Its config.yaml names the directory that it was copied from."""
    before = sorted(trained.rglob("*"))
    ended = cli("train", own_run, "--resume", "train.stop=310u")
    assert ended.code == 0, ended.err
    assert (own_run / "checkpoints" / "00000310").is_dir()
    assert sorted(trained.rglob("*")) == before


def test_a_model_is_taken_further_with_its_vocabulary(cli, toy, trained):
    tuned = toy.parent / "tuned"
    ended = cli("train", toy, "--from", trained, f"run={tuned}", "train.stop=20u", "train.validate_every=10u")
    assert ended.code == 0, ended.err
    assert "model and data.vocabulary have no say" in ended.out + ended.err
    begun = json.loads((tuned / "metrics.jsonl").read_text().splitlines()[0])
    assert begun["loss"] < 1.0, "an untrained model has log(14) = 2.6"
    assert (tuned / "model" / "tokenizer.json").read_bytes() == (trained / "model" / "tokenizer.json").read_bytes()
    assert yaml.safe_load((tuned / "config.yaml").read_text())["start"] == str(trained), "so that it can be resumed"


def test_an_average_is_made_again_elsewhere(cli, own_run):
    ended = cli("average", own_run)
    assert ended.code == 2
    assert "made its model then: this would replace it" in ended.err
    assert f"transept average {own_run} --last 5 --out" in ended.err
    assert "--overwrite" in ended.err
    left = own_run / "model.tmp-999999999-0"
    left.mkdir()
    out = own_run.parent / "models" / "again"
    ended = cli("average", own_run, "--out", out)
    assert ended.code == 0, ended.err
    assert weights(out) == weights(own_run / "model"), "the recipe's own average is the run's model"
    assert f"removed {left.name}" in ended.err
    assert not left.exists()
    ended = cli("average", own_run, "--last", 1, "--overwrite")
    assert ended.code == 0, ended.err
    assert "update 300" in ended.out
    assert weights(out) != weights(own_run / "model")


@pytest.mark.parametrize("place", ["thesis", "run", "run/checkpoints", "run/.."])
def test_an_average_replaces_models_alone(cli, own_run, place):
    (own_run.parent / "thesis").mkdir()
    (own_run.parent / "thesis" / "years.tex").write_text("of work")
    before = sorted(own_run.parent.rglob("*"))
    ended = cli("average", own_run, "--out", own_run.parent / place, "--overwrite")
    assert ended.code == 2, ended.err
    assert sorted(own_run.parent.rglob("*")) == before


def test_a_run_that_never_ended_gets_a_model(cli, toy):
    process = start(toy)
    wait_for(process, "update=100 valid_loss")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    run = toy.parent / "run"
    assert cli("translate", run, "1 2 3").code == 3, "there is no model yet"
    ended = cli("average", run)
    assert ended.code == 0, ended.err
    assert cli("translate", run, "1 2 3").code == 0
