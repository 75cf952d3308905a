"""A run that was interrupted, however and however often, ends where an uninterrupted one does, bit for bit."""

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import KILLED
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor
from toy_task import ToyModel, ToyTask, config

from transept.errors import Interrupted, InvalidConfig, InvalidData
from transept.inputs.tokens import Tokens
from transept.spec import Part
from transept.train import checkpoint, loop, update
from transept.train.checkpoint import FILES, Checkpoints
from transept.train.loop import TrainResult, train
from transept.train.progress import Progress
from transept.train.resume import Identity, completed
from transept.train.run import RunDirectory

SETTINGS = {"stop": "26u", "average": 2, "log_every": 1e-9}  # four updates an epoch, validated every five


def go(run: RunDirectory, task: ToyTask | None = None, **changes: Any) -> TrainResult:
    fresh = not run.log.exists()
    settings = changes.pop("settings", None) or config(**SETTINGS | changes)
    return train(task or ToyTask(), settings, run, resume=not fresh, console=Console(quiet=True))


@dataclasses.dataclass(frozen=True)
class End:
    """What a finished run is, in bits."""

    weights: dict[str, bytes]
    model: dict[str, bytes]
    state: dict[str, Any]
    metrics: list[dict[str, Any]]
    samples: str


def end_of(run: RunDirectory) -> End:
    saved = Checkpoints(run.checkpoints).load(26)
    state = {name: saved.state[name] for name in ("standing", "guard", "scale", "settings")}
    state["progress"] = {name: value for name, value in saved.state["progress"].items() if name != "seconds"}
    events = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    for event in events:
        for name in ("time", "seconds", "tok_s", "mem_gb"):
            event.pop(name, None)
        if event["event"] == "train":  # means since the last line: a resumed run begins a new one
            event.pop("loss")
            event.pop("ppl")
            event.pop("objective")
    made = load_file(run.model / "model.safetensors")
    return End(raw(saved.model | saved.optimizer), raw(made), state, events, run.samples.read_text())


def raw(tensors: dict[str, Tensor]) -> dict[str, bytes]:
    return {name: tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes() for name, tensor in tensors.items()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., End]:
    """The end of an uninterrupted run, each made once."""
    made: dict[str, End] = {}

    def end(**changes: Any) -> End:
        key = json.dumps(changes)
        if key not in made:
            torch.set_num_threads(1)
            run = RunDirectory.prepare(tmp_path_factory.mktemp("reference") / "run", "")
            go(run, **changes)
            made[key] = end_of(run)
        return made[key]

    return end


def dying(call: int) -> ToyTask:
    """A task that is killed in its so-manyth loss."""
    task = ToyTask()
    loss = task.loss

    def deadly(model: Any, batch: Any) -> Any:
        if len(task.met) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(model, batch)

    task.loss = deadly  # type: ignore[method-assign]
    return task


KILLS = {
    "before the first checkpoint": [7],
    "in an update, between its batches": [22],
    "in validation's update": [13],
    "just after an epoch": [30],
    "twice in one epoch": [15, 6],
    "three times": [15, 4, 9],
    "again and again before anything is saved": [2, 5, 1],
}


@pytest.mark.parametrize("calls", KILLS.values(), ids=KILLS.keys())
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_after_kills_the_run_ends_bit_for_bit_the_same(
    run: RunDirectory, in_child: Callable[..., int], reference: Callable[..., End], calls: list[int], precision: str
) -> None:
    for call in calls:
        assert in_child(lambda call=call: go(run, dying(call), precision=precision)) == KILLED
    go(run, precision=precision)
    assert end_of(run) == reference(precision=precision)


def asking(call: int, number: int) -> ToyTask:
    """A task that gets a signal in its so-manyth loss."""
    task = ToyTask()
    loss = task.loss

    def sending(model: Any, batch: Any) -> Any:
        if len(task.met) == call:
            os.kill(os.getpid(), number)
        return loss(model, batch)

    task.loss = sending  # type: ignore[method-assign]
    return task


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("calls", [[1], [12], [13], [16, 3], [20, 1, 1, 30]])
def test_after_signals_the_run_ends_bit_for_bit_the_same(
    run: RunDirectory, reference: Callable[..., End], number: int, calls: list[int]
) -> None:
    for call in calls:
        try:
            assert not go(run, asking(call, number)).finished
        except Interrupted:
            assert number == signal.SIGINT
    go(run)
    assert end_of(run) == reference()


