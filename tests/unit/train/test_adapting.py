"""What is frozen, what learns at which rate, and adapters in a run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor, nn
from toy_task import ToyTask, config

from transept.errors import InvalidConfig
from transept.families.registry import family
from transept.parts.lora import adapters
from transept.topology import Built
from transept.train.adapting import build, shares, trained
from transept.train.checkpoint import FROZEN, Checkpoints
from transept.train.config import Optimizer
from transept.train.finish import model_of
from transept.train.flat import Flat
from transept.train.loop import train
from transept.train.optimizer import FlatAdam
from transept.train.run import RunDirectory

BERT = {"vocab": 23, "width": 16, "hidden": 24, "heads": 2, "depth": 3, "length": 12, "head": "classes", "labels": 3}


def made(name: str = "bert", **words: Any) -> Built:
    torch.manual_seed(3)
    model = family(name).declare(**({**BERT} if name == "bert" else {}) | words).build()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def group(model: nn.Module, rate: float, settings: Optimizer, share: dict[str, float]) -> list[dict[str, Any]]:
    """A group for each parameter, as torch wants them; `share` by beginnings of names."""
    groups = []
    for name, parameter in model.named_parameters():
        (own,) = [value for start, value in share.items() if name.startswith(start)]
        decay = settings.weight_decay if parameter.ndim >= 2 or settings.decay == "all" else 0.0
        groups.append({"params": [parameter], "lr": rate * own, "weight_decay": decay})
    return groups


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("decay", ["matrices", "all"])
def test_rates_by_layer_equal_torchs_groups(name: str, decay: str) -> None:
    settings = Optimizer(name=name, decay=decay, weight_decay=0.1, layer_decay=0.5, head_rate=4.0)
    ours, theirs = made(), made()
    share = {"embed": 0.5**4, "stack.blocks.0": 0.5**3, "stack.blocks.1": 0.5**2, "stack.blocks.2": 0.5, "head": 4.0}
    flat = Flat(ours, decay=settings.decay)
    adam = FlatAdam(flat, settings, shares=shares(ours, settings))
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    reference = kind(group(theirs, 1e-2, settings, share), betas=settings.betas, eps=settings.eps)
    for _ in range(6):
        flat.clear()
        for place in flat.places:
            gradient = torch.randn(place.shape)
            place.of(flat.gradient).copy_(gradient * 3)
            theirs.get_parameter(place.name).grad = gradient
        reference.step()
        assert adam.step(1e-2, tokens=3).taken
    for parameter, (other, expected) in zip(ours.parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-5, atol=1e-6, msg=other)
    plain = made()
    unequal = [
        n for (n, p), (_, q) in zip(ours.named_parameters(), plain.named_parameters(), strict=True) if torch.equal(p, q)
    ]
    assert unequal == []  # every parameter moved


def test_equality_of_rates_sees_a_layer_that_is_off_by_one() -> None:
    found = shares(made(), Optimizer(layer_decay=0.5))
    assert found["stack.blocks.2.attention.q.weight"] == 0.5 != found["stack.blocks.1.attention.q.weight"] == 0.25
    assert found["embed.table.weight"] == 0.0625 and found["head.score.weight"] == 1.0
    assert shares(made(), Optimizer()) == {}


def test_each_stack_counts_its_own_layers() -> None:
    words = {"vocab": 23, "width": 16, "hidden": 24, "heads": 2, "depth": 1, "decoder_depth": 3}
    model = made("t5", **words)
    found = shares(model, Optimizer(layer_decay=0.5))
    assert {name.split(".")[0] for name in found} >= {"embed", "encoder", "decoder"}
    assert found["encoder.blocks.0.attention.q.weight"] == 0.5
    assert [found[f"decoder.blocks.{i}.cross.q.weight"] for i in range(3)] == [0.125, 0.25, 0.5]
    assert found["encoder.norm.weight"] == found["decoder.norm.weight"] == 1.0
    assert found["decoder.position.weight"] == found["embed.table.weight"] == 0.0625
    assert found["encoder.position.weight"] == 0.25


class Tuned(ToyTask):
    """The toy, begun with weights that were trained: those of its seed."""

    fresh = frozenset[str]()


def weights(run: RunDirectory) -> dict[str, Tensor]:
    """All of the last checkpoint's model."""
    return Checkpoints(run.checkpoints).weights(int(run.last.resolve().name))


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_frozen_keeps_its_bits(run: RunDirectory, console: Console, precision: str) -> None:
    settings = config(freeze=["norm", "mix.weight"], precision=precision, accumulate=2)
    torch.manual_seed(settings.seed)
    start = {name: tensor.clone() for name, tensor in build(Tuned(), settings).state_dict().items()}
    train(Tuned(), settings, run, console=console)
    end = weights(run)
    learned = {"embed.weight", "mix.bias", "seen"}
    assert end.keys() == start.keys() - {"head.weight"} and changed({n: start[n] for n in end}, end) == learned
    assert load_file(run.last / "model.safetensors").keys() == learned, "what is frozen lies beside the checkpoints"
    assert "trains: 96 of 176 parameters (54.55%)" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_adapters_alone_are_trained_and_handed_on_merged(run: RunDirectory, console: Console, precision: str) -> None:
    lora = {"rank": 2, "targets": "mix", "also": ["norm"], "dropout": 0.1}
    settings = config(lora=lora, precision=precision, accumulate=2)
    torch.manual_seed(settings.seed)
    start = {name: tensor.clone() for name, tensor in build(Tuned(), settings).state_dict().items()}
    kept: list[Path] = []
    result = train(Tuned(), settings, run, console=console, keep=lambda model, folder: kept.append(folder))
    assert len(kept) == 1 and result.best.update is not None
    end = weights(run)
    learned = {"mix.lora_a", "mix.lora_b", "norm.weight", "norm.bias", "seen"}
    assert changed({n: start[n] for n in end}, end) == learned
    assert load_file(run.last / "model.safetensors").keys() == learned
    assert [file.name for file in run.checkpoints.glob("*.safetensors")] == [FROZEN]
    assert "adapters of rank 2 beside 1 matrices, and norm.weight, norm.bias" in console.file.getvalue()  # type: ignore[attr-defined]
    made = load_file(run.model / "model.safetensors")
    assert not any("lora" in name for name in made)
    checkpoints, update = Checkpoints(run.checkpoints), result.best.update
    model = model_of(Tuned(), settings, checkpoints, [update], torch.device("cpu"))
    ((_, layer),) = adapters(model)
    torch.testing.assert_close(made["mix.weight"], layer.weight.detach(), rtol=0, atol=1e-6)
    assert not torch.equal(made["mix.weight"], start["mix.weight"])


