"""A person adapts a model that is there: parts of it frozen, adapters, rates by layer; and trains by several seeds."""

import json
import statistics
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import transept
from journeys.conftest import make_toy, run
from journeys.test_fine_tuning import SMALL
from transept.data.pictures import Preparation
from transept.errors import Interrupted
from transept.families import vit
from transept.hub.directory import save
from unit.data.made_senses import write_colours
from unit.tasks.made_texts import write_reviews

QUICK = ("train.stop=20u", "train.validate_every=10u", "train.schedule={name: constant, rate: 0.01}")


def test_adapters_are_trained_merged_kept_and_merged_again(trained: Path, tmp_path: Path) -> None:
    recipe, out = make_toy(tmp_path), tmp_path / "tuned"
    words = [recipe, "--from", trained, f"run={out}", "train.lora={rank: 2, targets: '*.q|v'}", "train.average=0"]
    checked = run("check", *words)
    assert checked.code == 0, checked.err
    assert f"ready: transept train {recipe} --from {trained} run=" in checked.out
    assert "adapters of rank 2 beside 6 matrices" in checked.out
    ended = run("train", *words, *QUICK)
    assert ended.code == 0, ended.err
    assert "trains: 768 of" in ended.err + ended.out
    base, made = (load_file(root / "model" / "model.safetensors") for root in (trained, out))
    assert base.keys() == made.keys()
    changed = {name for name in base if not torch.equal(base[name], made[name])}
    assert len(changed) == 6 and all(".q_proj." in name or ".v_proj." in name for name in changed), changed
    again = run("convert", trained, tmp_path / "again", "--adapters", out / "model" / "adapters")
    assert again.code == 0, again.err
    assert "adapters of 6 matrices are merged" in again.out
    for name, tensor in load_file(tmp_path / "again" / "model.safetensors").items():
        torch.testing.assert_close(tensor, made[name], rtol=0, atol=1e-6)
    small = (out / "model" / "adapters" / "adapter_model.safetensors").stat().st_size
    assert small < (out / "model" / "model.safetensors").stat().st_size / 2
    assert transept.load(out).translate("1 2 3")
    refused = run("convert", trained, tmp_path / "none")
    assert refused.code == 2 and "one of --kv-heads and --adapters" in refused.err


def test_what_is_frozen_stays_and_an_interrupted_run_ends_alike(trained: Path, tmp_path: Path) -> None:
    recipe = make_toy(tmp_path)
    words = ["train.freeze=[embed, encoder]", "train.optimizer={layer_decay: 0.5, head_rate: 2.0}", *QUICK[1:]]
    ends = []
    for name, stops in (("whole", ["20u"]), ("parted", ["10u", "20u"])):
        ended = run("train", recipe, "--from", trained, f"run={tmp_path}/{name}", *words, f"train.stop={stops[0]}")
        assert ended.code == 0, ended.err
        for stop in stops[1:]:
            config = tmp_path / name / "config.yaml"
            config.write_text(config.read_text().replace("stop: 10u", f"stop: {stop}"))
            ended = run("train", tmp_path / name, "--resume")
            assert ended.code == 0, ended.err
        ends.append(load_file(tmp_path / name / "last" / "model.safetensors"))
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())
    start = load_file(trained / "last" / "model.safetensors")
    assert {name.split(".")[0] for name in start} == {"embed", "encoder", "decoder"} | {
        name.split(".")[0] for name in start if name.startswith("head")
    }
    before = load_file(trained / "model" / "model.safetensors")
    after = load_file(tmp_path / "whole" / "model" / "model.safetensors")
    moved = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"decoder"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["train.freeze=[encoderr]"],
            "train.freeze=[encoderr]: nothing here is called 'encoderr'. Did you mean 'encoder",
        ),
        (["train.lora={targets: '*.atention.q'}"], "train.lora.targets: nothing here is called '*.atention.q'"),
        (["train.lora={rank: 99}"], "train.lora.rank: 99 is no low rank of"),
        (["train.lora={rnak: 2}"], "unknown key 'train.lora.rnak'. Did you mean 'rank'"),
        (["train.lora={rank: 2}", "start=null"], "lora keeps what was learned before, and this run begins at nothing"),
    ],
)
def test_what_cannot_be_adapted_is_told_first(trained: Path, tmp_path: Path, words: list[str], told: str) -> None:
    ended = run("train", make_toy(tmp_path), f"start={trained}", f"run={tmp_path}/out", *words)
    assert ended.code == 3 and told in ended.err, ended.err
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------ several seeds


