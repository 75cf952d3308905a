import os
from pathlib import Path

import pytest

from transept.errors import InvalidData, UsageError
from transept.train.run import RunDirectory


def test_a_new_run_holds_its_recipe(tmp_path: Path) -> None:
    run = RunDirectory.prepare(tmp_path / "runs" / "one", "run: one\n")
    assert run.config.read_text() == "run: one\n"
    assert run.checkpoints.is_dir()


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    RunDirectory.prepare(tmp_path, "a: 1\n")


def test_a_run_that_is_there_is_refused_with_three_choices(run: RunDirectory) -> None:
    (run.path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"--resume.*run=ANOTHER.*--overwrite"):
        RunDirectory.prepare(run.path, "other: 1\n")
    assert run.config.read_text() == "run: toy\n"


def test_overwriting_takes_a_runs_own_files_alone(run: RunDirectory) -> None:
    (run.checkpoints / "00000500").mkdir()
    run.metrics.write_text("{}\n")
    run.model.mkdir()
    run.best.symlink_to("checkpoints/00000500")
    (run.path / "notes.txt").write_text("mine")
    RunDirectory.prepare(run.path, "new: 1\n", "overwrite")
    assert sorted(entry.name for entry in run.path.iterdir()) == ["checkpoints", "config.yaml", "notes.txt"]
    assert not any(run.checkpoints.iterdir())
    assert run.config.read_text() == "new: 1\n"


@pytest.mark.parametrize("mode", ["new", "overwrite"])
def test_a_directory_of_somebody_elses_is_never_touched(tmp_path: Path, mode: str) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="files that no run wrote"):
        RunDirectory.prepare(tmp_path, "a: 1\n", mode)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="this is a file"):
        RunDirectory.prepare(tmp_path / "file", "a: 1\n")


def test_resuming_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run to resume"):
        RunDirectory.prepare(tmp_path / "none", "a: 1\n", "resume")


def test_one_process_at_a_time(run: RunDirectory) -> None:
    with run.held(), pytest.raises(UsageError, match="another process"), RunDirectory(run.path).held():
        pass
    with run.held():
        pass


def test_what_was_written_after_a_checkpoint_is_cut_off(run: RunDirectory) -> None:
    run.metrics.write_text("one\n")
    sizes = run.sizes()
    assert sizes == {"metrics.jsonl": 4, "samples.jsonl": 0}
    run.metrics.write_text("one\ntwo\nthr")
    run.samples.write_text("later\n")
    run.cut(sizes)
    assert run.metrics.read_text() == "one\n"
    assert run.samples.read_text() == ""


def test_a_shorter_file_is_left_alone(run: RunDirectory) -> None:
    run.metrics.write_text("on")
    run.cut({"metrics.jsonl": 4})
    assert run.metrics.read_text() == "on"


def test_the_resume_command_can_be_typed(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / "my run").resume_command() == f"transept train '{tmp_path}/my run' --resume"


def test_nothing_half_written_is_left(run: RunDirectory) -> None:
    assert sorted(os.listdir(run.path)) == ["checkpoints", "config.yaml"]


def test_a_run_knows_the_torchrun_that_began_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not RunDirectory.prepare(tmp_path / "alone", "a: 1\n").begun_by_this_torchrun()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    run = RunDirectory.prepare(tmp_path / "together", "a: 1\n")
    assert RunDirectory(run.path).begun_by_this_torchrun()
    assert not RunDirectory(tmp_path / "alone").begun_by_this_torchrun()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "8")
    assert not run.begun_by_this_torchrun()
    assert RunDirectory.prepare(run.path, "a: 1\n", "overwrite").begun_by_this_torchrun()


def test_a_line_that_a_kill_cut_off_is_no_event_and_another_is_named(tmp_path: Path):
    run = RunDirectory(tmp_path)
    assert list(run.events()) == []
    run.metrics.write_bytes(b'{"event": "train"}\n{"event": "valid", "note": "\xc3')
    assert list(run.events()) == [{"event": "train"}]
    run.metrics.write_bytes(b'{"event": "train"}\n{"event"\n{"event": "model"}\n')
    with pytest.raises(InvalidData, match="not JSON") as told:
        list(run.events())
    assert str(told.value.where) == f"{run.metrics}:2"