def test_a_run_with_adapters_resumes_bit_for_bit(tmp_path: Path, console: Console) -> None:
    ends = []
    for stops in (["30u"], ["11u", "30u"]):
        path = RunDirectory.prepare(tmp_path / str(len(stops)), "run: toy\n")
        for i, stop in enumerate(stops):
            settings = config(stop=stop, lora={"rank": 2, "targets": ["mix"], "dropout": 0.2})
            train(Tuned(), settings, path, console=console, resume=i > 0)
        ends.append(weights(path))
    assert changed(*ends) == set()
    with pytest.raises(InvalidConfig, match=r"the adapters are not those of the run: train.lora.alpha was 16.0, is 8"):
        train(Tuned(), config(lora={"rank": 2, "alpha": 8.0, "targets": ["mix"], "dropout": 0.2}), path,
              console=console, resume=True)  # fmt: skip


def test_what_begins_anew_learns_beside_adapters_unless_it_is_frozen() -> None:
    task = Tuned()
    task.fresh = frozenset({"norm.weight", "norm.bias"})
    model = build(task, config(lora={"rank": 2, "targets": "mix"}, freeze=["norm.bias"]))
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"mix.lora_a", "mix.lora_b", "norm.weight"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"freeze": ["mix.weigth"]}, r"train.freeze: nothing here is called 'mix.weigth'. Did you mean 'mix.weight'"),
        ({"freeze": ["*"]}, "nothing of the model is left to train"),
        ({"lora": {"targets": "*.attention.q"}}, r"train.lora.targets: nothing here is called '\*.attention.q'"),
        ({"lora": {"targets": "mix", "rank": 9}}, "train.lora.rank: 9 is no low rank of mix, which is 8 x 8"),
        ({"lora": {"targets": "head", "rank": 2}}, "train.lora.targets: head shares its weights with embed"),
        ({"lora": {"targets": "mix", "rank": 2, "also": ["nom"]}}, "train.lora.also: nothing here is called 'nom'"),
        ({"optimizer": {"layer_decay": 0.9}}, "this model is not made of layers below a head"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], told: str, run: RunDirectory, console: Console) -> None:
    with pytest.raises(InvalidConfig, match=told):
        train(Tuned(), config(**changes), run, console=console)


def test_all_of_a_model_needs_no_word() -> None:
    assert trained(build(Tuned(), config())) == ""


def test_what_is_frozen_is_the_runs_own(tmp_path: Path, console: Console) -> None:
    """A run goes on from what it wrote down, whatever became of the model that it began with."""
    ends = []
    for stops in (["30u"], ["11u", "30u"]):
        path = RunDirectory.prepare(tmp_path / str(len(stops)), "run: toy\n")
        for i, stop in enumerate(stops):
            task = Spoiled() if i else Tuned()
            train(task, config(stop=stop, freeze=["mix"]), path, console=console, resume=i > 0)
        ends.append(weights(path))
    assert changed(*ends) == set()


def test_room_for_what_is_frozen_is_asked_for_once(
    run: RunDirectory, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("transept.train.loop.refuse_full_disk", lambda folder, needed: asked.append(needed))
    for stop in ("5u", "10u"):
        train(Tuned(), config(stop=stop, freeze=["mix"]), run, console=console, resume=bool(asked))
    frozen = load_file(run.checkpoints / FROZEN)
    assert asked[0] - asked[1] == sum(tensor.nbytes for tensor in frozen.values()) == 288


class Spoiled(Tuned):
    """Begun with another model than it was."""

    def build(self) -> nn.Module:
        model = super().build()
        for parameter in model.parameters():
            nn.init.constant_(parameter, 7.0)
        return model


def test_a_run_whose_frozen_weights_are_damaged_writes_them_again_or_begins_anew(
    run: RunDirectory, console: Console
) -> None:
    train(Tuned(), config(stop="11u", freeze=["mix"]), run, console=console)
    file = run.checkpoints / FROZEN
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    train(Tuned(), config(stop="15u", freeze=["mix"]), run, console=console, resume=True)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "is written again" in told and "resumed after update 11 " in told and "beginning at" not in told
    assert file.read_bytes() == whole
    file.unlink()
    train(Spoiled(), config(stop="11u", freeze=["mix"]), run, console=console, resume=True)
    told = console.file.getvalue().partition("resumed after update 11")[2]  # type: ignore[attr-defined]
    assert f"{FROZEN} is missing" in told and "none of the run's checkpoints is whole: beginning at update 1" in told
    assert file.read_bytes() != whole
    assert Checkpoints(run.checkpoints).newest(lambda told: None) == 11, "what was before does not come back to life"