def test_every_batch_is_met_once_also_over_interruptions(run: RunDirectory) -> None:
    met: list[int] = []
    for call in (5, 8):
        task = asking(call, signal.SIGTERM)
        go(run, task)
        met += [row for _, row in task.met]
    task = ToyTask()
    go(run, task)
    met += [row for _, row in task.met]
    whole = ToyTask()
    go(RunDirectory.prepare(run.path.parent / "whole", ""), whole)
    assert met == [row for _, row in whole.met]


# ------------------------------------------------------------------ killed at each step of a save

STRIDE = int(os.environ.get("TRANSEPT_KILL_STRIDE", "5"))  # 1: every operation, which takes a while
WATCHED = ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "symlink", "truncate")


def killed_at(operation: int) -> None:
    """Kill this process before its so-manyth operation on files; half of a file of tensors is written first."""
    count = iter(range(operation))
    real = {name: getattr(os, name) for name in WATCHED}

    def watch(name: str) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if next(count, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return real[name](*given, **named)

        return call

    for name in WATCHED:
        setattr(os, name, watch(name))
    save_file = checkpoint.save_file

    def torn(tensors: Any, path: Path) -> None:
        save_file(tensors, path)
        if next(count, None) is None:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.save_file = torn  # type: ignore[assignment]


def test_a_kill_at_any_operation_of_any_save_loses_nothing(
    tmp_path: Path, in_child: Callable[..., int], reference: Callable[..., End]
) -> None:
    """Every file operation of a whole run with its saves, its pruning and its model, one after the other."""
    ended, died, operation = reference(), 0, 0
    while True:
        run = RunDirectory.prepare(tmp_path / "run", "")

        def work(run: RunDirectory = run, operation: int = operation) -> None:
            killed_at(operation)
            go(run)

        if in_child(work) != KILLED:
            break
        died += 1
        Checkpoints(run.checkpoints).newest(pytest.fail)  # nothing torn is ever under a checkpoint's name
        go(run)
        assert end_of(run) == ended, f"killed before operation {operation}"
        assert not [path for path in run.path.rglob("*") if ".tmp-" in path.name or ".old-" in path.name]
        shutil.rmtree(run.path)
        operation += STRIDE
    assert died * STRIDE > 90


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_torn_newest_checkpoint_costs_only_time(run: RunDirectory, reference: Callable[..., End], name: str) -> None:
    go(run, stop="15u")
    file = Checkpoints(run.checkpoints).path(15) / name
    file.write_bytes(file.read_bytes()[:-10])
    console = Console(file=(run.path / "said").open("w"), width=300)
    train(ToyTask(), config(**SETTINGS), run, resume=True, console=console)
    console.file.close()
    said = (run.path / "said").read_text()
    assert f"00000015: {name} " in said
    assert "going back" in said
    assert "resumed after update 10" in said
    assert end_of(run) == reference()


# ------------------------------------------------------------------ the checks above see what they should


def forget_moments(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop.FlatAdam, "load", lambda self, tensors: None)


def forget_one_step_of_the_moments(patch: pytest.MonkeyPatch) -> None:
    load = loop.FlatAdam.load
    patch.setattr(loop.FlatAdam, "load", lambda self, t: load(self, t | {"steps": t["steps"] - 1}))


def begin_the_epoch_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop, "Progress", lambda **saved: Progress(**saved | {"position": 0}))


def count_the_updates_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop, "Progress", lambda **saved: Progress(**saved | {"update": saved.get("update", 1) - 1}))


def draw_on(patch: pytest.MonkeyPatch) -> None:
    """Random numbers that go on from one batch to the next, as if they needed no saving."""
    patch.setattr(update, "seed_generator", lambda seed, device: None)


def forget_the_standing(patch: pytest.MonkeyPatch) -> None:
    standing = loop.Standing
    patch.setattr(loop, "Standing", lambda **saved: standing())


def tell_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunDirectory, "cut", lambda self, sizes: None)


MUTANTS = [
    forget_moments,
    forget_one_step_of_the_moments,
    begin_the_epoch_again,
    count_the_updates_again,
    draw_on,
    forget_the_standing,
]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_resume_that_forgets_something_is_seen(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, reference: Callable[..., End], mutant: Callable[..., None]
) -> None:
    reference()
    go(run, asking(45, signal.SIGTERM))
    mutant(monkeypatch)
    go(run)
    assert end_of(run) != reference()


