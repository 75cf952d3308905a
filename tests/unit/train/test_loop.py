import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from toy_task import ToyTask, config

from transept.errors import Interrupted, TranseptError, UsageError
from transept.train.checkpoint import Checkpoints
from transept.train.estimate import estimate
from transept.train.guard import Diverged
from transept.train.loop import train
from transept.train.optimizer import FlatAdam, Step
from transept.train.run import RunDirectory


def events(run: RunDirectory, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [event for event in found if event["event"] == kind]


def told(console: Console) -> str:
    return console.file.getvalue()  # type: ignore[attr-defined]


def untimed(lines: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in lines.splitlines()]


def test_the_toy_is_learned(run: RunDirectory, console: Console) -> None:
    result = train(ToyTask(), config(), run, console=console)
    assert result.updates == 30
    assert result.finished
    assert result.best.score == 1.0
    losses = [event["loss"] for event in events(run, "valid")]
    assert losses[-1] < 0.5 * losses[0]


def test_a_run_leaves_what_it_says(run: RunDirectory, console: Console) -> None:
    train(ToyTask(), config(), run, console=console)
    assert sorted(os.listdir(run.path)) == [
        "best", "checkpoints", "config.yaml", "last", "metrics.jsonl", "model", "samples.jsonl", "train.log",
    ]  # fmt: skip
    assert os.readlink(run.last) == "checkpoints/00000030"
    assert {line["update"] for line in map(json.loads, run.samples.read_text().splitlines())} == {5, 10, 15, 20, 25, 30}
    assert all(event["schema"] == 1 for event in map(json.loads, run.metrics.read_text().splitlines()))


@pytest.mark.parametrize(
    ("stop", "updates"),
    [("7u", 7), ("2e", 8), ("1.5e", 6), ("0.0001Mt", 9)],
    ids=["updates", "epochs", "half", "tokens"],
)
def test_stops_where_it_should(run: RunDirectory, console: Console, stop: str, updates: int) -> None:
    result = train(ToyTask(), config(stop=stop), run, console=console)
    assert result.updates == updates
    assert "are done" in result.reason
    assert events(run, "valid")[-1]["update"] == updates


def test_stops_by_the_clock(run: RunDirectory, console: Console) -> None:
    result = train(ToyTask(), config(stop="0.002min", validate_every="1h"), run, console=console)
    assert 0.1 < result.seconds < 2
    assert "0.002 minutes are done" in result.reason


def test_an_epoch_uses_every_batch_once(run: RunDirectory, console: Console) -> None:
    task = ToyTask()
    train(task, config(stop="2e"), run, console=console)
    rows = [row for _, row in task.met]
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10] != rows[10:]


def test_stops_without_a_new_best_and_says_so(run: RunDirectory, console: Console) -> None:
    task = ToyTask(scores=[20.0, 27.3, 26.0, 27.3, 25.0])
    result = train(task, config(stop="500u", patience=3), run, console=console)
    assert result.updates == 25
    assert result.reason == "stopped: no new best for 3 validations (best accuracy 27.3 at update 10)"
    assert result.reason in told(console)
    assert os.readlink(run.best) == "checkpoints/00000010"
    assert events(run, "model")[0]["checkpoints"] == [10]


def test_lower_is_better_where_the_task_says_so(run: RunDirectory, console: Console) -> None:
    task = ToyTask(scores=[3.0, 1.0, 2.0])
    task.higher = False
    assert train(task, config(stop="15u"), run, console=console).best.update == 10


def test_keeps_the_best_the_newest_and_those_to_average(run: RunDirectory, console: Console) -> None:
    task = ToyTask(scores=[9.0, 1.0])
    train(task, config(average=3), run, console=console)
    assert Checkpoints(run.checkpoints).updates() == [5, 20, 25, 30]


def test_the_model_is_the_mean_of_the_last_checkpoints(
    run: RunDirectory, console: Console, everything: Callable[..., dict[str, Tensor]]
) -> None:
    from safetensors.torch import load_file

    train(ToyTask(), config(average=3), run, console=console)
    made = load_file(run.model / "model.safetensors")
    for name, tensor in made.items():
        mean = torch.stack([everything(run, update)[name] for update in (20, 25, 30)]).double().mean(0).float()
        torch.testing.assert_close(tensor, mean, rtol=1e-7, atol=0)
    record = json.loads((run.model / "record.json").read_text())
    assert record["checkpoints"] == [20, 25, 30]
    assert record["valid"]["accuracy"] == 1.0
    assert [point["update"] for point in record["curve"]] == [5, 10, 15, 20, 25, 30]
    assert "3 checkpoints of updates 20 to 30" in told(console)