def test_seeds_are_trained_compared_and_gone_on_with(tmp_path: Path) -> None:
    recipe, root = make_toy(tmp_path), tmp_path / "seeds"
    words = [recipe, f"run={root}", *QUICK, "evaluate.best=loss"]
    ended = run("train", *words, "--seeds", "2")
    assert ended.code == 0, ended.err
    alone = run("train", recipe, f"run={tmp_path}/alone", *QUICK, "evaluate.best=loss", "train.seed=2")
    assert alone.code == 0, alone.err
    one, other = (load_file(at / "last" / "model.safetensors") for at in (root / "seed-2", tmp_path / "alone"))
    assert all(torch.equal(one[name], other[name]) for name in other)  # what is shared changes nothing
    assert not (root / "seed-3").exists()
    single = run("train", recipe, f"run={tmp_path}/alone", *QUICK, "--seeds", "2", "--resume")
    assert single.code == 2 and "the run here is one of a single seed" in single.err
    assert (tmp_path / "alone" / "model" / "config.json").is_file()  # and nothing of it was touched

    film = run("look", root, "1 2 3", "--film")
    assert film.code == 2 and f"Name one: {root}/seed-1, {root}/seed-2." in film.err
    refused = run("train", *words, "--seeds", "3")
    assert refused.code == 2 and "a run is in this directory already" in refused.err
    times = [(root / f"seed-{n}" / "metrics.jsonl").stat().st_mtime_ns for n in (1, 2)]
    more = run("train", *words, "--seeds", "3", "--resume")
    assert more.code == 0, more.err
    assert more.err.count("it ended before, and is not trained again") == 2
    assert times == [(root / f"seed-{n}" / "metrics.jsonl").stat().st_mtime_ns for n in (1, 2)]

    found = json.loads((root / "seeds.json").read_text())
    losses = [found["seeds"][str(n)]["loss"] for n in (1, 2, 3)]
    assert len({*losses}) == 3 and found["asked"] == [1, 2, 3]
    assert found["mean"]["loss"] == pytest.approx(sum(losses) / 3, rel=1e-12)
    assert found["sd"]["loss"] == pytest.approx(statistics.stdev(losses), rel=1e-12)
    assert (found["score"], found["higher"], found["best"]) == ("loss", False, 1 + losses.index(min(losses)))
    row = next(line for line in more.out.splitlines() if line.startswith("loss *"))
    assert row.split()[2:4] == [f"{found['mean']['loss']:.4g}", "±"] and len(row.split()) == 8
    assert {"bleu", "chrf", "exact_match"} <= set(found["mean"])
    cards = [(root / f"seed-{n}" / "model" / "README.md").read_text() for n in (1, 2, 3)]
    assert [i + 1 for i, card in enumerate(cards) if "## Seeds" in card] == [found["best"]]
    assert cards[found["best"] - 1].count("## Seeds") == 1 and "3 seeds" in cards[found["best"] - 1]
    assert transept.load(root).translate("1 2 3") == transept.load(root / f"seed-{found['best']}").translate("1 2 3")

    moved = root.rename(tmp_path / "moved")
    again = run("train", moved, "--resume")
    assert again.code == 0 and again.err.count("not trained again") == 3, again.err
    assert row in again.out.splitlines()


def test_seeds_draw_their_own_examples_where_few_are_labelled(tmp_path: Path) -> None:
    folder = write_reviews(tmp_path)
    words = ("sst2", f"data.dir={folder}", *SMALL, "train.stop=20u", "data.labels=4")
    ended = run("train", *words, f"run={tmp_path}/both", "--seeds", "2")
    assert ended.code == 0, ended.err
    for seed in (1, 2):
        alone = run("train", *words, f"run={tmp_path}/alone-{seed}", f"train.seed={seed}")
        assert alone.code == 0, alone.err
        own, same = (
            load_file(place / "model" / "model.safetensors")
            for place in (tmp_path / f"alone-{seed}", tmp_path / "both" / f"seed-{seed}")
        )
        for name, tensor in own.items():
            assert torch.equal(tensor, same[name]), (seed, name)
    # The classes and the vocabulary of fewer examples are theirs too: nothing of the first seed is left in the second.
    first, second = ((tmp_path / "both" / f"seed-{seed}" / "model" / "tokenizer.json").read_text() for seed in (1, 2))
    assert first != second
    again = run("train", tmp_path / "both", "--resume")
    assert again.code == 0 and again.err.count("not trained again") == 2, again.err