def test_metrics_told_twice_are_seen(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, in_child: Callable[..., int], reference: Callable[..., End]
) -> None:
    assert in_child(lambda: go(run, dying(22))) == KILLED
    tell_twice(monkeypatch)
    go(run)
    assert end_of(run).weights == reference().weights
    assert end_of(run).metrics != reference().metrics


# ------------------------------------------------------------------ what may change between, and what may not


def test_changed_data_are_refused(run: RunDirectory) -> None:
    go(run, stop="5u")
    task = ToyTask()
    task.data = "second"
    with pytest.raises(InvalidData, match="not those that the run began with"):
        go(run, task)


@pytest.mark.parametrize(("name", "value"), [("seed", 4), ("batch_tokens", 9), ("accumulate", 2)])
def test_what_the_order_hangs_on_is_fixed(run: RunDirectory, name: str, value: int) -> None:
    go(run, stop="5u")
    with pytest.raises(InvalidConfig, match=rf"train\.{name} was \d+ when the run began and is {value} now"):
        go(run, settings=config(**SETTINGS | {name: value}))


def test_another_model_is_refused(run: RunDirectory) -> None:
    go(run, stop="5u")
    with pytest.raises(InvalidConfig, match="not that of the run"):
        go(run, optimizer={"decay": "all"})


class Mix(Part):
    heads: int = 2
    dropout: float = 0.1


def described(**changes: Any) -> ToyTask:
    """A task whose model says what it is."""
    task = ToyTask()
    build = task.build

    def built() -> ToyModel:
        model = build()
        model.spec = Mix(**changes)  # type: ignore[assignment]
        return model

    task.build = built  # type: ignore[method-assign]
    return task


def test_another_model_of_the_same_shapes_is_refused(run: RunDirectory) -> None:
    go(run, described(), stop="5u")
    with pytest.raises(InvalidConfig, match=r"model\.heads was 2, is 4 now"):
        go(run, described(heads=4))


def test_a_field_that_came_since_the_run_began_is_no_other_model() -> None:
    fixed = {"seed": 1, "batch_tokens": 2, "accumulate": 1}
    now = Identity("data", "layout", fixed, Mix().to_dict(), {}, {})
    before = {"fingerprint": "data", "layout": "layout", "settings": fixed, "surroundings": {}}
    assert now.compared(before | {"spec": {"kind": "Mix", "heads": 2}}) == []
    with pytest.raises(InvalidConfig, match=r"model\.heads was 4, is 2 now"):
        now.compared(before | {"spec": {"kind": "Mix", "heads": 4}})


def test_where_dropout_is_may_have_changed_since_the_run_began() -> None:
    """As between versions in which a family's embeddings were dropped out behind their norm, and ahead of it."""
    fixed = {"seed": 1, "batch_tokens": 2, "accumulate": 1}
    now = Identity("data", "layout", fixed, Tokens(9, drops="before").to_dict(), {}, {})
    before = {"fingerprint": "data", "layout": "layout", "settings": fixed, "surroundings": {}}
    assert now.compared(before | {"spec": {"kind": "Tokens", "vocab": 9}}) == ["model.drops was after, is before now"]
    with pytest.raises(InvalidConfig, match=r"model\.scale was 2\.0, is 1\.0 now"):
        now.compared(before | {"spec": Tokens(9, scale=2.0, drops="before").to_dict()})


def test_a_setting_that_came_since_the_run_began_is_told_only_where_it_is_not_the_usual() -> None:
    """And one that is gone, of which nothing is left but the usual, is not told at all."""
    whole = config().model_dump(mode="json")
    usual = {"tune": {"wait": 0, "times": None}, "judge": {"most": 3}}
    before = {
        "fingerprint": "data",
        "layout": "layout",
        "surroundings": {},
        "sections": {"tune": {"freeze": "nothing", "wait": 0}},
        "settings": {name: value for name, value in whole.items() if name != "validate_first"},
    }

    def told(sections: dict[str, Any], **changes: Any) -> list[str]:
        now = Identity("data", "layout", whole | changes, Mix().to_dict(), sections, {})
        return now.compared(before, usual)

    assert told(usual) == []
    assert told(usual | {"judge": {"most": 4}}, validate_first=True) == [
        "train.validate_first was False, is True now",
        "judge.most was 3, is 4 now",
    ]
    assert told(usual | {"tune": {"wait": 5, "times": None}}) == ["tune.wait was 0, is 5 now"]