def test_saving_and_validating_may_have_times_of_their_own(run: RunDirectory, console: Console) -> None:
    train(ToyTask(), config(stop="12u", validate_every="6u", save_every="4u", keep=9), run, console=console)
    checkpoints = Checkpoints(run.checkpoints)
    assert checkpoints.updates() == [4, 6, 8, 12]
    assert checkpoints.regular() == [4, 8, 12]
    assert [event["update"] for event in events(run, "valid")] == [6, 12]


# ------------------------------------------------------------------ numbers that are not finite


def skipping_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the optimizer take no third update."""
    step, calls = FlatAdam.step, iter(range(1, 100))
    monkeypatch.setattr(FlatAdam, "step", lambda self, rate, tokens: step(self, rate, tokens * (next(calls) != 3)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_bad_number_skips_one_update(
    run: RunDirectory,
    console: Console,
    value: float,
    everything: Callable[..., dict[str, Tensor]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = ToyTask(dropout=0.0)
    task.poison = {8: value}  # the third update's second batch
    result = train(task, config(stop="6u"), run, console=console)
    (line,) = [line for line in told(console).splitlines() if "skipped" in line]
    rows = ", ".join(str(row) for _, row in task.met[6:9])
    assert re.search(rf"update 3 skipped: the gradient's norm is (nan|inf); training rows {rows}$", line)
    assert result.updates == 6
    saved = Checkpoints(run.checkpoints).load(6)
    assert saved.state["guard"] == {"skipped": 1, "in_a_row": 0}
    assert float(saved.optimizer["steps"]) == 5
    skipping_third(monkeypatch)
    clean = RunDirectory.prepare(tmp_path / "clean", "")
    train(ToyTask(dropout=0.0), config(stop="6u"), clean, console=console)
    assert all(torch.equal(tensor, everything(run)[name]) for name, tensor in everything(clean).items())


def test_without_the_guard_one_bad_number_ruins_the_run(
    run: RunDirectory,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
    everything: Callable[..., dict[str, Tensor]],
) -> None:
    def reckless(self: FlatAdam, rate: float, tokens: int) -> Step:
        self._adam.step()
        return Step(0.0, taken=True)

    monkeypatch.setattr(FlatAdam, "step", reckless)
    task = ToyTask(dropout=0.0)
    task.poison = {8: float("nan")}
    train(task, config(stop="6u"), run, console=console)
    assert not torch.isfinite(everything(run)["mix.weight"]).all()


def test_ten_bad_updates_in_a_row_end_the_run(run: RunDirectory, console: Console) -> None:
    task = ToyTask()
    task.poison = {call: float("nan") for call in range(20, 2000)}  # from the eighth update on
    with pytest.raises(
        Diverged, match=r"10 updates in a row were skipped, the last one update 17: .*training rows \d"
    ) as caught:
        train(task, config(stop="500u"), run, console=console)
    assert caught.value.exit_code == 1
    checkpoints = Checkpoints(run.checkpoints)
    assert torch.isfinite(checkpoints.load(checkpoints.updates()[-1]).model["mix.weight"]).all()


def test_nine_bad_updates_do_not(run: RunDirectory, console: Console) -> None:
    task = ToyTask()
    task.poison = {call: float("nan") for call in range(11, 11 + 20)}
    result = train(task, config(stop="40u"), run, console=console)
    assert result.updates == 40


# ------------------------------------------------------------------ stopping by hand


def signalled(task: ToyTask, call: int, number: int, times: int = 1) -> ToyTask:
    """Send this process signals while it is in its so-manyth loss."""
    loss = task.loss

    def sending(model: Any, batch: Any) -> Any:
        if len(task.met) == call:
            for _ in range(times):
                os.kill(os.getpid(), number)
        return loss(model, batch)

    task.loss = sending  # type: ignore[method-assign]
    return task


def test_ctrl_c_finishes_the_update_saves_and_says_how_to_go_on(run: RunDirectory, console: Console) -> None:
    with pytest.raises(
        Interrupted, match=r"interrupted at update 3, which is saved\n.*transept train \S*/run --resume"
    ):
        train(signalled(ToyTask(), 7, signal.SIGINT), config(), run, console=console)
    checkpoints = Checkpoints(run.checkpoints)
    assert checkpoints.updates() == [3]
    assert checkpoints.regular() == []
    assert not run.model.exists()
    assert "interrupted" not in told(console), "it is in the error, and the command says that"
    assert "stopped: interrupted at update 3, which is saved" in run.log.read_text()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_does_not_wait_for_a_validation_which_the_resumed_run_makes_up_for(
    run: RunDirectory, console: Console
) -> None:
    task = signalled(ToyTask(), 11, signal.SIGINT)
    with pytest.raises(Interrupted, match="interrupted at update 5"):
        train(task, config(), run, console=console)
    assert task.validations == 0
    assert Checkpoints(run.checkpoints).regular() == [5]
    assert events(run, "valid") == []
    result = train(ToyTask(), config(stop="6u"), run, resume=True, console=console)
    assert result.finished
    assert [event["update"] for event in events(run, "valid")] == [5, 6]
    assert Checkpoints(run.checkpoints).load(5).state["owed"] is False


def test_what_a_model_is_worth_as_it_is_may_be_measured_first_and_stay_the_best(
    run: RunDirectory, console: Console
) -> None:
    """The score of the untouched model is that of update 0, once, whether the run was broken off or not."""
    task = ToyTask()
    torch.manual_seed(config().seed)
    with torch.no_grad():
        untouched = task.evaluate(task.build().eval())
    task.higher = False  # the toy learns, so that the beginning is the best now
    result = train(task, config(stop="10u", validate_first=True, precision="float32"), run, console=console)
    valid = events(run, "valid")
    assert [event["update"] for event in valid] == [0, 5, 10]
    assert valid[0]["loss"] == pytest.approx(untouched["loss"], rel=1e-5)
    assert (result.best.update, os.readlink(run.best)) == (0, "checkpoints/00000000")
    assert "the checkpoint of update 0" in told(console)
    resumed = train(
        ToyTask(), config(stop="12u", validate_first=True, precision="float32"), run, resume=True, console=console
    )
    assert resumed.updates == 12 and [event["update"] for event in events(run, "valid")] == [0, 5, 10, 12]
    plain = config(stop="10u")
    assert plain.validate_first is False


def test_ctrl_c_twice_leaves_at_once(run: RunDirectory, console: Console) -> None:
    with pytest.raises(Interrupted, match="left at once"):
        train(signalled(ToyTask(), 7, signal.SIGINT, times=2), config(), run, console=console)
    assert Checkpoints(run.checkpoints).updates() == []


def test_sigterm_saves_and_ends_in_order(run: RunDirectory, console: Console) -> None:
    result = train(signalled(ToyTask(), 7, signal.SIGTERM), config(), run, console=console)
    assert not result.finished
    assert result.reason == "stopped: asked to end at update 3, which is saved"
    assert Checkpoints(run.checkpoints).updates() == [3]
    assert not run.model.exists()


# ------------------------------------------------------------------ what is refused


def test_a_run_that_is_there_is_not_trained_over(run: RunDirectory, console: Console) -> None:
    train(ToyTask(), config(stop="5u"), run, console=console)
    with pytest.raises(UsageError, match="--resume"):
        train(ToyTask(), config(stop="5u"), run, console=console)


def test_a_full_disk_is_refused_before_the_first_update(
    run: RunDirectory, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 100))
    task = ToyTask()
    with pytest.raises(TranseptError, match=r"a checkpoint needs .* are free"):
        train(task, config(), run, console=console)
    assert not task.met


def test_bfloat16_trains_with_a_float32_master(
    run: RunDirectory, console: Console, everything: Callable[..., dict[str, Tensor]]
) -> None:
    result = train(ToyTask(), config(precision="bfloat16", stop="60u"), run, console=console)
    assert result.best.score == 1.0
    assert "bfloat16 (as asked)" in told(console)
    assert "on the validation split, in float32; while it trained it was measured in bfloat16" in told(console)
    weights = everything(run)["mix.weight"]
    assert weights.dtype == torch.float32
    assert not torch.equal(weights, weights.bfloat16().float())


def test_float16_needs_a_gpu(run: RunDirectory, console: Console) -> None:
    with pytest.raises(TranseptError, match="float16 trains on a GPU only"):
        train(ToyTask(), config(precision="float16"), run, console=console)


# ------------------------------------------------------------------ what is said

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d update=\d+/30 loss=\d+\.\d{3} ppl=\d+\.\d tok_s=\d+ lr=\d\.\de-\d\d "
    r"grad=\d+\.\d\d mem_gb=\d+\.\d eta=\d+:\d\d:\d\d"
)


def test_off_a_terminal_there_are_plain_lines(run: RunDirectory, console: Console) -> None:
    train(ToyTask(), config(log_every=3600.0), run, console=console)
    lines = told(console).splitlines()
    training = [line for line in lines if "tok_s=" in line]
    assert len(training) == 1
    assert "update=1/30" in training[0]  # the first line comes at once
    assert LINE.fullmatch(training[0])
    assert "\r" not in told(console)
    assert "\x1b" not in told(console)
    assert untimed(run.log.read_text()) == untimed(told(console))  # a second may begin between the two


def test_every_line_is_an_event_too(run: RunDirectory, console: Console) -> None:
    train(ToyTask(), config(log_every=1e-9), run, console=console)
    assert [event["update"] for event in events(run, "train")] == list(range(1, 31))
    keys = {
        "schema",
        "event",
        "time",
        "update",
        "epoch",
        "tokens",
        "seconds",
        "loss",
        "ppl",
        "objective",
        "lr",
        "grad",
        "tok_s",
        "mem_gb",
    }
    assert all(event.keys() == keys for event in events(run, "train"))


def test_what_is_no_mean_over_tokens_has_no_perplexity(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    task, plain = ToyTask(), Console(file=io.StringIO(), width=200)
    monkeypatch.setattr(ToyTask, "each", "example", raising=False)
    train(task, config(log_every=1e-9), run, console=plain)
    assert re.search(r"update=1/30 loss=\d+\.\d{3} example_s=\d+ lr=", told(plain)) and "ppl" not in told(plain)
    assert all("ppl" not in event and event["tok_s"] > 0 for event in events(run, "train"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    train(task, config(), RunDirectory.prepare(run.path.with_name("other"), "task: toy\n", "new"), console=screen)
    assert re.search(r"update +loss +val loss +accuracy +examples/s +lr +time", told(screen))
    assert re.search(r"loss \d+\.\d\d ▼ · \d+k? examples/s", told(screen)) and "ppl" not in told(screen)
    check = estimate(task, config())
    assert f"in {check.seconds:.2f} s, loss {check.loss:.3f} an example" in check.lines()["largest batch"]
    assert "supervised tokens" not in check.lines()["largest batch"]


def test_a_long_sample_is_shown_in_part_and_kept_whole(run: RunDirectory, console: Console) -> None:
    task = ToyTask()
    task.samples = lambda model: [{"source": "3", "hypothesis": "x" * 1000}]  # type: ignore[method-assign]
    train(task, config(stop="3u"), run, console=console)
    assert "hypothesis: " + "x" * 159 + "…" in run.log.read_text()
    assert json.loads(run.samples.read_text())["hypothesis"] == "x" * 1000


def test_other_units_are_shown_beside_the_updates(run: RunDirectory, console: Console) -> None:
    train(ToyTask(), config(stop="2e"), run, console=console)
    assert "update=1 epoch=0.30/2 loss=" in told(console)


def test_a_terminal_has_a_box_a_table_and_a_live_line(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    train(ToyTask(), config(), run, console=screen)
    shown = told(screen)
    assert "transept train ─ toy" in shown
    assert re.search(r"update +loss +ppl +val loss +accuracy +tok/s +lr +time", shown)
    assert "★ best" in shown
    assert re.search(r"train █*░+  1/30 3% · loss \d+\.\d\d ▼ · \d+k? tok/s", shown)
    assert "\x1b" not in run.log.read_text()


@pytest.mark.parametrize(("name", "value"), [("CI", "1"), ("TERM", "dumb")])
def test_a_terminal_that_is_none_gets_plain_lines(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    screen = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    train(ToyTask(), config(stop="3u"), run, console=screen)
    assert "tok_s=" in told(screen)
    assert "█" not in told(screen)
