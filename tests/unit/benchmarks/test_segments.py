"""The benchmark of carried states at toy size: what both sides read, and what it prints."""

import gzip
import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("segments")


def test_segments_are_the_text_in_order(script):
    ids = torch.arange(23)
    pieces = list(script.segments(ids, 2, 4))
    assert [batch.inputs[0].tolist() for batch in pieces] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [batch.inputs[1].tolist() for batch in pieces] == [[11, 12, 13, 14], [15, 16, 17, 18]]
    assert all(torch.equal(batch.labels, batch.inputs + 1) for batch in pieces)
    assert [batch.begins for batch in pieces] == [True, False]
    with pytest.raises(SystemExit, match="too short"):
        list(script.segments(ids, 8, 4))


def test_both_ways_are_trained_by_the_command_and_read(script, tmp_path, monkeypatch, capfd):
    text = tmp_path / "text.txt.gz"
    text.write_bytes(gzip.compress(b"to be, or not to be: that is the question. " * 60))
    words = ["--data", str(text), "--out", str(tmp_path / "runs"), "--quick", "--streams", "4", "--json"]
    monkeypatch.setattr(sys, "argv", ["segments.py", *words, "data.length=8", "model.carries=8", "data.cache=null"])
    threads = torch.get_num_threads()
    script.main()
    torch.set_num_threads(threads)
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["trained"] for row in rows] == ["alone", "carrying"]
    for row, kind in zip(rows, ("windows", "segments"), strict=True):
        assert (row["updates"], row["length"]) == (8, 8)
        assert set(row["bits"]) == {"0", "8", "16", "32"}
        assert all(0 < value < 8 for value in row["bits"].values())
        config = (tmp_path / "runs" / row["trained"] / "config.yaml").read_text()
        assert f"rows: {kind}" in config and "carries: 8" in config
    monkeypatch.setattr(script.subprocess, "run", None)  # what is there is not trained again
    script.main()
    assert [json.loads(line)["bits"] for line in capfd.readouterr().out.splitlines()] == [row["bits"] for row in rows]


def test_a_text_must_be_named(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["segments.py"])
    with pytest.raises(SystemExit):
        script.main()
    assert "--data FILE" in capsys.readouterr().err