def test_what_is_gone_is_left_out_of_sections_and_told_at_the_top() -> None:
    told = {"gone": 1, "tune": {"old": 2, "wait": 5}, "judge": None}
    usual = {"tune": {"wait": 0, "inner": {"times": None}}, "judge": {"most": 3}}
    assert completed(told, usual) == {"gone": 1, "tune": {"wait": 5, "inner": {"times": None}}, "judge": None}
    assert completed(told, {}) == told


def test_another_dropout_is_told(run: RunDirectory) -> None:
    go(run, described(), stop="5u")
    go(run, described(dropout=0.3), stop="10u")
    assert "model.dropout was 0.1, is 0.3 now" in run.log.read_text()


def test_another_search_is_told(run: RunDirectory) -> None:
    for resume, beam in ((False, 5), (True, 4)):
        sections = {"search": {"beam": beam}, "evaluate": {}}
        stop = config(**SETTINGS | {"stop": "10u" if resume else "5u"})
        train(ToyTask(), stop, run, resume=resume, console=Console(quiet=True), sections=sections)
    assert "search.beam was 5, is 4 now" in run.log.read_text()


def test_the_recipe_of_a_run_is_replaced_once_it_may_go_on(run: RunDirectory) -> None:
    go(run, stop="5u")
    asked = RunDirectory.prepare(run.path, "run: other\n", "resume")
    with pytest.raises(InvalidConfig):
        go(asked, settings=config(**SETTINGS | {"seed": 4}))
    assert run.config.read_text() == "run: toy\n"
    go(asked, stop="10u")
    assert run.config.read_text() == "run: other\n"


def test_the_rest_may_change_and_is_told(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    go(run, stop="5u")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    go(run, clip=1.0)
    log = run.log.read_text()
    assert "train.stop was 5u, is 26u now" in log
    assert "train.clip was 0.0, is 1.0 now" in log
    assert "threads was 1, is 2 now: the last bits of the weights may differ" in log


def test_a_longer_run_is_the_longer_run(run: RunDirectory, reference: Callable[..., End]) -> None:
    """A run that ended at update 10 and goes on to 26 has the weights of one that went there at once."""
    go(run, stop="10u")
    go(run)
    assert end_of(run).weights == reference().weights
    assert end_of(run).model == reference().model


def test_a_finished_run_is_finished(run: RunDirectory, reference: Callable[..., End]) -> None:
    go(run)
    task = ToyTask()
    assert go(run, task).updates == 26
    assert not task.met
    assert end_of(run).weights == reference().weights


def test_nothing_in_a_checkpoint_is_needed_but_its_files(run: RunDirectory, reference: Callable[..., End]) -> None:
    go(run, asking(16, signal.SIGTERM))
    run.best.unlink()
    run.last.unlink()
    go(run)
    assert os.readlink(run.best).startswith("checkpoints/")
    assert end_of(run).weights == reference().weights


def test_a_rate_that_falls_until_training_stops_follows_a_later_stop(tmp_path: Path) -> None:
    """What a run wrote of itself says that it follows. Where a recipe says an update it ends there, which is told."""
    falling = {"name": "linear", "rate": 0.05, "warmup": 2}
    run = RunDirectory.prepare(tmp_path / "run", "")
    go(run, stop="8u", schedule=falling)
    go(run, stop="12u", schedule=falling)
    rates = {
        event["update"]: event["lr"]
        for event in map(json.loads, run.metrics.read_text().splitlines())
        if event["event"] == "train"
    }
    assert rates[8] == 0 and rates[9] == pytest.approx(0.05 * 3 / 10) and rates[12] == 0
    told = run.log.read_text()
    assert "train.schedule follows train.stop: the rate falls until 12u now, and fell until 8u" in told
    assert "the rate is 0 from" not in told
    other = RunDirectory.prepare(tmp_path / "other", "")
    go(other, stop="8u", schedule=falling | {"updates": 8})
    assert "the rate is 0 from" not in other.log.read_text()
    go(other, stop="12u", schedule=falling | {"updates": 8})
    assert "rate: the rate is 0 from update 8 to the end at 12" in other.log.read_text()