@pytest.mark.parametrize("text", ["", "0", "1,1", "-1", "two", "1.5"])
def test_what_no_seeds_are_is_refused(tmp_path: Path, text: str) -> None:
    ended = run("train", make_toy(tmp_path), "--seeds", text)
    assert ended.code == 2 and "Write --seeds 5, or --seeds 1,2,7." in ended.err


def test_a_broken_off_run_by_seeds_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transept.train import loop

    recipe, root, whole = make_toy(tmp_path), tmp_path / "seeds", loop.train

    def broken(task: object, config: object, run: object, **words: object) -> object:
        if config.seed == 2:  # type: ignore[attr-defined]
            raise Interrupted("stopped: interrupted at update 3, which is saved", remedy="of one run")
        return whole(task, config, run, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "train", broken)
    ended = run("train", recipe, f"run={root}", *QUICK, "--seeds", "1,2")
    assert ended.code == 130 and f"Go on with: transept train {root} --seeds 1,2 --resume" in ended.err
    monkeypatch.setattr(loop, "train", whole)
    again = run("train", root, "--resume")  # it knows its seeds
    assert again.code == 0 and again.err.count("not trained again") == 1, again.err
    assert set(json.loads((root / "seeds.json").read_text())["seeds"]) == {"1", "2"}


def test_a_new_head_learns_beside_adapters(tmp_path: Path) -> None:
    write_colours(tmp_path)
    torch.manual_seed(0)
    words = {"image": 12, "patch": 4, "width": 16, "hidden": 32, "heads": 2, "depth": 2, "labels": 5}
    save(
        tmp_path / "base",
        vit.declare(**words).build().eval(),
        processor=Preparation((12, 12), mean=(0.5,) * 3, std=(0.5,) * 3),
    )
    ended = run(
        "train", "vit-cifar10", "--from", tmp_path / "base", f"data.dir={tmp_path}", f"run={tmp_path}/run",
        "data.train=train", "data.hold={share: 0.25}", "train.batch_tokens=16", "train.stop=30u",
        "train.validate_every=30u", "train.threads=1", "train.schedule={name: constant, rate: 0.003}",
        "train.optimizer={head_rate: 10.0, layer_decay: 0.7}", "train.lora={rank: 2, targets: '*.attention'}",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "adapters of rank 2 beside 8 matrices, and head.score.weight, head.score.bias" in ended.err + ended.out
    base, made = (load_file(tmp_path / at / "model.safetensors") for at in ("base", "run/model"))
    still = {name for name in base if name in made and torch.equal(base[name], made[name])}
    assert made["classifier.weight"].shape == (3, 16) and not any(
        ".attention" in n and n.endswith("weight") for n in still
    )
    assert all(name in still for name in base if "intermediate" in name or "embeddings" in name)
    config = json.loads((tmp_path / "run/model/adapters/adapter_config.json").read_text())
    assert config["modules_to_save"] == ["classifier"] and config["base_model_name_or_path"] == f"{tmp_path}/base"
    model = transept.load(tmp_path / "run")
    assert model.see(next((tmp_path / "train").glob("*/000.png"))) in ("blue", "green", "red")
    again = run("average", tmp_path / "run", "--best", "--out", tmp_path / "best")
    assert again.code == 0 and (tmp_path / "best/adapters/adapter_model.safetensors").is_file(), again.err
    merged = run("convert", tmp_path / "base", tmp_path / "again", "--adapters", tmp_path / "run/model/adapters")
    assert merged.code == 0, merged.err
    assert (
        "adapters of 8 matrices are merged into it, and their head, Classes, stands in place of its own" in merged.out
    )
    again = load_file(tmp_path / "again/model.safetensors")
    assert again.keys() == made.keys() and all(torch.equal(again[name], made[name]) for name in made)
    pictures = sorted((tmp_path / "train").glob("*/*.png"))[::9]
    assert transept.load(tmp_path / "again").see(pictures) == model.see(pictures)
    told = tmp_path / "run/model/adapters/adapter_config.json"
    told.write_text(json.dumps({key: value for key, value in config.items() if key != "auto_mapping"}))
    merged = run("convert", tmp_path / "base", tmp_path / "other", "--adapters", tmp_path / "run/model/adapters")
    assert merged.code == 3 and not (tmp_path / "other").exists()
    assert "classifier.bias has shape [3], the model's is [5]" in merged.err
    assert f"{tmp_path}/run/model is the model with both merged already." in merged.err
