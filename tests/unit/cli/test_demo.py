"""`transept demo`: where its run and its data go."""

import pytest
from typer.testing import CliRunner

from transept.cli.main import app


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["run=a #1"], "a #1"),
        (["run=2026"], "2026"),
        ([], "runs/demo-2"),
        (["run=runs/demo"], "runs/demo"),
    ],
)
def test_a_run_is_where_it_was_named(words, place, tmp_path, monkeypatch):
    seen = []

    def prepare(run, text):
        seen.append(run)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transept.train.run.RunDirectory.prepare", prepare)
    (tmp_path / "runs/demo").mkdir(parents=True)
    assert CliRunner().invoke(app, ["demo", *words]).exit_code == 130
    assert [str(run) for run in seen] == [place]
